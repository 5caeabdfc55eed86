// The fleet at a glance: who works, who is stuck, what happens.
import { change, param } from "../data/router";
import { useResource } from "../data/resource";
import type { Agent, Page } from "../data/types";
import { Failed, Loading } from "../parts/panel";
import { Teach, setUp, setUpOtlp } from "../parts/teach";
import { AgentCards } from "./fleet/cards";
import { Chips } from "./fleet/chips";
import { MiniCharts } from "./fleet/charts";
import { Ribbon } from "./fleet/ribbon";
import { Stream } from "./fleet/stream";
import { TaskTable } from "./fleet/tasks";
import { useEffect } from "preact/hooks";
import { onEscape } from "../data/keys";

export function scope() {
  return { environment: param("env"), project_id: param("project") };
}

/** Agents, and how many there are in each state whatever the list is narrowed to. */
interface Fleet extends Page<Agent> {
  total?: number;
  counts?: Record<string, number>;
}

export function FleetPage() {
  const agents = useResource<Fleet>("/v1/agents", { ...scope(), status: param("status"), limit: 200 }, { when: () => true, onStatus: true, everyMs: 5000, pauseMs: 600 });
  const agent = param("agent");
  useEffect(() => (agent ? onEscape(() => change({ agent: null })) : undefined), [agent]);
  if (agents.error && !agents.data) return <Failed what="The fleet" error={agents.error} />;
  if (!agents.data) return <Loading />;
  const all = agents.data.data;
  const { total = all.length, counts = {} } = agents.data;
  if (total === 0 && !param("env") && !param("project")) return <FirstAgent />;
  return (
    <>
      <Ribbon total={total} counts={counts} />
      <Chips />
      <div class="fleet">
        <AgentCards agents={all} total={total} />
        <div class="middle">
          <MiniCharts asked={{ ...scope(), agent_id: agent }} />
          <TaskTable agent={agent} />
        </div>
        <Stream title="Activity" agent={agent} />
      </div>
    </>
  );
}

function FirstAgent() {
  const code = `${setUp()}\n\nwith agent.task("first-task", type="greeting") as task:\n    task.llm_call("think", model="gpt-4o-mini", tokens_in=120, tokens_out=40, cost=0.0004)`;
  return (
    <div class="first">
      <h1>Waiting for the first agent</h1>
      <Teach title="Paste this into your agent" code={code} waiting="This page turns into the fleet as soon as the first event arrives.">
        Ten lines are enough: the agent shows up with its heartbeat, its tasks and what it spends. A running board is found by
        itself when <code>hiveloop.init()</code> is called without key and endpoint.
      </Teach>
      <Teach title="Or report over OTLP" code={setUpOtlp()}>
        Any agent that is instrumented for OpenTelemetry shows up as well. For a fleet to look at, run <code>hiveloop demo</code>.
      </Teach>
    </div>
  );
}

// One agent: what it is doing, what it did, what it waits for, what it costs.
import type { ComponentChildren } from "preact";
import { count, duration, exact, money, percent, when } from "../data/format";
import { dict, dicts, firstText, moment, number, numberOr, text, type Dict } from "../data/read";
import { useResource } from "../data/resource";
import { change, href, param } from "../data/router";
import { agentLook } from "../data/status";
import { now } from "../data/time";
import type { Agent, BoardEvent, Task } from "../data/types";
import { kindOf } from "../data/words";
import { useList, type List } from "../data/list";
import { Ago, AgentBadge, Tag } from "../parts/badges";
import { Facts } from "../parts/content";
import { More } from "../parts/more";
import { Failed, Loading, Panel } from "../parts/panel";
import { Ranges, range } from "../parts/ranges";
import { Outcomes, Sparkline } from "../parts/spark";
import { Teach } from "../parts/teach";
import { Config } from "./agent/config";
import { Calls } from "./costs/calls";
import { heartbeat, shownStatus } from "./fleet/cards";
import { OverTime } from "./fleet/charts";
import { Stream } from "./fleet/stream";
import { Table, sortAsked } from "./fleet/tasks";
import { concernsPipeline } from "./pipeline";
import { Approvals, Issues, Queues, Schedule, Todos } from "./pipeline/lists";

const VIEWS = [
  ["", "Overview"],
  ["pipeline", "Pipeline"],
  ["llm", "LLM calls"],
  ["config", "Config"],
] as const;

export function AgentPage() {
  const id = param("id");
  const path = id ? `/v1/agents/${encodeURIComponent(id)}` : null;
  const own = (event: BoardEvent) => event.agent_id === id;
  const agent = useResource<Agent>(path, {}, { when: own, onStatus: true, everyMs: 5000, pauseMs: 600 });
  if (agent.error && !agent.data) return <Failed what={`The agent ${id}`} error={agent.error} />;
  if (!agent.data) return <Loading />;
  const view = param("view");
  return (
    <div class="agent-page">
      <Identity agent={agent.data} />
      <div class="segments" role="tablist" aria-label="About this agent">
        {VIEWS.map(([name, label]) => (
          <button key={name} type="button" role="tab" aria-selected={view === name} aria-pressed={view === name} onClick={() => change({ view: name })}>
            {label}
          </button>
        ))}
      </div>
      {view === "pipeline" ? <PipelineView id={id} /> : view === "llm" ? <LlmView id={id} /> : view === "config" ? <Config id={id} /> : <Overview agent={agent.data} id={id} />}
    </div>
  );
}

function Identity({ agent }: { agent: Agent }) {
  const status = shownStatus(agent);
  return (
    <header class="subject">
      <p class="crumbs">
        <a href={href("/")}>Fleet</a>
      </p>
      <div class="subject-line">
        <AgentBadge status={status} />
        <h1 title={agent.agent_id}>{agent.agent_id}</h1>
        <Outcomes values={agent["last_outcomes"]} />
        <span class="grow" />
        <a class="to-insights" href={href("/insights", { agent: agent.agent_id })}>
          Insights of this agent
        </a>
      </div>
      <Facts
        rows={[
          ["Type", text(agent.agent_type)],
          ["Version", text(agent["agent_version"])],
          ["Framework", text(agent["framework"])],
          ["Runtime", text(agent["runtime"])],
          ["SDK", text(agent["sdk_version"])],
          ["Environment", text(agent["environment"])],
          ["Group", text(agent["group"])],
          ["First seen", when(agent["first_seen"])],
        ]}
      />
    </header>
  );
}

/** What matters at this moment: the task at hand, why it is stuck, what it waits for. */
function RightNow({ agent }: { agent: Agent }) {
  const status = shownStatus(agent);
  const reason = text(agent["reason"]);
  const since = moment(agent["since"]);
  const task = firstText(agent.current_task_id, agent["failed_task_id"]);
  const action = text(dict(agent["current_action"])["name"]);
  const own = heartbeat(agent);
  const progress = dict(own["hiveloop"]);
  return (
    <Panel title="Right now">
      <div class={`now tone-${agentLook(status).tone}`}>
        <AgentBadge status={status} />
        <span class="big">
          {reason || agentLook(status).word}
          {since !== null && <span class="muted"> for {duration(Math.floor((now.value - since) / 1000) * 1000)}</span>}
        </span>
        {task && (
          <span>
            <span class="muted">task</span> <a href={href("/task", { id: task, run: text(agent["current_task_run_id"]) })}>{task}</a>
            {action && <span class="muted"> › {action}</span>}
          </span>
        )}
        <span class="grow" />
        <span class="muted">
          last heartbeat <Ago at={agent["last_heartbeat"]} />, threshold {duration(numberOr(agent["stuck_threshold_seconds"], 300) * 1000)}
        </span>
      </div>
      <div class="now">
        <Facts
          rows={[
            ["Model", text(own["model"])],
            ["Cost since start", number(own["cost_since_boot"] ?? own["cost"]) === null ? "" : money(number(own["cost_since_boot"] ?? own["cost"]))],
            ["Failures in a row", text(own["consecutive_failures"])],
            ["No progress for", number(progress["idle_seconds"]) === null ? "" : duration(numberOr(progress["idle_seconds"], 0) * 1000)],
            ["Open action", text(progress["open_action"])],
            ["Not sent yet", numberOr(progress["unsent"], 0) ? count(number(progress["unsent"])) : ""],
            ["Dropped", numberOr(progress["dropped"], 0) ? count(number(progress["dropped"])) : ""],
            ...Object.entries(own)
              .filter(([name, value]) => !KNOWN.has(name) && typeof value !== "object")
              .slice(0, 10)
              .map(([name, value]) => [name, text(value)] as const),
          ]}
        />
        <div class="hour">
          <span class="muted">Activity and heartbeats of the last hour</span>
          <Sparkline values={agent["sparkline_1h"]} beats={agent["heartbeats_1h"]} beating={status !== "offline"} />
        </div>
      </div>
    </Panel>
  );
}

const KNOWN = new Set(["kind", "summary", "data", "tags", "hiveloop", "model", "cost_since_boot", "cost", "consecutive_failures"]);

function Overview({ agent, id }: { agent: Agent; id: string }) {
  const stats = agent.stats_1h ?? {};
  const tasks = useList<Task>("/v1/tasks", { agent_id: id, sort: sortAsked(), limit: 20 }, { when: (event) => event.agent_id === id && Boolean(event.task_id), pauseMs: 600 });
  return (
    <>
      <RightNow agent={agent} />
      <div class="metrics">
        <Metric label="Tasks completed" value={count(numberOr(stats.tasks_completed, 0))} tone="ok" />
        <Metric label="Tasks failed" value={count(numberOr(stats.tasks_failed, 0))} tone={stats.tasks_failed ? "fail" : ""} />
        <Metric label="Success rate" value={percent(stats.success_rate)} />
        <Metric label="Avg duration" value={duration(stats.avg_duration_ms)} />
        <Metric label="Cost" value={money(numberOr(stats.total_cost, 0))} tone="llm" />
        <Metric label="Queue" value={count(numberOr(stats.queue_depth, 0))} tone={numberOr(stats.queue_depth, 0) > 5 ? "wait" : ""} note="waiting" />
        <Metric label="Open issues" value={count(numberOr(stats.active_issues, 0))} tone={stats.active_issues ? "fail" : ""} note="now" />
        <Metric label="Last seen" value={<Ago at={agent.last_seen} />} note="any event" />
      </div>
      <OverTime asked={{ agent_id: id }} tools={<Ranges />} />
      <div class="agent-columns">
        <div class="stack">
          <Panel title="Recent tasks">
            {tasks.error && !tasks.data && <Failed what="The tasks" error={tasks.error} />}
            {!tasks.data && !tasks.error && <Loading />}
            {tasks.data && tasks.rows.length === 0 && <NoTask />}
            {tasks.rows.length > 0 && <Table rows={tasks.rows} withAgent={false} />}
            <More of={tasks}>Older tasks</More>
          </Panel>
          <Lifecycle id={id} />
        </div>
        <Stream title="Activity" agent={id} />
      </div>
    </>
  );
}

function NoTask() {
  return (
    <Teach title="No task yet" within="task" code="...  # what your agent does" waiting="Waiting for the first task…">
      A task is one piece of work with a beginning and an end. Each becomes a row here, while it runs.
    </Teach>
  );
}

function Metric({ label, value, tone, note = "last hour" }: { label: string; value: ComponentChildren; tone?: string; note?: string }) {
  return (
    <div class={`metric${tone ? ` tone-${tone}` : ""}`}>
      <span class="muted">{label}</span>
      <b>{value}</b>
      <small>{note}</small>
    </div>
  );
}

const LIFE: Record<string, { word: string; tone: "ok" | "idle" | "wait" | "llm"; icon: string }> = {
  agent_registered: { word: "started", tone: "ok", icon: "play" },
  agent_started: { word: "started", tone: "ok", icon: "play" },
  agent_stopped: { word: "stopped", tone: "idle", icon: "power" },
  model_switch: { word: "switched model", tone: "llm", icon: "llm" },
  config_snapshot: { word: "config", tone: "wait", icon: "plan" },
};

/** Starts, stops and changes on the agent's own time axis. */
function Lifecycle({ id }: { id: string }) {
  const mine = (event: BoardEvent) => event.agent_id === id && (event.event_type === "agent_registered" || ["runtime", "config_snapshot"].includes(kindOf(event)));
  const starts = useList<BoardEvent>("/v1/events", { agent_id: id, event_type: "agent_registered", limit: 10 }, { when: mine });
  const changes = useList<BoardEvent>("/v1/events", { agent_id: id, payload_kind: "runtime,config_snapshot", limit: 10 }, { when: mine });
  const marks = merged(starts, changes);
  if (marks.length === 0) return null;
  const first = Math.min(...marks.map(({ at }) => at));
  const span = Math.max(60_000, now.peek() - first);
  const more = [starts.more, changes.more].filter((one) => one !== null);
  return (
    <Panel title="Lifecycle" count={marks.length}>
      <div class="marks" aria-hidden="true">
        {marks.map(({ event, at }) => (
          <i key={event.event_id} class={`tone-${lifeOf(event).tone}`} style={{ left: `${((at - first) / span) * 100}%` }} title={`${lifeOf(event).word}, ${when(at)}`} />
        ))}
      </div>
      <p class="ends muted" aria-hidden="true">
        <span>{when(first)}</span>
        <span>now</span>
      </p>
      <div class="items" role="list" aria-label="Lifecycle">
        {marks.map(({ event, at }) => (
          <div class="item" role="listitem" key={event.event_id}>
            <span class="lead">
              <Tag tone={lifeOf(event).tone} icon={lifeOf(event).icon}>
                {lifeOf(event).word}
              </Tag>
            </span>
            <div class="item-main">
              {kindOf(event) === "config_snapshot" ? (
                <a href={href("/agent", { id, view: "config", snapshot: event.event_id })}>{text(dict(event.payload)["summary"]) || "Config snapshot"}</a>
              ) : (
                <p>{text(dict(event.payload)["summary"])}</p>
              )}
            </div>
            <div class="item-side" title={exact(at)}>
              {when(at)}
            </div>
          </div>
        ))}
      </div>
      <More of={{ more: more.length ? () => more.forEach((one) => one()) : null }}>Older marks</More>
    </Panel>
  );
}

/** Two lists as one, as far back as both are known. */
function merged(...lists: readonly List<BoardEvent>[]): { event: BoardEvent; at: number }[] {
  const timed = lists.map((list) => list.rows.map((event) => ({ event, at: moment(event.timestamp) ?? 0 })));
  const known = timed.map((rows, index) => (lists[index]?.more ? (rows.at(-1)?.at ?? 0) : 0));
  const since = Math.max(...known);
  return timed.flat().filter(({ at }) => at >= since).sort((a, b) => b.at - a.at);
}

function lifeOf(event: BoardEvent) {
  const payload = dict(event.payload);
  const kind = kindOf(event);
  const name = event.event_type === "custom" && kind === "runtime" ? firstText(dict(payload["data"])["event"], payload["event"], kind) : kind || event.event_type;
  return LIFE[name] ?? { word: name.replaceAll("_", " "), tone: "wait" as const, icon: "dot" };
}

function PipelineView({ id }: { id: string }) {
  const pipeline = useResource<Dict>(`/v1/agents/${encodeURIComponent(id)}/pipeline`, {}, { when: (event) => event.agent_id === id && concernsPipeline(event), everyMs: 15_000 });
  if (pipeline.error && !pipeline.data) return <Failed what="The pipeline" error={pipeline.error} />;
  if (!pipeline.data) return <Loading />;
  const answer = pipeline.data;
  const named = (name: string) => dicts(answer[name]).map((item): Dict => ({ agent_id: id, ...item }));
  const queue = dict(answer["queue"]);
  const more = (name: string) => numberOr(dict(answer["more"])[name], 0);
  return (
    <div class="two">
      <div class="stack">
        <Approvals items={named("approvals")} more={more("approvals")} withAgent={false} />
        <Todos items={named("todos")} more={more("todos")} withAgent={false} />
        <Schedule items={named("scheduled")} more={more("scheduled")} withAgent={false} />
      </div>
      <div class="stack">
        <Issues items={named("issues")} more={more("issues")} closed={named("closed_issues")} withAgent={false} onChange={pipeline.reload} />
        <Queues queues={queue["snapshot_at"] ? [{ agent_id: id, ...queue }] : []} withAgent={false} />
      </div>
    </div>
  );
}

function LlmView({ id }: { id: string }) {
  return (
    <Panel title="LLM calls" tools={<Ranges />}>
      <Calls
        path="/v1/llm-calls"
        parameters={{ agent_id: id, range: range() }}
        withAgent={false}
        head={(answer) => <Sums totals={dict(answer["totals"])} />}
        empty={
          <Teach title="No LLM call in this range" within="task" code={`task.llm_call("reason", "gpt-4o", tokens_in=1200, tokens_out=350, cost=0.0085,\n    duration_ms=900, prompt_preview="…", response_preview="…")`} waiting="Waiting for the next call…">
            One line after each call to a model: its cost, tokens and time are summed up everywhere.
          </Teach>
        }
      />
    </Panel>
  );
}

/** Of all calls of the range, not only of those on the page. */
function Sums({ totals }: { totals: Dict }) {
  const estimated = numberOr(totals["estimated_cost"], 0) > 0;
  return (
    <ul class="figures panel-foot" aria-label="Sums of the range">
      <li>
        <span class="muted">Calls</span> <b>{count(number(totals["call_count"]))}</b>
      </li>
      <li>
        <span class="muted">Tokens in</span> <b>{count(number(totals["tokens_in"]))}</b>
      </li>
      <li>
        <span class="muted">Tokens out</span> <b>{count(number(totals["tokens_out"]))}</b>
      </li>
      <li>
        <span class="muted">Cost</span> <b>{`${estimated ? "~" : ""}${money(number(totals["total_cost"]))}`}</b>
      </li>
    </ul>
  );
}

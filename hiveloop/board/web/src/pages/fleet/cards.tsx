import { age, count, exact, money, when } from "../../data/format";
import { dict, firstText, moment, number, numberOr, text } from "../../data/read";
import { change, href, param } from "../../data/router";
import { agentLook } from "../../data/status";
import { now } from "../../data/time";
import type { Agent } from "../../data/types";
import { Ago, AgentBadge, Tag } from "../../parts/badges";
import { Icon } from "../../parts/icon";
import { Nothing, Panel } from "../../parts/panel";
import { Outcomes, Sparkline } from "../../parts/spark";

export function shownStatus(agent: Agent): string {
  return agent.is_offline && agent.derived_status === "idle" ? "offline" : agent.derived_status;
}

/** By attention, then by name: a card moves only when its state changes. */
function byAttention(a: Agent, b: Agent): number {
  return agentLook(shownStatus(a)).rank - agentLook(shownStatus(b)).rank || (a.agent_id < b.agent_id ? -1 : 1);
}

export function AgentCards({ agents, total }: { agents: readonly Agent[]; total: number }) {
  const status = param("status");
  const shown = agents.filter((agent) => !status || agent.derived_status === status || shownStatus(agent) === status).sort(byAttention);
  return (
    <Panel title="The Hive" class="hive" count={shown.length === total ? total : `${shown.length} of ${total}`}>
      <div class="cards" data-rows role="list" aria-label="Agents">
        {shown.map((agent) => (
          <Card key={agent.agent_id} agent={agent} />
        ))}
        {shown.length === 0 && <Nothing>{total ? "No agent is in this state." : "No agent here."}</Nothing>}
      </div>
    </Panel>
  );
}

function Card({ agent }: { agent: Agent }) {
  const status = shownStatus(agent);
  const chosen = param("agent") === agent.agent_id;
  const choose = (event: Event) => {
    if (event.target instanceof Element && event.target.closest("a")) return;
    change({ agent: chosen ? null : agent.agent_id });
  };
  const beat = number(agent.heartbeat_age_seconds);
  return (
    <article class={`card tone-${agentLook(status).tone} is-${status}`} role="listitem" data-row tabIndex={0} aria-current={chosen ? "true" : undefined} aria-label={`${agent.agent_id}: ${agentLook(status).word}`} onClick={choose}>
      <header>
        <AgentBadge status={status} />
        <a class="card-name" data-open href={href("/agent", { id: agent.agent_id })} title={agent.agent_id}>
          {agent.agent_id}
        </a>
      </header>
      <Reason agent={agent} />
      <Work agent={agent} />
      <Told agent={agent} />
      <Sparkline values={agent["sparkline_1h"]} beats={agent["heartbeats_1h"]} beating={status !== "offline" && beat !== null && beat < 120} />
      <footer>
        <Marks agent={agent} />
        <span class="grow" />
        <Outcomes values={agent["last_outcomes"]} />
      </footer>
    </article>
  );
}

/** Why the agent is in its state, and for how long, but for work, whose ages follow; failures and stops are past. */
function Reason({ agent }: { agent: Agent }) {
  const reason = firstText(agent["reason"], agent.agent_type, "general");
  const since = moment(agent["since"]);
  const status = shownStatus(agent);
  const isPast = status === "error" || status === "offline";
  return (
    <p class="card-why">
      <span class="reason" title={reason}>
        {reason}
      </span>
      {since !== null && status !== "processing" && <Age at={since} before={isPast ? "" : "for "} after={isPast ? " ago" : ""} />}
    </p>
  );
}

/** A counting age, set in its own words. */
function Age({ at, before = "", after = "" }: { at: number; before?: string; after?: string }) {
  const told = age(now.value - at);
  return (
    <time class="age" dateTime={exact(at)} title={`Since ${when(at)}`}>
      {told === "now" ? "just now" : before + told + after}
    </time>
  );
}

/** What the agent's own heartbeat callback told last. */
export function heartbeat(agent: Agent): Record<string, unknown> {
  const payload = dict(agent["heartbeat_payload"]);
  return { ...dict(payload["data"]), ...payload };
}

/** Figures that a card has a place of its own for, and what is no figure. */
const PLACED = new Set(["model", "current_model", "consecutive_failures", "hiveloop", "kind", "summary", "tags", "data", "callbacks"]);
const MOST_TOLD = 3;

/** The model, and further figures of the agent's own, under the names it gave them. */
function Told({ agent }: { agent: Agent }) {
  const told = heartbeat(agent);
  const model = firstText(told["model"], told["current_model"]);
  const figures = Object.entries(told).filter(([name, value]) => !PLACED.has(name) && ["number", "string"].includes(typeof value));
  if (figures.length === 0 && !model) return null;
  const words = figures.slice(0, MOST_TOLD).map(([name, value]) => `${name.replace(/_usd$/, "").replaceAll("_", " ")} ${figure(name, value)}`);
  return (
    <p class="card-told muted" title={["As the agent says:", model, ...figures.map(([name, value]) => `${name}: ${text(value)}`)].filter(Boolean).join("\n")}>
      {[model, ...words].filter(Boolean).join(" · ")}
    </p>
  );
}

function figure(name: string, value: unknown): string {
  if (typeof value !== "number") return text(value);
  return /cost|usd/.test(name) ? money(value) : count(value);
}

function Work({ agent }: { agent: Agent }) {
  const task = text(agent.current_task_id);
  const last = firstText(agent["failed_task_id"], agent["last_task_id"]);
  if (!task) {
    return (
      <p class="card-work muted">
        {last ? (
          <span class="part">
            {agent["failed_task_id"] ? "failed in" : "last"}{" "}
            <a href={href("/task", { id: last })} title={last}>
              {last}
            </a>
          </span>
        ) : (
          <span class="part">
            seen <Ago at={agent.last_seen} />
          </span>
        )}
      </p>
    );
  }
  const current = dict(agent["current_action"]);
  const action = text(current["name"]);
  const [taskSince, actionSince] = [moment(agent["current_task_since"]), moment(current["since"])];
  return (
    <p class="card-work">
      <span class="part">
        <a href={href("/task", { id: task, run: text(agent["current_task_run_id"]) })} title={task}>
          {task}
        </a>
        {taskSince !== null && <Age at={taskSince} />}
      </span>
      {action && (
        <span class="part">
          <Icon name="right" label="in" />
          <span class="name" title={action}>
            {action}
          </span>
          {actionSince !== null && <Age at={actionSince} />}
        </span>
      )}
    </p>
  );
}

function Marks({ agent }: { agent: Agent }) {
  const stats = agent.stats_1h ?? {};
  const depth = numberOr(agent["queue_depth"], 0);
  const issues = numberOr(agent["active_issues"], 0);
  const approvals = numberOr(agent["pending_approvals"], 0);
  const escalated = agent["has_escalation"] === true;
  const failures = numberOr(heartbeat(agent)["consecutive_failures"], 0);
  return (
    <>
      {depth > 0 && (
        <Tag tone={depth > 5 ? "wait" : "idle"} icon="queue" title={`${depth} ${depth === 1 ? "item" : "items"} in the queue`}>
          Q:{depth}
        </Tag>
      )}
      {approvals > 0 && (
        <Tag tone="wait" icon="hand" title="Waits for a decision of a person">
          {approvals} {approvals === 1 ? "approval" : "approvals"}
        </Tag>
      )}
      {issues > 0 && (
        <Tag tone="fail" icon="warn" title={`The worst one is ${firstText(agent["worst_issue"], "unknown")}`}>
          {issues} {issues === 1 ? "issue" : "issues"}
        </Tag>
      )}
      {escalated && (
        <Tag tone="wait" icon="up" title="Its current or last task was escalated">
          escalated
        </Tag>
      )}
      {failures > 1 && (
        <Tag tone="fail" icon="cross" title="Failures in a row, as the agent says">
          {failures} in a row
        </Tag>
      )}
      <span class="muted cost" title="Cost of LLM calls in the last hour">
        {numberOr(stats.estimated_cost, 0) > 0 && "~"}
        {money(stats.total_cost ?? 0)} / h
      </span>
    </>
  );
}

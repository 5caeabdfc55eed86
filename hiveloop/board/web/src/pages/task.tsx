// One task: what it did, on one clock, and why it failed.
import { useEffect, useMemo, useRef } from "preact/hooks";
import { count, duration, exact, money, percent, when } from "../data/format";
import { onEscape } from "../data/keys";
import { dict, dicts, list, moment, number, numberOr, text, type Dict } from "../data/read";
import { useResource } from "../data/resource";
import { change, href, param } from "../data/router";
import { now } from "../data/time";
import { agentLook } from "../data/status";
import type { Agent, BoardEvent, Task } from "../data/types";
import { TaskBadge } from "../parts/badges";
import { Copy } from "../parts/copy";
import { Icon } from "../parts/icon";
import { Failed, Loading } from "../parts/panel";
import { VirtualList } from "../parts/virtual";
import { shownStatus } from "./fleet/cards";
import { taskHref } from "./fleet/tasks";
import { Line } from "./fleet/stream";
import { Detail } from "./task/detail";
import { PILLS, gapsOf, nodesOf, pilled, type Node } from "./task/model";
import { PlanBar } from "./task/plan";
import { Waterfall } from "./task/waterfall";

export function TaskPage() {
  const id = param("id");
  const run = param("run");
  const path = id ? `/v1/tasks/${encodeURIComponent(id)}/timeline` : null;
  const timeline = useResource<Dict>(path, { task_run_id: run }, { when: (event) => event.task_id === id, pauseMs: 500 });
  if (!id || (timeline.error && !timeline.data)) return <Missing id={id} error={timeline.error ?? ""} />;
  if (!timeline.data) return <Loading />;
  return <Shown timeline={timeline.data} reload={timeline.reload} />;
}

/** A link to a task that is not there; it shows as soon as it is. */
function Missing({ id, error }: { id: string; error: string }) {
  if (id && !error.startsWith("no task")) return <Failed what={`The task ${id}`} error={error} />;
  return (
    <div class="teach refused" role="alert">
      <h1>{id ? `There is no task ${id}` : "No task is named"}</h1>
      <p>It may be older than what the board keeps, of another board, or still on its way: then it shows here when it arrives.</p>
      <p>
        <a class="link" href={href("/")}>
          To the fleet
        </a>
      </p>
    </div>
  );
}

/** How often a task that is under way is read again, since its times grow without events. */
const OPEN_MS = 3000;

function Shown({ timeline, reload }: { timeline: Dict; reload: () => void }) {
  const task = timeline as unknown as Task;
  const isOpen = !task.completed_at;
  const at = isOpen ? now.value : 0;
  const nodes = useMemo(() => nodesOf(timeline, at), [timeline, at]);
  useEffect(() => {
    if (!isOpen) return undefined;
    const ticks = setInterval(() => !document.hidden && reload(), OPEN_MS);
    return () => clearInterval(ticks);
  }, [isOpen]);
  const start = Math.min(moment(task.started_at) ?? Infinity, ...nodes.map((node) => node.start));
  const end = Math.max(moment(task.completed_at) ?? (isOpen ? at : 0), ...nodes.map((node) => node.end));
  const origin = Number.isFinite(start) ? start : at;
  const selected = useSelection(nodes, timeline, isOpen);
  const zoomed = nodes.find((node) => node.id === param("zoom"));
  const pad = zoomed ? Math.max(1, (zoomed.end - zoomed.start) * 0.03) : Math.max(1, (end - origin) * 0.01);
  const clock = { origin, from: (zoomed?.start ?? origin) - pad, to: (zoomed?.end ?? end) + pad };
  return (
    <div class="task">
      <Header task={task} timeline={timeline} wall={wallOf(timeline, end - origin)} />
      <PlanBar timeline={timeline} />
      <Breakdown timeline={timeline} wall={wallOf(timeline, end - origin)} />
      <View nodes={nodes} timeline={timeline} zoomed={zoomed} />
      <div class={`task-body${selected ? " with-detail" : ""}`}>
        {param("view") === "log" ? <Log events={list(timeline["events"]) as BoardEvent[]} /> : <Waterfall nodes={pilled(nodes, shownPill())} gaps={gapsOf(nodes, origin, end)} clock={clock} folds={shownPill() === "all"} />}
        {selected && <Detail node={selected} origin={origin} before={beforeOf(selected, timeline)} />}
      </div>
    </div>
  );
}

function shownPill(): string {
  return param("show") || "all";
}

/** The node of the address; on arrival at a failed task without one, what failed. */
function useSelection(nodes: Node[], timeline: Dict, isOpen: boolean): Node | undefined {
  const wanted = param("node");
  const arrived = useRef(false);
  useEffect(() => {
    if (arrived.current || nodes.length === 0) return;
    arrived.current = true;
    const failed = text(dict(timeline["failure"])["node_id"]);
    const taskFailed = ["failed", "failure", "error"].includes(text(timeline["derived_status"]));
    if (!wanted && taskFailed && !isOpen && nodes.some((node) => node.id === failed)) change({ node: failed }, false);
  }, [nodes.length]);
  useEffect(() => {
    if (!wanted) return undefined;
    return onEscape(() => change({ node: null }));
  }, [wanted]);
  return nodes.find((node) => node.id === wanted) ?? byEvent(nodes, wanted);
}

function byEvent(nodes: Node[], wanted: string): Node | undefined {
  return wanted.startsWith("event:") ? nodes.find((node) => node.eventIds.includes(wanted.slice(6))) : undefined;
}

/** What happened before a failure, as breadcrumbs. */
function beforeOf(node: Node, timeline: Dict): BoardEvent[] {
  if (!node.failed) return [];
  const failure = dict(timeline["failure"]);
  if (text(failure["node_id"]) === node.id) return list(failure["events_before"]) as BoardEvent[];
  const events = list(timeline["events"]) as BoardEvent[];
  return events.filter((event) => (moment(event.timestamp) ?? 0) < node.end && event.event_type !== "heartbeat" && !node.eventIds.includes(event.event_id)).slice(-10);
}

function Header({ task, timeline, wall }: { task: Task; timeline: Dict; wall: number }) {
  const runs = dicts(timeline["runs"]) as unknown as Task[];
  const failed = text(dict(timeline["failure"])["name"]);
  return (
    <header class="subject">
      <p class="crumbs">
        <a href={href("/")}>Fleet</a> <Icon name="right" /> <a href={href("/agent", { id: task.agent_id })}>{task.agent_id}</a>
      </p>
      <div class="subject-line">
        <TaskBadge status={task.derived_status} />
        <h1 title={task.task_id}>{task.task_id}</h1>
        <Copy value={location.href} label="Copy link" />
      </div>
      {!task.completed_at && <Now agent={task.agent_id} />}
      <ul class="figures">
        <Figure label="Duration" value={duration(wall)} title="From its first event to its last" />
        <Figure label="Started" value={when(task.started_at)} title={exact(task.started_at)} />
        <Figure label="LLM calls" value={count(numberOr(task.llm_call_count, 0))} />
        <Figure label="Tokens" value={`${count(numberOr(task.total_tokens_in, 0))} in / ${count(numberOr(task.total_tokens_out, 0))} out`} />
        <Figure label="Cost" value={`${numberOr(task["estimated_cost"], 0) > 0 ? "~" : ""}${money(numberOr(task.total_cost, 0))}`} />
        <Figure label="Actions" value={count(numberOr(task.action_count, 0))} />
        <Figure label="Errors" value={count(numberOr(task.error_count, 0))} tone={numberOr(task.error_count, 0) ? "fail" : ""} />
        {text(task.task_type) && <Figure label="Type" value={text(task.task_type)} />}
        {text(task.project_id) && <Figure label="Project" value={text(task.project_id)} />}
        {failed && task.derived_status === "failed" && <Figure label="Failed in" value={failed} tone="fail" />}
      </ul>
      {runs.length > 1 && (
        <nav class="runs" aria-label="Runs of this task">
          <span class="muted">{runs.length} runs</span>
          {runs.map((run) => (
            <a key={text(run.task_run_id)} href={taskHref({ ...run, task_id: task.task_id })} aria-current={text(run.task_run_id) === text(task.task_run_id) ? "true" : undefined}>
              <TaskBadge status={run.derived_status} /> {when(run.started_at)}
            </a>
          ))}
        </nav>
      )}
    </header>
  );
}

/** What the agent of an open task is at, or why it is stuck. */
function Now({ agent }: { agent: string }) {
  const { data } = useResource<Agent>(`/v1/agents/${encodeURIComponent(agent)}`, {}, { onStatus: true, when: (event) => event.agent_id === agent, pauseMs: 1000 });
  const since = moment(data?.["since"]);
  if (!data || since === null) return null;
  return (
    <p class={`task-now tone-${agentLook(shownStatus(data)).tone}`}>
      {agent}: {text(data["reason"])} <span class="muted">since {when(since)}</span>
    </p>
  );
}

function Figure({ label, value, title, tone }: { label: string; value: string; title?: string; tone?: string }) {
  return (
    <li title={title} class={tone ? `tone-${tone}` : undefined}>
      <span class="muted">{label}</span>
      <b>{value}</b>
    </li>
  );
}

/** Wall time: as the board counted it, so that the parts below add up to it. */
function wallOf(timeline: Dict, otherwise: number): number {
  return number(dict(timeline["breakdown"])["wall_ms"]) ?? otherwise;
}

const PARTS = [
  ["llm_ms", "LLM", "llm"],
  ["tools_ms", "Tools", "work"],
  ["waiting_ms", "Waiting for people", "wait"],
  ["other_ms", "Other", "idle"],
] as const;

/** Where the wall time went; the parts add up to it. */
function Breakdown({ timeline, wall }: { timeline: Dict; wall: number }) {
  const told = dict(timeline["breakdown"]);
  const parts = PARTS.map(([name, label, tone]) => ({ label, tone, ms: numberOr(told[name], 0) })).filter((part) => part.ms > 0);
  if (parts.length === 0 || wall <= 0) return null;
  return (
    <section class="breakdown" aria-label="Where the time went">
      <div class="breakdown-bar" aria-hidden="true">
        {parts.map(({ label, tone, ms }) => (
          <i key={label} class={`fill-${tone}`} style={{ width: `${(ms / wall) * 100}%` }} />
        ))}
      </div>
      <ul>
        {parts.map(({ label, tone, ms }) => (
          <li key={label}>
            <i class={`swatch fill-${tone}`} /> {label} <b>{duration(ms)}</b> <span class="muted">{percent((ms / wall) * 100)}</span>
          </li>
        ))}
        <li class="muted">
          Total <b>{duration(wall)}</b>
        </li>
      </ul>
    </section>
  );
}

const PILL_TITLES: Record<string, string> = {
  "critical path": "What the end waited for: only shortening these ends it sooner",
  errors: "What failed",
  slowest: "The ten that took longest, the longest first",
};

function View({ nodes, timeline, zoomed }: { nodes: readonly Node[]; timeline: Dict; zoomed: Node | undefined }) {
  const view = param("view") || "waterfall";
  const show = shownPill();
  return (
    <div class="view-bar">
      <div class="segments" role="group" aria-label="View">
        {["waterfall", "log"].map((name) => (
          <button key={name} type="button" aria-pressed={view === name} onClick={() => change({ view: name === "waterfall" ? null : name })}>
            {name === "log" ? `Log (${list(timeline["events"]).length})` : "Waterfall"}
          </button>
        ))}
      </div>
      {view === "waterfall" && (
        <div class="filters" role="group" aria-label="Nodes">
          {PILLS.map((pill) => (
            <button key={pill} type="button" class="filter" aria-pressed={show === pill} title={PILL_TITLES[pill]} onClick={() => change({ show: pill === "all" ? null : pill })}>
              {pill} <span class="muted">{pilled(nodes, pill).length}</span>
            </button>
          ))}
        </div>
      )}
      {view === "waterfall" && <Stepper nodes={pilled(nodes, show === "all" ? "errors" : show)} what={show === "all" ? "failed" : ""} />}
      <span class="grow" />
      {zoomed && (
        <button type="button" class="chip" onClick={() => change({ zoom: null })}>
          Zoomed to {zoomed.name} <Icon name="close" />
        </button>
      )}
    </div>
  );
}

/** One after the other of what a pill shows, or of what failed. */
function Stepper({ nodes, what }: { nodes: readonly Node[]; what: string }) {
  if (nodes.length === 0) return null;
  const at = nodes.findIndex((node) => node.id === param("node"));
  const step = (by: number) => {
    const next = nodes[at < 0 ? (by > 0 ? 0 : nodes.length - 1) : (at + by + nodes.length) % nodes.length];
    if (next) change({ node: next.id });
  };
  return (
    <span class="stepper">
      <button type="button" class="quiet square" data-previous aria-label="Previous match" title="Previous (N)" onClick={() => step(-1)}>
        <Icon name="left" />
      </button>
      <span class={what ? "tone-fail" : undefined} role="status">
        {[at >= 0 && `${at + 1} of`, nodes.length, what || (at < 0 && (nodes.length === 1 ? "match" : "matches"))].filter(Boolean).join(" ")}
      </span>
      <button type="button" class="quiet square" data-next aria-label="Next match" title="Next (n)" onClick={() => step(1)}>
        <Icon name="right" />
      </button>
    </span>
  );
}

function Log({ events }: { events: readonly BoardEvent[] }) {
  const plain = param("words") === "plain";
  const all = [...events].sort((a, b) => (moment(a.timestamp) ?? 0) - (moment(b.timestamp) ?? 0));
  return (
    <div class="log">
      <button type="button" class="quiet" aria-pressed={plain} onClick={() => change({ words: plain ? null : "plain" }, false)}>
        Plain words
      </button>
      <VirtualList items={all} rowHeight={30} label="Log" row={(event) => <Line key={event.event_id} event={event} plain={plain} />} />
    </div>
  );
}

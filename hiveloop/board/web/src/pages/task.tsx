// One task: what it did, on one clock, and why it failed.
import { useEffect, useRef } from "preact/hooks";
import { count, duration, exact, money, when } from "../data/format";
import { onEscape } from "../data/keys";
import { dict, dicts, list, moment, number, numberOr, text, type Dict } from "../data/read";
import { useResource } from "../data/resource";
import { change, href, param } from "../data/router";
import { now } from "../data/time";
import type { BoardEvent, Task } from "../data/types";
import { TaskBadge } from "../parts/badges";
import { Copy } from "../parts/copy";
import { Icon } from "../parts/icon";
import { Failed, Loading } from "../parts/panel";
import { VirtualList } from "../parts/virtual";
import { taskHref } from "./fleet/tasks";
import { Line } from "./fleet/stream";
import { Detail } from "./task/detail";
import { PILLS, nodesOf, pilled, type Node } from "./task/model";
import { PlanBar } from "./task/plan";
import { Waterfall } from "./task/waterfall";

export function TaskPage() {
  const id = param("id");
  const run = param("run");
  const path = id ? `/v1/tasks/${encodeURIComponent(id)}/timeline` : null;
  const timeline = useResource<Dict>(path, { task_run_id: run }, { when: (event) => event.task_id === id, pauseMs: 500 });
  if (timeline.error && !timeline.data) return <Failed what={`The task ${id}`} error={timeline.error} />;
  if (!timeline.data) return <Loading />;
  return <Shown timeline={timeline.data} />;
}

function Shown({ timeline }: { timeline: Dict }) {
  const task = timeline as unknown as Task;
  const isOpen = !task.completed_at;
  const at = isOpen ? now.value : now.peek();
  const nodes = nodesOf(timeline, at);
  const start = Math.min(moment(task.started_at) ?? Infinity, ...nodes.map((node) => node.start));
  const end = Math.max(moment(task.completed_at) ?? (isOpen ? at : 0), ...nodes.map((node) => node.end));
  const origin = Number.isFinite(start) ? start : at;
  const selected = useSelection(nodes, timeline, isOpen);
  const zoomed = nodes.find((node) => node.id === param("zoom"));
  const pad = zoomed ? Math.max(1, (zoomed.end - zoomed.start) * 0.03) : Math.max(1, (end - origin) * 0.01);
  const clock = { origin, from: (zoomed?.start ?? origin) - pad, to: (zoomed?.end ?? end) + pad };
  return (
    <div class="task">
      <Header task={task} timeline={timeline} wall={end - origin} />
      <PlanBar timeline={timeline} />
      <Breakdown timeline={timeline} wall={end - origin} />
      <View nodes={nodes} timeline={timeline} zoomed={zoomed} />
      <div class={`task-body${selected ? " with-detail" : ""}`}>
        {param("view") === "log" ? <Log events={list(timeline["events"]) as BoardEvent[]} /> : <Waterfall nodes={pilled(nodes, param("show") || "all")} clock={clock} />}
        {selected && <Detail node={selected} origin={origin} before={beforeOf(selected, timeline)} />}
      </div>
    </div>
  );
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
    document.querySelector(".node.selected")?.scrollIntoView({ block: "nearest" });
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
      <ul class="figures">
        <Figure label="Duration" value={duration(task.duration_ms ?? wall)} />
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

function Figure({ label, value, title, tone }: { label: string; value: string; title?: string; tone?: string }) {
  return (
    <li title={title} class={tone ? `tone-${tone}` : undefined}>
      <span class="muted">{label}</span>
      <b>{value}</b>
    </li>
  );
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
  const total = number(told["wall_ms"]) ?? wall;
  const parts = PARTS.map(([name, label, tone]) => ({ label, tone, ms: numberOr(told[name], 0) })).filter((part) => part.ms > 0);
  if (parts.length === 0 || total <= 0) return null;
  return (
    <section class="breakdown" aria-label="Where the time went">
      <div class="breakdown-bar" aria-hidden="true">
        {parts.map(({ label, tone, ms }) => (
          <i key={label} class={`fill-${tone}`} style={{ width: `${(ms / total) * 100}%` }} />
        ))}
      </div>
      <ul>
        {parts.map(({ label, tone, ms }) => (
          <li key={label}>
            <i class={`swatch fill-${tone}`} /> {label} <b>{duration(ms)}</b> <span class="muted">{Math.round((ms / total) * 100)} %</span>
          </li>
        ))}
        <li class="muted">
          Total <b>{duration(total)}</b>
        </li>
      </ul>
    </section>
  );
}

function View({ nodes, timeline, zoomed }: { nodes: Node[]; timeline: Dict; zoomed: Node | undefined }) {
  const view = param("view") || "waterfall";
  const show = param("show") || "all";
  const failures = nodes.filter((node) => node.failed);
  const at = failures.findIndex((node) => node.id === param("node"));
  const step = (by: number) => {
    const next = failures[(at + by + failures.length) % failures.length];
    if (next) change({ node: next.id, show: null });
  };
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
            <button key={pill} type="button" class="filter" aria-pressed={show === pill} onClick={() => change({ show: pill === "all" ? null : pill })}>
              {pill} <span class="muted">{pilled(nodes, pill).length}</span>
            </button>
          ))}
        </div>
      )}
      {failures.length > 0 && (
        <span class="stepper">
          <button type="button" class="quiet square" data-previous aria-label="Previous failure" onClick={() => step(at < 0 ? 0 : -1)}>
            <Icon name="left" />
          </button>
          <span class="tone-fail">
            {failures.length} failed
          </span>
          <button type="button" class="quiet square" data-next aria-label="Next failure" onClick={() => step(1)}>
            <Icon name="right" />
          </button>
        </span>
      )}
      <span class="grow" />
      {zoomed && (
        <button type="button" class="chip" onClick={() => change({ zoom: null })}>
          Zoomed to {zoomed.name} <Icon name="close" />
        </button>
      )}
    </div>
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

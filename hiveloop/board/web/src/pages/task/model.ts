// What the timeline endpoint tells, made into rows of a waterfall.
import { dict, dicts, firstText, list, moment, number, text, type Dict } from "../../data/read";
import type { Tone } from "../../data/status";
import type { BoardEvent, Task } from "../../data/types";
import { aboutOf, field, isRefusal } from "../../data/words";

export interface Timeline extends Task {
  events: BoardEvent[];
}

export interface Node {
  id: string;
  kind: string;
  /** One of tool, llm, retry, escalation, approval, task, plan, issue, event. */
  sort: string;
  name: string;
  status: string;
  failed: boolean;
  open: boolean;
  start: number;
  end: number;
  duration: number | null;
  depth: number;
  isMark: boolean;
  error: string;
  payload: Dict;
  llm: Dict;
  actionId: string;
  parentId: string;
  eventIds: string[];
  /** Place among all events, for what happened in the same millisecond. */
  order: number;
  hasChildren: boolean;
}

export function errorText(error: unknown): string {
  if (typeof error === "string") return error;
  const { type, message } = dict(error);
  return type && message ? `${text(type)}: ${text(message)}` : firstText(type, message);
}

/** All nodes, in order of start and under their parents. */
export function nodesOf(timeline: Dict, now: number): Node[] {
  const isOver = Boolean(timeline["completed_at"]);
  const end = moment(timeline["completed_at"]) ?? now;
  const places = new Map(dicts(timeline["events"]).map((event, at) => [text(event["event_id"]), at]));
  const raw = dicts(timeline["nodes"]).map((one) => nodeOf(one, isOver ? end : now, isOver));
  for (const node of raw) node.order = Math.min(...node.eventIds.map((id) => places.get(id) ?? Infinity));
  pairApprovals(raw, end);
  return nested(raw);
}

function nodeOf(raw: Dict, end: number, isOver: boolean): Node {
  const kind = text(raw["kind"]);
  const sort = text(raw["node"]) || "event";
  const start = moment(raw["started_at"]) ?? end;
  const ended = moment(raw["ended_at"]);
  const duration = number(raw["duration_ms"]);
  const isAction = sort === "tool";
  const status = text(raw["status"]);
  const open = isAction && ended === null && !isOver;
  return {
    id: text(raw["node_id"]),
    kind,
    sort: kind.startsWith("plan_") ? "plan" : kind === "issue" ? "issue" : sort,
    name: nameOf(raw, kind),
    status,
    failed: status === "failure" || status === "failed" || kind === "task_failed",
    open,
    start,
    end: ended ?? (isAction ? end : start),
    duration: duration ?? (isAction && ended === null ? end - start : null),
    depth: 0,
    isMark: !isAction && !(sort === "llm" && duration !== null),
    error: errorText(raw["error"]),
    payload: dict(raw["payload"]),
    llm: dict(raw["llm"]),
    actionId: text(raw["action_id"]),
    parentId: text(raw["parent_action_id"]),
    eventIds: list(raw["events"]).map(text),
    order: Infinity,
    hasChildren: false,
  };
}

/** What the node is called; of a decision also how it went. */
function nameOf(raw: Dict, kind: string): string {
  const payload = dict(raw["payload"]);
  if (kind === "plan_step") return firstText(aboutOf({ kind, ...payload }), raw["name"]);
  const decision = kind === "approval_received" ? text(field({ payload }, "decision")) : "";
  return [firstText(raw["name"], kind), decision].filter(Boolean).join(" · ");
}

/** An approval is waited for until it is received: the request becomes a bar. */
function pairApprovals(nodes: Node[], end: number): void {
  const answers = nodes.filter((node) => node.kind === "approval_received");
  for (const request of nodes.filter((node) => node.kind === "approval_requested")) {
    const at = answers.findIndex((answer) => answer.start >= request.start);
    const [answer] = at >= 0 ? answers.splice(at, 1) : [];
    request.end = answer?.start ?? end;
    request.open = answer === undefined;
    request.duration = request.end - request.start;
    request.isMark = false;
  }
}

function nested(nodes: Node[]): Node[] {
  const actions = new Set(nodes.map((node) => node.actionId).filter(Boolean));
  const children = new Map<string, Node[]>();
  for (const node of nodes) {
    const holder = node.parentId && node.parentId !== node.actionId && actions.has(node.parentId) ? node.parentId : "";
    const beside = children.get(holder);
    if (beside) beside.push(node);
    else children.set(holder, [node]);
  }
  const rows: Node[] = [];
  const seen = new Set<Node>();
  const stack = [...(children.get("") ?? [])].sort(byTime).reverse();
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    rows.push(node);
    const below = node.actionId ? (children.get(node.actionId) ?? []) : [];
    node.hasChildren = below.length > 0;
    for (const child of [...below].sort(byTime).reverse()) {
      child.depth = Math.min(node.depth + 1, 12);
      stack.push(child);
    }
  }
  return [...rows, ...nodes.filter((node) => !seen.has(node))];
}

/** By start; of those that start together, as the events came. */
function byTime(a: Node, b: Node): number {
  return a.start - b.start || rankOf(a) - rankOf(b) || (a.order < b.order ? -1 : 1);
}

function rankOf(node: Node): number {
  return node.kind === "task_started" ? -1 : node.kind === "task_completed" || node.kind === "task_failed" ? 1 : 0;
}

const LOOKS: Record<string, { icon: string; tone: Tone; word: string }> = {
  tool: { icon: "tool", tone: "work", word: "Action" },
  llm: { icon: "llm", tone: "llm", word: "LLM call" },
  retry: { icon: "retry", tone: "wait", word: "Retry" },
  escalation: { icon: "up", tone: "wait", word: "Escalation" },
  approval: { icon: "hand", tone: "wait", word: "Approval" },
  plan: { icon: "plan", tone: "work", word: "Plan" },
  issue: { icon: "warn", tone: "fail", word: "Issue" },
  task: { icon: "play", tone: "work", word: "Task" },
  event: { icon: "dot", tone: "idle", word: "Event" },
};

const EVENT_ICONS: Record<string, string> = { todo: "todo", queue_snapshot: "queue", scheduled: "clock", anomaly: "warn" };

export function lookOf(node: Node): { icon: string; tone: Tone; word: string } {
  const look = LOOKS[node.sort] ?? { icon: "dot", tone: "idle" as const, word: "Event" };
  if (node.failed) return { ...look, icon: "cross", tone: "fail" };
  if (node.kind === "task_completed") return { ...look, icon: "check", tone: "ok" };
  if (node.kind === "approval_received") return { ...look, tone: isRefusal(node) ? "fail" : "ok" };
  if (node.kind === "anomaly") return { ...look, icon: "warn", tone: "wait", word: "Anomaly" };
  return { ...look, icon: EVENT_ICONS[node.kind] ?? look.icon };
}

/** A stretch of time in which nothing of the task runs. */
export interface Gap {
  start: number;
  end: number;
}

/** The gaps between two times; none where nothing says how long it took, since then nothing is known. */
export function gapsOf(nodes: readonly Node[], from: number, to: number): Gap[] {
  const lasting = nodes.filter((node) => !node.isMark).sort((a, b) => a.start - b.start);
  const gaps: Gap[] = [];
  let reached = from;
  for (const { start, end } of lasting) {
    if (start - reached > ROUNDING_MS) gaps.push({ start: reached, end: start });
    reached = Math.max(reached, end);
  }
  if (lasting.length && to - reached > ROUNDING_MS) gaps.push({ start: reached, end: to });
  return gaps;
}

export const PILLS = ["all", "critical path", "errors", "llm", "tools", "slowest"] as const;
const MOST_SLOW = 10;
/** Times are told in whole milliseconds, so what ended together may seem not to. */
const ROUNDING_MS = 1;

export function pilled(nodes: readonly Node[], pill: string): readonly Node[] {
  switch (pill) {
    case "critical path":
      return criticalPath(nodes);
    case "errors":
      return nodes.filter((node) => node.failed);
    case "llm":
      return nodes.filter((node) => node.sort === "llm");
    case "tools":
      return nodes.filter((node) => node.sort === "tool");
    case "slowest":
      return nodes
        .filter((node) => node.duration !== null && !node.hasChildren)
        .sort((a, b) => (b.duration ?? 0) - (a.duration ?? 0))
        .slice(0, MOST_SLOW);
    default:
      return nodes;
  }
}

/** How many nodes from `at` on are that node and what is in it. */
function subtree(nodes: readonly Node[], at: number): number {
  const depth = nodes[at]?.depth ?? 0;
  let end = at + 1;
  while (end < nodes.length && (nodes[end]?.depth ?? 0) > depth) end++;
  return end - at;
}

/**
 * What the end waited for: of all that took time the one that ended last, then the one that ended last
 * before that began, and so on, within each of them as well. Shortening anything else ends nothing sooner.
 */
function criticalPath(nodes: readonly Node[]): readonly Node[] {
  const path = new Set<Node>();
  const walk = (from: number, to: number, until: number): void => {
    const beside: number[] = [];
    for (let at = from; at < to; at += subtree(nodes, at)) if (!nodes[at]?.isMark) beside.push(at);
    beside.sort((a, b) => (nodes[b]?.end ?? 0) - (nodes[a]?.end ?? 0));
    let cursor = until;
    for (const at of beside) {
      const node = nodes[at];
      if (!node || node.end > cursor + ROUNDING_MS) continue;
      path.add(node);
      walk(at + 1, at + subtree(nodes, at), node.end);
      cursor = Math.min(cursor, node.start);
    }
  };
  walk(0, nodes.length, Infinity);
  return nodes.filter((node) => path.has(node));
}

/** One row of the waterfall: a node, or several alike that came one after the other. */
export interface Row {
  node: Node;
  /** The nodes it stands for, when it is several. */
  several: readonly Node[];
  isOpen: boolean;
}

const ALIKE = 3;

/** Rows in which three or more of the same name in a row are one, but never what failed. */
export function rowsOf(nodes: readonly Node[], isOpen: (id: string, members: readonly Node[]) => boolean): Row[] {
  const rows: Row[] = [];
  for (let at = 0; at < nodes.length; ) {
    const [ends, several] = alike(nodes, at);
    const node = nodes[at] as Node;
    if (several.length < ALIKE) {
      rows.push({ node, several: [], isOpen: true });
      at += 1;
      continue;
    }
    const members = nodes.slice(at, ends);
    const open = isOpen(node.id, members);
    rows.push({ node, several, isOpen: open });
    if (open) rows.push(...members.map((member) => ({ node: { ...member, depth: member.depth + 1 }, several: [], isOpen: true })));
    at = ends;
  }
  return rows;
}

/** Where the nodes end that are beside each other from `at` on and alike, and which they are. */
function alike(nodes: readonly Node[], at: number): [number, Node[]] {
  const first = nodes[at];
  const several: Node[] = [];
  let end = at;
  while (first && end < nodes.length) {
    const node = nodes[end] as Node;
    const size = subtree(nodes, end);
    const isLike = node.depth === first.depth && node.sort === first.sort && node.name === first.name && (node.sort === "tool" || node.sort === "llm");
    if (!isLike || nodes.slice(end, end + size).some((one) => one.failed)) break;
    several.push(node);
    end += size;
  }
  return [end, several];
}

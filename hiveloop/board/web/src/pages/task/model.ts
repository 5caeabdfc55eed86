// What the timeline endpoint tells, made into rows of a waterfall.
import { dict, dicts, firstText, list, moment, number, text, type Dict } from "../../data/read";
import type { Tone } from "../../data/status";
import type { BoardEvent, Task } from "../../data/types";

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
    name: firstText(raw["name"], kind),
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
    children.set(holder, [...(children.get(holder) ?? []), node]);
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
  if (node.kind === "approval_received") return { ...look, tone: "ok" };
  if (node.kind === "anomaly") return { ...look, icon: "warn", tone: "wait", word: "Anomaly" };
  return { ...look, icon: EVENT_ICONS[node.kind] ?? look.icon };
}

export const PILLS = ["all", "errors", "llm", "tools", "slow"] as const;

export function pilled(nodes: readonly Node[], pill: string): readonly Node[] {
  switch (pill) {
    case "errors":
      return nodes.filter((node) => node.failed || node.sort === "retry" || node.sort === "issue");
    case "llm":
      return nodes.filter((node) => node.sort === "llm");
    case "tools":
      return nodes.filter((node) => node.sort === "tool");
    case "slow":
      return [...nodes].filter((node) => node.duration !== null && !node.hasChildren).sort((a, b) => (b.duration ?? 0) - (a.duration ?? 0)).slice(0, 10);
    default:
      return nodes;
  }
}

// One event in a few words: what kind it is, and a sentence for those who do not know the vocabulary.
import { duration, money } from "./format";
import { dict, firstText, number, text, type Dict } from "./read";
import type { Tone } from "./status";
import type { BoardEvent } from "./types";

export type Group = "task" | "action" | "error" | "llm" | "pipeline" | "human" | "heartbeat" | "other";
export const GROUPS: readonly Group[] = ["task", "action", "error", "llm", "pipeline", "human"];

const PIPELINE = new Set(["queue_snapshot", "todo", "scheduled", "issue", "plan_created", "plan_step"]);
const HUMAN = new Set(["escalated", "approval_requested", "approval_received"]);

/** A field of a payload, wherever the SDK put it: at the top, or in data. */
export function field(event: { payload?: unknown }, name: string): unknown {
  const payload = dict(event.payload);
  return payload[name] ?? dict(payload["data"])[name];
}

export function kindOf(event: BoardEvent): string {
  return text(dict(event.payload)["kind"]);
}

export function isFailure(event: BoardEvent): boolean {
  return event.event_type === "task_failed" || event.event_type === "action_failed" || event.severity === "error";
}

/** The groups that an event belongs to; a failed action is an action and an error. */
export function groupsOf(event: BoardEvent): Group[] {
  const groups: Group[] = isFailure(event) ? ["error"] : [];
  const kind = kindOf(event);
  if (event.event_type === "heartbeat") groups.push("heartbeat");
  else if (event.event_type.startsWith("task_")) groups.push("task");
  else if (event.event_type.startsWith("action_")) groups.push("action");
  else if (kind === "llm_call") groups.push("llm");
  else if (HUMAN.has(event.event_type)) groups.push("human");
  else if (PIPELINE.has(kind)) groups.push("pipeline");
  else groups.push("other");
  return groups;
}

/** What a payload says it is about; steps of plans are counted from one, as people do, and from zero on the wire. */
export function aboutOf(payload: Dict): string {
  const summary = text(payload["summary"]);
  const index = number(dict(payload["data"])["step_index"]);
  if (payload["kind"] !== "plan_step" || index === null || !summary.startsWith(`Step ${index} `)) return summary;
  return `Step ${index + 1} ${summary.slice(`Step ${index} `.length)}`;
}

/** Whether a person said no. */
export function isRefusal(event: { payload?: unknown }): boolean {
  return /^(reject|den|declin|refus)/i.test(text(field(event, "decision")));
}

export interface Mark {
  icon: string;
  tone: Tone;
}

const MARKS: Record<string, Mark> = {
  agent_registered: { icon: "power", tone: "idle" },
  heartbeat: { icon: "heart", tone: "idle" },
  task_started: { icon: "play", tone: "work" },
  task_completed: { icon: "check", tone: "ok" },
  task_failed: { icon: "cross", tone: "fail" },
  action_started: { icon: "tool", tone: "work" },
  action_completed: { icon: "tool", tone: "ok" },
  action_failed: { icon: "cross", tone: "fail" },
  retry_started: { icon: "retry", tone: "wait" },
  escalated: { icon: "up", tone: "wait" },
  approval_requested: { icon: "hand", tone: "wait" },
  approval_received: { icon: "hand", tone: "ok" },
  llm_call: { icon: "llm", tone: "llm" },
  queue_snapshot: { icon: "queue", tone: "idle" },
  todo: { icon: "todo", tone: "work" },
  scheduled: { icon: "clock", tone: "idle" },
  plan_created: { icon: "plan", tone: "work" },
  plan_step: { icon: "plan", tone: "work" },
  issue: { icon: "warn", tone: "fail" },
  anomaly: { icon: "warn", tone: "wait" },
};

export function markOf(event: BoardEvent): Mark {
  const mark = MARKS[event.event_type === "custom" ? kindOf(event) : event.event_type];
  const found = mark ?? { icon: "dot", tone: "idle" as const };
  return event.severity === "error" || isRefusal(event) ? { ...found, tone: "fail" } : found;
}

export function errorOf(event: { payload?: unknown }): string {
  const type = text(field(event, "exception_type"));
  const message = firstText(field(event, "exception_message"), field(event, "error"));
  return type && message ? `${type}: ${message}` : type || message;
}

/** The event's own words: its type and what it is about. */
export function summaryOf(event: BoardEvent): string {
  const payload = dict(event.payload);
  const parts: string[] = [];
  if (event.event_type.startsWith("action_")) parts.push(firstText(payload["action_name"], event.action_id));
  else parts.push(firstText(aboutOf(payload), event.task_id, event.agent_id));
  const error = isFailure(event) ? errorOf(event) : "";
  if (error) parts.push(error);
  const decision = text(field(event, "decision"));
  if (decision) parts.push(decision);
  if (event.duration_ms !== null && event.duration_ms !== undefined) parts.push(duration(event.duration_ms));
  return parts.filter(Boolean).join(" · ");
}

export function labelOf(event: BoardEvent): string {
  return event.event_type === "custom" ? kindOf(event) || "custom" : event.event_type;
}

type Teller = (event: BoardEvent, data: Dict) => string;

function inTask(event: BoardEvent): string {
  return event.task_id ? ` in ${event.task_id}` : "";
}

function took(event: BoardEvent): string {
  return event.duration_ms === null || event.duration_ms === undefined ? "" : ` after ${duration(event.duration_ms)}`;
}

function about(event: BoardEvent): string {
  return firstText(aboutOf(dict(event.payload)), dict(event.payload)["action_name"]);
}

const name = (event: BoardEvent) => firstText(dict(event.payload)["action_name"], event.action_id, "something");
const because = (error: string) => (error ? `, because of ${error}` : "");

const SENTENCES: Record<string, Teller> = {
  agent_registered: () => "came online",
  heartbeat: () => "is alive",
  task_started: (e) => `began ${text(e.task_id)}`,
  task_completed: (e) => `finished ${text(e.task_id)}${took(e)}`,
  task_failed: (e) => `failed ${text(e.task_id)}${took(e)}${because(errorOf(e))}`,
  action_started: (e) => `started ${name(e)}${inTask(e)}`,
  action_completed: (e) => `did ${name(e)}${took(e)}`,
  action_failed: (e) => `could not do ${name(e)}${because(errorOf(e))}`,
  retry_started: (e, d) => `tries again${d["attempt"] ? ` (attempt ${text(d["attempt"])})` : ""}: ${about(e)}`,
  escalated: (e, d) => `handed over${d["assigned_to"] ? ` to ${text(d["assigned_to"])}` : ""}: ${about(e)}`,
  approval_requested: (e, d) => `asks ${firstText(d["approver"], "somebody")} to approve: ${about(e)}`,
  approval_received: (e, d) =>
    `was told “${firstText(d["decision"], "approved")}”${d["approved_by"] ? ` by ${text(d["approved_by"])}` : ""}: ${about(e)}`,
  llm_call: (_e, d) =>
    `asked ${firstText(d["model"], "a model")}${d["name"] ? ` to ${text(d["name"])}` : ""}${number(d["cost"]) ? ` for ${money(number(d["cost"]))}` : ""}`,
  queue_snapshot: (_e, d) => `has ${firstText(d["depth"], "0")} in its queue`,
  todo: (e, d) => `${todoVerb(text(d["action"]))}: ${about(e)}`,
  scheduled: (e) => `told its schedule: ${about(e)}`,
  plan_created: (e, d) => `made a plan: ${firstText(d["goal"], about(e))}`,
  plan_step: (e) => `is at ${about(e)}`,
  issue: (e, d) => (text(d["action"]) === "resolved" ? `got over: ${about(e)}` : `reports a problem: ${about(e)}`),
};

function todoVerb(action: string): string {
  const verbs: Record<string, string> = { created: "has to do", completed: "has done", failed: "could not do" };
  return verbs[action] ?? (action ? `${action} a to-do` : "noted");
}

/** The event as a sentence whose subject is the agent. */
export function sentence(event: BoardEvent): string {
  const payload = dict(event.payload);
  const data = { ...payload, ...dict(payload["data"]) };
  const teller = SENTENCES[event.event_type === "custom" ? kindOf(event) : event.event_type];
  return teller ? teller(event, data) : firstText(about(event), `sent ${labelOf(event)}`);
}

// One search box: free text, and `agent:`, `status:`, `type:`, `project:`, `cost>` and `dur>` for tasks.
import { numberOr, text } from "./read";
import { taskLook } from "./status";
import type { Task } from "./types";

export interface Search {
  words: string[];
  agent?: string;
  status?: string;
  type?: string;
  project?: string;
  costAbove?: number;
  millisecondsAbove?: number;
}

const TERM = /^(agent|status|type|project):(.+)$|^(cost|dur)>(.+)$/i;
const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000 };

export function parseSearch(query: string): Search {
  const search: Search = { words: [] };
  for (const word of query.trim().split(/\s+/).filter(Boolean)) {
    const term = TERM.exec(word);
    if (!term) search.words.push(word.toLowerCase());
    else if (term[1]) search[term[1].toLowerCase() as "agent" | "status" | "type" | "project"] = (term[2] ?? "").toLowerCase();
    else if (term[3]?.toLowerCase() === "cost") search.costAbove = Number(term[4]?.replace("$", "")) || 0;
    else search.millisecondsAbove = milliseconds(term[4] ?? "");
  }
  return search;
}

function milliseconds(value: string): number {
  const found = /^([\d.]+)\s*(ms|s|min|m|h)?$/.exec(value);
  return found ? Number(found[1]) * (UNITS[found[2] ?? "s"] ?? 1000) : 0;
}

export function taskMatches(task: Task, search: Search): boolean {
  const all = [task.task_id, task.agent_id, task.task_type, task.project_id, task.task_run_id].map(text).join(" ").toLowerCase();
  return (
    search.words.every((word) => all.includes(word)) &&
    has(task.agent_id, search.agent) &&
    has(taskLook(task.derived_status).word, search.status) &&
    has(task.task_type, search.type) &&
    has(task.project_id, search.project) &&
    (search.costAbove === undefined || numberOr(task.total_cost, 0) > search.costAbove) &&
    (search.millisecondsAbove === undefined || numberOr(task.duration_ms, 0) > search.millisecondsAbove)
  );
}

function has(value: unknown, part: string | undefined): boolean {
  return part === undefined || text(value).toLowerCase().includes(part);
}

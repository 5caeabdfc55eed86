// What the search box asks the board: words, and `agent: status: kind: model: type: project: cost> dur>`.
import { TASK_STATES } from "./status";
import type { BoardEvent, Task } from "./types";

/** What the board found; the tasks and events are of the newest so many. */
export interface Found {
  tasks: Task[];
  agents: { agent_id: string; agent_type?: string | null }[];
  issues: { agent_id: string; issue_key: string; summary?: string | null; severity?: string | null; is_open?: boolean }[];
  events: BoardEvent[];
  tasks_searched?: number;
  events_searched?: number;
}

const MEASURE = /^(cost|dur)[<>]=?/i;
const MEASURED = /^(cost[<>]=?\$?[\d.]*\d|dur[<>]=?[\d.]*\d(ms|s|min|m|h)?)$/i;

/** The query for the board, without terms that are still being typed; empty when nothing is left. */
export function asked(query: string, filters: Record<string, string>): string {
  const words = query.trim().split(/\s+/).filter(Boolean).map(understood).filter(Boolean);
  if (words.length === 0) return "";
  const terms = Object.entries(filters).filter(([, value]) => value);
  return [...words, ...terms.map(([name, value]) => `${name}:${quoted(value)}`)].join(" ");
}

/** What to tell somebody who looks for a state that there is not; empty when all is understood. */
export function misunderstood(query: string): string {
  const states = [...query.matchAll(/(?:^|\s)status:(\S+)/gi)].map((found) => found[1] ?? "");
  const unknown = states.find((state) => !stateOf(state));
  return unknown === undefined ? "" : `No state is called “${unknown}”: it is one of ${TASK_STATES.map(({ value }) => value).join(", ")}.`;
}

function understood(word: string): string {
  const status = /^status:(.*)$/i.exec(word)?.[1];
  if (status !== undefined) return stateOf(status) ? `status:${stateOf(status)}` : "";
  return MEASURE.test(word) && !MEASURED.test(word) ? "" : word;
}

/** The beginning of a state's name is enough. */
function stateOf(begun: string): string {
  return (begun && TASK_STATES.find(({ value }) => value.startsWith(begun.toLowerCase()))?.value) || "";
}

/** As one word, whatever is in it: the board takes queries apart as a shell does. */
function quoted(value: string): string {
  return `'${value.replaceAll("'", `'"'"'`)}'`;
}

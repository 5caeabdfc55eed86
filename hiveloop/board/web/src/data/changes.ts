// When an agent's configuration became another one: what charts of that agent are marked with.
import { minute } from "./format";
import { dict, dicts, list, moment, text, type Dict } from "./read";
import { useResource } from "./resource";
import { href } from "./router";
import { kindOf } from "./words";

export interface ConfigChange {
  id: string;
  /** Milliseconds since the epoch. */
  at: number;
  /** The time, as people read it. */
  time: string;
  /** A sentence: when, and which settings. */
  title: string;
  /** Where the snapshot stands beside the one before. */
  link: string;
}

/** Snapshots that are looked through; many of them may be equal, as agents send one at every start. */
const SNAPSHOTS = 100;
/** Marks on one chart: more of them would hide it. */
const MOST = 20;

/** The changes of an agent's configuration, the newest first; none without an agent. */
export function useConfigChanges(agent: string): readonly ConfigChange[] {
  const path = agent ? `/v1/agents/${encodeURIComponent(agent)}/configs` : null;
  const configs = useResource<Dict>(path, { limit: SNAPSHOTS }, { when: (event) => event.agent_id === agent && kindOf(event) === "config_snapshot" });
  const told = dict(configs.data);
  if (!agent || told["agent_id"] !== agent) return []; // what was read last may be of the agent before
  return dicts(told["data"]).flatMap((snapshot) => changeOf(agent, snapshot) ?? []);
}

function changeOf(agent: string, snapshot: Dict): ConfigChange | null {
  const at = moment(snapshot["timestamp"]);
  const id = text(snapshot["event_id"]);
  const changes = list(snapshot["changes"]);
  if (at === null || changes.length === 0) return null;
  const time = minute(at);
  return { id, at, time, title: `Configuration changed at ${time}: ${settings(dicts(changes))}`, link: href("/agent", { id: agent, view: "config", snapshot: id }) };
}

const NAMED = 3;
const LONGEST = 60;

function settings(changes: readonly Dict[]): string {
  const names = changes.slice(0, NAMED).map((change) => shortened(text(change["path"])));
  return names.join(", ") + (changes.length > NAMED ? ` and ${changes.length - NAMED} more` : "");
}

function shortened(name: string): string {
  return name.length > LONGEST ? `${name.slice(0, LONGEST)}…` : name;
}

/** Those of a chart's time, the oldest first, and whether there are older ones in it; `times` are in seconds. */
export function changesWithin(times: readonly number[], all: readonly ConfigChange[]): { changes: readonly ConfigChange[]; isCut: boolean } {
  const [first, length] = stretch(times, true);
  const within = all.filter(({ at }) => at >= first * 1000 && at < (first + length) * 1000);
  return { changes: within.slice(0, MOST).reverse(), isCut: within.length > MOST };
}

/** Where a chart's time starts and how long it is, in seconds; a bar counts from its time to that of the next. */
export function stretch(times: readonly number[], isBars: boolean): [number, number] {
  const first = times[0] ?? 0;
  const bar = isBars ? (times[1] ?? first) - first : 0;
  return [first, (times.at(-1) ?? first) + bar - first];
}

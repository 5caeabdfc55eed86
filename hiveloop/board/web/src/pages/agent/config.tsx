// Config snapshots of an agent, each with what changed since the one before, or since any other.
import { useEffect } from "preact/hooks";
import { when } from "../../data/format";
import { useList } from "../../data/list";
import { dict, text, type Dict } from "../../data/read";
import { change, param } from "../../data/router";
import type { BoardEvent } from "../../data/types";
import { kindOf } from "../../data/words";
import { More } from "../../parts/more";
import { Failed, Loading, Nothing, Panel } from "../../parts/panel";
import { Teach } from "../../parts/teach";

interface Line {
  sign: "+" | "-" | " ";
  told: string;
}

function flat(value: unknown, path: string, into: Map<string, string>): Map<string, string> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    for (const [name, inner] of Object.entries(value)) flat(inner, path ? `${path}.${name}` : name, into);
  } else into.set(path, JSON.stringify(value) ?? "null");
  return into;
}

/** Lines of the newer snapshot, with those that went and came since the older one. */
export function difference(older: Dict, newer: Dict): Line[] {
  const before = flat(older, "", new Map());
  const after = flat(newer, "", new Map());
  const names = [...new Set([...before.keys(), ...after.keys()])].sort();
  return names.flatMap((name): Line[] => {
    const was = before.get(name);
    const is = after.get(name);
    if (was === is) return [{ sign: " ", told: `${name}: ${is}` }];
    const lines: Line[] = [];
    if (was !== undefined) lines.push({ sign: "-", told: `${name}: ${was}` });
    if (is !== undefined) lines.push({ sign: "+", told: `${name}: ${is}` });
    return lines;
  });
}

const CLASSES = { "+": "come", "-": "gone", " ": "" };
const HIDDEN = new Set(["kind", "summary", "tags", "data"]);

/** What was configured: in data, or beside the summary. */
function configOf(event: BoardEvent): Dict {
  const payload = dict(event.payload);
  const data = dict(payload["data"]);
  return Object.keys(data).length ? data : Object.fromEntries(Object.entries(payload).filter(([name]) => !HIDDEN.has(name)));
}

const nameOf = (event: BoardEvent) => text(dict(event.payload)["summary"]) || "Snapshot";

const MOST_LOOKED_THROUGH = 500;

export function Config({ id }: { id: string }) {
  const list = useList<BoardEvent>("/v1/events", { agent_id: id, payload_kind: "config_snapshot", limit: 50 }, { when: (event) => event.agent_id === id && kindOf(event) === "config_snapshot" });
  const { rows: events, more } = list;
  const asked = param("snapshot");
  const found = events.findIndex((event) => event.event_id === asked);
  const at = Math.max(0, found);
  // The one that a link leads to may be on a page that was not read yet.
  const isAwaited = more !== null && found < 0 && asked !== "" && events.length < MOST_LOOKED_THROUGH && !list.error;
  // The last one of a page is compared with the first of the next.
  const needed = isAwaited || (more !== null && at === events.length - 1);
  useEffect(() => {
    if (needed) more?.();
  }, [needed, events.length]);
  if (list.error && !list.data) return <Failed what="The config snapshots" error={list.error} />;
  if (!list.data || isAwaited) return <Loading />;
  const newer = events[at];
  if (!newer) return <NoConfig />;
  return (
    <div class="config">
      <Panel title="Config snapshots" count={`${events.length}${more ? "+" : ""}`}>
        <div class="items" data-rows role="list" aria-label="Config snapshots">
          {events.map((event, index) => (
            <div class="item" role="listitem" key={event.event_id} data-row tabIndex={0} aria-current={index === at ? "true" : undefined} onClick={() => change({ snapshot: event.event_id, against: null })}>
              <div class="item-main">
                <b>{nameOf(event)}</b>
              </div>
              <div class="item-side">{when(event.timestamp)}</div>
            </div>
          ))}
        </div>
        <More of={list}>Older snapshots</More>
      </Panel>
      <Difference events={events} newer={newer} before={events[at + 1]} />
    </div>
  );
}

function NoConfig() {
  return (
    <Panel title="Config snapshots">
      <Teach
        title="No config snapshot yet"
        within="agent"
        code={`agent.event("config_snapshot", {"summary": "Config at start",\n    "data": {"model": "gpt-4o", "temperature": 0.2, "prompt_version": 7}})`}
        waiting="Waiting for the first snapshot…"
      >
        Sent at start and after each change, snapshots tell what was different when it still worked.
      </Teach>
    </Panel>
  );
}

function Difference({ events, newer, before }: { events: readonly BoardEvent[]; newer: BoardEvent; before: BoardEvent | undefined }) {
  const older = events.find((event) => event.event_id === param("against")) ?? before;
  const lines = difference(configOf(older ?? newer), configOf(newer));
  const changes = lines.filter((line) => line.sign !== " ").length;
  const others = events.filter((event) => event !== newer);
  const choice = others.length > 0 && (
    <label class="muted">
      compared with{" "}
      <select aria-label="Compared with" value={older?.event_id ?? ""} onChange={(event) => change({ against: event.currentTarget.value })}>
        {!older && <option value="">nothing before it</option>}
        {others.map((event) => (
          <option key={event.event_id} value={event.event_id}>
            {nameOf(event)}, {when(event.timestamp)}
          </option>
        ))}
      </select>
    </label>
  );
  return (
    <Panel title={older ? `Changes since ${when(older.timestamp)}` : "The first snapshot"} tools={choice}>
      {lines.length === 0 && <Nothing>It is empty.</Nothing>}
      {older && lines.length > 0 && changes === 0 && <p class="panel-foot muted">Nothing differs.</p>}
      <div class="diff">
        {lines.map((line, index) => (
          <div key={index} class={CLASSES[line.sign]}>
            <span>{line.sign}</span>
            <span>{line.told}</span>
          </div>
        ))}
      </div>
    </Panel>
  );
}

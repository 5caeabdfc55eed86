// Config snapshots of an agent, each with what changed since the one before.
import { when } from "../../data/format";
import { dict, text, type Dict } from "../../data/read";
import { useResource } from "../../data/resource";
import { change, param } from "../../data/router";
import type { BoardEvent, Page } from "../../data/types";
import { kindOf } from "../../data/words";
import { Loading, Nothing, Panel } from "../../parts/panel";
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

export function Config({ id }: { id: string }) {
  const page = useResource<Page<BoardEvent>>("/v1/events", { agent_id: id, payload_kind: "config_snapshot", limit: 50 }, { when: (event) => event.agent_id === id && kindOf(event) === "config_snapshot" });
  const events = page.data?.data ?? [];
  if (!page.data) return <Loading />;
  if (events.length === 0) {
    return (
      <Panel title="Config snapshots">
        <Teach title="No config snapshot yet" code={`agent.event("custom", {"kind": "config_snapshot", "summary": "Config at start",\n    "data": {"model": "gpt-4o", "temperature": 0.2, "prompt_version": 7}})`}>
          Sent at start and after each change, snapshots tell what was different when it still worked.
        </Teach>
      </Panel>
    );
  }
  const at = Math.max(0, events.findIndex((event) => event.event_id === param("snapshot")));
  const newer = events[at] as BoardEvent;
  const older = events[at + 1];
  const lines = difference(older ? dict(dict(older.payload)["data"]) : dict(dict(newer.payload)["data"]), dict(dict(newer.payload)["data"]));
  return (
    <div class="config">
      <Panel title="Config snapshots" count={events.length}>
        <div class="items" data-rows role="list" aria-label="Config snapshots">
          {events.map((event, index) => (
            <div class="item" role="listitem" key={event.event_id} data-row tabIndex={0} aria-current={index === at ? "true" : undefined} onClick={() => change({ snapshot: event.event_id })}>
              <div class="item-main">
                <b>{text(dict(event.payload)["summary"]) || "Snapshot"}</b>
              </div>
              <div class="item-side">{when(event.timestamp)}</div>
            </div>
          ))}
        </div>
      </Panel>
      <Panel title={older ? `Changes since ${when(older.timestamp)}` : "The first snapshot"}>
        {lines.length === 0 && <Nothing>It is empty.</Nothing>}
        <div class="diff">
          {lines.map((line, index) => (
            <div key={index} class={CLASSES[line.sign]}>
              <span>{line.sign}</span>
              <span>{line.told}</span>
            </div>
          ))}
        </div>
      </Panel>
    </div>
  );
}

import { useComputed, useSignal, type Signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { get, query } from "../../data/api";
import { clock, exact, when } from "../../data/format";
import { isMoreWaiting, pausedAt, shown, togglePause, waiting } from "../../data/live";
import { text } from "../../data/read";
import { change, href, param, type Changes } from "../../data/router";
import type { BoardEvent, Page } from "../../data/types";
import { GROUPS, groupsOf, labelOf, markOf, sentence, summaryOf, type Group } from "../../data/words";
import { Icon } from "../../parts/icon";
import { Nothing, Panel } from "../../parts/panel";
import { VirtualList } from "../../parts/virtual";

const ROW = 44;
const GROUP_CACHE = new WeakMap<BoardEvent, Group[]>();

function groups(event: BoardEvent): Group[] {
  const found = GROUP_CACHE.get(event) ?? groupsOf(event);
  GROUP_CACHE.set(event, found);
  return found;
}

type Wish = (event: BoardEvent) => boolean;

/** Which events the address asks for. */
function wishOf(show: string, agent: string): Wish {
  const [environment, project] = [param("env"), param("project")];
  return (event) => {
    if (agent && event.agent_id !== agent) return false;
    if (environment && event.environment !== environment) return false;
    if (project && event.project_id && event.project_id !== project) return false;
    return show ? groups(event).includes(show as Group) : labelOf(event) !== "queue_snapshot";
  };
}

/** What the API is asked for, for each group. */
const ASKED: Record<string, Changes> = {
  task: { event_type: "task_started,task_completed,task_failed" },
  action: { event_type: "action_started,action_completed,action_failed" },
  error: { severity: "error" },
  llm: { payload_kind: "llm_call" },
  pipeline: { payload_kind: "todo,issue,scheduled,plan_created,plan_step" },
  human: { event_type: "escalated,approval_requested,approval_received" },
};

/** Events of a filter from before those that the live stream holds, oldest first. */
function useOlder(show: string, agent: string): Signal<readonly BoardEvent[]> {
  const older = useSignal<readonly BoardEvent[]>([]);
  const filters = { ...ASKED[show], agent_id: agent, environment: param("env"), project_id: param("project") };
  const address = query(filters);
  const until = address && pausedAt.value;
  useEffect(() => {
    older.value = [];
    if (!address) return undefined;
    const abort = new AbortController();
    get<Page<BoardEvent>>("/v1/events", { ...filters, until, exclude_heartbeats: "true", limit: 100 }, abort.signal)
      .then((page) => (older.value = [...page.data].sort((a, b) => (a.seq ?? 0) - (b.seq ?? 0))))
      .catch(() => undefined); // what the stream holds is shown all the same
    return () => abort.abort();
  }, [address, until]);
  return older;
}

/** What happens, newest first; stops moving while somebody reads. */
export function Stream({ title, agent }: { title: string; agent: string }) {
  const plain = param("words") === "plain";
  const show = param("show");
  const asked = useSignal({ show, agent });
  if (asked.peek().show !== show || asked.peek().agent !== agent) asked.value = { show, agent };
  const older = useOlder(show, agent);
  const wish = useComputed(() => wishOf(asked.value.show, asked.value.agent));
  const rows = useComputed(() => {
    const live = shown.value.filter(wish.value);
    const known = new Set(live.map((event) => event.event_id));
    const first = live[0]?.seq ?? Infinity;
    const before = older.value.filter((event) => !known.has(event.event_id) && (event.seq ?? 0) < first && wish.value(event));
    return [...before, ...live].reverse();
  });
  const line = useMemo(() => lines(plain), [plain]);
  const fresh = useComputed(() => waiting.value.filter(wish.value).length);
  const pausedByScroll = useRef(false);
  const scrolled = (atTop: boolean) => {
    if (!atTop && pausedAt.value === null) {
      pausedByScroll.current = true;
      togglePause();
    } else if (atTop && pausedByScroll.current && pausedAt.value !== null) {
      pausedByScroll.current = false;
      togglePause();
    }
  };
  return (
    <Panel title={title} class="stream" tools={<StreamTools plain={plain} />}>
      <div class="filters" role="group" aria-label="Show">
        <Filter value="" label="all" />
        {GROUPS.map((group) => (
          <Filter key={group} value={group} label={group} />
        ))}
      </div>
      {fresh.value > 0 && (
        <button type="button" class="fresh" onClick={() => resume()}>
          {fresh.value}
          {isMoreWaiting.value && "+"} new
        </button>
      )}
      {rows.value.length === 0 ? (
        <Nothing>{show || agent ? "Nothing of this kind yet." : "Events show up here as they arrive."}</Nothing>
      ) : (
        <VirtualList items={rows.value} rowHeight={ROW} label="Events" onScroll={scrolled} row={line} />
      )}
    </Panel>
  );
}

/** A row for each event, made once: what is drawn already costs nothing when more arrives. */
function lines(plain: boolean): (event: BoardEvent) => JSX.Element {
  const made = new WeakMap<BoardEvent, JSX.Element>();
  return (event) => {
    const found = made.get(event) ?? <Line key={event.event_id} event={event} plain={plain} />;
    made.set(event, found);
    return found;
  };
}

function resume(): void {
  if (pausedAt.value !== null) togglePause();
  document.querySelector(".stream .scroller")?.scrollTo(0, 0);
}

function StreamTools({ plain }: { plain: boolean }) {
  const at = pausedAt.value;
  const paused = at !== null;
  return (
    <>
      <button type="button" class="quiet" aria-pressed={plain} onClick={() => change({ words: plain ? null : "plain" }, false)}>
        Plain words
      </button>
      <button type="button" class="quiet" aria-pressed={paused} onClick={() => (paused ? resume() : togglePause())} title={paused ? `Paused at ${when(at)}; p goes on` : "Stop at what is shown (p)"}>
        <Icon name={paused ? "play" : "pause"} />
        {paused ? "Go on" : "Pause"}
      </button>
    </>
  );
}

function Filter({ value, label }: { value: string; label: string }) {
  return (
    <button type="button" class="filter" aria-pressed={param("show") === value} onClick={() => change({ show: value })}>
      {label}
    </button>
  );
}

export function eventHref(event: BoardEvent): string {
  if (!event.task_id) return href("/agent", { id: event.agent_id });
  const isAction = event.event_type.startsWith("action_") && event.action_id;
  const node = isAction ? `action:${text(event.action_id)}` : `event:${event.event_id}`;
  return href("/task", { id: event.task_id, run: text(event.task_run_id), node });
}

export function Line({ event, plain }: { event: BoardEvent; plain: boolean }) {
  const mark = markOf(event);
  return (
    <a class={`line tone-${mark.tone}`} role="listitem" data-row data-seq={event.seq} href={eventHref(event)}>
      <Icon name={mark.icon} />
      <span class="line-head">
        <b>{event.agent_id}</b> {!plain && <span class="kind">{labelOf(event)}</span>}
        <time dateTime={exact(event.timestamp)} title={exact(event.timestamp)}>
          {clock(event.timestamp)}
        </time>
      </span>
      <span class="line-text" title={plain ? sentence(event) : summaryOf(event)}>
        {plain ? sentence(event) : summaryOf(event)}
      </span>
    </a>
  );
}

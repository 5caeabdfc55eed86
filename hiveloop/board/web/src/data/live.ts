// The live stream: one socket, resumed where it broke, with polling when sockets do not get through.
import { computed, effect, signal } from "@preact/signals";
import { get } from "./api";
import { dict, list, moment, number, text, type Dict } from "./read";
import { change, param } from "./router";
import type { BoardEvent, Page } from "./types";
import { ofWorld } from "./world";

export type Connection = "connecting" | "live" | "reconnecting" | "polling" | "offline";

export const connection = signal<Connection>("connecting");
/** Everything received, oldest first, bounded; replaced as a whole, so that renderings can compare it. */
export const received = signal<readonly BoardEvent[]>([]);

const KEPT = 3000;
const FIRST = 200;
const MOST_PAGES = 5;
const POLL_MS = 2000;
const HIDDEN_POLL_MS = 10_000;
const GIVE_UP_AFTER = 2;
const OPEN_MS = 5000;
const BACK_OFF_MS = [250, 500, 1000, 2000, 4000];

// -- pausing ------------------------------------------------------------------------------------

/** A moment at which the stream stands still, and what it showed then. */
interface Pause {
  /** Time of the board's clock, as it is in the address. */
  at: string;
  /** What came later has a larger number. */
  seq: number;
  events: readonly BoardEvent[];
}

const pause = signal<Pause | null>(null);
/** The moment at which the stream was paused, else null. */
export const pausedAt = computed(() => pause.value?.at ?? null);
export const shown = computed(() => pause.value?.events ?? received.value);
/** What has come since the stream was paused, as far as it is kept. */
export const waiting = computed(() => {
  const seq = pause.value?.seq;
  return seq === undefined ? [] : received.value.filter((event) => (event.seq ?? 0) > seq);
});

/** Whether more has come than is kept. */
export const isMoreWaiting = computed(() => {
  const [seq, oldest] = [pause.value?.seq, received.value[0]?.seq];
  return Boolean(seq && oldest && oldest > seq);
});

export function togglePause(): void {
  if (pause.value !== null) {
    pause.value = null;
    change({ paused: null }, false);
    return;
  }
  const last = received.value.at(-1);
  const at = new Date(moment(last?.received_at) ?? Date.now()).toISOString();
  pause.value = { at, seq: newest, events: received.value };
  change({ paused: at }, false);
}

/** The address says whether the stream stands still: a link brings back the moment it was made at. */
function followAddress(): void {
  const wanted = param("paused");
  if (wanted === (pause.peek()?.at ?? "")) return;
  if (moment(wanted) === null) pause.value = null;
  else void restore(wanted);
}

async function restore(at: string): Promise<void> {
  const limit = moment(at) ?? 0;
  pause.value = { at, seq: newest, events: [] };
  const until = new Date(limit + 1).toISOString(); // times are told in whole milliseconds
  const events = (await before(until)).filter((event) => (moment(event.received_at) ?? 0) <= limit);
  if (pause.peek()?.at !== at) return;
  const inOrder = events.sort(byPlace).filter(news());
  pause.value = { at, seq: inOrder.at(-1)?.seq ?? 0, events: inOrder };
}

async function before(until: string): Promise<BoardEvent[]> {
  try {
    const page: Page<BoardEvent> = await get("/v1/events", { limit: FIRST, exclude_heartbeats: "true", until });
    return [...page.data];
  } catch {
    return []; // the connection's state says that the board does not answer
  }
}

// -- who listens --------------------------------------------------------------------------------

type Listener = (events: readonly BoardEvent[]) => void;
const listeners = new Set<Listener>();
const statusListeners = new Set<(change: Dict) => void>();

/** Call back with each batch of new events, until the returned function is called. */
export function onEvents(listener: Listener): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

export function onStatus(listener: (change: Dict) => void): () => void {
  statusListeners.add(listener);
  return () => void statusListeners.delete(listener);
}

/** Called when the board says that it cannot tell what was missed: everything is to be read anew. */
const resyncListeners = new Set<() => void>();
export function onResync(listener: () => void): () => void {
  resyncListeners.add(listener);
  return () => void resyncListeners.delete(listener);
}

// -- taking in ----------------------------------------------------------------------------------

/** Number of the newest event that was taken in, or is held for when the tab is seen again. */
let newest = 0;
let known = new Set<string>();
/** What arrived while nobody saw the tab. */
let held: BoardEvent[] = [];

function byPlace(a: BoardEvent, b: BoardEvent): number {
  return (a.seq ?? 0) - (b.seq ?? 0);
}

/** Add events that are not there yet, in the order of the board; returns those that were new. */
function take(events: readonly BoardEvent[]): BoardEvent[] {
  const fresh = events.filter((event) => event.event_id && !known.has(event.event_id)).sort(byPlace);
  for (const event of fresh) {
    known.add(event.event_id);
    newest = Math.max(newest, event.seq ?? 0);
  }
  const told = fresh.filter(isNews);
  if (told.length) {
    const all = [...received.value, ...told].sort(byPlace);
    received.value = all.length > KEPT ? all.slice(-KEPT) : all;
  }
  if (known.size > KEPT * 8) known = new Set([...known].slice(-KEPT * 4));
  return fresh;
}

/** Heartbeats, and queues that stay as they are, would push out what one wants to read. */
function news(): (event: BoardEvent) => boolean {
  const depths = new Map<string, string>();
  return (event) => {
    if (event.event_type === "heartbeat") return false;
    const payload = dict(event.payload);
    if (payload["kind"] !== "queue_snapshot") return true;
    const depth = text(dict(payload["data"])["depth"]);
    const before = depths.get(event.agent_id);
    depths.set(event.agent_id, depth);
    return depth !== before;
  };
}
const isNews = news();

function deliver(events: readonly BoardEvent[]): void {
  const fresh = take(events);
  if (fresh.length) for (const listener of listeners) listener(fresh);
}

/** A tab that nobody sees only keeps what arrives: it neither renders nor asks until it is looked at. */
function arrive(events: readonly BoardEvent[]): void {
  if (document.hidden) held = [...held, ...events].slice(-KEPT);
  else deliver(events);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  deliver(held);
  held = [];
  if (socket === null) void retry();
});

// -- the socket ---------------------------------------------------------------------------------

let socket: WebSocket | null = null;
let failures = 0;
let timer: ReturnType<typeof setTimeout> | undefined;

export async function start(): Promise<void> {
  await readNewest();
  effect(followAddress);
  connect();
}

function connect(): void {
  clearTimeout(timer);
  socket?.close();
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const opened = new WebSocket(ofWorld(`${scheme}://${location.host}/v1/stream`));
  const impatience = setTimeout(() => opened.close(), OPEN_MS);
  socket = opened;
  opened.onopen = () => {
    clearTimeout(impatience);
    opened.send(JSON.stringify(subscription()));
  };
  opened.onmessage = (message) => socket === opened && receive(message.data);
  opened.onclose = () => {
    clearTimeout(impatience);
    if (socket === opened) lost();
  };
}

function subscription(): Dict {
  return { action: "subscribe", v: 2, since_seq: newest, channels: ["events", "agents"], filters: {} };
}

function receive(data: unknown): void {
  const message = parsed(data);
  switch (message["type"]) {
    case "subscribed":
      failures = 0;
      connection.value = "live";
      return;
    case "event.batch":
      arrive(list(message["events"]) as BoardEvent[]);
      newest = Math.max(newest, number(message["seq"]) ?? 0);
      return;
    case "agent.status_changed":
    case "agent.removed":
      for (const listener of statusListeners) listener(message);
      return;
    case "resync":
      void resync(number(message["seq"]) ?? newest);
      return;
  }
}

function parsed(data: unknown): Dict {
  try {
    return dict(JSON.parse(text(data)));
  } catch {
    return {};
  }
}

/** Read what the socket did not keep for us, then everything that is derived from it. */
async function resync(seq: number): Promise<void> {
  const isOtherBoard = seq < newest;
  if (isOtherBoard || seq - newest > KEPT) {
    newest = 0;
    known = new Set();
    held = [];
    received.value = [];
    await readNewest();
    newest = Math.max(newest, seq);
  } else await catchUp();
  for (const listener of resyncListeners) listener();
}

async function readNewest(): Promise<void> {
  try {
    let cursor: string | null = null;
    for (let pages = 0; pages < MOST_PAGES; pages++) {
      const page: Page<BoardEvent> = await get("/v1/events", { limit: FIRST, exclude_heartbeats: "true", cursor });
      take(list(page.data) as BoardEvent[]);
      cursor = page.pagination?.has_more ? (page.pagination.cursor ?? null) : null;
      if (cursor === null || received.value.length >= FIRST / 2) return;
    }
  } catch {
    // The socket says whether the board is there.
  }
}

/** Read on from where we are; the socket may move that place meanwhile, so it is followed by itself. */
async function catchUp(): Promise<boolean> {
  try {
    let from = newest;
    for (let more = true; more; ) {
      const page: Page<BoardEvent> = await get("/v1/events", { after_seq: from, limit: FIRST });
      arrive(list(page.data) as BoardEvent[]);
      const reached = page.last_seq ?? from;
      more = page.pagination?.has_more === true && reached > from;
      from = reached;
      newest = Math.max(newest, from);
    }
    return true;
  } catch {
    return false;
  }
}

function lost(): void {
  socket = null;
  failures += 1;
  if (connection.value === "live") connection.value = "reconnecting";
  timer = setTimeout(retry, pauseBeforeRetry());
}

function pauseBeforeRetry(): number {
  if (document.hidden && failures > GIVE_UP_AFTER) return HIDDEN_POLL_MS;
  if (connection.value === "polling") return POLL_MS;
  return BACK_OFF_MS[Math.min(failures, BACK_OFF_MS.length) - 1] ?? POLL_MS;
}

/** Try the socket again; when it failed repeatedly, poll meanwhile, which also says whether anybody answers. */
async function retry(): Promise<void> {
  clearTimeout(timer);
  if (failures > GIVE_UP_AFTER) connection.value = (await catchUp()) ? "polling" : "offline";
  if (socket === null) connect();
}

window.addEventListener("online", () => socket === null && connect());

// The live stream: one socket, resumed where it broke, with polling when sockets do not get through.
import { computed, signal } from "@preact/signals";
import { get } from "./api";
import { dict, list, number, text, type Dict } from "./read";
import type { BoardEvent, Page } from "./types";

export type Connection = "connecting" | "live" | "reconnecting" | "polling" | "offline";

export const connection = signal<Connection>("connecting");
/** Everything received, oldest first, bounded; replaced as a whole, so that renderings can compare it. */
export const received = signal<readonly BoardEvent[]>([]);
/** While paused: the sequence number that was newest then, else null. */
export const pausedAt = signal<number | null>(null);

const KEPT = 3000;
const FIRST = 200;
const MOST_PAGES = 5;
const POLL_MS = 2000;
const GIVE_UP_AFTER = 2;
const BACK_OFF_MS = [250, 500, 1000, 2000, 4000];

export const shown = computed(() => {
  const limit = pausedAt.value;
  return limit === null ? received.value : received.value.filter((event) => (event.seq ?? 0) <= limit);
});
export const waiting = computed(() => received.value.length - shown.value.length);

export function togglePause(): void {
  pausedAt.value = pausedAt.value === null ? newest : null;
}

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

let newest = 0;
let known = new Set<string>();
let socket: WebSocket | null = null;
let failures = 0;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Add events that are not there yet, in the order of the board; returns those that were new. */
export function take(events: readonly BoardEvent[]): BoardEvent[] {
  const fresh = events.filter((event) => event.event_id && !known.has(event.event_id));
  for (const event of fresh) {
    known.add(event.event_id);
    newest = Math.max(newest, event.seq ?? 0);
  }
  const told = fresh.sort((a, b) => (a.seq ?? 0) - (b.seq ?? 0)).filter(isNews);
  if (told.length) {
    const all = [...received.value, ...told].sort((a, b) => (a.seq ?? 0) - (b.seq ?? 0));
    received.value = all.length > KEPT ? all.slice(-KEPT) : all;
  }
  if (known.size > KEPT * 8) known = new Set([...known].slice(-KEPT * 4));
  return fresh;
}

const depths = new Map<string, string>();

/** Heartbeats, and queues that stay as they are, would push out what one wants to read. */
function isNews(event: BoardEvent): boolean {
  if (event.event_type === "heartbeat") return false;
  const payload = dict(event.payload);
  if (payload["kind"] !== "queue_snapshot") return true;
  const depth = text(dict(payload["data"])["depth"]);
  const before = depths.get(event.agent_id);
  depths.set(event.agent_id, depth);
  return depth !== before;
}

function deliver(events: readonly BoardEvent[]): void {
  const fresh = take(events);
  if (fresh.length) for (const listener of listeners) listener(fresh);
}

export async function start(): Promise<void> {
  await readNewest();
  connect();
}

function connect(): void {
  clearTimeout(timer);
  socket?.close();
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const opened = new WebSocket(`${scheme}://${location.host}/v1/stream`);
  socket = opened;
  opened.onopen = () => opened.send(JSON.stringify(subscription()));
  opened.onmessage = (message) => socket === opened && receive(message.data);
  opened.onclose = () => socket === opened && lost();
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
      deliver(list(message["events"]) as BoardEvent[]);
      newest = Math.max(newest, number(message["seq"]) ?? 0);
      return;
    case "event.new":
      deliver([dict(message["data"]) as unknown as BoardEvent]);
      return;
    case "agent.status_changed":
      for (const listener of statusListeners) listener({ ...dict(message["data"]), ...message });
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

async function catchUp(): Promise<boolean> {
  try {
    for (let more = true; more; ) {
      const before = newest;
      const page = await get<Page<BoardEvent>>("/v1/events", { after_seq: newest, limit: 200 });
      deliver(list(page.data) as BoardEvent[]);
      more = page.pagination?.has_more === true && newest > before;
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
  const wait = BACK_OFF_MS[Math.min(failures, BACK_OFF_MS.length) - 1] ?? POLL_MS;
  timer = setTimeout(retry, wait);
}

/** Try the socket again; when it failed repeatedly, poll meanwhile, which also says whether anybody answers. */
async function retry(): Promise<void> {
  if (failures > GIVE_UP_AFTER) connection.value = (await catchUp()) ? "polling" : "offline";
  connect();
}

window.addEventListener("online", () => socket === null && connect());

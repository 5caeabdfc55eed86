// What the board knows, read over HTTP and read again when live events say that it has changed.
import { useSignal, type Signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { get, getPages, query } from "./api";
import { onEvents, onResync, onStatus } from "./live";
import type { Changes } from "./router";
import type { BoardEvent } from "./types";

export interface Resource<T> {
  data: T | null;
  error: string | null;
  loading: boolean;
  reload: () => void;
}

export interface Refresh {
  /** Which events make the answer stale; none by default. */
  when?: (event: BoardEvent) => boolean;
  /** Also when an agent's state changes. */
  onStatus?: boolean;
  /** Also every so many milliseconds, for what changes by time alone, while somebody looks. */
  everyMs?: number;
  /** Least time between two readings. */
  pauseMs?: number;
  /** How many pages of a list are read, one unless given. */
  pages?: number;
}

const PAUSE_MS = 400;
const readers = new Set<() => void>();

/** Read everything that is shown again, so many milliseconds from now: for changes that no event tells of. */
export function readAgain(...afterMs: readonly number[]): void {
  for (const after of afterMs) setTimeout(() => readers.forEach((read) => read()), after);
}

/** Read a path of the API now, when its parameters change, and when the stream makes it stale. */
export function useResource<T>(path: string | null, parameters: Changes = {}, refresh: Refresh = {}): Resource<T> {
  const address = path === null ? null : path + query(parameters);
  const state: Signal<{ address: string | null; data: T | null; error: string | null }> = useSignal({
    address: null,
    data: null,
    error: null,
  } as { address: string | null; data: T | null; error: string | null });
  const reader = useRef<Reader | null>(null);
  const latest = useRef(refresh);
  latest.current = refresh;
  const { pages = 1 } = refresh;

  useEffect(() => {
    if (address === null) return;
    const made = new Reader(
      async (abort) => {
        try {
          state.value = { address, data: await (pages > 1 ? getPages<T>(address, pages, abort) : get<T>(address, {}, abort)), error: null };
        } catch (error) {
          if (abort.aborted) return;
          const told = error instanceof Error ? error.message : String(error);
          state.value = { ...state.value, address, error: told };
        }
      },
      refresh.pauseMs ?? PAUSE_MS,
    );
    reader.current = made;
    const read = () => made.request();
    readers.add(read);
    made.begin();
    const seen = () => made.goOn();
    document.addEventListener("visibilitychange", seen);
    const ends = [
      onEvents((events) => latest.current.when && events.some(latest.current.when) && made.request()),
      onResync(() => made.request()),
      onStatus(() => latest.current.onStatus && made.request()),
    ];
    const ticks = refresh.everyMs ? setInterval(() => !document.hidden && made.request(), refresh.everyMs) : undefined;
    return () => {
      for (const end of ends) end();
      readers.delete(read);
      document.removeEventListener("visibilitychange", seen);
      clearInterval(ticks);
      made.close();
    };
  }, [address, pages]);

  const { data, error, address: answered } = state.value;
  return { data, error, loading: answered !== address, reload: () => reader.current?.request() };
}

/** At most one request under way and one waiting, with a pause between them; none while nobody sees the tab. */
class Reader {
  private readonly abort = new AbortController();
  private busy = false;
  private again = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly read: (abort: AbortSignal) => Promise<void>,
    private readonly pauseMs: number,
  ) {}

  request(): void {
    this.again = true;
    this.goOn();
  }

  /** Read what was asked for, unless it must wait. */
  goOn(): void {
    if (this.again && !this.busy && !document.hidden && !this.abort.signal.aborted) this.begin();
  }

  /** Read now, seen or not: what is opened in another tab is there when that is looked at. */
  begin(): void {
    this.busy = true;
    this.again = false;
    void this.run();
  }

  private async run(): Promise<void> {
    await this.read(this.abort.signal);
    this.timer = setTimeout(() => {
      this.busy = false;
      this.goOn();
    }, this.pauseMs);
  }

  close(): void {
    clearTimeout(this.timer);
    this.abort.abort();
  }
}


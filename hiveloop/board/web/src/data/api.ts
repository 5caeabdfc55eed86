// The board's own API, at the page's own origin; the browser's cookie is the key.
import { signal } from "@preact/signals";
import type { Changes } from "./router";
import { ofWorld } from "./world";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Set when the board answers that this browser may not look. */
export const refused = signal(false);

export function query(parameters: Changes): string {
  const pairs = Object.entries(parameters).filter(([, v]) => v !== null && v !== undefined && v !== "");
  return pairs.length ? `?${new URLSearchParams(pairs.map(([k, v]) => [k, String(v)]))}` : "";
}

export async function get<T>(path: string, parameters: Changes = {}, abort?: AbortSignal): Promise<T> {
  return answer<T>(await reach(path + query(parameters), { signal: abort, headers: { Accept: "application/json" } }));
}

interface Listed {
  data?: unknown[];
  pagination?: { cursor?: string | null; has_more?: boolean };
}

/** Read the first pages of a list as if they were one, so that none is missed between two readings. */
export async function getPages<T>(address: string, pages: number, abort?: AbortSignal): Promise<T> {
  const rows: unknown[] = [];
  let place = address;
  for (let page = 1; ; page++) {
    const answer = await get<Listed>(place, {}, abort);
    if (Array.isArray(answer.data)) rows.push(...answer.data);
    const cursor = answer.pagination?.has_more ? answer.pagination.cursor : null;
    if (!cursor || page >= pages) return { ...answer, data: rows } as T;
    place = `${address}${address.includes("?") ? "&" : "?"}${new URLSearchParams({ cursor })}`;
  }
}

export async function send<T>(method: "POST" | "PUT" | "DELETE", path: string, body: unknown = {}): Promise<T> {
  const headers = { "Content-Type": "application/json", Accept: "application/json" };
  return answer<T>(await reach(path, { method, headers, body: JSON.stringify(body) }));
}

/** What browsers say of a server that is away differs, and tells nobody anything. */
async function reach(path: string, request: RequestInit): Promise<Response> {
  try {
    return await fetch(ofWorld(path), request);
  } catch (failure) {
    throw failure instanceof TypeError ? new ApiError(0, "The board does not answer.") : failure;
  }
}

async function answer<T>(response: Response): Promise<T> {
  refused.value = response.status === 401;
  if (response.ok) return response.status === 204 ? (undefined as T) : ((await response.json()) as T);
  const told = (await response.json().catch(() => ({}))) as { message?: string };
  throw new ApiError(response.status, told.message ?? `The board answered ${response.status}.`);
}

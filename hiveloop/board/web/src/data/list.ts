// A list of the API as far as it was asked for: more of it at the press of a button, all of it live.
import { useSignal } from "@preact/signals";
import { query } from "./api";
import { useResource, type Refresh, type Resource } from "./resource";
import type { Changes } from "./router";
import type { Page } from "./types";

export interface List<T> extends Resource<Page<T>> {
  rows: readonly T[];
  /** Show one page more; null when all are shown. */
  more: (() => void) | null;
}

/** Read a list; each page that was asked for is read again with the first, so no row is lost between them. */
export function useList<T>(path: string, parameters: Changes = {}, refresh: Refresh = {}): List<T> {
  const address = path + query(parameters);
  const wish = useSignal({ address, pages: 1 });
  const pages = wish.value.address === address ? wish.value.pages : 1;
  const resource = useResource<Page<T>>(path, parameters, { ...refresh, pages });
  const { data } = resource;
  const more = data?.pagination?.has_more === true ? () => (wish.value = { address, pages: pages + 1 }) : null;
  return { ...resource, rows: Array.isArray(data?.data) ? data.data : [], more };
}

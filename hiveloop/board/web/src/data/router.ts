// The address is the state: filters, range, task, run and node live in the URL, so that every view can be
// linked to and the back button works.
import { computed, signal } from "@preact/signals";

export const PAGES = {
  "/": "Fleet",
  "/task": "Task",
  "/agent": "Agent",
  "/pipeline": "Pipeline",
  "/costs": "Costs",
  "/insights": "Insights",
  "/keys": "Keys",
} as const;
export type Path = keyof typeof PAGES;

/** Filters that stay when one goes from page to page. */
const CARRIED = ["world", "env", "project", "range", "paused"];

const address = signal(new URL(location.href));

export const path = computed<Path>(() => {
  const name = address.value.pathname.replace(/\/+$/, "") || "/";
  return name in PAGES ? (name as Path) : "/";
});
export const params = computed(() => address.value.searchParams);

/** One parameter of the address; computed, so that a page renders again only when its own changes. */
export function param(name: string): string {
  return params.value.get(name) ?? "";
}

export type Changes = Record<string, string | number | null | undefined>;

function applied(start: URLSearchParams, changes: Changes): string {
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") start.delete(name);
    else start.set(name, String(value));
  }
  const query = start.toString();
  return query ? `?${query}` : "";
}

/** The address of a page, with the filters that are carried along. */
export function href(to: Path, changes: Changes = {}): string {
  const kept = new URLSearchParams();
  for (const name of CARRIED) {
    const value = params.value.get(name);
    if (value) kept.set(name, value);
  }
  return to + applied(kept, changes);
}

/** The present address with other parameters. */
export function here(changes: Changes): string {
  return address.value.pathname + applied(new URLSearchParams(params.value), changes);
}

export function go(to: string): void {
  if (to === location.pathname + location.search) return;
  history.pushState(null, "", to);
  address.value = new URL(location.href);
  document.getElementById("page")?.scrollTo(0, 0);
}

/** Change parameters of the present page; `push` makes the change one that the back button undoes. */
export function change(changes: Changes, push = true): void {
  const to = here(changes);
  if (to === location.pathname + location.search) return;
  if (push) history.pushState(null, "", to);
  else history.replaceState(null, "", to);
  address.value = new URL(location.href);
}

window.addEventListener("popstate", () => {
  address.value = new URL(location.href);
});

/** Let ordinary links be ordinary links, but without loading the page again. */
export function followLinks(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (!link || link.target || link.origin !== location.origin || link.hasAttribute("download")) return;
  if (!(link.pathname in PAGES)) return;
  event.preventDefault();
  go(link.pathname + link.search);
}

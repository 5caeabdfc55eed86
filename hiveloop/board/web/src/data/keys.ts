// Keyboard: rows with j and k, pages with g and a letter, search with a slash.
import { signal } from "@preact/signals";
import { togglePause } from "./live";
import { go, href, type Path } from "./router";

export const helpOpen = signal(false);
/** What Escape closes, the newest first. */
const closers: (() => void)[] = [];

/** Let Escape call `close`, until the returned function is called. */
export function onEscape(close: () => void): () => void {
  closers.push(close);
  return () => {
    const at = closers.lastIndexOf(close);
    if (at >= 0) closers.splice(at, 1);
  };
}

const PAGE_KEYS: Record<string, Path> = { f: "/", c: "/costs", p: "/pipeline", i: "/insights", k: "/keys" };
const CHORD_MS = 1500;
let chordAt = 0;

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName);
}

function rows(): HTMLElement[] {
  const active = document.activeElement;
  const own = active instanceof HTMLElement ? active.closest<HTMLElement>("[data-rows]") : null;
  const lists = own ? [own] : [...document.querySelectorAll<HTMLElement>("[data-rows]")];
  for (const list of lists) {
    const found = [...list.querySelectorAll<HTMLElement>("[data-row]")];
    if (found.length) return found;
  }
  return [];
}

function step(by: number): void {
  const all = rows();
  const at = all.findIndex((row) => row === document.activeElement || row.contains(document.activeElement));
  const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1)];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

/** A row that is no link or button is opened by Enter as by a click. */
function open(): boolean {
  const row = document.activeElement;
  if (!(row instanceof HTMLElement) || !row.matches("[data-row]") || row.matches("a, button")) return false;
  const link = row.querySelector<HTMLAnchorElement>("a[data-open]");
  if (link) link.click();
  else row.click();
  return true;
}

function escape(target: EventTarget | null): void {
  if (helpOpen.value) helpOpen.value = false;
  else if (isTyping(target)) (target as HTMLElement).blur();
  else {
    const close = closers.at(-1);
    if (close) close();
    else if (location.pathname !== "/") history.back();
  }
}

export function pressed(event: KeyboardEvent): void {
  if (event.key === "Escape") {
    event.preventDefault();
    escape(event.target);
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (act(event)) event.preventDefault();
}

function act(event: KeyboardEvent): boolean {
  if (event.timeStamp - chordAt < CHORD_MS && chordAt) {
    chordAt = 0;
    const page = PAGE_KEYS[event.key];
    if (page) go(href(page));
    return page !== undefined;
  }
  switch (event.key) {
    case "g":
      chordAt = event.timeStamp;
      return true;
    case "j":
      step(1);
      return true;
    case "k":
      step(-1);
      return true;
    case "Enter":
      return open();
    case "/":
      document.querySelector<HTMLElement>("[data-search]")?.focus();
      return true;
    case "p":
      togglePause();
      return true;
    case "n":
    case "N":
      document.querySelector<HTMLElement>(event.key === "n" ? "[data-next]" : "[data-previous]")?.click();
      return true;
    case "?":
      helpOpen.value = true;
      return true;
    default:
      return false;
  }
}

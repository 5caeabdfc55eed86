// Numbers, times and money as people read them.
import { moment } from "./read";

export function duration(milliseconds: number | null | undefined): string {
  if (milliseconds === null || milliseconds === undefined || !Number.isFinite(milliseconds)) return "–";
  const ms = Math.max(0, milliseconds);
  if (ms < 1) return "< 1 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 59.95) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  return longer(Math.round(seconds));
}

function longer(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return joined(minutes, "min", seconds % 60, "s");
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return joined(hours, "h", minutes % 60, "min");
  return joined(Math.floor(hours / 24), "d", hours % 24, "h");
}

function joined(large: number, unit: string, small: number, smallUnit: string): string {
  return small ? `${large} ${unit} ${small} ${smallUnit}` : `${large} ${unit}`;
}

/** How long ago, in one unit. */
export function age(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 2) return "now";
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400 * 2) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

export function money(dollars: number | null | undefined): string {
  if (dollars === null || dollars === undefined || !Number.isFinite(dollars)) return "–";
  if (dollars === 0) return "$0";
  if (dollars < 0.0001) return "< $0.0001";
  if (dollars < 0.1) return `$${dollars.toFixed(4)}`;
  if (dollars < 1) return `$${dollars.toFixed(3)}`;
  return `$${dollars.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}

export function count(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value < 10_000) return value.toLocaleString("en-US", { maximumFractionDigits: 1 });
  if (value < 1_000_000) return `${(value / 1000).toFixed(value < 100_000 ? 1 : 0)} k`;
  return `${(value / 1_000_000).toFixed(1)} M`;
}

/** Rounded, but never to a hundred or to nothing what is not quite that. */
export function percent(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value > 0 && value < 0.1) return "< 0.1 %";
  if (value >= 99 && value < 100) return `${Math.floor(value * 10) / 10} %`;
  return `${value < 10 ? +value.toFixed(1) : Math.round(value)} %`;
}

/** A number with its noun; the plural takes an s unless it is given. */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const MINUTE = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
const DAY = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const FAR_DAY = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });

export function clock(value: unknown): string {
  const at = moment(value);
  return at === null ? "–" : CLOCK.format(at);
}

/** The time of today, with the day in front of it when it is another. */
export function when(value: unknown): string {
  return dated(value, CLOCK, ", ");
}

/** The same to the minute, without a comma, so that several can stand in a row. */
export function minute(value: unknown): string {
  return dated(value, MINUTE, " ");
}

function dated(value: unknown, time: Intl.DateTimeFormat, between: string): string {
  const at = moment(value);
  if (at === null) return "–";
  const [then, today] = [new Date(at), new Date()];
  if (then.toDateString() === today.toDateString()) return time.format(at);
  const sameYear = then.getFullYear() === today.getFullYear();
  return sameYear ? DAY.format(at) + between + time.format(at) : FAR_DAY.format(at);
}

export function exact(value: unknown): string {
  const at = moment(value);
  return at === null ? "" : new Date(at).toISOString();
}

export function bytes(value: number): string {
  return value < 1024 ? `${value} B` : value < 1024 ** 2 ? `${(value / 1024).toFixed(1)} kB` : `${(value / 1024 ** 2).toFixed(1)} MB`;
}

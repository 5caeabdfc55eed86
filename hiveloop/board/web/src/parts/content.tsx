// What agents wrote, shown as text: JSON set in lines, everything else as it is.
import { bytes } from "../data/format";
import { Copy } from "./copy";

/** Text set for reading; a text that is JSON is broken into lines. */
export function readable(value: unknown): string {
  if (typeof value !== "string") return JSON.stringify(value, null, 2) ?? "";
  const start = value.trimStart()[0];
  if (start !== "{" && start !== "[") return value;
  try {
    return JSON.stringify(JSON.parse(value), null, 2);
  } catch {
    return value;
  }
}

export function Content({ title, value, tone }: { title: string; value: unknown; tone?: "fail" }) {
  if (value === null || value === undefined || value === "") return null;
  const shown = readable(value);
  return (
    <section class={`content${tone ? ` content-${tone}` : ""}`}>
      <header>
        <h4>{title}</h4>
        <span class="muted">{bytes(new Blob([shown]).size)}</span>
        <Copy value={shown} label="Copy" />
      </header>
      <pre tabIndex={0}>{shown}</pre>
    </section>
  );
}

export function Facts({ rows }: { rows: readonly (readonly [string, preact.ComponentChildren])[] }) {
  const told = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  if (told.length === 0) return null;
  return (
    <dl class="facts">
      {told.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

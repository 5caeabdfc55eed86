import type { ComponentChildren } from "preact";
import { Icon } from "./icon";

interface Props {
  title: string;
  count?: number | string;
  tools?: ComponentChildren;
  class?: string;
  children: ComponentChildren;
}

export function Panel({ title, count, tools, children, ...rest }: Props) {
  return (
    <section class={`panel ${rest.class ?? ""}`} aria-label={title}>
      <header class="panel-head">
        <h2>{title}</h2>
        {count !== undefined && <span class="count">{count}</span>}
        <span class="grow" />
        {tools}
      </header>
      {children}
    </section>
  );
}

export function Failed({ what, error }: { what: string; error: string }) {
  return (
    <p class="notice tone-fail" role="alert">
      <Icon name="warn" /> {what} could not be read: {error}
    </p>
  );
}

export function Loading() {
  return <p class="loading" aria-busy="true">Reading…</p>;
}

export function Nothing({ children }: { children: ComponentChildren }) {
  return <p class="nothing">{children}</p>;
}

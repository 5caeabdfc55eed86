// Empty panels teach: the lines that fill them, with this board's own address and key in place.
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { get } from "../data/api";
import { dict, firstText } from "../data/read";
import { Copy } from "./copy";

export const board = signal<{ endpoint: string; key: string; version: string }>({
  endpoint: location.origin,
  key: "",
  version: "",
});

export async function readBoard(): Promise<void> {
  try {
    const told = dict(await get("/v1/board"));
    board.value = {
      endpoint: firstText(told["endpoint"], location.origin),
      key: firstText(told["api_key"], told["key"], told["ingest_key"]),
      version: firstText(told["version"]),
    };
  } catch {
    // Without it the lines show where the key goes.
  }
}

export function setUp(): string {
  const { endpoint, key } = board.value;
  return `import hiveloop\n\nhb = hiveloop.init("${key || "hb_live_…"}", endpoint="${endpoint}")\nagent = hb.agent("my-agent", type="worker")`;
}

/** What an OpenTelemetry exporter needs to report here. */
export function setUpOtlp(): string {
  const { endpoint, key } = board.value;
  return `export OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="${endpoint}/v1/traces"\nexport OTEL_EXPORTER_OTLP_TRACES_HEADERS="Authorization=Bearer%20${key || "hb_live_…"}"`;
}

interface Props {
  title: string;
  code: string;
  waiting?: string;
  children: ComponentChildren;
}

export function Teach({ title, code, waiting, children }: Props) {
  return (
    <div class="teach">
      <h3>{title}</h3>
      <p>{children}</p>
      <div class="snippet">
        <pre tabIndex={0}>{code}</pre>
        <Copy value={code} label="Copy" />
      </div>
      {waiting && (
        <p class="muted waiting-line" role="status">
          <i class="breathing" aria-hidden="true" /> {waiting}
        </p>
      )}
    </div>
  );
}

// Empty panels teach: the lines that fill them, with this board's own address and key in place.
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { get } from "../data/api";
import { dict, firstText } from "../data/read";
import { param, path } from "../data/router";
import { inTest } from "../data/world";
import { Copy } from "./copy";

export const board = signal<{ endpoint: string; key: string; version: string }>({
  endpoint: location.origin,
  key: "",
  version: "",
});

/** What stands for a key that is not known: of a test key nothing is kept but its hash. */
const unknownKey = inTest ? "hb_test_…" : "hb_live_…";

export async function readBoard(): Promise<void> {
  try {
    const told = dict(await get("/v1/board"));
    board.value = {
      endpoint: firstText(told["endpoint"], location.origin),
      key: inTest ? "" : firstText(told["api_key"], told["key"], told["ingest_key"]),
      version: firstText(told["version"]),
    };
  } catch {
    // Without it the lines show where the key goes.
  }
}

/** The lines that every program begins with; on the page of an agent they are its own. */
export function setUp(): string {
  const { endpoint, key } = board.value;
  const own = path.value === "/agent" ? param("id") : "";
  const agent = own ? `hb.agent(${JSON.stringify(own)})  # as you have it` : 'hb.agent("my-agent", type="worker")';
  return `import hiveloop\n\nhb = hiveloop.init("${key || unknownKey}", endpoint="${endpoint}")\nagent = ${agent}`;
}

/** What the lines of a panel stand in: a program with an agent, or a task of one. */
type Within = "agent" | "task";

function before(within: Within): string {
  return within === "agent" ? `${setUp()}\n\n` : `${setUp()}\n\nwith agent.task("task-1", type="greeting") as task:\n`;
}

function placed(code: string, within: Within | undefined): string {
  return within === "task" ? code.replace(/^/gm, "    ") : code;
}

/** What an OpenTelemetry exporter needs to report here. */
export function setUpOtlp(): string {
  const { endpoint, key } = board.value;
  return `export OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="${endpoint}/v1/traces"\nexport OTEL_EXPORTER_OTLP_TRACES_HEADERS="Authorization=Bearer%20${key || unknownKey}"`;
}

interface Props {
  title: string;
  code: string;
  /** Put the lines that come before into place, so that the whole is a program. */
  within?: Within;
  /** Leave them out of what is shown, where many such panels are together; what is copied has them. */
  short?: boolean;
  waiting?: string;
  children: ComponentChildren;
}

export function Teach({ title, code, within, short = false, waiting, children }: Props) {
  const first = within ? before(within) : "";
  const lines = short ? code : placed(code, within);
  return (
    <div class="teach">
      <h3>{title}</h3>
      <p>{children}</p>
      <div class={short ? "snippet snippet-short" : "snippet"}>
        <pre tabIndex={0}>
          {!short && first && <span class="muted">{first}</span>}
          {lines}
        </pre>
        <Copy value={first + placed(code, within)} label={short && first ? "Copy program" : "Copy"} />
      </div>
      {waiting && (
        <p class="muted waiting-line" role="status">
          <i class="breathing" aria-hidden="true" /> {waiting}
        </p>
      )}
    </div>
  );
}

import { count, duration, money, when } from "../../data/format";
import { dict, firstText, number, text, type Dict } from "../../data/read";
import { change, here } from "../../data/router";
import type { BoardEvent } from "../../data/types";
import { aboutOf, labelOf, markOf, summaryOf } from "../../data/words";
import { Badge } from "../../parts/badges";
import { Content, Facts } from "../../parts/content";
import { Copy } from "../../parts/copy";
import { Icon } from "../../parts/icon";
import { lookOf, type Node } from "./model";

const SHOWN = new Set([
  "kind", "summary", "data", "tags", "action_name", "function", "args", "result", "result_preview", "response_body", "error",
  "success", "http_status", "tool_category", "exception_type", "exception_message", "duration_ms", "result_size_bytes",
]);
const LLM_SHOWN = new Set(["name", "model", "tokens_in", "tokens_out", "cost", "duration_ms", "prompt_preview", "response_preview", "metadata"]);

function statusOf(node: Node) {
  const look = lookOf(node);
  if (node.failed) return { word: "Failed", icon: "cross", tone: "fail" as const, rank: 0 };
  if (node.open) return { word: node.kind === "approval_requested" ? "Waiting" : "Running", icon: "play", tone: node.kind === "approval_requested" ? ("wait" as const) : ("work" as const), rank: 0 };
  if (node.status === "success") return { word: "Succeeded", icon: "check", tone: "ok" as const, rank: 0 };
  return { word: look.word, icon: look.icon, tone: look.tone, rank: 0 };
}

function without(payload: Dict, names: Set<string>): Dict | null {
  const rest = Object.entries(payload).filter(([name, value]) => !names.has(name) && value !== null && value !== undefined);
  return rest.length ? Object.fromEntries(rest) : null;
}

/** Everything known of a node, open at once. */
export function Detail({ node, origin, before }: { node: Node; origin: number; before: readonly BoardEvent[] }) {
  const { payload } = node;
  const data = dict(payload["data"]);
  const look = lookOf(node);
  return (
    <aside class="detail" aria-label={`Details of ${node.name}`}>
      <header>
        <Badge look={statusOf(node)} />
        <span class="muted">{look.word}</span>
        <span class="grow" />
        <Copy value={location.origin + here({ node: node.id })} label="Link" />
        <button type="button" class="quiet square" aria-label="Close details" onClick={() => change({ node: null })}>
          <Icon name="close" />
        </button>
      </header>
      <h3>{node.name}</h3>
      {aboutOf(payload) && !node.name.startsWith(aboutOf(payload)) && <p class="summary">{aboutOf(payload)}</p>}
      {node.error && <Content title="Error" value={node.error} tone="fail" />}
      {before.length > 0 && <Before events={before} />}
      <Facts
        rows={[
          ["Started", when(node.start) + (node.start - origin >= 1 ? ` (+${duration(node.start - origin)})` : "")],
          ["Duration", node.duration === null ? "" : duration(node.duration)],
          ["Function", text(payload["function"])],
          ["Category", text(payload["tool_category"])],
          ["HTTP status", text(payload["http_status"])],
          ["Success", payload["success"] === undefined ? "" : payload["success"] ? "yes" : "no"],
        ]}
      />
      {node.sort === "llm" ? <Llm node={node} /> : <Told data={data} />}
      <Content title="Arguments" value={payload["args"] ?? data["args"]} />
      <Content title="Result" value={firstOf(payload["result"], payload["result_preview"], payload["response_body"], data["result"])} />
      <Content title="More" value={without(payload, SHOWN)} />
      {!node.isMark && (node.hasChildren || node.duration !== null) && (
        <button type="button" class="quiet" onClick={() => change({ zoom: node.id })}>
          <Icon name="search" /> Zoom to it
        </button>
      )}
    </aside>
  );
}

function firstOf(...values: unknown[]): unknown {
  return values.find((value) => value !== null && value !== undefined && value !== "");
}

function Llm({ node }: { node: Node }) {
  const data = { ...dict(node.payload["data"]), ...dict(node.llm) };
  const cost = number(data["cost"]);
  const estimated = text(data["cost_source"]) === "estimated";
  const extra = without(data, new Set([...LLM_SHOWN, "cost_source", "cost_model_matched"]));
  return (
    <>
      <Facts
        rows={[
          ["Model", <span class="model">{text(data["model"])}</span>],
          ["Tokens in", count(number(data["tokens_in"]))],
          ["Tokens out", count(number(data["tokens_out"]))],
          ["Cost", cost === null ? "not told" : `${estimated ? "~" : ""}${money(cost)}${estimated ? " (estimated)" : ""}`],
        ]}
      />
      <Content title="Prompt" value={data["prompt_preview"]} />
      <Content title="Response" value={data["response_preview"]} />
      <Content title="Metadata" value={Object.keys(dict(data["metadata"])).length ? data["metadata"] : null} />
      <Content title="Other fields" value={extra} />
    </>
  );
}

const WORDS: Record<string, string> = {
  assigned_to: "Assigned to",
  approver: "Approver",
  approved_by: "Decided by",
  decision: "Decision",
  reason: "Reason",
  attempt: "Attempt",
  backoff_seconds: "Wait before it (s)",
  severity: "Severity",
  category: "Category",
  issue_id: "Issue id",
  detector: "Detector",
  goal: "Goal",
};

function Told({ data }: { data: Dict }) {
  const known = Object.entries(WORDS).map(([name, word]) => [word, firstText(data[name])] as const);
  return (
    <>
      <Facts rows={known} />
      <Content title="Data" value={without(data, new Set([...Object.keys(WORDS), "args", "result", "action"]))} />
    </>
  );
}

function Before({ events }: { events: readonly BoardEvent[] }) {
  return (
    <section class="before">
      <h4>Before it</h4>
      <ol>
        {events.map((event) => (
          <li key={event.event_id} class={`tone-${markOf(event).tone}`}>
            <Icon name={markOf(event).icon} />
            <span class="kind">{labelOf(event)}</span> {summaryOf(event)}
          </li>
        ))}
      </ol>
    </section>
  );
}

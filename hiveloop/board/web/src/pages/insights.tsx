// What could be better: everything from one window, and only where there is enough to judge.
import type { ComponentChildren } from "preact";
import { count, duration, exact, money, percent, plural, when } from "../data/format";
import { dict, dicts, firstText, number, numberOr, text, type Dict } from "../data/read";
import { useResource } from "../data/resource";
import { change, href, param } from "../data/router";
import type { Tone } from "../data/status";
import { Ago, Badge, Tag } from "../parts/badges";
import { Icon } from "../parts/icon";
import { Failed, Loading, Panel } from "../parts/panel";
import { range, rangeWords } from "../parts/ranges";
import { Teach } from "../parts/teach";
import { scope } from "./fleet";
import { OverTime } from "./fleet/charts";

export function InsightsPage() {
  const asked = { ...scope(), agent_id: param("agent") };
  const insights = useResource<Dict>("/v1/insights", { ...asked, range: range() }, { when: (event) => event.event_type !== "heartbeat", everyMs: 60_000, pauseMs: 2000 });
  if (insights.error && !insights.data) return <Failed what="The insights" error={insights.error} />;
  if (!insights.data) return <Loading />;
  const told = insights.data;
  return (
    <>
      <div class="title-line">
        <h1>Insights</h1>
        <OneAgent />
        <p class="muted">
          All of the last {rangeWords()}, since <span title={exact(told["since"])}>{when(told["since"])}</span>
        </p>
      </div>
      <div class="insight-head">
        <Health health={dict(told["health"])} />
        <Detectors rows={dicts(told["detectors"])} />
      </div>
      {asked.agent_id && <OverTime asked={asked} />}
      <div class="three">
        <Cache card={dict(told["cache"])} />
        <Context card={dict(told["context"])} />
        <Truncation card={dict(told["truncation"])} />
        <Turns card={dict(told["turns"])} />
        <Composition card={dict(told["composition"])} />
        <Retries card={dict(told["retries"])} />
        <Correction card={dict(told["self_correction"])} />
        <Anomalies card={dict(told["anomalies"])} />
        <Errors rows={dicts(told["errors"])} />
      </div>
      <Prompts rows={dicts(told["prompts"])} />
      <Tools rows={dicts(told["tools"])} />
    </>
  );
}

/** The one agent that the page is narrowed to, and the way back to all. */
function OneAgent() {
  const agent = param("agent");
  if (!agent) return null;
  return (
    <button type="button" class="chip" onClick={() => change({ agent: null })} aria-label={`Remove filter agent ${agent}`}>
      <span class="muted">agent</span> {agent} <Icon name="close" />
    </button>
  );
}

// -- health and detectors ---------------------------------------------------------------------

const LOSSES: Record<string, string> = {
  no_agents: "no agents",
  stuck: "stuck agents",
  errors: "agents in error",
  success_rate: "failed tasks",
  issues: "open issues",
};

function Health({ health }: { health: Dict }) {
  const score = numberOr(health["score"], 0);
  const tone: Tone = score >= 85 ? "ok" : score >= 60 ? "wait" : "fail";
  const lost = Object.entries(dict(health["losses"])).filter(([, points]) => numberOr(points, 0) > 0);
  if (lost.some(([name]) => name === "no_agents")) return <NoHealth />;
  return (
    <Panel title="Health" class="health" tools={<span class="muted about">now</span>}>
      <div class={`score tone-${tone}`}>
        <b>{Math.round(score)}</b> <span class="muted">of 100</span>
        <Badge look={{ word: tone === "ok" ? "Good" : tone === "wait" ? "Fair" : "Poor", icon: tone === "ok" ? "check" : "warn", tone, rank: 0 }} />
      </div>
      <ul class="losses">
        {lost.length === 0 && <li class="muted">No point is lost.</li>}
        {lost.map(([name, points]) => (
          <li key={name}>
            <span class="tone-fail">−{count(number(points))}</span> {LOSSES[name] ?? name}
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function NoHealth() {
  return (
    <Panel title="Health" class="health" tools={<Tag tone="idle" icon="gap">Not enough data</Tag>}>
      <p class="insight muted">No agent has reported yet. The score is a hundred, less points for stuck agents, errors, failed tasks and open issues.</p>
    </Panel>
  );
}

const STATES: Record<string, { word: string; icon: string; tone: Tone; rank: number }> = {
  alert: { word: "Alert", icon: "cross", tone: "fail", rank: 0 },
  warn: { word: "Look", icon: "warn", tone: "wait", rank: 1 },
  ok: { word: "Fine", icon: "check", tone: "ok", rank: 2 },
};
const TOO_FEW = { word: "Not enough data", icon: "gap", tone: "idle" as const, rank: 3 };

const NAMES: Record<string, string> = {
  cost_spike: "Cost spike",
  error_burst: "Error burst",
  stuck_fleet: "Stuck agents",
  token_waste: "Token waste",
  throughput_drop: "Throughput drop",
  model_imbalance: "Model imbalance",
  truncation: "Truncated answers",
  prompt_bloat: "Prompt bloat",
  failing_action: "Failing action",
  silent_queue: "Idle with work waiting",
  approval_backlog: "Approval backlog",
  reported_anomalies: "Reported anomalies",
};

function named(detector: string): string {
  return NAMES[detector] ?? detector.replaceAll("_", " ");
}

/** Where to look when a detector found something: a page, or a panel of this one. */
const LOOKS: Record<string, { word: string; to?: () => string; panel?: string }> = {
  cost_spike: { word: "Costs over time", to: () => href("/costs") },
  error_burst: { word: "Failed tasks", to: () => href("/", { tasks: "failed" }) },
  stuck_fleet: { word: "Stuck agents", to: () => href("/", { status: "stuck" }) },
  token_waste: { word: "Prompts by tokens", panel: "Prompts" },
  throughput_drop: { word: "Tasks", to: () => href("/") },
  model_imbalance: { word: "Costs by model", to: () => href("/costs") },
  truncation: { word: "Truncated answers", panel: "Truncated answers" },
  prompt_bloat: { word: "Prompt composition", panel: "Prompt composition" },
  failing_action: { word: "Tools", panel: "Tools" },
  silent_queue: { word: "Queues", to: () => href("/pipeline") },
  approval_backlog: { word: "Approvals", to: () => href("/pipeline") },
  reported_anomalies: { word: "Anomalies", panel: "Anomalies" },
};

const UNITS: Record<string, string> = { "%": " %", x: " times", min: " min" };

/** From which values a detector asks for attention; some never alert. */
function from(row: Dict): string {
  const unit = UNITS[text(row["unit"])] ?? ` ${text(row["unit"])}`;
  const [warn, alert] = [numberOr(row["warn_at"], 0), numberOr(row["alert_at"], 0)];
  const told = `Asks to look from ${warn < 0.1 ? "the first on" : count(warn) + unit}`;
  return text(row["unit"]) === "%" && alert > 100 ? told : `${told}, alerts from ${count(alert)}${unit}`;
}

function LookAt({ detector }: { detector: string }) {
  const look = LOOKS[detector];
  if (!look) return null;
  if (look.to) return <a href={look.to()}>{look.word}</a>;
  const show = () => {
    const panel = document.querySelector<HTMLElement>(`section[aria-label="${look.panel}"]`);
    panel?.scrollIntoView({ block: "start" });
    panel?.querySelector<HTMLElement>("[tabindex], a, button")?.focus({ preventScroll: true });
  };
  return (
    <button type="button" class="as-link" onClick={show}>
      {look.word}
    </button>
  );
}

function Detectors({ rows }: { rows: readonly Dict[] }) {
  const worrying = rows.filter((row) => row["state"] === "alert" || row["state"] === "warn").length;
  return (
    <Panel title="Detectors" count={worrying ? `${worrying} to look at` : "nothing to look at"}>
      <ul class="detectors" aria-label="Detectors">
        {rows.map((row) => {
          const look = STATES[text(row["state"])] ?? TOO_FEW;
          return (
            <li key={text(row["detector"])} class={`tone-${look.tone}`}>
              <span title={from(row)}>
                <Badge look={look} />
              </span>
              <b>{named(text(row["detector"]))}</b>
              <p class="muted">
                {text(row["message"]).replace(/^Not enough data: /, "")} {row["state"] !== "not_enough_data" && <LookAt detector={text(row["detector"])} />}
              </p>
            </li>
          );
        })}
      </ul>
    </Panel>
  );
}

// -- cards --------------------------------------------------------------------------------------

interface CardProps {
  title: string;
  card: Dict;
  lines: string;
  about: string;
  /** What the sample counts. */
  counted?: string;
  children: ComponentChildren;
}

/** A card shows its figures when there is enough to judge, else how to get there. */
function Card({ title, card, lines, about, counted = "call", children }: CardProps) {
  const sample = numberOr(card["sample"], 0);
  if (card["enough"] === true) {
    return (
      <Panel title={title} count={`of ${plural(sample, counted)}`}>
        <div class="insight">{children}</div>
      </Panel>
    );
  }
  return (
    <Panel title={title} tools={<Tag tone="idle" icon="gap">Not enough data</Tag>}>
      <Teach title={`${count(sample)} of the ${plural(numberOr(card["minimum"], 1), counted)} needed`} within="task" short code={lines}>
        {about}
      </Teach>
    </Panel>
  );
}

function Caption({ children }: { children: ComponentChildren }) {
  return <p class="caption muted">{children}</p>;
}

function Figure({ value, told, tone }: { value: string; told: string; tone?: Tone }) {
  return (
    <p class={`figure${tone ? ` tone-${tone}` : ""}`}>
      <b>{value}</b> <span class="muted">{told}</span>
    </p>
  );
}

interface BarRow {
  name: string;
  share: number;
  told: string;
  tone?: Tone;
  link?: string;
}

function Bars({ rows, label }: { rows: readonly BarRow[]; label: string }) {
  if (rows.length === 0) return null;
  return (
    <ul class="bars" aria-label={label}>
      {rows.map((row) => (
        <li key={row.name}>
          <span class="bars-name" title={row.name}>
            {row.link ? <a href={row.link}>{row.name}</a> : row.name}
          </span>
          <span class={`meter tone-${row.tone ?? "work"}`}>
            <i style={{ width: `${Math.min(100, Math.max(0, row.share))}%` }} />
          </span>
          <span class="bars-told">{row.told}</span>
        </li>
      ))}
    </ul>
  );
}

const hundred = (value: unknown) => (number(value) === null ? null : numberOr(value, 0) * 100);
const model = (row: Dict) => firstText(row["model"], "unknown");
const metadata = (fields: string) => `task.llm_call("reason", "gpt-4o", tokens_in=1200, tokens_out=350,\n    metadata={${fields}})`;

function Cache({ card }: { card: Dict }) {
  const ratio = hundred(card["hit_ratio"]);
  return (
    <Card title="Cache hit ratio" card={card} lines={metadata('"cache_read_input_tokens": 900')} about="How much of the input came from the provider's cache: cached tokens cost a tenth.">
      <Figure value={percent(ratio)} told="of the input came from the cache" tone={ratio !== null && ratio >= 50 ? "ok" : "wait"} />
      <Figure value={count(number(card["read_tokens"]))} told={`tokens read from it, ${count(number(card["created_tokens"]))} written`} />
      <Caption>Share of the input, by model</Caption>
      <Bars label="By model" rows={dicts(card["by_model"]).map((row) => ({ name: model(row), share: hundred(row["hit_ratio"]) ?? 0, told: percent(hundred(row["hit_ratio"])), tone: "ok" }))} />
    </Card>
  );
}

function Context({ card }: { card: Dict }) {
  const over = number(card["share_over_80_pct"]);
  const compacted = dict(card["compactions"]);
  return (
    <Card title="Context pressure" card={card} lines={metadata('"context_utilization_pct": 42')} about="How full the context window is: beyond 80 % answers get worse, and then calls fail.">
      <Figure value={percent(number(card["avg_utilization_pct"]))} told={`of the context window on average, ${percent(number(card["max_utilization_pct"]))} at most`} />
      <Figure value={percent(over)} told="of the calls are above 80 %" tone={over ? "wait" : "ok"} />
      {numberOr(compacted["count"], 0) > 0 && <Figure value={count(number(compacted["count"]))} told={`${numberOr(compacted["count"], 0) === 1 ? "compaction" : "compactions"}, ${percent(hundred(compacted["kept_ratio"]))} of the tokens kept`} />}
      <Caption>On average, by model</Caption>
      <Bars label="By model" rows={dicts(card["by_model"]).map((row) => ({ name: model(row), share: numberOr(row["avg_utilization_pct"], 0), told: percent(number(row["avg_utilization_pct"])) }))} />
    </Card>
  );
}

function Truncation({ card }: { card: Dict }) {
  const rate = number(card["rate"]);
  const reasons = dicts(card["stop_reasons"]);
  const most = Math.max(1, ...reasons.map((row) => numberOr(row["calls"], 0)));
  return (
    <Card title="Truncated answers" card={card} lines={metadata('"stop_reason": "end_turn"')} about="Answers that the length limit cut off: the agent goes on with half of what the model wanted to say.">
      <Figure value={percent(rate)} told={`of the answers were cut off (${count(number(card["truncated"]))})`} tone={rate ? "fail" : "ok"} />
      <Caption>Why answers ended</Caption>
      <Bars label="Stop reasons" rows={reasons.map((row) => ({ name: firstText(row["reason"], "unknown"), share: (numberOr(row["calls"], 0) / most) * 100, told: plural(numberOr(row["calls"], 0), "call"), tone: ["max_tokens", "length"].includes(text(row["reason"])) ? "fail" : "work" }))} />
      <Caption>Cut off, by model</Caption>
      <Bars label="Cut off by model" rows={dicts(card["by_model"]).map((row) => ({ name: model(row), share: numberOr(row["rate"], 0), told: percent(number(row["rate"])), tone: "fail" }))} />
    </Card>
  );
}

function Turns({ card }: { card: Dict }) {
  const rows = dicts(card["data"]);
  const most = Math.max(1e-12, ...rows.map((row) => numberOr(row["avg_cost"], 0)));
  return (
    <Card title="Cost per turn" card={card} lines={metadata('"turn_number": 3')} about="What an average call costs at each turn: a steep climb means that history is carried along.">
      <Caption>Average cost and input tokens of a call, turn by turn</Caption>
      <Bars
        label="Turns"
        rows={rows.slice(0, 20).map((row) => ({
          name: `Turn ${text(row["turn"])}${row["and_more"] === true ? "+" : ""}`,
          share: (numberOr(row["avg_cost"], 0) / most) * 100,
          told: `${money(number(row["avg_cost"]))} · ${count(Math.round(numberOr(row["avg_tokens_in"], 0)))} tokens`,
          tone: "llm",
        }))}
      />
    </Card>
  );
}

const COMPOSED = [
  ["system", "System prompt", "idle"],
  ["history", "History", "work"],
  ["tool", "Tool results", "wait"],
] as const;

function Composition({ card }: { card: Dict }) {
  const turns = dicts(card["by_turn"]);
  const known = COMPOSED.some(([name]) => numberOr(card[`${name}_tokens`], 0) > 0);
  return (
    <Card title="Prompt composition" card={card} lines={metadata('"system_prompt_tokens": 300,\n        "history_tokens": 700, "tool_results_tokens": 200')} about="What prompts are made of: which part grows, and would be the one to cut.">
      {known && <Caption>Share of the prompt tokens</Caption>}
      {known && (
        <Bars label="Parts" rows={COMPOSED.map(([name, label, tone]) => ({ name: label, share: numberOr(card[`${name}_pct`], 0), told: `${percent(number(card[`${name}_pct`]))} · ${count(number(card[`${name}_tokens`]))}`, tone }))} />
      )}
      {turns.length > 0 && <Growth turns={turns} />}
    </Card>
  );
}

/** How the parts grow from turn to turn, as stacked columns. */
function Growth({ turns }: { turns: readonly Dict[] }) {
  const shown = turns.slice(0, 24);
  const parts = (turn: Dict) => [numberOr(turn["system_prompt_tokens"], 0), numberOr(turn["history_tokens"], 0), numberOr(turn["tool_results_tokens"], 0)];
  const most = Math.max(1, ...shown.map((turn) => parts(turn).reduce((sum, part) => sum + part, 0)));
  return (
    <figure>
      <div class="growth" role="img" aria-label={`Prompt size over ${turns.length} turns, at most ${count(most)} tokens`}>
        {shown.map((turn) => (
          <span key={text(turn["turn"])} title={`Turn ${text(turn["turn"])}`}>
            {parts(turn).map((part, at) => (
              <i key={at} class={`fill-${COMPOSED[at]?.[2] ?? "idle"}`} style={{ height: `${(part / most) * 64}px` }} />
            ))}
          </span>
        ))}
      </div>
      <figcaption class="muted">
        Tokens turn by turn, from {text(shown[0]?.["turn"])} to {text(shown.at(-1)?.["turn"])}; at most {count(most)}
      </figcaption>
    </figure>
  );
}

function Retries({ card }: { card: Dict }) {
  const agents = dicts(card["by_agent"]);
  const most = Math.max(1, ...agents.map((row) => numberOr(row["retries"], 0)));
  const reasons = dicts(card["by_reason"]);
  return (
    <Card title="Retries" card={card} counted="task" lines={'task.retry("CRM timed out", attempt=1, backoff_seconds=2)'} about="How often work is tried again, by whom and why.">
      <Figure value={count(number(card["retries"]))} told={`${numberOr(card["retries"], 0) === 1 ? "retry" : "retries"}, ${rate(card["per_task"])} for each task`} />
      {agents.length > 0 && <Caption>By agent, and for each of its tasks</Caption>}
      <Bars label="By agent" rows={agents.slice(0, 8).map((row) => ({ name: text(row["agent_id"]), share: (numberOr(row["retries"], 0) / most) * 100, told: `${count(number(row["retries"]))} · ${rate(row["per_task"])}`, tone: "wait", link: href("/agent", { id: text(row["agent_id"]) }) }))} />
      {reasons.length > 0 && <Caption>Why</Caption>}
      <Listed label="Reasons" rows={reasons.map((row) => [`${text(row["reason"])} (${text(row["agent_id"])})`, numberOr(row["count"], 0)])} />
    </Card>
  );
}

function rate(value: unknown): string {
  const found = number(value);
  return found === null ? "–" : String(+found.toFixed(2));
}

function Listed({ label, rows }: { label: string; rows: readonly (readonly [string, number])[] }) {
  if (rows.length === 0) return null;
  return (
    <ul class="listed" aria-label={label}>
      {rows.slice(0, 8).map(([name, times], at) => (
        <li key={at}>
          <span>{name}</span> <b>{count(times)}</b>
        </li>
      ))}
    </ul>
  );
}

function Correction({ card }: { card: Dict }) {
  return (
    <Card title="Self-correction" card={card} counted="task" lines={'task.event("learning", {"summary": "Used the wrong field",\n    "data": {"category": "crm", "correction_applied": True}})'} about="How often agents notice a mistake and put it right by themselves.">
      <Figure value={percent(number(card["rate"]))} told="corrections, as a share of the tasks" />
      <Figure value={percent(number(card["share_applied"]))} told={`of ${plural(numberOr(card["learnings"], 0), "lesson")} ${numberOr(card["learnings"], 0) === 1 ? "was" : "were"} applied`} />
      <Caption>What was learned about</Caption>
      <Listed label="Categories" rows={dicts(card["by_category"]).map((row) => [text(row["category"]), numberOr(row["count"], 0)])} />
    </Card>
  );
}

function Anomalies({ card }: { card: Dict }) {
  const rows = dicts(card["data"]);
  const latest = dicts(card["latest"]);
  return (
    <Panel title="Anomalies" count={numberOr(card["count"], 0) ? `${count(number(card["count"]))} reported` : undefined}>
      {rows.length === 0 ? (
        <Teach title="No anomaly was reported" within="task" short code={'task.event("anomaly", {"summary": "The same search three times",\n    "data": {"detector": "cycle"}})'}>
          What agents detect themselves: cycles, contradictions, silent drops. Each detector's name becomes a row.
        </Teach>
      ) : (
        <div class="insight">
          <Caption>How often, by the agents' own detectors</Caption>
          <Listed label="Detectors of agents" rows={rows.map((row) => [`${firstText(row["detector"], "unnamed")} (${text(row["agent_id"])})`, numberOr(row["count"], 0)])} />
          <Caption>The latest</Caption>
          <ul class="listed" aria-label="Latest anomalies">
            {latest.slice(0, 5).map((event) => (
              <li key={text(event["event_id"])}>
                <span>
                  <Icon name="warn" />{" "}
                  {text(event["task_id"]) ? (
                    <a href={href("/task", { id: text(event["task_id"]), run: text(event["task_run_id"]), node: `event:${text(event["event_id"])}` })}>{text(dict(event["payload"])["summary"]) || "Anomaly"}</a>
                  ) : (
                    text(dict(event["payload"])["summary"]) || "Anomaly"
                  )}{" "}
                  <span class="muted">{text(event["agent_id"])}</span>
                </span>
                <span class="muted">
                  <Ago at={event["timestamp"]} />
                </span>
              </li>
            ))}
          </ul>
        </div>
      )}
    </Panel>
  );
}

function Errors({ rows }: { rows: readonly Dict[] }) {
  return (
    <Panel title="Errors with context" count={rows.length ? plural(rows.reduce((all, row) => all + numberOr(row["count"], 0), 0), "error") : undefined}>
      {rows.length === 0 ? (
        <Teach title="No error came with context" within="task" short code={'task.event("error_context", {"summary": "CRM said no",\n    "data": {"error_type": "rate_limit", "api_name": "crm", "status_code": 429}})'}>
          Failures grouped by type, API and status: which door is shut, and how often.
        </Teach>
      ) : (
        <div class="insight">
          <Caption>Type, API and status</Caption>
          <Listed label="Errors" rows={rows.map((row) => [[text(row["error_type"]), text(row["api_name"]), text(row["status_code"])].filter(Boolean).join(" · "), numberOr(row["count"], 0)])} />
        </div>
      )}
    </Panel>
  );
}

// -- tables -------------------------------------------------------------------------------------

function Prompts({ rows }: { rows: readonly Dict[] }) {
  return (
    <Panel title="Prompts" count={rows.length || undefined}>
      {rows.length === 0 ? (
        <Teach title="No LLM call in this range" within="task" short code={'task.llm_call("reason", "gpt-4o", tokens_in=1200, tokens_out=350, duration_ms=900)'}>
          Calls by their name: which prompt is called most, is the slowest, costs most.
        </Teach>
      ) : (
        <div class="table-box">
          <table class="rows">
            <thead>
              <tr>
                <th>Call</th>
                <th class="c-num">Calls</th>
                <th class="c-num c-extra">Tokens in</th>
                <th class="c-num c-extra">Tokens out</th>
                <th class="c-num">Median</th>
                <th class="c-num c-extra" title="95 % of the calls were faster">p95</th>
                <th class="c-num">Cost</th>
              </tr>
            </thead>
            <tbody data-rows>
              {rows.map((row) => (
                <tr key={text(row["name"])} data-row tabIndex={0}>
                  <td>{firstText(row["name"], "unnamed")}</td>
                  <td class="c-num">{count(number(row["call_count"]))}</td>
                  <td class="c-num c-extra">{count(number(row["tokens_in"]))}</td>
                  <td class="c-num c-extra">{count(number(row["tokens_out"]))}</td>
                  <td class="c-num">{duration(number(row["p50_ms"] ?? row["avg_duration_ms"]))}</td>
                  <td class="c-num c-extra">{duration(number(row["p95_ms"]))}</td>
                  <td class="c-num">
                    {numberOr(row["estimated_cost"], 0) > 0 && "~"}
                    {money(number(row["cost"]))}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}

function Tools({ rows }: { rows: readonly Dict[] }) {
  return (
    <Panel title="Tools" count={rows.length || undefined}>
      {rows.length === 0 ? (
        <Teach title="No action in this range" within="task" short code={'with agent.track_context("crm_search"):\n    ...  # what the tool does'}>
          Actions by their name: how often each runs, fails, and how long it takes.
        </Teach>
      ) : (
        <div class="table-box">
          <table class="rows">
            <thead>
              <tr>
                <th>Action</th>
                <th class="c-num">Times</th>
                <th class="c-num">Failed</th>
                <th>Success</th>
                <th class="c-num">Median</th>
                <th class="c-num c-extra" title="95 % of the runs were faster">p95</th>
                <th class="c-num c-extra">Slowest</th>
              </tr>
            </thead>
            <tbody data-rows>
              {rows.map((row) => {
                const rate = number(row["success_rate"]);
                return (
                  <tr key={text(row["name"])} data-row tabIndex={0}>
                    <td>{firstText(row["name"], "unnamed")}</td>
                    <td class="c-num">{count(number(row["count"]))}</td>
                    <td class="c-num">{numberOr(row["failed"], 0) ? <Tag tone="fail" icon="cross">{count(number(row["failed"]))}</Tag> : <span class="muted">–</span>}</td>
                    <td>
                      <span class={`meter tone-${rate !== null && rate < 80 ? "fail" : "ok"}`}>
                        <i style={{ width: `${rate ?? 0}%` }} />
                      </span>{" "}
                      <span class="muted">{percent(rate)}</span>
                    </td>
                    <td class="c-num">{duration(number(row["p50_ms"] ?? row["avg_duration_ms"]))}</td>
                    <td class="c-num c-extra">{duration(number(row["p95_ms"]))}</td>
                    <td class="c-num c-extra">{duration(number(row["slowest_ms"]))}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}

// What could be better: everything from one window, and only where there is enough to judge.
import type { ComponentChildren } from "preact";
import { count, duration, money, percent } from "../data/format";
import { dict, dicts, firstText, number, numberOr, text, type Dict } from "../data/read";
import { useResource } from "../data/resource";
import { href, param } from "../data/router";
import type { Tone } from "../data/status";
import { Badge, Tag } from "../parts/badges";
import { Icon } from "../parts/icon";
import { Failed, Loading, Nothing, Panel } from "../parts/panel";
import { Teach } from "../parts/teach";
import { scope } from "./fleet";

export function InsightsPage() {
  const asked = { ...scope(), agent_id: param("agent"), range: param("range") || "24h" };
  const insights = useResource<Dict>("/v1/insights", asked, { when: (event) => event.event_type !== "heartbeat", everyMs: 60_000, pauseMs: 5000 });
  if (insights.error && !insights.data) return <Failed what="The insights" error={insights.error} />;
  if (!insights.data) return <Loading />;
  const told = insights.data;
  return (
    <>
      <h1>Insights</h1>
      <div class="insight-head">
        <Health health={dict(told["health"])} />
        <Detectors rows={dicts(told["detectors"])} />
      </div>
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
  return (
    <Panel title="Health" class="health">
      <div class={`score tone-${tone}`}>
        <b>{Math.round(score)}</b> <span class="muted">of 100</span>
        <Badge look={{ word: tone === "ok" ? "Good" : tone === "wait" ? "Fair" : "Poor", icon: tone === "ok" ? "check" : "warn", tone, rank: 0 }} />
      </div>
      <ul class="losses">
        {lost.length === 0 && <li class="muted">Nothing lost.</li>}
        {lost.map(([name, points]) => (
          <li key={name}>
            <span class="tone-fail">−{count(number(points))}</span> {LOSSES[name] ?? name}
          </li>
        ))}
      </ul>
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

const UNITS: Record<string, string> = { "%": " %", x: " times", min: " min" };

/** What a detector measured, as a phrase. */
function finding(row: Dict): string {
  const value = number(row["value"]);
  if (value === null) return `${count(number(row["sample"]))} of ${count(number(row["minimum"]))} samples`;
  const told = `${count(Math.round(value * 10) / 10)}${UNITS[text(row["unit"])] ?? ""}`;
  const message = text(row["message"]);
  return message.startsWith("of ") ? `${told} ${message}` : `${message}: ${told}`;
}

function Detectors({ rows }: { rows: readonly Dict[] }) {
  const worrying = rows.filter((row) => row["state"] === "alert" || row["state"] === "warn").length;
  return (
    <Panel title="Detectors" count={worrying ? `${worrying} to look at` : "all quiet"}>
      <ul class="detectors" aria-label="Detectors">
        {rows.map((row) => {
          const look = STATES[text(row["state"])] ?? TOO_FEW;
          return (
            <li key={text(row["detector"])} class={`tone-${look.tone}`}>
              <Badge look={look} />
              <b>{named(text(row["detector"]))}</b>
              <p class="muted">
                {finding(row)}
                {text(row["subject"]) && ` (${text(row["subject"])})`}
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
  children: ComponentChildren;
}

/** A card shows its figures when there is enough to judge, else how to get there. */
function Card({ title, card, lines, about, children }: CardProps) {
  if (card["enough"] === true) {
    return (
      <Panel title={title} count={`${count(number(card["sample"]))} samples`}>
        <div class="insight">{children}</div>
      </Panel>
    );
  }
  return (
    <Panel title={title} tools={<Tag tone="idle" icon="gap">Not enough data</Tag>}>
      <Teach title={`${count(numberOr(card["sample"], 0))} of ${count(numberOr(card["minimum"], 1))} samples`} code={lines}>
        {about}
      </Teach>
    </Panel>
  );
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
const metadata = (fields: string) => `task.llm_call("reason", model="gpt-4o", tokens_in=1200, tokens_out=350,\n    metadata={${fields}})`;

function Cache({ card }: { card: Dict }) {
  const ratio = hundred(card["hit_ratio"]);
  return (
    <Card title="Cache hit ratio" card={card} lines={metadata('"cache_read_input_tokens": 900')} about="How much of the input came from the provider's cache: cached tokens cost a tenth.">
      <Figure value={percent(ratio)} told="of the input came from the cache" tone={ratio !== null && ratio >= 50 ? "ok" : "wait"} />
      <Figure value={count(number(card["read_tokens"]))} told={`tokens read, ${count(number(card["created_tokens"]))} written`} />
      <Bars label="By model" rows={dicts(card["by_model"]).map((row) => ({ name: model(row), share: hundred(row["hit_ratio"]) ?? 0, told: percent(hundred(row["hit_ratio"])), tone: "ok" }))} />
    </Card>
  );
}

function Context({ card }: { card: Dict }) {
  const over = number(card["share_over_80_pct"]);
  const compacted = dict(card["compactions"]);
  return (
    <Card title="Context pressure" card={card} lines={metadata('"context_utilization_pct": 42')} about="How full the context window is: beyond 80 % answers get worse, and then calls fail.">
      <Figure value={percent(number(card["avg_utilization_pct"]))} told={`of the window on average, ${percent(number(card["max_utilization_pct"]))} at most`} />
      <Figure value={percent(over)} told="of the calls are above 80 %" tone={over ? "wait" : "ok"} />
      {numberOr(compacted["count"], 0) > 0 && <Figure value={count(number(compacted["count"]))} told={`compactions, ${percent(hundred(compacted["kept_ratio"]))} kept`} />}
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
      <Bars label="Stop reasons" rows={reasons.map((row) => ({ name: firstText(row["reason"], "unknown"), share: (numberOr(row["calls"], 0) / most) * 100, told: count(number(row["calls"])), tone: ["max_tokens", "length"].includes(text(row["reason"])) ? "fail" : "work" }))} />
    </Card>
  );
}

function Turns({ card }: { card: Dict }) {
  const rows = dicts(card["data"]);
  const most = Math.max(1e-12, ...rows.map((row) => numberOr(row["avg_cost"], 0)));
  return (
    <Card title="Cost per turn" card={card} lines={metadata('"turn_number": 3')} about="What an average call costs at each turn: a steep climb means that history is carried along.">
      <Bars
        label="Turns"
        rows={rows.slice(0, 20).map((row) => ({
          name: `Turn ${text(row["turn"])}${row["and_more"] === true ? "+" : ""}`,
          share: (numberOr(row["avg_cost"], 0) / most) * 100,
          told: `${money(number(row["avg_cost"]))} · ${count(Math.round(numberOr(row["avg_tokens_in"], 0)))} in`,
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
  return (
    <Card title="Prompt composition" card={card} lines={metadata('"system_prompt_tokens": 300,\n        "history_tokens": 700, "tool_results_tokens": 200')} about="What prompts are made of: which part grows, and would be the one to cut.">
      <Bars label="Parts" rows={COMPOSED.map(([name, label, tone]) => ({ name: label, share: numberOr(card[`${name}_pct`], 0), told: `${percent(number(card[`${name}_pct`]))} · ${count(number(card[`${name}_tokens`]))}`, tone }))} />
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
      <figcaption class="muted">turn by turn</figcaption>
    </figure>
  );
}

function Retries({ card }: { card: Dict }) {
  const agents = dicts(card["by_agent"]);
  const most = Math.max(1, ...agents.map((row) => numberOr(row["retries"], 0)));
  const reasons = dicts(card["by_reason"]);
  return (
    <Card title="Retries" card={card} lines={'task.retry("CRM timed out", attempt=1, backoff_seconds=2)'} about="How often work is tried again, by whom and why.">
      <Figure value={count(number(card["retries"]))} told={`retries, ${count(number(card["per_task"]))} for each task`} />
      <Bars label="By agent" rows={agents.slice(0, 8).map((row) => ({ name: text(row["agent_id"]), share: (numberOr(row["retries"], 0) / most) * 100, told: count(number(row["retries"])), tone: "wait", link: href("/agent", { id: text(row["agent_id"]) }) }))} />
      <Listed label="Reasons" rows={reasons.map((row) => [`${text(row["reason"])} (${text(row["agent_id"])})`, numberOr(row["count"], 0)])} />
    </Card>
  );
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
    <Card title="Self-correction" card={card} lines={'task.event("learning", {"summary": "Used the wrong field",\n    "data": {"category": "crm", "correction_applied": True}})'} about="How often agents notice a mistake and put it right by themselves.">
      <Figure value={percent(number(card["rate"]))} told="corrections for each hundred tasks" />
      <Figure value={percent(number(card["share_applied"]))} told={`of ${count(number(card["learnings"]))} learnings were applied`} />
      <Listed label="Categories" rows={dicts(card["by_category"]).map((row) => [text(row["category"]), numberOr(row["count"], 0)])} />
    </Card>
  );
}

function Anomalies({ card }: { card: Dict }) {
  const rows = dicts(card["data"]);
  const latest = dicts(card["latest"]);
  return (
    <Panel title="Anomalies" count={numberOr(card["count"], 0) || undefined}>
      {rows.length === 0 ? (
        <Teach title="No anomaly was reported" code={'task.event("anomaly", {"summary": "The same search three times",\n    "data": {"detector": "cycle"}})'}>
          What agents detect themselves: cycles, contradictions, silent drops. Each detector's name becomes a row.
        </Teach>
      ) : (
        <div class="insight">
          <Listed label="Detectors of agents" rows={rows.map((row) => [`${firstText(row["detector"], "unnamed")} (${text(row["agent_id"])})`, numberOr(row["count"], 0)])} />
          <ul class="listed" aria-label="Latest anomalies">
            {latest.slice(0, 5).map((event) => (
              <li key={text(event["event_id"])}>
                <span>
                  <Icon name="warn" />{" "}
                  {text(event["task_id"]) ? (
                    <a href={href("/task", { id: text(event["task_id"]), run: text(event["task_run_id"]), node: `event:${text(event["event_id"])}` })}>{text(dict(event["payload"])["summary"]) || "Anomaly"}</a>
                  ) : (
                    text(dict(event["payload"])["summary"]) || "Anomaly"
                  )}
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
    <Panel title="Errors with context" count={rows.length || undefined}>
      {rows.length === 0 ? (
        <Teach title="No error came with context" code={'task.event("error_context", {"summary": "CRM said no",\n    "data": {"error_type": "rate_limit", "api_name": "crm", "status_code": 429}})'}>
          Failures grouped by type, API and status: which door is shut, and how often.
        </Teach>
      ) : (
        <div class="insight">
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
        <Nothing>No LLM call in this range.</Nothing>
      ) : (
        <div class="table-box">
          <table class="rows">
            <thead>
              <tr>
                <th>Call</th>
                <th class="c-num">Calls</th>
                <th class="c-num">Tokens in</th>
                <th class="c-num">Tokens out</th>
                <th class="c-num">Median</th>
                <th class="c-num">p95</th>
                <th class="c-num">Cost</th>
              </tr>
            </thead>
            <tbody data-rows>
              {rows.map((row) => (
                <tr key={text(row["name"])} data-row tabIndex={0}>
                  <td>{firstText(row["name"], "unnamed")}</td>
                  <td class="c-num">{count(number(row["call_count"]))}</td>
                  <td class="c-num">{count(number(row["tokens_in"]))}</td>
                  <td class="c-num">{count(number(row["tokens_out"]))}</td>
                  <td class="c-num">{duration(number(row["p50_ms"] ?? row["avg_duration_ms"]))}</td>
                  <td class="c-num">{duration(number(row["p95_ms"]))}</td>
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
        <Nothing>No action in this range.</Nothing>
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
                <th class="c-num">p95</th>
                <th class="c-num">Slowest</th>
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
                    <td class="c-num">{duration(number(row["p95_ms"]))}</td>
                    <td class="c-num">{duration(number(row["slowest_ms"]))}</td>
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

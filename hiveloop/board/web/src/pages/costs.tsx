// What the fleet spends: by model, agent, task type and project, down to the call.
import type { ComponentChildren } from "preact";
import { count, money, percent } from "../data/format";
import { dicts, firstText, moment, number, numberOr, text, type Dict } from "../data/read";
import { useResource } from "../data/resource";
import { change, param } from "../data/router";
import { kindOf } from "../data/words";
import { Chart, Legend, PALETTE } from "../parts/chart";
import { Icon } from "../parts/icon";
import { Failed, Loading, Nothing, Panel } from "../parts/panel";
import { Teach } from "../parts/teach";
import { Calls } from "./costs/calls";
import { Prices } from "./costs/prices";
import { scope } from "./fleet";

const isCall = (event: Parameters<typeof kindOf>[0]) => kindOf(event) === "llm_call";

const DIMENSIONS = [
  ["model", "by_model", "Model", "model"],
  ["agent", "by_agent", "Agent", "agent_id"],
  ["type", "by_task_type", "Task type", "task_type"],
  ["project", "by_project", "Project", "project_id"],
] as const;

function chosen() {
  return { range: param("range") || "24h", ...scope(), model: param("model"), agent_id: param("agent"), task_type: param("type") };
}

export function CostsPage() {
  const cost = useResource<Dict>("/v1/cost", chosen(), { when: isCall, everyMs: 60_000, pauseMs: 1500 });
  if (cost.error && !cost.data) return <Failed what="The costs" error={cost.error} />;
  if (!cost.data) return <Loading />;
  const answer = cost.data;
  const isEmpty = numberOr(answer["call_count"], 0) === 0;
  return (
    <>
      <div class="title-line">
        <h1>Costs</h1>
        <Filters />
      </div>
      <Totals answer={answer} />
      {isEmpty ? <NoCalls /> : <Filled answer={answer} />}
      <Prices />
    </>
  );
}

function Filters() {
  const active = [
    ["model", "model"],
    ["agent", "agent"],
    ["type", "task type"],
    ["project", "project"],
  ].filter(([name]) => param(name ?? ""));
  return (
    <div class="chips" role="group" aria-label="Active filters">
      {active.map(([name = "", label]) => (
        <button key={name} type="button" class="chip" onClick={() => change({ [name]: null })} aria-label={`Remove filter ${label} ${param(name)}`}>
          <span class="muted">{label}</span> {param(name)} <Icon name="close" />
        </button>
      ))}
    </div>
  );
}

function Totals({ answer }: { answer: Dict }) {
  const total = number(answer["total_cost"]);
  const estimated = numberOr(answer["estimated_cost"], 0);
  const unpriced = numberOr(answer["unpriced_calls"], 0);
  return (
    <div class="metrics">
      <Metric label="Total" tone="llm" value={`${estimated > 0 ? "~" : ""}${money(total)}`} />
      <Metric label="Reported" value={money(number(answer["reported_cost"]))} note="told by agents" />
      <Metric label="Estimated" value={estimated > 0 ? `~${money(estimated)}` : money(0)} note="from the price table" />
      <Metric label="LLM calls" value={count(number(answer["call_count"]))} note={unpriced ? `${count(unpriced)} without a price` : ""} />
      <Metric label="Tokens in" value={count(number(answer["total_tokens_in"]))} />
      <Metric label="Tokens out" value={count(number(answer["total_tokens_out"]))} />
    </div>
  );
}

export function Metric({ label, value, note, tone }: { label: string; value: ComponentChildren; note?: string; tone?: string }) {
  return (
    <div class={`metric${tone ? ` tone-${tone}` : ""}`}>
      <span class="muted">{label}</span>
      <b>{value}</b>
      {note && <small>{note}</small>}
    </div>
  );
}

function Filled({ answer }: { answer: Dict }) {
  return (
    <>
      <OverTime answer={answer} />
      <div class="two">
        {DIMENSIONS.map(([name, key, label, id]) => (
          <Dimension key={name} name={name} label={label} rows={dicts(answer[key])} id={id} />
        ))}
      </div>
      <Panel title="LLM calls">
        <Calls path="/v1/cost/calls" parameters={chosen()} empty={<Nothing>No call in this range.</Nothing>} />
      </Panel>
    </>
  );
}

const BY = [
  ["", "Model"],
  ["agent", "Agent"],
  ["task_type", "Task type"],
  ["project", "Project"],
] as const;
const MOST_SERIES = PALETTE.length;

/** Cost of each interval, stacked by model or another dimension. */
function OverTime({ answer }: { answer: Dict }) {
  const by = param("by");
  const asked = { ...chosen(), group_by: by || "model" };
  const series = useResource<Dict>("/v1/cost/timeseries", asked, { when: isCall, everyMs: 60_000, pauseMs: 2000 });
  const { times, names, values } = shaped(dicts(series.data?.["data"]));
  if (series.error) return <Failed what="The costs over time" error={series.error} />;
  if (times.length < 2 || names.length === 0) return null;
  const shownSeries = names.map((name, at) => ({ label: name, colour: PALETTE[at % PALETTE.length] ?? "--idle", values: values[at] ?? [] }));
  const totals = shownSeries.map(({ label, colour, values: all }) => ({ label, colour, note: money(all.reduce<number>((sum, one) => sum + (one ?? 0), 0)) }));
  return (
    <Panel
      title={`Cost over time, ${money(number(answer["total_cost"]))} in ${param("range") || "24h"}`}
      tools={
        <div class="segments" role="group" aria-label="Stack by">
          {BY.map(([name, label]) => (
            <button key={name} type="button" aria-pressed={by === name} onClick={() => change({ by: name })}>
              {label}
            </button>
          ))}
        </div>
      }
    >
      <Chart label="Cost over time" times={times} series={shownSeries} stacked format={money} height={210} />
      <Legend series={totals} />
    </Panel>
  );
}

/** The parts of each bucket as series over all times; the smallest ones become one. */
function shaped(buckets: readonly Dict[]): { times: number[]; names: string[]; values: (number | null)[][] } {
  const times = buckets.map((bucket) => (moment(bucket["timestamp"]) ?? 0) / 1000);
  const parts = buckets.map(partsOf);
  const totals = new Map<string, number>();
  for (const part of parts) for (const [name, cost] of part) totals.set(name, (totals.get(name) ?? 0) + cost);
  const ranked = [...totals].sort((a, b) => b[1] - a[1]).map(([name]) => name);
  const names = ranked.length > MOST_SERIES ? [...ranked.slice(0, MOST_SERIES - 1), "others"] : ranked;
  const kept = new Set(names);
  const values = names.map((name) =>
    parts.map((part) => (name === "others" ? [...part].filter(([one]) => !kept.has(one)).reduce((sum, [, cost]) => sum + cost, 0) : (part.get(name) ?? 0))),
  );
  return { times, names, values };
}

function partsOf(bucket: Dict): Map<string, number> {
  return new Map(dicts(bucket["parts"]).map((part) => [firstText(part["name"], "none"), numberOr(part["cost"], 0)]));
}

function Dimension({ name, label, rows, id }: { name: string; label: string; rows: readonly Dict[]; id: string }) {
  const costOf = (row: Dict) => numberOr(row["cost"], 0);
  const sorted = [...rows].sort((a, b) => costOf(b) - costOf(a));
  const most = Math.max(...sorted.map(costOf), 1e-12);
  const total = sorted.reduce((sum, row) => sum + costOf(row), 0);
  const tasks = sorted.some((row) => number(row["cost_per_task"]) !== null);
  return (
    <Panel title={`By ${label.toLowerCase()}`} count={rows.length}>
      <div class="table-box">
        <table class="rows">
          <thead>
            <tr>
              <th>{label}</th>
              <th class="c-num">Calls</th>
              <th class="c-num">Tokens</th>
              {tasks && <th class="c-num">Per task</th>}
              <th>Share</th>
              <th class="c-num">Cost</th>
            </tr>
          </thead>
          <tbody data-rows>
            {sorted.slice(0, 30).map((row) => {
              const value = text(row[id]);
              const estimated = numberOr(row["estimated_cost"], 0) > 0;
              return (
                <tr key={value} data-row tabIndex={0} onClick={() => value && change({ [name]: param(name) === value ? null : value })} aria-label={`${label} ${value || "none"}, ${money(costOf(row))}`}>
                  <td>{value ? name === "model" ? <span class="model">{value}</span> : value : <span class="muted">none</span>}</td>
                  <td class="c-num">{count(number(row["call_count"]))}</td>
                  <td class="c-num">{count(numberOr(row["tokens_in"], 0) + numberOr(row["tokens_out"], 0))}</td>
                  {tasks && <td class="c-num">{money(number(row["cost_per_task"]))}</td>}
                  <td>
                    <span class="meter tone-llm">
                      <i style={{ width: `${(costOf(row) / most) * 100}%` }} />
                    </span>{" "}
                    <span class="muted">{percent(total > 0 ? (costOf(row) / total) * 100 : 0)}</span>
                  </td>
                  <td class="c-num" title={estimated ? `${money(number(row["estimated_cost"]))} of it estimated` : "reported"}>
                    {estimated && "~"}
                    {money(costOf(row))}
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

function NoCalls() {
  return (
    <Panel title="LLM calls">
      <Teach
        title="No LLM call in this range"
        code={`task.llm_call("reason", model="gpt-4o", tokens_in=1200, tokens_out=350, cost=0.0085)`}
        waiting="Waiting for the first call…"
      >
        One line after each call to a model. Without <code>cost</code> it is estimated from the tokens and the price table below, and
        marked with a tilde. {text(param("range")) ? "A longer range may show more." : ""}
      </Teach>
    </Panel>
  );
}

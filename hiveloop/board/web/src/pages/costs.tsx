// What the fleet spends: by model, agent, task type and project, down to the call.
import type { ComponentChildren } from "preact";
import { useSignal } from "@preact/signals";
import { changesWithin, useConfigChanges } from "../data/changes";
import { clock, count, money, percent, plural, when } from "../data/format";
import { dicts, firstText, moment, number, numberOr, text, type Dict } from "../data/read";
import { useResource } from "../data/resource";
import { change, here, param } from "../data/router";
import { kindOf } from "../data/words";
import { ChangeList } from "../parts/changes";
import { Chart, Legend, PALETTE } from "../parts/chart";
import { Icon } from "../parts/icon";
import { Failed, Loading, Nothing, Panel } from "../parts/panel";
import { More } from "../parts/more";
import { range, rangeWords } from "../parts/ranges";
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
  return { range: range(), ...scope(), model: param("model"), agent_id: param("agent"), task_type: param("type") };
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
      {!isEmpty && (
        <Panel title="LLM calls">
          <Calls path="/v1/cost/calls" parameters={chosen()} empty={<Nothing>No call in this range.</Nothing>} />
        </Panel>
      )}
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
      <Metric label="Total" tone="llm" value={`${estimated > 0 ? "~" : ""}${money(total)}`} note={`the last ${rangeWords()}`} />
      <Metric label="Reported" value={money(number(answer["reported_cost"]))} note="told by agents" />
      <Metric label="Estimated" value={estimated > 0 ? `~${money(estimated)}` : money(0)} note="from the price table" />
      <Metric label="LLM calls" value={count(number(answer["call_count"]))} note={unpriced ? <a href={here({ prices: "open" })}>{`${plural(unpriced, "call")} without a price`}</a> : ""} />
      <Metric label="Tokens in" value={count(number(answer["total_tokens_in"]))} note="read by models" />
      <Metric label="Tokens out" value={count(number(answer["total_tokens_out"]))} note="written by models" />
      <Metric label="Per task" value={money(number(answer["cost_per_task"]))} note={number(answer["tasks"]) ? `${plural(numberOr(answer["tasks"], 0), "task")} ended` : "no task ended"} />
    </div>
  );
}

export function Metric({ label, value, note, tone }: { label: string; value: ComponentChildren; note?: ComponentChildren; tone?: string }) {
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

const INTERVALS: Record<string, string> = { "5m": "5 minutes", "15m": "15 minutes", "1h": "hour", "6h": "6 hours", "1d": "day" };

/** Cost of each interval, stacked by model or another dimension. */
function OverTime({ answer }: { answer: Dict }) {
  const by = param("by");
  const at = useSignal<number | null>(null);
  const asked = { ...chosen(), group_by: by || "model" };
  const series = useResource<Dict>("/v1/cost/timeseries", asked, { when: isCall, everyMs: 60_000, pauseMs: 2000 });
  const known = useConfigChanges(param("agent"));
  if (series.error && !series.data) return <Failed what="The costs over time" error={series.error} />;
  if (!series.data) return <Loading />;
  const { times, names, values } = shaped(dicts(series.data["data"]));
  if (times.length < 2 || names.length === 0) return null;
  const { changes, isCut } = changesWithin(times, known);
  const shown = names.map((name, index) => ({ label: name, colour: PALETTE[index % PALETTE.length] ?? "--idle", values: values[index] ?? [] }));
  const place = at.value !== null && at.value < times.length ? at.value : null;
  const of = (all: readonly (number | null)[]) => (place === null ? sum(all) : (all[place] ?? 0));
  const noted = shown.map(({ label, colour, values: all }) => ({ label, colour, note: money(of(all)) }));
  const tilde = numberOr(answer["estimated_cost"], 0) > 0 ? "~" : "";
  const interval = INTERVALS[text(series.data["interval"])] ?? text(series.data["interval"]);
  return (
    <Panel
      title="Cost over time"
      count={`${tilde}${money(number(answer["total_cost"]))} in the last ${rangeWords()}, a bar for each ${interval}`}
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
      <Chart label={`Cost of each ${interval} in US dollars, by ${by || "model"}`} times={times} series={shown} changes={changes} stacked format={money} height={210} onPoint={(index) => (at.value = index)} />
      <Legend series={noted} />
      <ChangeList changes={changes} isCut={isCut} />
      <p class="reading muted">{place === null ? "Sums of the whole range; point at a bar for its own." : `${span(times, place)}: ${money(sum(shown.map(({ values: all }) => all[place] ?? 0)))}`}</p>
    </Panel>
  );
}

function sum(values: readonly (number | null)[]): number {
  return values.reduce<number>((all, one) => all + (one ?? 0), 0);
}

/** From when to when a bar counts. */
function span(times: readonly number[], place: number): string {
  const start = (times[place] ?? 0) * 1000;
  const length = ((times[1] ?? 0) - (times[0] ?? 0)) * 1000;
  return `${when(start).replace(/:00$/, "")} to ${clock(start + length).replace(/:00$/, "")}`;
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

const FIRST_ROWS = 10;

function Dimension({ name, label, rows, id }: { name: string; label: string; rows: readonly Dict[]; id: string }) {
  const all = useSignal(false);
  const costOf = (row: Dict) => numberOr(row["cost"], 0);
  const sorted = [...rows].sort((a, b) => costOf(b) - costOf(a));
  const most = Math.max(...sorted.map(costOf), 1e-12);
  const total = sorted.reduce((before, row) => before + costOf(row), 0);
  const hidden = all.value ? 0 : Math.max(0, sorted.length - FIRST_ROWS);
  const tasks = sorted.some((row) => number(row["cost_per_task"]) !== null);
  return (
    <Panel title={`By ${label.toLowerCase()}`} count={rows.length}>
      <div class="table-box">
        <table class="rows by">
          <thead>
            <tr>
              <th>{label}</th>
              <th class="c-num">Calls</th>
              <th class="c-num c-extra">Tokens</th>
              {tasks && <th class="c-num c-extra">Per task</th>}
              <th class="c-share">Share</th>
              <th class="c-num">Cost</th>
            </tr>
          </thead>
          <tbody data-rows>
            {(hidden ? sorted.slice(0, FIRST_ROWS) : sorted).map((row) => (
              <Spent key={text(row[id])} name={name} label={label} value={text(row[id])} row={row} most={most} total={total} tasks={tasks} />
            ))}
          </tbody>
        </table>
      </div>
      <More of={{ more: hidden ? () => (all.value = true) : null }}>{`Show ${hidden} more`}</More>
    </Panel>
  );
}

interface SpentProps {
  name: string;
  label: string;
  value: string;
  row: Dict;
  most: number;
  total: number;
  tasks: boolean;
}

/** What one model, agent, task type or project cost; pressed, everything is narrowed to it. */
function Spent({ name, label, value, row, most, total, tasks }: SpentProps) {
  const cost = numberOr(row["cost"], 0);
  const estimated = numberOr(row["estimated_cost"], 0);
  const unpriced = numberOr(row["unpriced_calls"], 0);
  const only = param(name) === value && value !== "";
  const told = `${estimated > 0 ? "~" : ""}${money(cost)}`;
  const press = (event: MouseEvent) => {
    if (value && !(event.target instanceof Element && event.target.closest("a"))) change({ [name]: only ? null : value });
  };
  return (
    <tr data-row tabIndex={0} aria-selected={only} onClick={press} title={value ? (only ? "Show all again" : `Show only ${value}`) : undefined} aria-label={`${label} ${value || "none"}, ${told}`}>
      <td>{value ? name === "model" ? <span class="model">{value}</span> : value : <span class="muted">none</span>}</td>
      <td class="c-num">{count(number(row["call_count"]))}</td>
      <td class="c-num c-extra">{count(numberOr(row["tokens_in"], 0) + numberOr(row["tokens_out"], 0))}</td>
      {tasks && <td class="c-num c-extra">{money(number(row["cost_per_task"]))}</td>}
      <td class="c-share">
        <span class="meter tone-llm">
          <i style={{ width: `${(cost / most) * 100}%` }} />
        </span>{" "}
        <span class="muted">{percent(total > 0 ? (cost / total) * 100 : 0)}</span>
      </td>
      <td class="c-num" title={estimated > 0 ? `${money(estimated)} of it estimated` : cost > 0 ? "reported by the agents" : undefined}>
        {unpriced > 0 && name === "model" ? (
          <a href={here({ prices: "open", price: value })} title={`${plural(unpriced, "call")} without a reported cost, and no price for this model`}>
            {cost > 0 ? `${told} + ?` : "set a price"}
          </a>
        ) : unpriced > 0 && cost === 0 ? (
          <span class="muted" title="Neither reported, nor is there a price for the model">
            ?
          </span>
        ) : (
          told
        )}
      </td>
    </tr>
  );
}

function NoCalls() {
  return (
    <Panel title="LLM calls">
      <Teach
        title="No LLM call in this range"
        within="task"
        code={`task.llm_call("reason", "gpt-4o", tokens_in=1200, tokens_out=350, cost=0.0085)`}
        waiting="Waiting for the first call…"
      >
        One line after each call to a model. Without <code>cost</code> it is estimated from the tokens and the price table below, and
        marked with a tilde. {text(param("range")) ? "A longer range may show more." : ""}
      </Teach>
    </Panel>
  );
}

import type { ComponentChildren } from "preact";
import { changesWithin, useConfigChanges } from "../../data/changes";
import { count, money, percent } from "../../data/format";
import { dict, dicts, moment, number, numberOr, text } from "../../data/read";
import { useResource } from "../../data/resource";
import type { Changes } from "../../data/router";
import { ChangeList } from "../../parts/changes";
import { Chart } from "../../parts/chart";
import { Panel } from "../../parts/panel";
import { range, rangeWords } from "../../parts/ranges";

interface Props {
  /** Of which place; `agent_id` narrows them to one agent, whose changed configurations are marked then. */
  asked: Changes;
  over?: string;
}

/** A range in four small charts; an interval without tasks is a gap, not a success rate of 100 %. */
export function MiniCharts({ asked, over = "1h" }: Props) {
  const agent = text(asked["agent_id"]);
  const metrics = useResource<unknown>("/v1/metrics", { ...asked, range: over }, { when: (e) => e.event_type !== "heartbeat" && (!agent || e.agent_id === agent), everyMs: 30_000, pauseMs: 2000 });
  const known = useConfigChanges(agent);
  const answer = dict(metrics.data);
  const points = dicts(answer["timeseries"]);
  if (points.length < 2) return null;
  const times = points.map((point) => (moment(point["timestamp"]) ?? 0) / 1000);
  const { changes, isCut } = changesWithin(times, known);
  const ended = points.map((p) => numberOr(p["tasks_completed"], 0) + numberOr(p["tasks_failed"], 0));
  const rate = points.map((p, at) => (ended[at] ? (100 * numberOr(p["tasks_completed"], 0)) / (ended[at] ?? 1) : null));
  const errors = points.map((p) => number(p["error_count"]));
  const each = points.map((p, at) => (ended[at] ? numberOr(p["cost"], 0) / (ended[at] ?? 1) : null));
  const step = spaced(text(answer["interval"]));
  const words = rangeWords(over);
  const charts = [
    { label: "Throughput", unit: `/ ${step}`, colour: "--work", values: ended, bars: true, format: count },
    { label: "Success rate", unit: spaced(over), colour: "--ok", values: rate, bars: true, format: percent },
    { label: "Errors", unit: `/ ${step}`, colour: "--fail", values: errors, bars: true, format: count },
    { label: "Cost per task", unit: spaced(over), colour: "--llm", values: each, bars: true, format: money },
  ];
  return (
    <>
      <div class="minis">
        {charts.map(({ label, unit, bars, format, ...series }) => (
          <figure key={label} class="mini" title={`${label === "Throughput" ? "Tasks that ended" : label} over the last ${words}, in steps of ${step}`}>
            <figcaption>
              {label} <span class="muted">{unit}</span>
            </figcaption>
            <Chart label={`${label} over the last ${words}`} times={times} series={[{ label, ...series }]} changes={changes} bars={bars} format={format} height={78} small />
          </figure>
        ))}
      </div>
      <ChangeList changes={changes} isCut={isCut} />
    </>
  );
}

/** A length of time as the API writes it, for people: 5m is 5 min. */
function spaced(length: string): string {
  return length.replace(/^(\d+)m$/, "$1 min").replace(/^(\d+)([hd])$/, "$1 $2");
}

/** The four charts of the range that is looked at, as a panel. */
export function OverTime({ asked, tools }: { asked: Changes; tools?: ComponentChildren }) {
  return (
    <Panel title="Over time" class="over-time" count={`the last ${rangeWords()}`} tools={tools}>
      <MiniCharts asked={asked} over={range()} />
    </Panel>
  );
}

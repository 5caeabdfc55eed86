import { count, money, percent } from "../../data/format";
import { dict, dicts, moment, number, numberOr } from "../../data/read";
import { useResource } from "../../data/resource";
import { param } from "../../data/router";
import { Chart } from "../../parts/chart";
import { scope } from "../fleet";

/** The last hour in four small charts; an interval without tasks is a gap, not a success rate of 100 %. */
export function MiniCharts() {
  const metrics = useResource<unknown>("/v1/metrics", { ...scope(), agent_id: param("agent"), range: "1h" }, { when: (e) => e.event_type !== "heartbeat", everyMs: 30_000, pauseMs: 2000 });
  const points = dicts(dict(metrics.data)["timeseries"]);
  if (points.length < 2) return null;
  const times = points.map((point) => (moment(point["timestamp"]) ?? 0) / 1000);
  const ended = points.map((p) => numberOr(p["tasks_completed"], 0) + numberOr(p["tasks_failed"], 0));
  const rate = points.map((p, at) => (ended[at] ? (100 * numberOr(p["tasks_completed"], 0)) / (ended[at] ?? 1) : null));
  const errors = points.map((p) => number(p["error_count"]));
  const each = points.map((p, at) => (ended[at] ? numberOr(p["cost"], 0) / (ended[at] ?? 1) : null));
  const charts = [
    { label: "Throughput", unit: "/ 5 min", colour: "--work", values: ended, bars: true, format: count },
    { label: "Success rate", unit: "1 h", colour: "--ok", values: rate, bars: true, format: percent },
    { label: "Errors", unit: "/ 5 min", colour: "--fail", values: errors, bars: true, format: count },
    { label: "Cost per task", unit: "1 h", colour: "--llm", values: each, bars: true, format: money },
  ];
  return (
    <div class="minis">
      {charts.map(({ label, unit, bars, format, ...series }) => (
        <figure key={label} class="mini" title={`${label === "Throughput" ? "Tasks that ended" : label} over the last hour, in steps of 5 minutes`}>
          <figcaption>
            {label} <span class="muted">{unit}</span>
          </figcaption>
          <Chart label={`${label} over the last hour`} times={times} series={[{ label, ...series }]} bars={bars} format={format} height={78} small />
        </figure>
      ))}
    </div>
  );
}

import { count } from "../data/format";
import { list, numberOr } from "../data/read";

interface Props {
  values: unknown;
  beats: unknown;
  beating: boolean;
}

/** Twelve bars of five minutes: what an agent did in the last hour, and below each whether its heart beat. */
export function Sparkline({ values, beats, beating }: Props) {
  const bars = list(values).map((value) => numberOr(value, 0));
  const ticks = list(beats).map((value) => numberOr(value, 0));
  const most = Math.max(1, ...bars);
  const total = bars.reduce((sum, value) => sum + value, 0);
  return (
    <svg class={`spark${beating ? " beating" : ""}`} viewBox={`0 0 ${Math.max(1, bars.length) * 8} 26`} preserveAspectRatio="none" role="img" aria-label={`Activity of the last hour: ${count(total)} events, a heartbeat in ${ticks.filter(Boolean).length} of ${bars.length} intervals`}>
      {bars.map((value, at) => {
        const height = value > 0 ? Math.max(2.5, (value / most) * 20) : 1;
        return <rect key={at} class={value > 0 ? "on" : "off"} x={at * 8 + 1} y={21 - height} width="6" height={height} />;
      })}
      {ticks.map((value, at) => (
        <rect key={`beat${at}`} class={value > 0 ? "beat" : "off"} x={at * 8 + 1} y="23.500" width="6" height={value > 0 ? 2 : 0.6} />
      ))}
    </svg>
  );
}

export function Outcomes({ values }: { values: unknown }) {
  const all = list(values).slice(-20);
  if (all.length === 0) return null;
  const good = all.filter(isGood).length;
  return (
    <span class="outcomes" role="img" aria-label={`Last ${all.length} tasks: ${good} succeeded, ${all.length - good} did not`} title={`Last ${all.length} tasks: ${good} succeeded, ${all.length - good} did not`}>
      {all.map((outcome, at) => (
        <i key={at} class={isGood(outcome) ? "good" : "bad"} />
      ))}
    </span>
  );
}

function isGood(outcome: unknown): boolean {
  return outcome === true || outcome === 1 || outcome === "success" || outcome === "completed";
}

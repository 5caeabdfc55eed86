// Time charts by uPlot, in the colours of the theme; a gap in the data is a gap in the line.
import { render } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { stretch, type ConfigChange } from "../data/changes";
import { isDark } from "../data/theme";

export interface Series {
  label: string;
  /** A colour variable of the style sheet, such as --work. */
  colour: string;
  values: readonly (number | null)[];
}

interface Props {
  label: string;
  times: readonly number[];
  series: readonly Series[];
  stacked?: boolean;
  bars?: boolean;
  format: (value: number) => string;
  height?: number;
  /** Without a time axis and with two figures beside it, for small charts. */
  small?: boolean;
  /** Marked where they happened; a list of links belongs below the chart, for the keyboard. */
  changes?: readonly ConfigChange[];
  /** Called with the place in `times` that the pointer is over, null when it leaves. */
  onPoint?: (at: number | null) => void;
}

const HOUR = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
const DAY = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

const A_DAY = 86_400;
const DAYS = [1, 2, 3, 7, 14].map((days) => days * A_DAY);

/** Beyond a day and a half, days are told instead of hours. */
function isLong(times: readonly number[]): boolean {
  return (times.at(-1) ?? 0) - (times[0] ?? 0) > 1.5 * A_DAY;
}

function colour(name: string, alpha = 1): string {
  const value = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return alpha === 1 ? value : `${value}${Math.round(alpha * 255).toString(16).padStart(2, "0")}`;
}

/** Each series on top of those before it; drawn from the last to the first, so that all are seen. */
function piled(series: readonly Series[]): (number | null)[][] {
  const height: number[] = [];
  return series.map(({ values }) =>
    values.map((value, at) => {
      height[at] = (height[at] ?? 0) + (value ?? 0);
      return value ? height[at] : null;
    }),
  );
}

/** Of one direction, and without a change of scale; the marks that lie over the plot are places to point at, too. */
const POINTING: uPlot.Cursor = {
  y: false,
  points: { show: false },
  drag: { x: false, y: false, setScale: false },
  bind: { mousemove: (_u, _over, handle) => handle },
};

function settings(props: Props, width: number): uPlot.Options {
  const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
  const order = props.stacked ? [...props.series].reverse() : props.series;
  const isBars = props.bars || props.stacked;
  const yAxis = { ...axis, size: props.small ? 52 : 58, values: (_u: uPlot, ticks: number[]) => ticks.map((tick) => props.format(tick)) };
  return {
    width,
    height: props.height ?? 160,
    legend: { show: false },
    cursor: props.onPoint ? POINTING : { show: false },
    hooks: props.onPoint ? { setCursor: [(u) => props.onPoint?.(u.cursor.idx ?? null)] } : {},
    padding: props.small ? [8, 6, 6, 0] : [10, 12, 0, 0],
    scales: { x: { time: true, range: (_u, min, max) => widened(props.times, min, max, isBars === true) }, y: { range: (_u, _min, max) => [0, max > 0 ? max * 1.1 : 1] } },
    axes: [
      {
        ...axis,
        show: !props.small,
        size: 28,
        grid: { show: false },
        space: 64,
        ...(isLong(props.times) ? { incrs: DAYS } : {}),
        values: (_u, ticks) => ticks.map((tick) => (isLong(props.times) ? DAY : HOUR).format(tick * 1000)),
      },
      props.small ? { ...yAxis, splits: (_u, _at, _min, max) => [0, max / 1.1] } : yAxis,
    ],
    series: [
      {},
      ...order.map((one): uPlot.Series => ({
        label: one.label,
        stroke: colour(one.colour),
        width: 1.5,
        fill: isBars ? colour(one.colour) : colour(one.colour, 0.12),
        paths: isBars ? uPlot.paths.bars?.({ size: [0.72, 46] }) : undefined,
        points: { show: false },
        spanGaps: false,
      })),
    ],
  };
}

/** Room for half a bar at both ends. */
function widened(times: readonly number[], min: number, max: number, isBars: boolean): uPlot.Range.MinMax {
  const half = isBars && times.length > 1 ? ((times[1] ?? 0) - (times[0] ?? 0)) / 2 : 0;
  return [min - half, max + half];
}

/** A line with a diamond at each change, over its own bar: a bar is drawn around the time at which it begins. */
function Changes({ times, changes = [], ...props }: Props) {
  const [first, length] = stretch(times, props.bars === true || props.stacked === true);
  return (
    <>
      {changes.map(({ id, at, title, link }) => (
        <a key={id} class="change" href={link} title={title} tabIndex={-1} style={{ left: `${((at / 1000 - first) / length) * 100}%` }} />
      ))}
    </>
  );
}

/** What lies over the plot itself, without its axes; within it, so that the pointer stays in the plot. */
function layerOver(plot: uPlot): Element {
  const there = plot.over.querySelector(".changes");
  if (there) return there;
  const made = document.createElement("div");
  made.className = "changes";
  plot.over.append(made);
  return made;
}

function labelOf({ label, changes = [] }: Props): string {
  return changes.length ? `${label}; configuration changed at ${changes.map(({ time }) => time).join(", ")}` : label;
}

function aligned(props: Props): uPlot.AlignedData {
  const values = props.stacked ? piled(props.series).reverse() : props.series.map((one) => (props.bars ? one.values.map((value) => value || null) : [...one.values]));
  return [[...props.times], ...values] as uPlot.AlignedData;
}

export function Chart(props: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const drawn = useRef("");
  const dark = isDark.value;
  const look = JSON.stringify([props.series.map((one) => [one.label, one.colour]), props.height, props.stacked, isLong(props.times), dark]);

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    if (drawn.current !== look) {
      plot.current?.destroy();
      plot.current = new uPlot(settings(props, element.clientWidth || 300), aligned(props), element);
      drawn.current = look;
    } else plot.current?.setData(aligned(props));
    if (plot.current) render(<Changes {...props} />, layerOver(plot.current));
  });
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(() => {
      if (element.clientWidth) plot.current?.setSize({ width: element.clientWidth, height: props.height ?? 160 });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.current?.destroy();
      plot.current = null;
      drawn.current = "";
    };
  }, []);

  return <div class="chart" ref={box} role="img" aria-label={labelOf(props)} />;
}

export const PALETTE = ["--llm", "--work", "--ok", "--wait", "--teal", "--fail", "--idle", "--pink"];

export function Legend({ series }: { series: readonly { label: string; colour: string; note?: string }[] }) {
  return (
    <ul class="legend">
      {series.map(({ label, colour: name, note }) => (
        <li key={label}>
          <i class={`swatch swatch${name}`} />
          {label}
          {note && <span class="muted">{note}</span>}
        </li>
      ))}
    </ul>
  );
}

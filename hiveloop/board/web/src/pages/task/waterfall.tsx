// One clock for everything: bars where something took time, diamonds where something happened.
import { duration, money, plural } from "../../data/format";
import { number, text } from "../../data/read";
import { change, here, param } from "../../data/router";
import { Icon } from "../../parts/icon";
import { Nothing } from "../../parts/panel";
import { VirtualList } from "../../parts/virtual";
import { lookOf, rowsOf, type Gap, type Node, type Row } from "./model";

export const ROW = 30;

export interface Clock {
  from: number;
  to: number;
  origin: number;
}

const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 18e5, 36e5, 72e5, 216e5, 864e5];

function ticks({ from, to, origin }: Clock): number[] {
  const span = Math.max(1, to - from);
  const step = STEPS.find((one) => span / one <= 7) ?? span / 6;
  const first = Math.max(0, Math.ceil((from - origin) / step) * step);
  const found: number[] = [];
  for (let at = first; at <= to - origin && found.length < 12; at += step) found.push(at);
  return found;
}

function share(at: number, { from, to }: Clock): number {
  return Math.min(1, Math.max(0, (at - from) / Math.max(1, to - from)));
}

interface Props {
  nodes: readonly Node[];
  /** Of the whole task, whichever nodes are shown. */
  gaps: readonly Gap[];
  clock: Clock;
  /** Whether nodes that are alike may be one row. */
  folds: boolean;
}

export function Waterfall({ nodes, gaps, clock, folds }: Props) {
  const selected = param("node");
  const opened = param("open").split(" ");
  const marks = ticks(clock);
  const holds = (members: readonly Node[]) => members.some((node) => node.id === selected);
  const rows = rowsOf(folds ? nodes : [], (id, members) => opened.includes(id) || holds(members));
  if (!folds) rows.push(...nodes.map((node) => ({ node, several: [], isOpen: true })));
  const at = rows.findIndex((row) => row.node.id === selected && row.several.length === 0);
  return (
    <div class="waterfall">
      <div class="axis" aria-hidden="true">
        <span class="axis-label">
          {nodes.length} {nodes.length === 1 ? "node" : "nodes"}
        </span>
        <div class="axis-track">
          {marks.map((at) => (
            <span key={at} class="tick" style={{ left: `${share(clock.origin + at, clock) * 100}%` }}>
              {at === 0 ? "0" : duration(at)}
            </span>
          ))}
        </div>
      </div>
      <Gaps gaps={gaps.filter((gap) => gap.end > clock.from && gap.start < clock.to)} clock={clock} />
      {nodes.length === 0 ? (
        <Nothing>No node of this kind.</Nothing>
      ) : (
        <VirtualList
          items={rows}
          rowHeight={ROW}
          label="Waterfall"
          shows={at}
          row={(row) =>
            row.several.length ? (
              <Several key={`several ${row.node.id}`} row={row} clock={clock} marks={marks} />
            ) : (
              <Bar key={row.node.id} node={row.node} clock={clock} marks={marks} selected={selected === row.node.id} />
            )
          }
        />
      )}
    </div>
  );
}

/** Share of the clock; what is narrower could not be seen, and there may be thousands. */
const NARROWEST = 1 / 500;

/** Where nothing ran, under the axis: each with its length, where that fits. */
function Gaps({ gaps, clock }: { gaps: readonly Gap[]; clock: Clock }) {
  if (gaps.length === 0) return null;
  const shown = gaps.filter((gap) => gap.end - gap.start > (clock.to - clock.from) * NARROWEST);
  const lost = gaps.reduce((sum, { start, end }) => sum + end - start, 0);
  return (
    <div class="axis gaps" role="group" aria-label="Gaps">
      <span class="axis-label">
        {plural(gaps.length, "gap")}, {duration(lost)}
      </span>
      <div class="axis-track">
        {shown.map(({ start, end }) => {
          const left = share(start, clock);
          const after = start > clock.origin ? `${duration(start - clock.origin)} after the start` : "at the start";
          const name = `gap of ${duration(end - start)}, ${after}: nothing of the task ran`;
          return (
            <span key={start} class="gap" role="img" aria-label={name} title={name} style={{ left: `${left * 100}%`, width: `${(share(end, clock) - left) * 100}%` }}>
              <span>gap {duration(end - start)}</span>
            </span>
          );
        })}
      </div>
    </div>
  );
}

/** Nodes that are alike in one row, each with its own bar. */
function Several({ row, clock, marks }: { row: Row; clock: Clock; marks: number[] }) {
  const { node, several, isOpen } = row;
  const look = lookOf(node);
  const spent = several.reduce((sum, one) => sum + (one.duration ?? 0), 0);
  const opened = param("open").split(" ").filter(Boolean);
  const toggle = () => change({ open: (isOpen ? opened.filter((id) => id !== node.id) : [...opened, node.id]).join(" "), ...(isOpen ? { node: null } : {}) }, false);
  return (
    <div role="listitem" class={`node several tone-${look.tone}`}>
      <button type="button" data-row aria-expanded={isOpen} aria-label={`${several.length} times ${node.name}, together ${duration(spent)}`} onClick={toggle}>
        <span class="node-label" style={{ paddingLeft: `${10 + node.depth * 14}px` }}>
          <Icon name={isOpen ? "down" : "right"} />
          <span class="node-name" title={node.name}>
            {node.name}
          </span>
          <b class="times">×{several.length}</b>
        </span>
        <span class="track">
          <Rules clock={clock} marks={marks} />
          {!isOpen && several.map((one) => <Piece key={one.id} node={one} clock={clock} />)}
          <Note text={`together ${duration(spent)}`} left={share(node.start, clock)} right={share(several.at(-1)?.end ?? node.end, clock)} />
        </span>
      </button>
    </div>
  );
}

function Rules({ clock, marks }: { clock: Clock; marks: number[] }) {
  return (
    <>
      {marks.map((at) => (
        <i key={at} class="rule" style={{ left: `${share(clock.origin + at, clock) * 100}%` }} />
      ))}
    </>
  );
}

/** What stands for a node on the clock. */
function Piece({ node, clock }: { node: Node; clock: Clock }) {
  if (node.end < clock.from || node.start > clock.to) return null;
  const left = share(node.start, clock);
  if (node.isMark) return <i class="diamond" style={{ left: `${left * 100}%` }} />;
  const width = share(node.end, clock) - left;
  return <i class={`bar${node.open ? " open" : ""}${node.hasChildren ? " holds" : ""}`} style={{ left: `${left * 100}%`, width: `max(3px, ${width * 100}%)` }} />;
}

function told(node: Node): string {
  const state = node.failed ? `failed${node.error ? `: ${node.error}` : ""}` : node.open ? "still running" : node.status;
  return [lookOf(node).word, node.name, node.duration === null ? "" : duration(node.duration), state].filter(Boolean).join(", ");
}

function Bar({ node, clock, marks, selected }: { node: Node; clock: Clock; marks: number[]; selected: boolean }) {
  const look = lookOf(node);
  const outside = node.end < clock.from || node.start > clock.to;
  const choose = (event: MouseEvent) => {
    event.preventDefault();
    change({ node: selected ? null : node.id });
  };
  return (
    <div role="listitem" class={`node tone-${look.tone}${selected ? " selected" : ""}${node.failed ? " failed" : ""}`}>
      <a data-row href={here({ node: node.id })} aria-label={told(node)} aria-current={selected ? "true" : undefined} onClick={choose}>
        <span class="node-label" style={{ paddingLeft: `${10 + node.depth * 14}px` }}>
          <Icon name={look.icon} />
          <span class="node-name" title={node.name}>
            {node.name}
          </span>
          {node.sort === "llm" && <span class="model">{text(node.llm["model"])}</span>}
          {node.failed && <span class="word">failed</span>}
        </span>
        <span class="track">
          <Rules clock={clock} marks={marks} />
          <Piece node={node} clock={clock} />
          {!outside && <Note text={figures(node)} left={share(node.start, clock)} right={share(node.isMark ? node.start : node.end, clock)} />}
        </span>
      </a>
    </div>
  );
}

function figures(node: Node): string {
  const cost = number(node.llm["cost"]);
  return [node.duration === null ? "" : duration(node.duration), cost ? `${text(node.llm["cost_source"]) === "estimated" ? "~" : ""}${money(cost)}` : ""].filter(Boolean).join(" · ");
}

/** The figures of a bar, on the side where there is room. */
function Note({ text: told, left, right }: { text: string; left: number; right: number }) {
  if (!told) return null;
  const isInside = right >= 0.78 && left < 0.22;
  const place = isInside ? { left: `calc(${left * 100}% + 6px)` } : right < 0.78 ? { left: `calc(${right * 100}% + 8px)` } : { right: `calc(${(1 - left) * 100}% + 8px)` };
  return (
    <span class={`note${isInside ? " inside" : ""}`} style={place}>
      {told}
    </span>
  );
}

// One clock for everything: bars where something took time, diamonds where something happened.
import { duration, money } from "../../data/format";
import { number, text } from "../../data/read";
import { change, here, param } from "../../data/router";
import { Icon } from "../../parts/icon";
import { Nothing } from "../../parts/panel";
import { VirtualList } from "../../parts/virtual";
import { lookOf, type Node } from "./model";

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

export function Waterfall({ nodes, clock }: { nodes: readonly Node[]; clock: Clock }) {
  const selected = param("node");
  const marks = ticks(clock);
  return (
    <div class="waterfall">
      <div class="axis" aria-hidden="true">
        <span class="axis-label">{nodes.length} nodes</span>
        <div class="axis-track">
          {marks.map((at) => (
            <span key={at} class="tick" style={{ left: `${share(clock.origin + at, clock) * 100}%` }}>
              {at === 0 ? "0" : duration(at)}
            </span>
          ))}
        </div>
      </div>
      {nodes.length === 0 ? (
        <Nothing>No node of this kind.</Nothing>
      ) : (
        <VirtualList items={nodes} rowHeight={ROW} label="Waterfall" row={(node) => <Bar key={node.id} node={node} clock={clock} marks={marks} selected={selected === node.id} />} />
      )}
    </div>
  );
}

function told(node: Node): string {
  const state = node.failed ? `failed${node.error ? `: ${node.error}` : ""}` : node.open ? "still running" : node.status;
  return [lookOf(node).word, node.name, node.duration === null ? "" : duration(node.duration), state].filter(Boolean).join(", ");
}

function Bar({ node, clock, marks, selected }: { node: Node; clock: Clock; marks: number[]; selected: boolean }) {
  const look = lookOf(node);
  const left = share(node.start, clock);
  const right = share(node.end, clock);
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
          {marks.map((at) => (
            <i key={at} class="rule" style={{ left: `${share(clock.origin + at, clock) * 100}%` }} />
          ))}
          {!outside && node.isMark && <i class="diamond" style={{ left: `${left * 100}%` }} />}
          {!outside && !node.isMark && <i class={`bar${node.open ? " open" : ""}${node.hasChildren ? " holds" : ""}`} style={{ left: `${left * 100}%`, width: `max(3px, ${(right - left) * 100}%)` }} />}
          {!outside && <Note node={node} left={left} right={right} />}
        </span>
      </a>
    </div>
  );
}

/** The figures of a bar, on the side where there is room. */
function Note({ node, left, right }: { node: Node; left: number; right: number }) {
  const cost = number(node.llm["cost"]);
  const parts = [node.duration === null ? "" : duration(node.duration), cost ? money(cost) : ""].filter(Boolean);
  if (parts.length === 0) return null;
  const end = node.isMark ? left : right;
  const style = end < 0.78 ? { left: `calc(${end * 100}% + 8px)` } : { right: `calc(${(1 - left) * 100}% + 8px)` };
  return (
    <span class={`note${end >= 0.78 && left < 0.22 ? " inside" : ""}`} style={end >= 0.78 && left < 0.22 ? { left: `calc(${left * 100}% + 6px)` } : style}>
      {parts.join(" · ")}
    </span>
  );
}

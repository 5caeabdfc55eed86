// What waits, across the fleet: for people, for a fix, for its turn.
import { useSignal } from "@preact/signals";
import { age, count, duration, plural } from "../data/format";
import { dict, dicts, moment, number, numberOr, text, type Dict } from "../data/read";
import { useResource } from "../data/resource";
import { href } from "../data/router";
import { now } from "../data/time";
import type { BoardEvent } from "../data/types";
import { kindOf } from "../data/words";
import { More } from "../parts/more";
import { Failed, Loading, Panel } from "../parts/panel";
import { scope } from "./fleet";
import { Approvals, Issues, Queues, Schedule, Todos } from "./pipeline/lists";

const KINDS = new Set(["queue_snapshot", "todo", "scheduled", "issue"]);

export function concernsPipeline(event: BoardEvent): boolean {
  return event.event_type.startsWith("approval_") || event.event_type.startsWith("task_") || KINDS.has(kindOf(event));
}

function deepestFirst(a: Dict, b: Dict): number {
  return numberOr(b["depth"], 0) - numberOr(a["depth"], 0) || (text(a["agent_id"]) < text(b["agent_id"]) ? -1 : 1);
}

export function PipelinePage() {
  const pipeline = useResource<Dict>("/v1/pipeline", scope(), { when: concernsPipeline, everyMs: 15_000 });
  if (pipeline.error && !pipeline.data) return <Failed what="The pipeline" error={pipeline.error} />;
  if (!pipeline.data) return <Loading />;
  const answer = pipeline.data;
  const totals = dict(answer["totals"]);
  const more = (name: string) => numberOr(dict(answer["more"])[name], 0);
  const approvals = dicts(answer["approvals"]);
  const issues = dicts(answer["issues"]);
  const todos = dicts(answer["todos"]);
  const scheduled = dicts(answer["scheduled"]);
  const queues = dicts(answer["queues"]).sort(deepestFirst);
  return (
    <>
      <h1>Pipeline</h1>
      <div class="metrics">
        <Total label="Approvals waited for" value={numberOr(totals["pending_approvals"], approvals.length)} tone="wait" note={oldest(approvals, "requested_at")} />
        <Total label="Open issues" value={numberOr(totals["active_issues"], issues.length)} tone="fail" note={worst(issues, more("issues"))} />
        <Total label="Active to-dos" value={numberOr(totals["active_todos"], todos.length)} note={late(todos, more("todos"))} />
        <Total label="Waiting in queues" value={numberOr(totals["queue_depth"], 0)} note={queues.length ? `at ${plural(queues.length + more("queues"), "agent")}` : ""} />
        <Total label="Scheduled jobs" value={numberOr(totals["scheduled_count"], scheduled.length)} note={late(scheduled, more("scheduled"))} />
      </div>
      <div class="two">
        <div class="stack">
          <Approvals items={approvals} more={more("approvals")} withAgent />
          <Todos items={todos} more={more("todos")} withAgent />
          <Schedule items={scheduled} more={more("scheduled")} withAgent />
          <ByAgent rows={dicts(answer["agents"])} />
        </div>
        <div class="stack">
          <Issues items={issues} more={more("issues")} closed={dicts(answer["closed_issues"])} withAgent onChange={pipeline.reload} />
          <Queues queues={queues} more={more("queues")} withAgent />
        </div>
      </div>
    </>
  );
}

/** What waits at each agent, the busiest first. */
function ByAgent({ rows }: { rows: readonly Dict[] }) {
  const all = useSignal(false);
  if (rows.length === 0) return null;
  const weight = (row: Dict) => WAITING.reduce((sum, [name]) => sum + numberOr(row[name], 0), 0);
  const sorted = [...rows].sort((a, b) => weight(b) - weight(a));
  const hidden = all.value ? 0 : Math.max(0, sorted.length - FIRST_AGENTS);
  return (
    <Panel title="By agent" count={rows.length}>
      <div class="table-box">
        <table class="rows">
          <thead>
            <tr>
              <th>Agent</th>
              {WAITING.map(([name, label]) => (
                <th key={name} class="c-num">
                  {label}
                </th>
              ))}
              <th class="c-num">Oldest</th>
            </tr>
          </thead>
          <tbody data-rows>
            {(hidden ? sorted.slice(0, FIRST_AGENTS) : sorted).map((row) => (
              <Waits key={text(row["agent_id"])} row={row} />
            ))}
          </tbody>
        </table>
      </div>
      <More of={{ more: hidden ? () => (all.value = true) : null }}>{`Show ${hidden} more`}</More>
    </Panel>
  );
}

const FIRST_AGENTS = 10;
const WAITING = [
  ["pending_approvals", "Approvals"],
  ["active_issues", "Issues"],
  ["active_todos", "To-dos"],
  ["queue_depth", "Queue"],
] as const;

function Waits({ row }: { row: Dict }) {
  const age = number(row["oldest_age_seconds"]);
  return (
    <tr data-row tabIndex={0}>
      <td>
        <a data-open href={href("/agent", { id: text(row["agent_id"]), view: "pipeline" })}>{text(row["agent_id"])}</a>
      </td>
      {WAITING.map(([name]) => (
        <td key={name} class="c-num">
          {numberOr(row[name], 0) ? count(number(row[name])) : <span class="muted">–</span>}
        </td>
      ))}
      <td class="c-num">{age !== null && numberOr(row["queue_depth"], 0) ? duration(age * 1000) : <span class="muted">–</span>}</td>
    </tr>
  );
}

function oldest(items: readonly Dict[], name: string): string {
  const times = items.map((item) => moment(item[name])).filter((at) => at !== null);
  return times.length ? `the oldest for ${age(now.value - Math.min(...times))}` : "";
}

/** The worst are listed first, so only where all that are listed are bad there may be more of them. */
function worst(issues: readonly Dict[], more: number): string {
  const bad = issues.filter((issue) => ["critical", "high"].includes(text(issue["severity"]).toLowerCase())).length;
  return bad ? `${atLeast(bad, bad === issues.length && more > 0)} critical or high` : "";
}

function late(items: readonly Dict[], more: number): string {
  const overdue = items.filter((item) => item["overdue"] === true).length;
  return overdue ? `${atLeast(overdue, more > 0)} overdue` : "";
}

function atLeast(several: number, isOpenEnded: boolean): string {
  return `${isOpenEnded ? "at least " : ""}${count(several)}`;
}

function Total({ label, value, tone, note }: { label: string; value: number; tone?: string; note?: string }) {
  return (
    <div class={`metric${tone && value ? ` tone-${tone}` : ""}`}>
      <span class="muted">{label}</span>
      <b>{count(value)}</b>
      <small class={note?.endsWith("overdue") ? "late" : undefined}>{note || "\u00a0"}</small>
    </div>
  );
}

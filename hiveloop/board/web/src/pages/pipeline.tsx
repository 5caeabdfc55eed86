// What waits, across the fleet: for people, for a fix, for its turn.
import { count } from "../data/format";
import { dict, dicts, numberOr, text, type Dict } from "../data/read";
import { useResource } from "../data/resource";
import type { BoardEvent } from "../data/types";
import { kindOf } from "../data/words";
import { Failed, Loading } from "../parts/panel";
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
  const approvals = dicts(answer["approvals"]);
  const issues = dicts(answer["issues"]);
  const todos = dicts(answer["todos"]);
  const scheduled = dicts(answer["scheduled"]);
  const queues = dicts(answer["queues"]).sort(deepestFirst);
  return (
    <>
      <h1>Pipeline</h1>
      <div class="metrics">
        <Total label="Approvals waited for" value={approvals.length} tone="wait" />
        <Total label="Open issues" value={numberOr(totals["active_issues"], issues.length)} tone="fail" />
        <Total label="Active to-dos" value={numberOr(totals["active_todos"], todos.length)} />
        <Total label="In queues" value={numberOr(totals["queue_depth"], 0)} />
        <Total label="Scheduled jobs" value={numberOr(totals["scheduled_count"], scheduled.length)} />
      </div>
      <div class="two">
        <div class="stack">
          <Approvals items={approvals} withAgent />
          <Todos items={todos} withAgent />
        </div>
        <div class="stack">
          <Issues items={issues} closed={dicts(answer["closed_issues"])} withAgent onChange={pipeline.reload} />
          <Queues queues={queues} withAgent />
        </div>
      </div>
      <Schedule items={scheduled} withAgent />
    </>
  );
}

function Total({ label, value, tone }: { label: string; value: number; tone?: string }) {
  return (
    <div class={`metric${tone && value ? ` tone-${tone}` : ""}`}>
      <span class="muted">{label}</span>
      <b>{count(value)}</b>
    </div>
  );
}

import { count, duration, money, percent } from "../../data/format";
import { dict, number, numberOr } from "../../data/read";
import { useResource } from "../../data/resource";
import { change, param, type Changes } from "../../data/router";
import { Icon } from "../../parts/icon";
import { scope } from "../fleet";

interface Figure {
  label: string;
  value: string;
  tone?: string;
  icon: string;
  filter: Changes;
  title: string;
}

/** Figures of the fleet; each is a filter, and pressing it again takes it away. */
export function Ribbon({ total, counts }: { total: number; counts: Record<string, number> }) {
  const metrics = useResource<unknown>("/v1/metrics", { ...scope(), range: "1h" }, { when: (e) => e.event_type !== "heartbeat", everyMs: 30_000, pauseMs: 1000 });
  const summary = dict(dict(metrics.data)["summary"]);
  const stuck = number(summary["stuck"]);
  const having = (status: string) => counts[status] ?? 0;
  const ended = numberOr(summary["completed"], 0) + numberOr(summary["failed"], 0);
  const stuckAgents = having("stuck");
  const figures: Figure[] = [
    { label: "Agents", value: count(total), icon: "heart", filter: { status: null, tasks: null, show: null, sort: null }, title: "Show everything" },
    { label: "Processing", value: count(having("processing")), icon: "play", tone: "work", filter: { status: "processing" }, title: "Agents at work" },
    { label: "Waiting", value: count(having("waiting_approval")), icon: "hand", tone: "wait", filter: { status: "waiting_approval" }, title: "Agents that wait for an approval" },
    { label: "Stuck", value: count(stuckAgents), icon: "stuck", tone: "fail", filter: { status: "stuck" }, title: stuck ? `${stuck} tasks are stuck` : "Agents without heartbeat or progress" },
    { label: "Success rate", value: percent(number(summary["success_rate"])), icon: "check", tone: "ok", filter: { tasks: "completed" }, title: `Of ${ended} ${ended === 1 ? "task" : "tasks"} that ended in the last hour; shows those that completed` },
    { label: "Avg duration", value: duration(number(summary["avg_duration_ms"])), icon: "clock", filter: { sort: "duration" }, title: "Of the tasks that ended in the last hour; sorts by duration" },
    { label: "Failed", value: count(numberOr(summary["failed"], 0)), icon: "cross", tone: "fail", filter: { tasks: "failed" }, title: "Tasks that failed in the last hour" },
    { label: "Errors", value: count(numberOr(summary["error_count"], 0)), icon: "warn", tone: "fail", filter: { show: "error" }, title: "Events in the last hour that tell of a failure: of tasks, actions, steps and whatever else has severity error" },
    { label: "Cost (1h)", value: money(number(summary["total_cost"])), icon: "money", tone: "llm", filter: { sort: "cost" }, title: "Of LLM calls in the last hour; sorts by cost" },
  ];
  return (
    <div class="ribbon" role="group" aria-label="Stats">
      {figures.map((figure) => (
        <Stat key={figure.label} figure={figure} />
      ))}
    </div>
  );
}

function Stat({ figure }: { figure: Figure }) {
  const { label, value, icon, filter, title } = figure;
  const wanted = Object.entries(filter).filter(([, v]) => v !== null);
  const active = wanted.length > 0 && wanted.every(([name, v]) => param(name) === v);
  const quiet = value === "0" || value === "–" || value === "$0";
  const cleared = Object.fromEntries(Object.keys(filter).map((name) => [name, null]));
  return (
    <button type="button" class={`stat${quiet ? " zero" : ""} tone-${figure.tone ?? "idle"}`} aria-pressed={active} title={title} onClick={() => change(active ? cleared : filter)}>
      <span class="stat-label">
        <Icon name={icon} /> {label}
      </span>
      <span class="stat-value">{value}</span>
    </button>
  );
}

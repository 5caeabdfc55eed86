import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { count, duration, money, when } from "../../data/format";
import { useList } from "../../data/list";
import { moment, numberOr, text } from "../../data/read";
import { useResource } from "../../data/resource";
import { change, href, param } from "../../data/router";
import { asked, misunderstood, type Found } from "../../data/search";
import { TASK_STATES, taskLook } from "../../data/status";
import { now } from "../../data/time";
import type { BoardEvent, Task } from "../../data/types";
import { SeverityBadge, TaskBadge } from "../../parts/badges";
import { Icon } from "../../parts/icon";
import { More } from "../../parts/more";
import { Failed, Loading, Nothing, Panel } from "../../parts/panel";
import { Teach } from "../../parts/teach";
import { scope } from "../fleet";
import { Line } from "./stream";

const SORTS: Record<string, string> = { started: "newest", duration: "duration", cost: "cost" };
const PAGE = 50;

/** The order that the API is asked for, as the table's heading was pressed. */
export function sortAsked(): string {
  const sort = param("sort");
  return SORTS[sort] ?? (sort === "oldest" ? "oldest" : "newest");
}

/** The addresses of a task's own page. */
export function taskHref(task: Task, more: Record<string, string> = {}): string {
  return href("/task", { id: task.task_id, run: text(task.task_run_id), ...more });
}

export function elapsed(task: Task, at: number): number | null {
  if (task.duration_ms !== null && task.duration_ms !== undefined) return task.duration_ms;
  const start = moment(task.started_at);
  const end = moment(task.completed_at);
  if (start === null) return null;
  return (end ?? at) - start;
}

export function TaskTable({ agent }: { agent: string }) {
  const terms = { agent, status: param("tasks"), type: param("type"), env: param("env"), project: param("project") };
  const late = useLate(param("q"));
  const q = asked(late, terms);
  const hint = misunderstood(late);
  return (
    <Panel title="Tasks" class="tasks" tools={<Tools />}>
      {hint && <p class="notice tone-wait">{hint}</p>}
      {q ? <Searched q={q} agent={agent} /> : <Listed agent={agent} />}
    </Panel>
  );
}

const LATE_MS = 150;

/** A text as it was when its writer paused. */
function useLate(value: string): string {
  const late = useSignal(value);
  useEffect(() => {
    const timer = setTimeout(() => (late.value = value), LATE_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return value && late.value;
}

/** Also with states of agents, as the open tasks of one that is stuck are. */
const REFRESH = { when: (event: BoardEvent) => Boolean(event.task_id), onStatus: true, everyMs: 15_000, pauseMs: 600 };

function Listed({ agent }: { agent: string }) {
  const filters = { ...scope(), agent_id: agent, status: param("tasks"), task_type: param("type") };
  const tasks = useList<Task>("/v1/tasks", { ...filters, sort: sortAsked(), limit: PAGE }, REFRESH);
  if (!tasks.data) return tasks.error ? <Failed what="The tasks" error={tasks.error} /> : <Loading />;
  if (tasks.rows.length === 0) return <NoTasks filtered={Object.values(filters).some(Boolean)} />;
  return (
    <>
      <Table rows={tasks.rows} />
      <More of={tasks}>Older tasks</More>
    </>
  );
}

const MOST_FOUND = 100;
const MOST_LINES = 30;

/** What the board found for the search box: tasks, and below them agents, issues and events. */
function Searched({ q, agent }: { q: string; agent: string }) {
  const answer = useResource<Found>("/v1/search", { q, limit: MOST_FOUND }, { ...REFRESH, pauseMs: 2000 });
  if (answer.error && answer.loading === false) return <Failed what="The search" error={answer.error} />;
  if (!answer.data) return <Loading />;
  const { tasks = [], agents = [], issues = [], events = [] } = answer.data;
  const rows = sorted(tasks.filter((task) => !agent || task.agent_id === agent));
  const lines = events.filter((event) => !agent || event.agent_id === agent).slice(0, MOST_LINES);
  if (rows.length + agents.length + issues.length + lines.length === 0) {
    return (
      <Nothing>
        Nothing of this among the newest {count(answer.data.tasks_searched)} tasks and {count(answer.data.events_searched)} events.
      </Nothing>
    );
  }
  return (
    <div class="found">
      {rows.length > 0 && <Table rows={rows} />}
      <Others title="Agents" items={agents}>
        {(one) => (
          <div role="listitem">
            <a data-row class="found-row" href={href("/agent", { id: one.agent_id })}>
              <b>{one.agent_id}</b> <span class="muted">{text(one.agent_type)}</span>
            </a>
          </div>
        )}
      </Others>
      <Others title="Issues" items={issues}>
        {(one) => (
          <div role="listitem">
            <a data-row class="found-row" href={href("/agent", { id: one.agent_id, view: "pipeline" })}>
              <SeverityBadge severity={text(one.severity)} /> {text(one.summary)} <span class="muted">{one.is_open ? one.agent_id : `${one.agent_id}, closed`}</span>
            </a>
          </div>
        )}
      </Others>
      <Others title="Events" items={lines}>
        {(one) => <Line event={one} plain={param("words") === "plain"} />}
      </Others>
    </div>
  );
}

function Others<T>({ title, items, children }: { title: string; items: readonly T[]; children: (item: T) => JSX.Element }) {
  if (items.length === 0) return null;
  return (
    <section aria-label={`${title} found`}>
      <h3 class="found-title">
        {title} <span class="muted">{items.length}</span>
      </h3>
      <div data-rows role="list">
        {items.map(children)}
      </div>
    </section>
  );
}

const ORDERS: Record<string, (a: Task, b: Task) => number> = {
  oldest: (a, b) => (moment(a.started_at) ?? 0) - (moment(b.started_at) ?? 0),
  duration: (a, b) => numberOr(b.duration_ms, 0) - numberOr(a.duration_ms, 0),
  cost: (a, b) => numberOr(b.total_cost, 0) - numberOr(a.total_cost, 0),
};

/** The newest first as the board found them, or as the heading says. */
function sorted(tasks: Task[]): Task[] {
  const order = ORDERS[sortAsked()];
  return order ? [...tasks].sort(order) : tasks;
}

function identity(task: Task): string {
  return `${task.task_id} ${text(task.task_run_id)} ${task.agent_id}`;
}

function Tools() {
  return (
    <>
      <label class="search">
        <Icon name="search" />
        <input type="search" data-search aria-label="Search" title="Words; agent: status: kind: model: type: project: severity: cost> dur>" placeholder="Search, agent:… status:… cost>1" value={param("q")} onInput={(event) => change({ q: event.currentTarget.value }, false)} />
        <kbd>/</kbd>
      </label>
      <select aria-label="Task status" value={param("tasks")} onChange={(event) => change({ tasks: event.currentTarget.value })}>
        <option value="">All states</option>
        {TASK_STATES.map(({ value, word }) => (
          <option key={value} value={value}>
            {word}
          </option>
        ))}
      </select>
    </>
  );
}

function NoTasks({ filtered }: { filtered: boolean }) {
  if (filtered) return <Nothing>No task matches these filters.</Nothing>;
  return (
    <Teach title="No task yet" code={`with agent.task("task-1", project="demo", type="greeting") as task:\n    ...  # what your agent does`} waiting="Waiting for the first task…">
      A task is one piece of work with a beginning and an end. Each becomes a row here, while it runs.
    </Teach>
  );
}

function Heading({ name, sort, children }: { name: string; sort?: string; children: string }) {
  if (!sort) return <th class={`c-${name}`}>{children}</th>;
  const current = param("sort") || "started";
  const active = current === sort || (sort === "started" && current === "oldest");
  const next = sort === "started" ? (current === "started" ? "oldest" : null) : active ? null : sort;
  return (
    <th class={`c-${name}`} aria-sort={active ? (current === "oldest" ? "ascending" : "descending") : undefined}>
      <button type="button" class="sort" onClick={() => change({ sort: next })}>
        {children}
        {active && <Icon name={current === "oldest" ? "up" : "down"} />}
      </button>
    </th>
  );
}

export function Table({ rows, withAgent = true }: { rows: readonly Task[]; withAgent?: boolean }) {
  return (
    <div class="table-box">
      <table class="rows">
        <thead>
          <tr>
            <Heading name="status">Status</Heading>
            <Heading name="task">Task</Heading>
            {withAgent && <Heading name="agent">Agent</Heading>}
            <Heading name="type">Type</Heading>
            <Heading name="started" sort="started">
              Started
            </Heading>
            <Heading name="num" sort="duration">
              Duration
            </Heading>
            <Heading name="num">LLM</Heading>
            <Heading name="num" sort="cost">
              Cost
            </Heading>
          </tr>
        </thead>
        <tbody data-rows>
          {rows.map((task) => (
            <Row key={identity(task)} task={task} withAgent={withAgent} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ task, withAgent }: { task: Task; withAgent: boolean }) {
  const open = (event: MouseEvent) => {
    if (event.target instanceof Element && event.target.closest("a, button")) return;
    (event.currentTarget as HTMLElement).querySelector<HTMLAnchorElement>("a[data-open]")?.click();
  };
  const isOpen = !task.completed_at && taskLook(task.derived_status).tone !== "ok" && taskLook(task.derived_status).word !== "Failed";
  return (
    <tr data-row tabIndex={0} onClick={open} class={`tone-${taskLook(task.derived_status).tone}`}>
      <td class="c-status">
        <TaskBadge status={task.derived_status} />
      </td>
      <td class="c-task">
        <a data-open href={taskHref(task)} title={task.task_id}>
          {task.task_id}
        </a>
        {text(task.project_id) && <span class="muted sub"> {text(task.project_id)}</span>}
      </td>
      {withAgent && (
        <td class="c-agent">
          <a href={href("/agent", { id: task.agent_id })} title={task.agent_id}>
            {task.agent_id}
          </a>
        </td>
      )}
      <td class="c-type">{text(task.task_type) || <span class="muted">–</span>}</td>
      <td class="c-started">{when(task.started_at)}</td>
      <td class="c-num">{duration(isOpen ? elapsed(task, now.value) : elapsed(task, now.peek()))}</td>
      <td class="c-num">{numberOr(task.llm_call_count, 0) ? count(task.llm_call_count) : <span class="muted">–</span>}</td>
      <td class="c-num">
        {numberOr(task["estimated_cost"], 0) > 0 && "~"}
        {numberOr(task.total_cost, 0) ? money(task.total_cost) : <span class="muted">–</span>}
      </td>
    </tr>
  );
}

import { count, duration, money, when } from "../../data/format";
import { useList } from "../../data/list";
import { moment, numberOr, text } from "../../data/read";
import { change, href, param } from "../../data/router";
import { parseSearch, taskMatches } from "../../data/search";
import { TASK_STATES, taskLook } from "../../data/status";
import { now } from "../../data/time";
import type { Task } from "../../data/types";
import { TaskBadge } from "../../parts/badges";
import { Icon } from "../../parts/icon";
import { More } from "../../parts/more";
import { Failed, Loading, Nothing, Panel } from "../../parts/panel";
import { Teach } from "../../parts/teach";
import { scope } from "../fleet";

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
  const q = param("q");
  const search = parseSearch(q);
  const asked = {
    ...scope(),
    agent_id: agent,
    status: param("tasks"),
    task_type: param("type"),
    sort: sortAsked(),
    q: search.words.join(" "),
    limit: PAGE,
  };
  const tasks = useList<Task>("/v1/tasks", asked, { when: (event) => Boolean(event.task_id), everyMs: 15_000, pauseMs: 600 });
  const rows = tasks.rows.filter((task) => taskMatches(task, search));
  return (
    <Panel title="Tasks" class="tasks" tools={<Tools />}>
      {tasks.error && !tasks.data ? <Failed what="The tasks" error={tasks.error} /> : null}
      {!tasks.data && !tasks.error ? <Loading /> : null}
      {tasks.data && rows.length === 0 ? <NoTasks filtered={Boolean(q || agent || asked.status || asked.task_type || asked.project_id)} /> : null}
      {rows.length > 0 && <Table rows={rows} />}
      <More of={tasks}>Older tasks</More>
    </Panel>
  );
}

function identity(task: Task): string {
  return `${task.task_id} ${text(task.task_run_id)} ${task.agent_id}`;
}

function Tools() {
  return (
    <>
      <label class="search">
        <Icon name="search" />
        <input type="search" data-search aria-label="Search tasks" placeholder="Text, agent:… status:… cost>1" value={param("q")} onInput={(event) => change({ q: event.currentTarget.value }, false)} />
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

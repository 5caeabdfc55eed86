// Approvals, issues, to-dos, queues and schedules, as lists that the agent page and the pipeline page share.
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { send } from "../../data/api";
import { age, count, duration, exact, plural, when } from "../../data/format";
import { dict, dicts, firstText, moment, number, numberOr, text, type Dict } from "../../data/read";
import { change, href, param } from "../../data/router";
import { severityLook } from "../../data/status";
import { now } from "../../data/time";
import { Ago, SeverityBadge, Tag } from "../../parts/badges";
import { Confirm } from "../../parts/confirm";
import { Icon } from "../../parts/icon";
import { More } from "../../parts/more";
import { Panel } from "../../parts/panel";
import { Teach } from "../../parts/teach";

interface Listed {
  items: readonly Dict[];
  /** How many there are besides: a list holds the most urgent only, and of some agents there are very many. */
  more?: number;
  /** Show whose it is; not on the agent's own page. */
  withAgent: boolean;
}

function About({ item, withAgent, more }: { item: Dict; withAgent: boolean; more: readonly string[] }) {
  const agent = text(item["agent_id"]);
  const task = text(item["task_id"]);
  const parts: ComponentChildren[] = more.filter(Boolean);
  if (task) parts.unshift(<>task <a href={href("/task", { id: task, run: text(item["task_run_id"]) })}>{task}</a></>);
  if (withAgent && agent) parts.unshift(<a href={href("/agent", { id: agent })}>{agent}</a>);
  return (
    <p>
      {parts.map((part, at) => (
        <span key={at}>
          {at > 0 && " · "}
          {part}
        </span>
      ))}
    </p>
  );
}

const FIRST_ROWS = 25;

/** What a list leaves out. */
function LeftOut({ more = 0, withAgent }: { more: number | undefined; withAgent: boolean }) {
  if (more <= 0) return null;
  return (
    <p class="panel-foot muted">
      {count(more)} more {more === 1 ? "is" : "are"} not listed here: {withAgent ? "the page of an agent lists its own" : "the next come up as these are done"}.
    </p>
  );
}

/** Rows of a list; of a long one the first, until all are asked for. */
function Rows({ label, rows, first = FIRST_ROWS }: { label: string; rows: readonly ComponentChildren[]; first?: number }) {
  const all = useSignal(false);
  const hidden = all.value ? 0 : Math.max(0, rows.length - first);
  return (
    <>
      <div class="items" data-rows role="list" aria-label={label}>
        {hidden ? rows.slice(0, first) : rows}
      </div>
      <More of={{ more: hidden ? () => (all.value = true) : null }}>{`Show ${hidden} more`}</More>
    </>
  );
}

export function Approvals({ items, more = 0, withAgent }: Listed) {
  return (
    <Panel title="Approvals" count={items.length + more || undefined}>
      {items.length === 0 ? (
        <Teach title="Nobody waits for an approval" within="agent" code={`task = agent.start_task("refund-17")\ntask.request_approval("Send the refund of $120?", approver="support-lead")\n# … and once somebody has decided:\n# task.approval_received("Send the refund of $120?", approved_by="ana", decision="approved")`} waiting="Waiting for a request…">
          An agent that asks is shown as Waiting until it is answered; what it asks for is listed here.
        </Teach>
      ) : (
        <>
          <Rows label="Pending approvals" rows={items.map((item, at) => <Approval key={firstText(item["approval_id"], item["event_id"], at)} item={item} withAgent={withAgent} />)} />
          <LeftOut more={more} withAgent={withAgent} />
          <p class="panel-foot muted">Decided where the agent asks; the board shows that it waits, and clears it once the agent reports the decision.</p>
        </>
      )}
    </Panel>
  );
}

const LONG_MS = 3_600_000;

function Approval({ item, withAgent }: { item: Dict; withAgent: boolean }) {
  const since = moment(item["requested_at"]);
  const waited = since === null ? 0 : now.value - since;
  const task = text(item["task_id"]);
  const event = text(item["event_id"]);
  return (
    <div class="item" role="listitem" data-row tabIndex={0}>
      <Icon name="hand" />
      <div class="item-main">
        <a data-open href={task ? href("/task", { id: task, run: text(item["task_run_id"]), node: event && `event:${event}` }) : href("/agent", { id: text(item["agent_id"]) })}>
          {firstText(item["summary"], "Approval requested")}
        </a>
        <About item={item} withAgent={withAgent} more={[`asks ${firstText(item["approver"], "anybody")}`, text(item["reason"])]} />
      </div>
      <Tag tone={waited > LONG_MS ? "fail" : "wait"} icon="clock">
        {since === null ? "waiting" : `waiting ${age(waited)}`}
      </Tag>
    </div>
  );
}

function bySeverity(a: Dict, b: Dict): number {
  return severityLook(text(a["severity"])).rank - severityLook(text(b["severity"])).rank || (moment(b["last_seen"]) ?? 0) - (moment(a["last_seen"]) ?? 0);
}

interface IssueLists extends Listed {
  closed: readonly Dict[];
  onChange: () => void;
}

export function Issues({ items, more = 0, closed, withAgent, onChange }: IssueLists) {
  const open = param("issues") === "closed";
  const rows = (some: readonly Dict[]) => some.map((item) => <IssueRow key={text(item["agent_id"]) + text(item["issue_key"])} item={item} withAgent={withAgent} onChange={onChange} />);
  const tools = (
    <>
      {items.length > 1 && <ResolveAll items={items} more={more} onChange={onChange} />}
      {closed.length > 0 && (
        <button type="button" class="quiet" aria-expanded={open} onClick={() => change({ issues: open ? null : "closed" }, false)}>
          {open ? "Hide" : "Show"} {closed.length} closed
        </button>
      )}
    </>
  );
  return (
    <Panel title="Issues" count={items.length + more || undefined} tools={tools}>
      {items.length === 0 ? (
        <Teach
          title="No open issue"
          within="agent"
          code={`agent.report_issue("CRM rate limit reached", "high", issue_id="crm-429")\n# … and once it is over:\n# agent.resolve_issue("CRM rate limit reached", issue_id="crm-429")`}
          waiting="Waiting for a report…"
        >
          What an agent reports is counted, not repeated: the same issue keeps one row with its first and last sighting.
        </Teach>
      ) : (
        <>
          <Rows label="Open issues" rows={rows([...items].sort(bySeverity))} />
          <LeftOut more={more} withAgent={withAgent} />
        </>
      )}
      {open && closed.length > 0 && (
        <>
          <p class="between muted">Closed last</p>
          <Rows label="Closed issues" rows={rows(closed)} />
        </>
      )}
    </Panel>
  );
}

/** Do something that may fail, and say so where it was asked for. */
function useAction(act: () => Promise<unknown>, onDone: () => void) {
  const error = useSignal("");
  const busy = useSignal(false);
  const run = async () => {
    busy.value = true;
    try {
      await act();
      error.value = "";
      onDone();
    } catch (failure) {
      error.value = failure instanceof Error ? failure.message : String(failure);
    }
    busy.value = false;
  };
  return { error: error.value, busy: busy.value, run: () => void run() };
}

const issuesOf = (agent: unknown) => `/v1/agents/${encodeURIComponent(text(agent))}/issues`;

/** Where in a program an issue comes from, as logging tells it: file and line, function, logger. */
function sourceOf(context: Dict): string {
  const file = firstText(context["file"], context["pathname"], context["filename"]);
  const line = firstText(context["line"], context["lineno"]);
  const logger = text(context["logger"]);
  const called = firstText(context["function"], context["funcName"]);
  return [file && line ? `${file}:${line}` : file, called && `in ${called}`, logger && `logger ${logger}`].filter(Boolean).join(" ");
}

function ResolveAll({ items, more, onChange }: { items: readonly Dict[]; more: number; onChange: () => void }) {
  const asking = useSignal(false);
  const agents = [...new Set(items.map((item) => text(item["agent_id"])))];
  const whose = agents.length === 1 ? agents[0] : plural(agents.length, "agent");
  const action = useAction(
    async () => {
      for (const agent of agents) await send("POST", `${issuesOf(agent)}/resolve-all`);
    },
    () => {
      asking.value = false;
      onChange();
    },
  );
  return (
    <>
      <button type="button" class="quiet" onClick={() => (asking.value = true)}>
        Resolve all
      </button>
      {asking.value && (
        <Confirm title={`Resolve ${more ? `all issues of ${whose}` : plural(items.length, "issue")}?`} yes="Resolve all" no="Keep them open" error={action.error} onYes={action.run} onNo={() => (asking.value = false)}>
          All open issues of {whose} are marked as resolved. An issue that is reported again opens again.
        </Confirm>
      )}
    </>
  );
}

function IssueRow({ item, withAgent, onChange }: { item: Dict; withAgent: boolean; onChange: () => void }) {
  const times = numberOr(item["occurrence_count"], 1);
  const closed = item["state"] === "closed";
  const key = text(item["issue_key"]);
  const place = `${issuesOf(item["agent_id"])}/${encodeURIComponent(key)}`;
  const next = useSignal(closed ? "reopen" : "resolve");
  const action = useAction(() => send("POST", `${place}/${next.value}`), onChange);
  const act = (what: string) => {
    next.value = what;
    action.run();
  };
  return (
    <div class="item issue" role="listitem" data-row tabIndex={0}>
      <span class="lead">
        <SeverityBadge severity={firstText(item["severity"], "medium")} />
      </span>
      <div class="item-main">
        <b>{firstText(item["summary"], item["issue_id"])}</b> {item["reopened"] === true && !closed && <Tag tone="wait">reopened</Tag>}
        {closed && <Tag tone="idle">{text(item["action"]) || "closed"}</Tag>}
        <About item={item} withAgent={withAgent} more={[text(item["category"]), sourceOf(dict(item["context"])), text(item["issue_id"]) === key && key.startsWith("#") ? "" : text(item["issue_id"])]} />
        {action.error && (
          <p class="tone-fail said" role="alert">
            {action.error}
          </p>
        )}
      </div>
      <div class="item-side">
        {times > 1 ? `${count(times)} times · last ` : "seen "}
        <Ago at={item["last_seen"]} />
        {times > 1 && (
          <>
            <br />
            first <Ago at={item["first_seen"]} />
          </>
        )}
      </div>
      <div class="acts">
        <button type="button" onClick={() => act(closed ? "reopen" : "resolve")} disabled={action.busy}>
          {closed ? "Reopen" : "Resolve"}
        </button>
        {!closed && (
          <button type="button" class="quiet square" onClick={() => act("dismiss")} disabled={action.busy} aria-label={`Dismiss ${firstText(item["summary"], item["issue_id"])}`} title="Dismiss: not worth a fix">
            <Icon name="close" />
          </button>
        )}
      </div>
    </div>
  );
}

const PRIORITIES: Record<string, number> = { critical: 0, urgent: 0, high: 1, medium: 2, normal: 2, low: 3 };
const priorityRank = (item: Dict) => PRIORITIES[text(item["priority"]).toLowerCase()] ?? 2;

export function Todos({ items, more = 0, withAgent }: Listed) {
  return (
    <Panel title="To-dos" count={items.length + more || undefined}>
      {items.length === 0 ? (
        <Teach title="Nothing to do" within="agent" code={`agent.todo("todo-1", "created", "Retry the failed CRM update", priority="high")\n# … and once it is done:\n# agent.todo("todo-1", "completed", "Retry the failed CRM update")`} waiting="Waiting for a to-do…">
          Work that an agent put off. Completed and dismissed ones leave this list.
        </Teach>
      ) : (
        <>
          <Rows label="Active to-dos" rows={[...items].sort((a, b) => priorityRank(a) - priorityRank(b)).map((item, at) => <Todo key={text(item["agent_id"]) + firstText(item["todo_id"], at)} item={item} withAgent={withAgent} />)} />
          <LeftOut more={more} withAgent={withAgent} />
        </>
      )}
    </Panel>
  );
}

function Todo({ item, withAgent }: { item: Dict; withAgent: boolean }) {
  return (
    <div class="item" role="listitem" data-row tabIndex={0}>
      <Icon name="box" />
      <div class="item-main">
        <b>{firstText(item["summary"], item["todo_id"])}</b>
        <About item={item} withAgent={withAgent} more={[text(item["source"]), text(item["context"]), text(item["action"]) === "failed" ? "tried and failed" : text(item["action"]) === "deferred" ? "put off" : ""]} />
      </div>
      <Priority item={item} />
      <div class="item-side">
        <Due at={item["due_by"]} />
        noted <Ago at={item["created_at"]} />
      </div>
    </div>
  );
}

function Due({ at }: { at: unknown }) {
  if (!text(at)) return null;
  const due = moment(at);
  const late = due !== null && due < now.value;
  return (
    <>
      <span class={late ? "late" : undefined} title={exact(at)}>
        {due === null ? `due ${text(at)}` : late ? `overdue by ${age(now.value - due)}` : `due in ${age(due - now.value)}`}
      </span>
      <br />
    </>
  );
}

function Priority({ item }: { item: Dict }) {
  if (!text(item["priority"])) return null;
  const rank = priorityRank(item);
  return <Tag tone={rank < 2 ? "fail" : rank === 2 ? "wait" : "idle"}>{text(item["priority"])}</Tag>;
}

const FIRST_ITEMS = 3;

/** One queue: how deep, how old, what is in it. */
function Queue({ queue, agent }: { queue: Dict; agent: string }) {
  const items = dicts(queue["items"]);
  const depth = numberOr(queue["depth"], items.length);
  const oldest = number(queue["oldest_age_seconds"]);
  const busy = dict(queue["processing"]);
  const shown = agent ? items.slice(0, FIRST_ITEMS) : items;
  return (
    <>
      <div class="item" role="listitem" data-row tabIndex={0}>
        <span class="lead">
          <Tag tone={depth > 5 ? "wait" : "idle"} icon="queue">
            Q:{depth}
          </Tag>
        </span>
        <div class="item-main">
          {agent && <a data-open href={href("/agent", { id: agent, view: "pipeline" })}>{agent}</a>}
          <p>
            {depth ? `${count(depth)} waiting` : "empty"}
            {oldest !== null && depth > 0 && ` · oldest ${duration(oldest * 1000)}`}
            {text(busy["summary"] ?? busy["id"]) && ` · at work on ${firstText(busy["summary"], busy["id"])}`}
          </p>
        </div>
        <div class="item-side">
          told <Ago at={queue["snapshot_at"]} />
        </div>
      </div>
      {shown.map((item, at) => (
        <QueueItem key={firstText(item["id"], at)} item={item} place={at + 1} />
      ))}
      {depth > shown.length && shown.length > 0 && (
        <p class="item rest muted">
          and {count(depth - shown.length)} more{agent ? "" : ", which the agent did not list"}
        </p>
      )}
    </>
  );
}

function QueueItem({ item, place }: { item: Dict; place: number }) {
  return (
    <div class="item inner" role="listitem">
      <span class="lead muted">{place}.</span>
      <div class="item-main">
        {firstText(item["summary"], item["id"])}
        <p>{[text(item["id"]), text(item["source"])].filter(Boolean).join(" · ")}</p>
      </div>
      <Priority item={item} />
      {text(item["queued_at"]) && (
        <div class="item-side">
          since <Ago at={item["queued_at"]} suffix="" />
        </div>
      )}
    </div>
  );
}

export function Queues({ queues, more = 0, withAgent }: { queues: readonly Dict[]; more?: number; withAgent: boolean }) {
  return (
    <Panel title={withAgent ? "Queues" : "Queue"} count={queues.length && withAgent ? queues.length + more : undefined}>
      {queues.length === 0 ? (
        <Teach title="No queue is reported" within="agent" code={`agent.queue_snapshot(depth=8, oldest_age_seconds=120,\n    items=[{"id": "lead-9", "summary": "Lead nine", "priority": "high"}])\n# or let each heartbeat ask: hb.agent(…, queue_provider=lambda: {"depth": 8})`} waiting="Waiting for a queue…">
          An agent that tells its queue gets a badge on its card, amber beyond five, and its contents here.
        </Teach>
      ) : (
        <>
          <Rows label="Queues" rows={queues.map((queue) => <Queue key={text(queue["agent_id"])} queue={queue} agent={withAgent ? text(queue["agent_id"]) : ""} />)} />
          <LeftOut more={more} withAgent={withAgent} />
        </>
      )}
    </Panel>
  );
}

export function Schedule({ items, more = 0, withAgent }: Listed) {
  return (
    <Panel title="Schedule" count={items.length + more || undefined}>
      {items.length === 0 ? (
        <Teach title="No job is scheduled" within="agent" code={`agent.scheduled([{"id": "report", "name": "Daily report", "interval": "1d",\n    "next_run": "2030-01-01T08:00:00Z", "last_status": "success"}])`} waiting="Waiting for a schedule…">
          What an agent does by the clock: when each job ran last, whether it succeeded, and which are overdue.
        </Teach>
      ) : (
        <>
          <div class="table-box">
            <table class="rows">
              <thead>
                <tr>
                  <th>Job</th>
                  {withAgent && <th>Agent</th>}
                  <th>Next run</th>
                  <th>Last run</th>
                </tr>
              </thead>
              <tbody data-rows>
                {items.map((item, at) => (
                  <Job key={firstText(item["id"], at) + text(item["agent_id"])} item={item} withAgent={withAgent} />
                ))}
              </tbody>
            </table>
          </div>
          <LeftOut more={more} withAgent={withAgent} />
        </>
      )}
    </Panel>
  );
}

function Job({ item, withAgent }: { item: Dict; withAgent: boolean }) {
  const next = moment(item["next_run"]);
  const isOff = item["enabled"] === false;
  const overdue = !isOff && (item["overdue"] === true || (next !== null && next < now.value));
  const last = text(item["last_status"]);
  const good = item["last_failed"] !== true;
  return (
    <tr data-row tabIndex={0}>
      <td>
        {firstText(item["name"], item["id"], "unnamed")} {isOff && <Tag tone="idle">off</Tag>}
        {text(item["interval"]) && <div class="sub muted">{text(item["interval"]).replace(/^(every )?/, "every ")}</div>}
      </td>
      {withAgent && (
        <td>
          <a data-open href={href("/agent", { id: text(item["agent_id"]), view: "pipeline" })}>{text(item["agent_id"])}</a>
        </td>
      )}
      <td>
        {next === null ? text(item["next_run"]) || "–" : when(next)} {overdue && (
          <Tag tone="fail" icon="clock">
            overdue{next === null ? "" : ` ${age(now.value - next)}`}
          </Tag>
        )}
      </td>
      <td>
        {moment(item["last_run"]) === null ? text(item["last_run"]) || "never" : when(item["last_run"])} {last && <Tag tone={good ? "ok" : "fail"} icon={good ? "check" : "cross"}>{last}</Tag>}
      </td>
    </tr>
  );
}

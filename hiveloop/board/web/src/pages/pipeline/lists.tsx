// Approvals, issues, to-dos, queues and schedules, as lists that the agent page and the pipeline page share.
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { send } from "../../data/api";
import { age, count, duration, when } from "../../data/format";
import { dict, dicts, firstText, moment, number, numberOr, text, type Dict } from "../../data/read";
import { change, href, param } from "../../data/router";
import { severityLook } from "../../data/status";
import { now } from "../../data/time";
import { Ago, SeverityBadge, Tag } from "../../parts/badges";
import { Icon } from "../../parts/icon";
import { Panel } from "../../parts/panel";
import { Teach } from "../../parts/teach";

interface Listed {
  items: readonly Dict[];
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

function Rows({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <div class="items" data-rows role="list" aria-label={label}>
      {children}
    </div>
  );
}

export function Approvals({ items, withAgent }: Listed) {
  return (
    <Panel title="Approvals" count={items.length || undefined}>
      {items.length === 0 ? (
        <Teach title="Nobody waits for an approval" code={`task.request_approval("Send the refund of $120?", approver="support-lead")\n# … and once somebody has decided:\ntask.approval_received("Refund", approved_by="ana", decision="approved")`}>
          An agent that asks is shown as Waiting until it is answered; what it asks for is listed here.
        </Teach>
      ) : (
        <Rows label="Pending approvals">
          {items.map((item, at) => {
            const since = moment(item["requested_at"]);
            return (
              <div class="item" role="listitem" data-row tabIndex={0} key={firstText(item["approval_id"], item["event_id"], at)}>
                <Icon name="hand" />
                <div class="item-main">
                  <a data-open href={text(item["task_id"]) ? href("/task", { id: text(item["task_id"]), run: text(item["task_run_id"]), node: text(item["event_id"]) ? `event:${text(item["event_id"])}` : "" }) : href("/agent", { id: text(item["agent_id"]) })}>
                    {firstText(item["summary"], "Approval requested")}
                  </a>
                  <About item={item} withAgent={withAgent} more={[`asks ${firstText(item["approver"], "anybody")}`, text(item["reason"])]} />
                </div>
                <Tag tone="wait" icon="clock">
                  {since === null ? "waiting" : `waiting ${age(now.value - since)}`}
                </Tag>
              </div>
            );
          })}
        </Rows>
      )}
    </Panel>
  );
}

function bySeverity(a: Dict, b: Dict): number {
  return severityLook(text(a["severity"])).rank - severityLook(text(b["severity"])).rank || (moment(b["last_seen"]) ?? 0) - (moment(a["last_seen"]) ?? 0);
}

interface IssueLists extends Listed {
  closed: readonly Dict[];
  onChange: () => void;
}

export function Issues({ items, closed, withAgent, onChange }: IssueLists) {
  const open = param("issues") === "closed";
  const toggle = closed.length > 0 && (
    <button type="button" class="quiet" aria-expanded={open} onClick={() => change({ issues: open ? null : "closed" }, false)}>
      {open ? "Hide" : "Show"} {closed.length} closed
    </button>
  );
  return (
    <Panel title="Issues" count={items.length || undefined} tools={toggle}>
      {items.length === 0 ? (
        <Teach title="No open issue" code={`agent.report_issue("CRM rate limit reached", severity="high", issue_id="crm-429", category="rate_limit")\nagent.resolve_issue("CRM rate limit reached", issue_id="crm-429")`}>
          What an agent reports is counted, not repeated: the same issue keeps one row with its first and last sighting.
        </Teach>
      ) : (
        <Rows label="Open issues">
          {[...items].sort(bySeverity).map((item) => (
            <IssueRow key={text(item["agent_id"]) + text(item["issue_key"])} item={item} withAgent={withAgent} onChange={onChange} />
          ))}
        </Rows>
      )}
      {open && closed.length > 0 && (
        <Rows label="Closed issues">
          {closed.map((item) => (
            <IssueRow key={text(item["agent_id"]) + text(item["issue_key"])} item={item} withAgent={withAgent} onChange={onChange} />
          ))}
        </Rows>
      )}
    </Panel>
  );
}

function IssueRow({ item, withAgent, onChange }: { item: Dict; withAgent: boolean; onChange: () => void }) {
  const error = useSignal("");
  const busy = useSignal(false);
  const times = numberOr(item["occurrence_count"], 1);
  const closed = item["state"] === "closed";
  const key = text(item["issue_key"]);
  const act = async () => {
    busy.value = true;
    try {
      const place = `/v1/agents/${encodeURIComponent(text(item["agent_id"]))}/issues/${encodeURIComponent(key)}`;
      await send("POST", `${place}/${closed ? "reopen" : "resolve"}`);
      error.value = "";
      onChange();
    } catch (failure) {
      error.value = failure instanceof Error ? failure.message : String(failure);
    }
    busy.value = false;
  };
  const context = dict(item["context"]);
  const file = text(context["file"] ?? context["pathname"]);
  const place = file && [file, text(context["line"] ?? context["lineno"])].filter(Boolean).join(":");
  return (
    <div class="item" role="listitem" data-row tabIndex={0}>
      <SeverityBadge severity={firstText(item["severity"], "medium")} />
      <div class="item-main">
        <b>{firstText(item["summary"], item["issue_id"])}</b>
        <About item={item} withAgent={withAgent} more={[text(item["category"]), place, text(item["issue_id"]) === key && key.startsWith("#") ? "" : text(item["issue_id"])]} />
        {error.value && (
          <p class="tone-fail" role="alert">
            {error.value}
          </p>
        )}
      </div>
      <div class="item-side">
        {times > 1 ? `${count(times)} times · ` : ""}last <Ago at={item["last_seen"]} />
        <br />
        first <Ago at={item["first_seen"]} />
      </div>
      {item["reopened"] === true && !closed && <Tag tone="wait">reopened</Tag>}
      <button type="button" onClick={() => void act()} disabled={busy.value}>
        {closed ? "Reopen" : "Resolve"}
      </button>
    </div>
  );
}

const PRIORITIES: Record<string, number> = { critical: 0, urgent: 0, high: 1, medium: 2, normal: 2, low: 3 };

export function Todos({ items, withAgent }: Listed) {
  const rank = (item: Dict) => PRIORITIES[text(item["priority"]).toLowerCase()] ?? 2;
  return (
    <Panel title="To-dos" count={items.length || undefined}>
      {items.length === 0 ? (
        <Teach title="Nothing to do" code={`agent.todo("todo-1", "created", "Retry the failed CRM update", priority="high", source="task-1")\nagent.todo("todo-1", "completed", "CRM updated")`}>
          Work that an agent put off. Completed and dismissed ones leave this list.
        </Teach>
      ) : (
        <Rows label="Active to-dos">
          {[...items].sort((a, b) => rank(a) - rank(b)).map((item, at) => (
            <div class="item" role="listitem" data-row tabIndex={0} key={firstText(item["todo_id"], at)}>
              <Icon name="todo" />
              <div class="item-main">
                <b>{firstText(item["summary"], item["todo_id"])}</b>
                <About item={item} withAgent={withAgent} more={[text(item["source"]), text(item["context"]), text(item["action"]) === "failed" ? "failed" : ""]} />
              </div>
              {text(item["priority"]) && <Tag tone={rank(item) < 2 ? "fail" : rank(item) === 2 ? "wait" : "idle"}>{text(item["priority"])}</Tag>}
              <div class="item-side">
                <Ago at={item["created_at"]} />
                {text(item["due_by"]) && (
                  <>
                    <br />
                    <span class={item["overdue"] === true ? "late" : undefined}>due {moment(item["due_by"]) === null ? text(item["due_by"]) : when(item["due_by"])}</span>
                  </>
                )}
              </div>
            </div>
          ))}
        </Rows>
      )}
    </Panel>
  );
}

/** One queue: how deep, how old, what is in it. */
export function Queue({ queue, agent }: { queue: Dict; agent: string }) {
  const items = dicts(queue["items"]);
  const depth = numberOr(queue["depth"], items.length);
  const oldest = number(queue["oldest_age_seconds"]);
  const busy = dict(queue["processing"]);
  return (
    <>
      <div class="item" role="listitem" data-row tabIndex={0}>
        <Tag tone={depth > 5 ? "wait" : "idle"} icon="queue">
          Q:{depth}
        </Tag>
        <div class="item-main">
          {agent && <a data-open href={href("/agent", { id: agent, view: "pipeline" })}>{agent}</a>}
          <p>
            {depth} waiting
            {oldest !== null && depth > 0 && ` · oldest ${duration(oldest * 1000)}`}
            {text(busy["summary"] ?? busy["id"]) && ` · at work on ${firstText(busy["summary"], busy["id"])}`}
          </p>
        </div>
        <div class="item-side">
          <Ago at={queue["snapshot_at"]} />
        </div>
      </div>
      {items.slice(0, agent ? 3 : 50).map((item, at) => (
        <div class="item" role="listitem" key={firstText(item["id"], at)}>
          <span class="muted">{at + 1}.</span>
          <div class="item-main">
            {firstText(item["summary"], item["id"])}
            <p>{[text(item["id"]), text(item["source"])].filter(Boolean).join(" · ")}</p>
          </div>
          {text(item["priority"]) && <Tag tone={(PRIORITIES[text(item["priority"]).toLowerCase()] ?? 2) < 2 ? "fail" : "idle"}>{text(item["priority"])}</Tag>}
          <div class="item-side">{text(item["queued_at"]) && <Ago at={item["queued_at"]} />}</div>
        </div>
      ))}
    </>
  );
}

export function Queues({ queues, withAgent }: { queues: readonly Dict[]; withAgent: boolean }) {
  return (
    <Panel title={withAgent ? "Queues" : "Queue"} count={queues.length && withAgent ? queues.length : undefined}>
      {queues.length === 0 ? (
        <Teach title="No queue is reported" code={`agent = hb.agent("my-agent", queue_provider=lambda: {"depth": len(queue), "oldest_age_seconds": 12})\n# or, whenever you like:\nagent.queue_snapshot(depth=8, oldest_age_seconds=120)`}>
          An agent that tells its queue gets a badge on its card, amber beyond five, and its contents here.
        </Teach>
      ) : (
        <Rows label="Queues">
          {queues.map((queue) => (
            <Queue key={text(queue["agent_id"])} queue={queue} agent={withAgent ? text(queue["agent_id"]) : ""} />
          ))}
        </Rows>
      )}
    </Panel>
  );
}

export function Schedule({ items, withAgent }: Listed) {
  return (
    <Panel title="Schedule" count={items.length || undefined}>
      {items.length === 0 ? (
        <Teach title="No job is scheduled" code={`agent.scheduled([{"id": "report", "name": "Daily report", "interval": "1d",\n    "next_run": "2030-01-01T08:00:00Z", "enabled": True, "last_status": "success"}])`}>
          What an agent does by the clock: when each job ran last, whether it succeeded, and which are overdue.
        </Teach>
      ) : (
        <div class="table-box">
          <table class="rows">
            <thead>
              <tr>
                <th>Job</th>
                {withAgent && <th>Agent</th>}
                <th>Next run</th>
                <th>Last run</th>
                <th>Last status</th>
                <th>Every</th>
              </tr>
            </thead>
            <tbody data-rows>
              {items.map((item, at) => (
                <Job key={firstText(item["id"], at) + text(item["agent_id"])} item={item} withAgent={withAgent} />
              ))}
            </tbody>
          </table>
        </div>
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
        {firstText(item["name"], item["id"])} {isOff && <Tag tone="idle">off</Tag>}
      </td>
      {withAgent && (
        <td>
          <a data-open href={href("/agent", { id: text(item["agent_id"]), view: "pipeline" })}>{text(item["agent_id"])}</a>
        </td>
      )}
      <td>
        {next === null ? text(item["next_run"]) || "–" : when(next)} {overdue && <Tag tone="fail" icon="clock">overdue</Tag>}
      </td>
      <td>{moment(item["last_run"]) === null ? "–" : when(item["last_run"])}</td>
      <td>{last ? <Tag tone={good ? "ok" : "fail"} icon={good ? "check" : "cross"}>{last}</Tag> : "–"}</td>
      <td>{text(item["interval"]) || "–"}</td>
    </tr>
  );
}

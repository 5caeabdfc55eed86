// LLM calls one by one, the last step of every drill-down.
import type { ComponentChildren } from "preact";
import { count, duration, exact, money, when } from "../../data/format";
import { useList } from "../../data/list";
import { dict, firstText, number, text, type Dict } from "../../data/read";
import { change, href, param, type Changes } from "../../data/router";
import { kindOf } from "../../data/words";
import { Content, Facts } from "../../parts/content";
import { Icon } from "../../parts/icon";
import { More } from "../../parts/more";
import { Failed, Loading } from "../../parts/panel";

interface Props {
  path: string;
  parameters: Changes;
  empty: ComponentChildren;
  /** Show whose call it was; not on the agent's own page. */
  withAgent?: boolean;
  /** What stands above the calls, made of the API's answer. */
  head?: (answer: Dict) => ComponentChildren;
}

export function Calls({ path, parameters, empty, head, withAgent = true }: Props) {
  const calls = useList<Dict>(path, { ...parameters, limit: 50 }, { when: (event) => kindOf(event) === "llm_call", pauseMs: 1500 });
  if (calls.error && !calls.data) return <Failed what="The calls" error={calls.error} />;
  if (!calls.data) return <Loading />;
  if (calls.rows.length === 0) return <>{empty}</>;
  return (
    <>
      {head?.(dict(calls.data))}
      <div class="table-box">
        <table class="rows calls">
          <thead>
            <tr>
              <th>When</th>
              <th>Call</th>
              <th>Model</th>
              {withAgent && <th class="c-extra">Agent</th>}
              <th class="c-extra">Task</th>
              <th class="c-num c-extra">Tokens in</th>
              <th class="c-num c-extra">Tokens out</th>
              <th class="c-num c-extra">Took</th>
              <th class="c-num">Cost</th>
              <th aria-label="Details" />
            </tr>
          </thead>
          <tbody data-rows>
            {calls.rows.map((call, at) => (
              <Call key={firstText(call["event_id"], at)} call={call} withAgent={withAgent} />
            ))}
          </tbody>
        </table>
      </div>
      <More of={calls}>Older calls</More>
    </>
  );
}

/** What a call cost as it is shown: estimates carry a tilde, and what nobody can tell a question mark. */
export function Price({ call }: { call: Dict }) {
  const cost = number(call["cost"]);
  if (cost === null) {
    return (
      <span class="muted" title="Neither reported, nor is there a price for this model">
        ?
      </span>
    );
  }
  const estimated = text(call["cost_source"]) === "estimated";
  return <span title={estimated ? `estimated with the price of ${text(call["cost_model_matched"])}` : "reported by the agent"}>{`${estimated ? "~" : ""}${money(cost)}`}</span>;
}

function Call({ call, withAgent }: { call: Dict; withAgent: boolean }) {
  const id = text(call["event_id"]);
  const task = text(call["task_id"]);
  const shown = param("call") === id;
  const toggle = () => change({ call: shown ? null : id }, false);
  const open = (event: MouseEvent) => {
    if (event.target instanceof Element && event.target.closest("a, button")) return;
    const link = (event.currentTarget as HTMLElement).querySelector<HTMLAnchorElement>("a[data-open]");
    if (link) link.click();
    else toggle();
  };
  const name = firstText(call["name"], "call");
  return (
    <>
      <tr data-row tabIndex={0} onClick={open}>
        <td title={exact(call["timestamp"])}>{when(call["timestamp"])}</td>
        <td>
          {task ? (
            <a data-open href={href("/task", { id: task, run: text(call["task_run_id"]), node: `event:${id}` })}>
              {name}
            </a>
          ) : (
            name
          )}
        </td>
        <td>
          <span class="model">{text(call["model"]) || "unknown"}</span>
        </td>
        {withAgent && (
          <td class="c-extra">
            <a href={href("/agent", { id: text(call["agent_id"]) })}>{text(call["agent_id"])}</a>
          </td>
        )}
        <td class="c-extra">{task || <span class="muted">–</span>}</td>
        <td class="c-num c-extra">{count(number(call["tokens_in"]))}</td>
        <td class="c-num c-extra">{count(number(call["tokens_out"]))}</td>
        <td class="c-num c-extra">{duration(number(call["duration_ms"]))}</td>
        <td class="c-num">
          <Price call={call} />
        </td>
        <td class="c-tool">
          <button type="button" class="quiet square" aria-expanded={shown} aria-label={`Details of ${name}`} title="What was asked and answered" onClick={toggle}>
            <Icon name={shown ? "down" : "right"} />
          </button>
        </td>
      </tr>
      {shown && (
        <tr class="told">
          <td colSpan={withAgent ? 10 : 9} class="wrap">
            <Told call={call} />
          </td>
        </tr>
      )}
    </>
  );
}

/** Everything known of one call, for those that belong to no task, and for a quick look. */
function Told({ call }: { call: Dict }) {
  const estimated = text(call["cost_source"]) === "estimated";
  return (
    <div class="call-told">
      <Facts
        rows={[
          ["Agent", text(call["agent_id"])],
          ["Task", text(call["task_id"])],
          ["Tokens in", count(number(call["tokens_in"]))],
          ["Tokens out", count(number(call["tokens_out"]))],
          ["Took", duration(number(call["duration_ms"]))],
          ["Cost", estimated ? `estimated with the price of ${text(call["cost_model_matched"])}` : number(call["cost"]) === null ? "not told, and no price for this model" : "reported by the agent"],
        ]}
      />
      <Content title="Prompt" value={call["prompt_preview"]} />
      <Content title="Answer" value={call["response_preview"]} />
      <Content title="Metadata" value={call["metadata"]} />
    </div>
  );
}

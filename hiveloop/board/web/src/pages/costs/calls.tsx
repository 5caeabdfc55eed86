// LLM calls one by one, the last step of every drill-down.
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { get, query } from "../../data/api";
import { count, duration, money, when } from "../../data/format";
import { firstText, number, text, type Dict } from "../../data/read";
import { useResource } from "../../data/resource";
import { href, type Changes } from "../../data/router";
import type { Page } from "../../data/types";
import { kindOf } from "../../data/words";
import { Failed, Loading } from "../../parts/panel";

interface Props {
  path: string;
  parameters: Changes;
  empty: ComponentChildren;
}

export function Calls({ path, parameters, empty }: Props) {
  const asked = { ...parameters, limit: 50 };
  const first = useResource<Page<Dict>>(path, asked, { when: (event) => kindOf(event) === "llm_call", pauseMs: 1500 });
  const older = useSignal<{ rows: Dict[]; cursor: string | null } | null>(null);
  const key = query(parameters);
  useEffect(() => void (older.value = null), [key]);
  if (first.error && !first.data) return <Failed what="The calls" error={first.error} />;
  if (!first.data) return <Loading />;
  const rows = [...first.data.data, ...(older.value?.rows ?? [])];
  if (rows.length === 0) return <>{empty}</>;
  const cursor = older.value ? older.value.cursor : first.data.pagination?.has_more ? (first.data.pagination.cursor ?? null) : null;
  const more = async () => {
    const page = await get<Page<Dict>>(path, { ...asked, cursor });
    older.value = { rows: [...(older.value?.rows ?? []), ...page.data], cursor: page.pagination?.has_more ? (page.pagination.cursor ?? null) : null };
  };
  return (
    <>
      <div class="table-box">
        <table class="rows">
          <thead>
            <tr>
              <th>When</th>
              <th>Call</th>
              <th>Model</th>
              <th>Agent</th>
              <th>Task</th>
              <th class="c-num">In</th>
              <th class="c-num">Out</th>
              <th class="c-num">Took</th>
              <th class="c-num">Cost</th>
            </tr>
          </thead>
          <tbody data-rows>
            {rows.map((call, at) => (
              <Call key={firstText(call["event_id"], at)} call={call} />
            ))}
          </tbody>
        </table>
      </div>
      {cursor !== null && (
        <button type="button" class="more" onClick={() => void more()}>
          Older calls
        </button>
      )}
    </>
  );
}

function Call({ call }: { call: Dict }) {
  const task = text(call["task_id"]);
  const address = task ? href("/task", { id: task, run: text(call["task_run_id"]), node: `event:${text(call["event_id"])}` }) : href("/agent", { id: text(call["agent_id"]) });
  const open = (event: MouseEvent) => {
    if (event.target instanceof Element && event.target.closest("a")) return;
    (event.currentTarget as HTMLElement).querySelector<HTMLAnchorElement>("a[data-open]")?.click();
  };
  const cost = number(call["cost"]);
  return (
    <tr data-row tabIndex={0} onClick={open}>
      <td>{when(call["timestamp"])}</td>
      <td>
        <a data-open href={address}>
          {firstText(call["name"], "call")}
        </a>
      </td>
      <td>
        <span class="model">{text(call["model"]) || "unknown"}</span>
      </td>
      <td>{text(call["agent_id"])}</td>
      <td>{task || <span class="muted">–</span>}</td>
      <td class="c-num">{count(number(call["tokens_in"]))}</td>
      <td class="c-num">{count(number(call["tokens_out"]))}</td>
      <td class="c-num">{duration(number(call["duration_ms"]))}</td>
      <td class="c-num">{cost === null ? <span class="muted" title="Neither reported, nor is there a price for this model">?</span> : <span title={text(call["cost_source"])}>{`${text(call["cost_source"]) === "estimated" ? "~" : ""}${money(cost)}`}</span>}</td>
    </tr>
  );
}

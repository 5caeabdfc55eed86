// The price table that estimates are made from: data, dated, and editable.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { send } from "../../data/api";
import { when } from "../../data/format";
import { dict, dicts, firstText, moment, number, text, type Dict } from "../../data/read";
import { readAgain, useResource } from "../../data/resource";
import { change, param } from "../../data/router";
import { Tag } from "../../parts/badges";
import { Confirm } from "../../parts/confirm";
import { Icon } from "../../parts/icon";
import { Failed, Loading, Panel } from "../../parts/panel";

const PATH = "/v1/admin/pricing";

/** A new price reaches the calls of before step by step, the more of them the later. */
const REPRICED_MS = [0, 700, 3000, 10_000];

/** What the form shows, as it is typed. */
interface Draft {
  model: string;
  input: string;
  output: string;
  since: string;
}

const BLANK: Draft = { model: "", input: "", output: "", since: "" };

export function Prices() {
  const open = param("prices") === "open";
  return (
    <Panel
      title="Price table"
      tools={
        <button type="button" class="quiet" aria-expanded={open} onClick={() => change({ prices: open ? null : "open", price: null }, false)}>
          {open ? "Hide" : "Show and edit"}
        </button>
      }
    >
      {open ? <PriceRows /> : <p class="panel-foot muted">Calls without a reported cost are estimated from these prices per million tokens.</p>}
    </Panel>
  );
}

function PriceRows() {
  const prices = useResource<unknown>(PATH);
  const draft = useSignal<Draft>({ ...BLANK, model: param("price") });
  const asked = param("price");
  useEffect(() => {
    if (asked) draft.value = { ...BLANK, model: asked };
  }, [asked]);
  if (prices.error && !prices.data) return <Failed what="The prices" error={prices.error} />;
  if (!prices.data) return <Loading />;
  const answer = dict(prices.data);
  const rows = dicts(answer["data"]);
  const dated = text(answer["as_of"]);
  const edit = (row: Dict) => (draft.value = { model: text(row["model"]), input: text(row["input_usd"]), output: text(row["output_usd"]), since: day(row["valid_from"]) });
  return (
    <>
      <p class="panel-foot muted">
        US dollars per million tokens. {dated && `List prices as of ${dated}. `}A model is matched by its name, else by the longest
        beginning of it.
      </p>
      <PriceForm draft={draft.value} onDraft={(changed) => (draft.value = changed)} onDone={() => readAgain(...REPRICED_MS)} />
      <div class="table-box prices">
        <table class="rows">
          <thead>
            <tr>
              <th>Model</th>
              <th class="c-num">Input $/M</th>
              <th class="c-num">Output $/M</th>
              <th class="c-extra">In force since</th>
              <th class="c-extra">As of</th>
              <th>Source</th>
              <th aria-label="Actions" />
            </tr>
          </thead>
          <tbody data-rows>
            {rows.map((row) => (
              <Price key={`${text(row["model"])} ${text(row["valid_from"])}`} row={row} onEdit={() => edit(row)} onChange={() => readAgain(...REPRICED_MS)} />
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function day(value: unknown): string {
  return moment(value) === null ? "" : text(value).slice(0, 10);
}

function Price({ row, onEdit, onChange }: { row: Dict; onEdit: () => void; onChange: () => void }) {
  const model = text(row["model"]);
  const edited = row["edited"] === true;
  return (
    <tr data-row tabIndex={0} aria-label={`Price of ${model}`}>
      <td>
        <span class="model">{model}</span>
      </td>
      <td class="c-num">{number(row["input_usd"]) ?? "–"}</td>
      <td class="c-num">{number(row["output_usd"]) ?? "–"}</td>
      <td class="c-extra">{day(row["valid_from"]) || <span class="muted">always</span>}</td>
      <td class="c-extra">{firstText(row["as_of"], day(row["updated_at"])) || "–"}</td>
      <td>{edited ? <Tag tone="work" title={`Changed ${when(row["updated_at"])}`}>edited here</Tag> : <span class="muted">list price</span>}</td>
      <td class="c-act">
        <button type="button" class="quiet" onClick={onEdit} aria-label={`Edit the price of ${model}`}>
          Edit
        </button>
        {edited && <Remove model={model} onChange={onChange} />}
      </td>
    </tr>
  );
}

function Remove({ model, onChange }: { model: string; onChange: () => void }) {
  const asking = useSignal(false);
  const error = useSignal("");
  const remove = async () => {
    try {
      await send("DELETE", `${PATH}/${encodeURIComponent(model)}`);
      asking.value = false;
      onChange();
    } catch (failure) {
      error.value = failure instanceof Error ? failure.message : String(failure);
    }
  };
  return (
    <>
      <button type="button" class="quiet square" onClick={() => (asking.value = true)} aria-label={`Remove the price of ${model}`} title="Remove">
        <Icon name="close" />
      </button>
      {asking.value && (
        <Confirm title={`Remove the price of ${model}?`} yes="Remove it" no="Keep it" error={error.value} onYes={() => void remove()} onNo={() => (asking.value = false)}>
          If the model has a list price, that is in force again; else its calls are estimated by the next shorter name in this
          table, or not at all.
        </Confirm>
      )}
    </>
  );
}

/** Dollars that somebody typed; throws what is wrong with them, in words. */
function dollars(typed: string, name: string): number {
  const value = Number(typed.trim().replace(/^\$/, "").replace(/^(\d+),(\d+)$/, "$1.$2"));
  if (typed.trim() === "" || Number.isNaN(value)) throw new Error(`${name} is no number: give US dollars per million tokens, such as 2.5.`);
  if (value < 0 || value > 1e6) throw new Error(`${name} must be from 0 to 1,000,000 US dollars per million tokens.`);
  return value;
}

function bodyOf({ model, input, output, since }: Draft): Dict {
  if (!model.trim()) throw new Error("Name the model, or the beginning that several have in common.");
  const body = { model: model.trim(), input_usd: dollars(input, "The input price"), output_usd: dollars(output, "The output price") };
  return since ? { ...body, valid_from_us: (moment(since) ?? 0) * 1000 } : body;
}

function PriceForm({ draft, onDraft, onDone }: { draft: Draft; onDraft: (draft: Draft) => void; onDone: () => void }) {
  const error = useSignal("");
  const done = useSignal("");
  const first = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (!draft.model || document.activeElement?.closest(".price-form")) return;
    first.current?.focus();
    first.current?.select();
  }, [draft.model]);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    done.value = error.value = "";
    try {
      await send("PUT", PATH, bodyOf(draft));
      done.value = `The price of ${draft.model.trim()} is set. Calls of before follow by themselves.`;
      onDraft(BLANK);
      onDone();
    } catch (failure) {
      error.value = failure instanceof Error ? failure.message : String(failure);
    }
  };
  const typed = (name: keyof Draft) => (event: { currentTarget: HTMLInputElement }) => onDraft({ ...draft, [name]: event.currentTarget.value });
  return (
    <form class="price-form" noValidate onSubmit={(event) => void submit(event)} aria-label="Set a price">
      <input value={draft.model} onInput={typed("model")} placeholder="Model" aria-label="Model" maxLength={256} />
      <input ref={first} value={draft.input} onInput={typed("input")} inputMode="decimal" placeholder="Input $/M" aria-label="Input price per million tokens" />
      <input value={draft.output} onInput={typed("output")} inputMode="decimal" placeholder="Output $/M" aria-label="Output price per million tokens" />
      <label class="muted">
        in force since <input type="date" value={draft.since} onInput={typed("since")} aria-label="In force since" />
      </label>
      <button type="submit">Set price</button>
      {error.value && (
        <span class="tone-fail" role="alert">
          {error.value}
        </span>
      )}
      {done.value && (
        <span class="tone-ok done" role="status">
          <Icon name="check" /> {done.value}
        </span>
      )}
    </form>
  );
}

// The price table that estimates are made from: data, dated, and editable.
import { useSignal } from "@preact/signals";
import { send } from "../../data/api";
import { dict, dicts, firstText, number, text, type Dict } from "../../data/read";
import { useResource } from "../../data/resource";
import { change, param } from "../../data/router";
import { Failed, Loading, Panel } from "../../parts/panel";

const PATH = "/v1/admin/pricing";

function rowsOf(answer: unknown): Dict[] {
  const told = dict(answer);
  return dicts(Array.isArray(answer) ? answer : (told["data"] ?? told["prices"] ?? told["models"]));
}

const inputPrice = (row: Dict) => number(row["input_usd"]);
const outputPrice = (row: Dict) => number(row["output_usd"]);

export function Prices() {
  const open = param("prices") === "open";
  return (
    <Panel
      title="Price table"
      tools={
        <button type="button" class="quiet" aria-expanded={open} onClick={() => change({ prices: open ? null : "open" }, false)}>
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
  if (prices.error && !prices.data) return <Failed what="The prices" error={prices.error} />;
  if (!prices.data) return <Loading />;
  const rows = rowsOf(prices.data);
  const dated = firstText(dict(prices.data)["dated"], dict(prices.data)["as_of"], dict(prices.data)["updated_at"]);
  return (
    <>
      <p class="panel-foot muted">
        US dollars per million tokens. {dated && `List prices as of ${dated}. `}A model is matched by its name, else by the longest
        beginning of it.
      </p>
      <PriceForm onDone={prices.reload} />
      <div class="table-box prices">
        <table class="rows">
          <thead>
            <tr>
              <th>Model</th>
              <th class="c-num">Input</th>
              <th class="c-num">Output</th>
              <th>As of</th>
              <th>Source</th>
            </tr>
          </thead>
          <tbody data-rows>
            {rows.map((row) => (
              <tr key={firstText(row["model"], row["model_pattern"])} data-row tabIndex={0}>
                <td>
                  <span class="model">{firstText(row["model"], row["model_pattern"], row["pattern"])}</span>
                </td>
                <td class="c-num">{inputPrice(row) ?? "–"}</td>
                <td class="c-num">{outputPrice(row) ?? "–"}</td>
                <td>{firstText(row["as_of"], row["dated"], row["updated_at"]) || "–"}</td>
                <td>{text(row["source"]) || (row["edited"] ? "edited here" : "list price")}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function PriceForm({ onDone }: { onDone: () => void }) {
  const error = useSignal("");
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const given = new FormData(form);
    const body = { model: text(given.get("model")).trim(), input_usd: Number(given.get("input")), output_usd: Number(given.get("output")) };
    try {
      await send("PUT", PATH, body);
      error.value = "";
      form.reset();
      onDone();
    } catch (failure) {
      error.value = failure instanceof Error ? failure.message : String(failure);
    }
  };
  return (
    <form class="price-form" onSubmit={(event) => void submit(event)} aria-label="Set a price">
      <input name="model" required placeholder="Model" aria-label="Model" maxLength={256} />
      <input name="input" required type="number" min="0" step="any" placeholder="Input $/M" aria-label="Input price per million tokens" />
      <input name="output" required type="number" min="0" step="any" placeholder="Output $/M" aria-label="Output price per million tokens" />
      <button type="submit">Set price</button>
      {error.value && (
        <span class="tone-fail" role="alert">
          {error.value}
        </span>
      )}
    </form>
  );
}

// API keys: who may report to this board and look at it. A key is shown once, when it is made.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { send } from "../data/api";
import { exact, when } from "../data/format";
import { dicts, text, type Dict } from "../data/read";
import { useResource } from "../data/resource";
import type { Page } from "../data/types";
import { enter, inTest } from "../data/world";
import { Ago, Tag } from "../parts/badges";
import { Confirm } from "../parts/confirm";
import { Copy } from "../parts/copy";
import { Icon } from "../parts/icon";
import { Failed, Loading, Nothing, Panel } from "../parts/panel";
import { board, readBoard } from "../parts/teach";

const PATH = "/v1/api-keys";

const KINDS: Record<string, { word: string; may: string; tone: "ok" | "wait" | "work" }> = {
  live: { word: "live", may: "Agents report with it and may look.", tone: "ok" },
  test: { word: "test", may: "As live, but in a world of its own: what it sends mixes with nothing.", tone: "wait" },
  read: { word: "read", may: "Looks and never sends: dashboards, hiveloop tail.", tone: "work" },
};

function told(failure: unknown): string {
  return failure instanceof Error ? failure.message : String(failure);
}

export function KeysPage() {
  const keys = useResource<Page<unknown>>(PATH, {}, { everyMs: 15_000 });
  const made = useSignal<Dict | null>(null);
  if (keys.error && !keys.data) return <Failed what="The keys" error={keys.error} />;
  if (!keys.data) return <Loading />;
  const rows = dicts(keys.data.data);
  const done = (key: Dict) => {
    made.value = key;
    keys.reload();
  };
  return (
    <>
      <h1>API keys</h1>
      <p class="lead-text muted">
        Who may report to this board, and who may look. A key sits inside every agent, so no key may manage keys, prices or
        issues: only a browser that was let in can. Programs of yours on this machine need no key at all.
      </p>
      <NewKey onMade={done} />
      {made.value && <Made key={text(made.value["key_id"])} made={made.value} onClose={() => (made.value = null)} />}
      <KeyTable title="Keys in use" rows={rows.filter((row) => row["is_active"] !== false)} onChange={keys.reload} />
      <KeyTable title="Revoked keys" rows={rows.filter((row) => row["is_active"] === false)} onChange={keys.reload} />
    </>
  );
}

function NewKey({ onMade }: { onMade: (made: Dict) => void }) {
  const error = useSignal("");
  const busy = useSignal(false);
  const kind = useSignal("live");
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    busy.value = true;
    try {
      onMade(await send<Dict>("POST", PATH, { key_type: kind.value, label: text(new FormData(form).get("label")).trim() }));
      error.value = "";
      form.reset();
    } catch (failure) {
      error.value = told(failure);
    }
    busy.value = false;
  };
  return (
    <Panel title="New key">
      <form class="key-form" onSubmit={(event) => void submit(event)} aria-label="New key">
        <fieldset>
          <legend class="muted">Type</legend>
          {Object.entries(KINDS).map(([name, { word, may }]) => (
            <label key={name} class="choice">
              <input type="radio" name="kind" value={name} checked={kind.value === name} onChange={() => (kind.value = name)} />
              <span>
                <b>{word}</b> <span class="muted">{may}</span>
              </span>
            </label>
          ))}
        </fieldset>
        <div class="key-make">
          <input name="label" placeholder="What it is for, such as: staging agents" aria-label="Label" maxLength={100} />
          <button type="submit" class="primary" disabled={busy.value}>
            Create key
          </button>
        </div>
        {error.value && (
          <p class="tone-fail said" role="alert">
            {error.value}
          </p>
        )}
      </form>
    </Panel>
  );
}

/** The lines that a program needs to use a key. */
function linesFor(kind: string, key: string): string {
  const { endpoint } = board.value;
  if (kind === "read") return `export HIVELOOP_API_KEY="${key}"\nhiveloop tail --endpoint ${endpoint}`;
  return `import hiveloop\nhb = hiveloop.init("${key}", endpoint="${endpoint}")`;
}

function Made({ made, onClose }: { made: Dict; onClose: () => void }) {
  const key = text(made["raw_key"]);
  const kind = text(made["key_type"]);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    box.current?.focus();
    box.current?.scrollIntoView({ block: "nearest" });
  }, []);
  return (
    <div ref={box} tabIndex={-1}>
      <Panel
        title="Your new key"
        class="made"
        tools={
          <button type="button" class="quiet square" aria-label="Hide the key" title="Hide the key" onClick={onClose}>
            <Icon name="close" />
          </button>
        }
      >
        <div class="teach">
          <p role="status">
            <Icon name="warn" /> Copy it now: it is shown this once, as the board keeps only a hash of it.
          </p>
          <div class="snippet">
            <pre tabIndex={0} aria-label="The key">
              {key}
            </pre>
            <Copy value={key} label="Copy key" />
          </div>
          <p>{kind === "read" ? "To look with it, from a terminal:" : "The two lines for a program that reports with it:"}</p>
          <div class="snippet">
            <pre tabIndex={0} aria-label="Lines to paste">
              {linesFor(kind, key)}
            </pre>
            <Copy value={linesFor(kind, key)} label="Copy lines" />
          </div>
        </div>
      </Panel>
    </div>
  );
}

function KeyTable({ title, rows, onChange }: { title: string; rows: readonly Dict[]; onChange: () => void }) {
  const revoked = title.startsWith("Revoked");
  if (revoked && rows.length === 0) return null;
  return (
    <Panel title={title} count={rows.length}>
      {rows.length === 0 ? (
        <Nothing>No key is in use: nobody can report to this board.</Nothing>
      ) : (
        <div class="table-box">
          <table class="rows keys">
            <thead>
              <tr>
                <th>Key</th>
                <th>Type</th>
                <th>Label</th>
                <th>Created</th>
                <th>Last used</th>
                {revoked ? <th>Revoked</th> : <th aria-label="Actions" />}
              </tr>
            </thead>
            <tbody data-rows>
              {rows.map((row) => (
                <Key key={text(row["key_id"])} row={row} revoked={revoked} onChange={onChange} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}

function Key({ row, revoked, onChange }: { row: Dict; revoked: boolean; onChange: () => void }) {
  const kind = KINDS[text(row["key_type"])];
  const used = row["last_used_at"];
  return (
    <tr data-row tabIndex={0}>
      <td>
        <code>{text(row["key_prefix"])}…</code>
      </td>
      <td>
        <Tag tone={revoked ? "idle" : (kind?.tone ?? "idle")} title={kind?.may}>
          {text(row["key_type"])}
        </Tag>
      </td>
      <td>
        {text(row["key_type"]) === "test" && used && !inTest && (
          <button type="button" class="as-link" onClick={() => enter(true)}>
            See its data
          </button>
        )}{" "}
        {text(row["label"]) || <span class="muted">–</span>} {row["is_own"] === true && <Tag tone="idle" title="Made by the board: the empty pages show it, and programs on this machine find it by themselves">this board's own</Tag>}
      </td>
      <td title={exact(row["created_at"])}>{when(row["created_at"])}</td>
      <td>{used ? <Ago at={used} /> : <span class="muted">never</span>}</td>
      {revoked ? <td title={exact(row["revoked_at"])}>{when(row["revoked_at"])}</td> : <Revoke row={row} onChange={onChange} />}
    </tr>
  );
}

/** Revoking cannot be undone, so it is asked for twice. */
function Revoke({ row, onChange }: { row: Dict; onChange: () => void }) {
  const asking = useSignal(false);
  const error = useSignal("");
  const name = `${text(row["key_prefix"])}…`;
  const revoke = async () => {
    try {
      await send("DELETE", `${PATH}/${encodeURIComponent(text(row["key_id"]))}`);
      onChange();
      if (row["is_own"] === true) await readBoard();
    } catch (failure) {
      error.value = told(failure);
    }
  };
  return (
    <td class="c-act">
      <button type="button" onClick={() => (asking.value = true)} aria-label={`Revoke ${name}`}>
        Revoke
      </button>
      {asking.value && (
        <Confirm title={`Revoke ${name}?`} yes="Revoke it" no="Keep it" error={error.value} onYes={() => void revoke()} onNo={() => (asking.value = false)}>
          {row["last_used_at"] ? "Whoever uses it is refused from now on" : "It was never used; whoever has it is refused"}. This cannot be undone.
          {row["is_own"] === true && " It is this board's own key, which programs on this machine report with: those that run are refused until they start again. The board makes another at once, which they find then."}
        </Confirm>
      )}
    </td>
  );
}

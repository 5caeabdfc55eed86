import { change, param } from "../../data/router";
import { agentLook, taskLook } from "../../data/status";
import { Icon } from "../../parts/icon";

const FILTERS: readonly (readonly [string, string, (value: string) => string])[] = [
  ["env", "environment", String],
  ["project", "project", String],
  ["status", "agents", (value) => agentLook(value).word],
  ["tasks", "tasks", (value) => taskLook(value).word],
  ["agent", "agent", String],
  ["type", "type", String],
  ["q", "search", String],
];

/** Every filter that is on, each with a button that takes it away. */
export function Chips() {
  const active = FILTERS.filter(([name]) => param(name));
  if (active.length === 0) return null;
  return (
    <div class="chips" role="group" aria-label="Active filters">
      {active.map(([name, label, word]) => (
        <button key={name} type="button" class="chip" onClick={() => change({ [name]: null })} aria-label={`Remove filter ${label} ${word(param(name))}`}>
          <span class="muted">{label}</span> {word(param(name))} <Icon name="close" />
        </button>
      ))}
      <button type="button" class="quiet" onClick={() => change(Object.fromEntries(FILTERS.map(([name]) => [name, null])))}>
        Clear all
      </button>
    </div>
  );
}

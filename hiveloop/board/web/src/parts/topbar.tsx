import { connection, pausedAt, togglePause, type Connection } from "../data/live";
import { when } from "../data/format";
import { helpOpen } from "../data/keys";
import { forbidden, notifying, toggleNotifications } from "../data/notify";
import { dicts, firstText } from "../data/read";
import { useResource } from "../data/resource";
import { PAGES, change, href, param, path, type Path } from "../data/router";
import { isDark, toggleTheme } from "../data/theme";
import type { Page } from "../data/types";
import { enter, inTest } from "../data/world";
import { Icon } from "./icon";
import { Ranges } from "./ranges";

const TABS: readonly Path[] = ["/", "/pipeline", "/costs", "/insights"];
const RANGED: readonly Path[] = ["/costs", "/insights"];

const WORDS: Record<Connection, { word: string; tone: string; icon: string; told: string }> = {
  connecting: { word: "Connecting", tone: "idle", icon: "retry", told: "The stream is being opened." },
  live: { word: "Live", tone: "ok", icon: "check", told: "Connected: events show as they arrive." },
  reconnecting: { word: "Reconnecting", tone: "wait", icon: "retry", told: "The stream broke and is being resumed; nothing is lost." },
  polling: { word: "Polling", tone: "wait", icon: "clock", told: "Sockets do not get through; the board is asked every few seconds." },
  offline: { word: "Offline", tone: "fail", icon: "cross", told: "The board does not answer." },
};

export function TopBar() {
  return (
    <header class="topbar">
      <a class="brand" href={href("/")} aria-label="HiveBoard, to the fleet">
        <img src="/assets/icon.svg" alt="" width="22" height="22" />
        <span>HiveBoard</span>
      </a>
      <nav aria-label="Pages">
        {TABS.map((to) => (
          <a key={to} href={href(to)} aria-current={isCurrent(to) ? "page" : undefined}>
            {PAGES[to]}
          </a>
        ))}
      </nav>
      <span class="grow" />
      <Pickers />
      {inTest && (
        <button type="button" class="tag tone-wait" onClick={() => enter(false)} title="You look at what test keys sent; press to go back to live data">
          Test data <Icon name="close" />
        </button>
      )}
      <Pill />
      <Bell />
      <KeysLink />
      <button type="button" class="quiet square" onClick={toggleTheme} aria-label={isDark.value ? "Light theme" : "Dark theme"} title={isDark.value ? "Light theme" : "Dark theme"}>
        <Icon name={isDark.value ? "sun" : "moon"} />
      </button>
      <button type="button" class="quiet square" onClick={() => (helpOpen.value = true)} aria-label="Keyboard help" title="Keyboard (?)">
        <Icon name="help" />
      </button>
    </header>
  );
}

function isCurrent(to: Path): boolean {
  return path.value === to || (to === "/" && (path.value === "/task" || path.value === "/agent"));
}

function Pill() {
  const { word, tone, icon, told } = WORDS[connection.value];
  const paused = pausedAt.value;
  return (
    <>
      {paused !== null && (
        <button type="button" class="tag tone-wait" onClick={togglePause} title="The stream stands still here; press to go on">
          <Icon name="pause" /> Paused at {when(paused)}
        </button>
      )}
      <span class={`pill tone-${tone}`} role="status" title={told} aria-label={`Connection: ${word}`}>
        <Icon name={icon} />
        {word}
      </span>
    </>
  );
}

/** Notifications of the browser, for agents that are stuck, failed or wait for an approval. */
function Bell() {
  const on = notifying.value;
  const told = forbidden.value ? "This browser does not allow notifications from here; its settings can." : on ? "The browser tells you when an agent is stuck, fails or waits for an approval. Press to turn off." : "Have the browser tell you when an agent is stuck, fails or waits for an approval.";
  return (
    <button type="button" class="quiet square" aria-pressed={on} disabled={forbidden.value} aria-label="Notifications" title={told} onClick={() => void toggleNotifications()}>
      <Icon name={on ? "bell" : "bell-off"} />
    </button>
  );
}

function KeysLink() {
  return (
    <a class="quiet square" href={href("/keys")} aria-label="API keys" title="API keys (g k)" aria-current={path.value === "/keys" ? "page" : undefined}>
      <Icon name="key" />
    </a>
  );
}

/** Environments and projects as they occur in the data, so that none is missing. */
function Pickers() {
  const places = useResource<Page<unknown>>("/v1/environments", {}, { when: (event) => event.event_type === "agent_registered", everyMs: 30_000 });
  const projects = useResource<Page<unknown>>("/v1/projects", {}, { when: (event) => event.event_type === "task_started", pauseMs: 5000 });
  const environments = new Set(dicts(places.data?.data).map((one) => firstText(one["name"])));
  const slugs = new Set(dicts(projects.data?.data).map((one) => firstText(one["slug"])));
  return (
    <div class="pickers">
      <Picker label="Environment" name="env" all="All environments" values={environments} />
      <Picker label="Project" name="project" all="All projects" values={slugs} />
      {RANGED.includes(path.value) && <Ranges />}
    </div>
  );
}

function Picker({ label, name, all, values }: { label: string; name: string; all: string; values: Set<string> }) {
  const chosen = param(name);
  const options = [...new Set([...values, chosen])].filter(Boolean).sort();
  if (options.length < 2 && !chosen) return null;
  return (
    <select aria-label={label} value={chosen} onChange={(event) => change({ [name]: event.currentTarget.value })}>
      <option value="">{all}</option>
      {options.map((value) => (
        <option key={value} value={value}>
          {value}
        </option>
      ))}
    </select>
  );
}

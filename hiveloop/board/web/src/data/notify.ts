// Notifications of the browser, for what needs a person: off until somebody turns them on.
import { signal } from "@preact/signals";
import { onStatus } from "./live";
import { firstText, text, type Dict } from "./read";
import { go, href } from "./router";
import { agentLook } from "./status";

const KEY = "hiveboard-notify";
const URGENT = new Set(["stuck", "error", "waiting_approval"]);
const CAN = "Notification" in window;

function isOn(): boolean {
  return CAN && localStorage.getItem(KEY) === "on" && Notification.permission === "granted";
}

export const notifying = signal(isOn());
/** Set when the browser was asked and said no: only its own settings can change that. */
export const forbidden = signal(CAN && Notification.permission === "denied");

/** Turn notifications on or off; the browser asks for its permission here and nowhere else. */
export async function toggleNotifications(): Promise<void> {
  if (!CAN) return;
  if (notifying.value) localStorage.removeItem(KEY);
  else if ((await Notification.requestPermission()) === "granted") localStorage.setItem(KEY, "on");
  forbidden.value = Notification.permission === "denied";
  notifying.value = isOn();
}

function told(change: Dict): void {
  const status = text(change["new_status"]);
  if (!notifying.value || !URGENT.has(status)) return;
  const agent = text(change["agent_id"]);
  // The tag makes a later state of an agent replace the earlier one, in all tabs.
  const shown = new Notification(`${agent}: ${agentLook(status).word}`, { body: firstText(change["reason"]), tag: `hiveboard ${agent}`, icon: "/assets/icon.svg" });
  shown.onclick = () => {
    window.focus();
    go(href("/agent", { id: agent }));
    shown.close();
  };
}

export function startNotifying(): void {
  if (CAN) onStatus(told);
}

import type { ComponentChildren } from "preact";
import { age, exact } from "../data/format";
import { moment } from "../data/read";
import { agentLook, severityLook, taskLook, type Look, type Tone } from "../data/status";
import { now } from "../data/time";
import { Icon } from "./icon";

export function Badge({ look, pulse }: { look: Look; pulse?: boolean }) {
  return (
    <span class={`badge tone-${look.tone}${pulse ? " pulse" : ""}`}>
      <Icon name={look.icon} />
      {look.word}
    </span>
  );
}

export function AgentBadge({ status, offline }: { status: string; offline?: boolean }) {
  return <Badge look={agentLook(status, offline)} pulse={status === "stuck"} />;
}

export function TaskBadge({ status }: { status: string }) {
  return <Badge look={taskLook(status)} />;
}

export function SeverityBadge({ severity }: { severity: string }) {
  return <Badge look={severityLook(severity)} />;
}

export function Tag({ tone, icon, title, children }: { tone: Tone; icon?: string; title?: string; children: ComponentChildren }) {
  return (
    <span class={`tag tone-${tone}`} title={title}>
      {icon && <Icon name={icon} />}
      {children}
    </span>
  );
}

/** How long ago something was, counting; the exact time on hover. */
export function Ago({ at, suffix = "ago" }: { at: unknown; suffix?: string }) {
  const then = moment(at);
  if (then === null) return <span class="muted">–</span>;
  const told = age(now.value - then);
  return (
    <time dateTime={exact(then)} title={exact(then)}>
      {told === "now" || !suffix ? told : `${told} ${suffix}`}
    </time>
  );
}

// States in words and symbols: no state is told by colour alone.
export type Tone = "idle" | "work" | "ok" | "wait" | "fail" | "llm";

export interface Look {
  word: string;
  icon: string;
  tone: Tone;
  /** Place in the order of attention, the smallest first. */
  rank: number;
}

const AGENTS: Record<string, Look> = {
  stuck: { word: "Stuck", icon: "stuck", tone: "fail", rank: 0 },
  error: { word: "Error", icon: "cross", tone: "fail", rank: 1 },
  waiting_approval: { word: "Waiting", icon: "hand", tone: "wait", rank: 2 },
  processing: { word: "Processing", icon: "play", tone: "work", rank: 3 },
  idle: { word: "Idle", icon: "pause", tone: "idle", rank: 4 },
  offline: { word: "Offline", icon: "power", tone: "idle", rank: 5 },
};

const TASKS: Record<string, Look> = {
  stuck: { word: "Stuck", icon: "stuck", tone: "fail", rank: 0 },
  failed: { word: "Failed", icon: "cross", tone: "fail", rank: 1 },
  waiting: { word: "Waiting", icon: "hand", tone: "wait", rank: 2 },
  escalated: { word: "Escalated", icon: "up", tone: "wait", rank: 3 },
  processing: { word: "Processing", icon: "play", tone: "work", rank: 4 },
  completed: { word: "Completed", icon: "check", tone: "ok", rank: 5 },
};

const TASK_WORDS: Record<string, string> = {
  failure: "failed",
  success: "completed",
  waiting_approval: "waiting",
  error: "failed",
  running: "processing",
};

function unknown(status: string): Look {
  return { word: status || "Unknown", icon: "dot", tone: "idle", rank: 9 };
}

export function agentLook(status: string, offline = false): Look {
  return AGENTS[offline && status === "idle" ? "offline" : status] ?? unknown(status);
}

export function taskLook(status: string): Look {
  return TASKS[TASK_WORDS[status] ?? status] ?? unknown(status);
}

export const AGENT_STATES = Object.entries(AGENTS).map(([value, look]) => ({ value, ...look }));
export const TASK_STATES = Object.entries(TASKS).map(([value, look]) => ({ value, ...look }));

const SEVERITIES: Record<string, Look> = {
  critical: { word: "Critical", icon: "stuck", tone: "fail", rank: 0 },
  high: { word: "High", icon: "cross", tone: "fail", rank: 1 },
  medium: { word: "Medium", icon: "warn", tone: "wait", rank: 2 },
  low: { word: "Low", icon: "dot", tone: "idle", rank: 3 },
};

export function severityLook(severity: string): Look {
  return SEVERITIES[severity.toLowerCase()] ?? unknown(severity);
}

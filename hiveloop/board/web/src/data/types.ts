// The shapes of the board's API, as far as the pages use them. Events are typed by their envelope only;
// what is in a payload is read with read.ts.
import type { Dict } from "./read";

export interface BoardEvent {
  seq?: number;
  event_id: string;
  timestamp: string;
  received_at?: string;
  event_type: string;
  severity?: string;
  agent_id: string;
  agent_type?: string | null;
  environment?: string | null;
  group?: string | null;
  project_id?: string | null;
  task_id?: string | null;
  task_type?: string | null;
  task_run_id?: string | null;
  action_id?: string | null;
  parent_action_id?: string | null;
  parent_event_id?: string | null;
  status?: string | null;
  duration_ms?: number | null;
  payload?: unknown;
}

export interface Page<T> {
  data: T[];
  pagination?: { cursor?: string | null; has_more?: boolean };
  /** Of what is asked for by `after_seq`: where to go on. */
  last_seq?: number;
}

export interface AgentStats {
  tasks_completed?: number;
  tasks_failed?: number;
  success_rate?: number | null;
  avg_duration_ms?: number | null;
  total_cost?: number | null;
  estimated_cost?: number | null;
  throughput?: number;
  queue_depth?: number | null;
  active_issues?: number;
}

export interface Agent extends Dict {
  agent_id: string;
  agent_type?: string | null;
  derived_status: string;
  is_offline?: boolean;
  is_stuck?: boolean;
  current_task_id?: string | null;
  heartbeat_age_seconds?: number | null;
  last_seen?: string | null;
  stats_1h?: AgentStats;
}

export interface Task extends Dict {
  task_id: string;
  task_type?: string | null;
  task_run_id?: string | null;
  agent_id: string;
  project_id?: string | null;
  derived_status: string;
  started_at?: string | null;
  completed_at?: string | null;
  duration_ms?: number | null;
  total_cost?: number | null;
  action_count?: number;
  error_count?: number;
  llm_call_count?: number;
  total_tokens_in?: number;
  total_tokens_out?: number;
}

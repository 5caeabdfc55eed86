import { dict, dicts, number, text, type Dict } from "../../data/read";
import { change, param } from "../../data/router";
import { Icon } from "../../parts/icon";

const STEPS: Record<string, { word: string; icon: string; tone: string }> = {
  completed: { word: "completed", icon: "check", tone: "ok" },
  failed: { word: "failed", icon: "cross", tone: "fail" },
  started: { word: "in progress", icon: "play", tone: "work" },
  skipped: { word: "skipped", icon: "right", tone: "skip" },
};

/** The plan as segments: green completed, red failed, grey pending, hatched skipped; each with its word. */
export function PlanBar({ timeline }: { timeline: Dict }) {
  const plans = dicts(timeline["plans"]);
  if (plans.length === 0 && timeline["plan"]) plans.push(dict(timeline["plan"]));
  if (plans.length === 0) return null;
  const wanted = param("plan");
  const plan = plans.find((one) => text(one["revision"]) === wanted) ?? plans.at(-1) ?? {};
  const steps = dicts(plan["steps"]);
  const progress = dict(plan["progress"]);
  return (
    <section class="plan" aria-label="Plan">
      <header>
        <h2>
          <Icon name="plan" /> {text(plan["goal"]) || "Plan"}
        </h2>
        <span class="muted">
          {number(progress["completed"]) ?? 0} of {number(progress["total"]) ?? steps.length} steps completed
        </span>
        <span class="grow" />
        {plans.length > 1 && (
          <div class="segments" role="group" aria-label="Revision">
            {plans.map((one) => (
              <button key={text(one["revision"])} type="button" aria-pressed={one === plan} title={`Revision ${text(one["revision"])} of the plan; 0 is the first`} onClick={() => change({ plan: text(one["revision"]) }, false)}>
                rev {text(one["revision"])}
              </button>
            ))}
          </div>
        )}
      </header>
      <ol class="plan-bar">
        {steps.map((step, at) => {
          const look = STEPS[text(step["action"])] ?? { word: "pending", icon: "dot", tone: "idle" };
          return (
            <li key={at} class={`step tone-${look.tone}`} title={`${text(step["description"])}: ${look.word}`}>
              <i />
              <span>
                <Icon name={look.icon} label={look.word} /> {text(step["description"]) || `Step ${at + 1}`}
              </span>
            </li>
          );
        })}
      </ol>
    </section>
  );
}

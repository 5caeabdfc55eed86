"""What smart detectors say: one sentence with what, how much and since when, singular and plural."""

from __future__ import annotations

import pytest

from hiveloop.board.queries._detectors import Facts, detect

QUIET = Facts(
    interval="1h",
    costs=[1, 1, 1, 1, 1, 1.5],
    ended=[20, 20, 20, 20, 1],
    failed=[0, 0, 0, 0, 0],
    agents=4,
    stuck=0,
    errors=0,
    idle_with_queue=0,
    tokens_in=500,
    tokens_out=100,
    model_costs=[3, 1],
    calls=100,
    stop_calls=100,
    truncated=0,
    prompt_parts=[50, 30, 20],
    prompt_calls=100,
    actions=[("search", 10, 0)],
    approval_ages=[],
    issues=0,
    anomalies=0,
)
NOTHING = Facts("1h", [], [], [], 0, 0, 0, 0, 0, 0, [], 0, 0, 0, [0, 0, 0], 0, [], [], 0, 0)


def said(facts: Facts) -> dict[str, str]:
    """What each detector says."""
    return {found["detector"]: found["message"] for found in detect(facts)}


def test_a_quiet_fleet_is_said_to_be_so() -> None:
    assert said(QUIET) == {
        "cost_spike": "The latest hour cost $1.50, 1.5 times the average before ($1.00).",
        "error_burst": "0 of 41 tasks failed in the last 3 hours, 0 %.",
        "stuck_fleet": "None of 4 agents is stuck now.",
        "token_waste": "Models read 5 tokens for each one that they wrote.",
        "throughput_drop": "20 tasks ended in the last full hour, no fewer than on average before (20).",
        "model_imbalance": "75 % of all cost goes to one of 2 models.",
        "truncation": "0 of 100 answers were cut off by the length limit, 0 %.",
        "prompt_bloat": "50 % of all prompt tokens are system prompt.",
        "failing_action": "No action that ran five times or more failed.",
        "silent_queue": "No agent is idle now while work waits.",
        "approval_backlog": "No approval is open now.",
        "reported_anomalies": "Agents reported no anomaly.",
    }
    assert {found["state"] for found in detect(QUIET)} == {"ok"}


@pytest.mark.parametrize(
    ("change", "detector", "sentence"),
    [
        (
            {"interval": "6h"},
            "cost_spike",
            "The latest 6 hours cost $1.50, 1.5 times the average before ($1.00).",
        ),
        ({"interval": "5m"}, "error_burst", "0 of 41 tasks failed in the last 15 minutes, 0 %."),
        ({"failed": [9, 9, 1, 1, 1]}, "error_burst", "3 of 41 tasks failed in the last 3 hours, 7.32 %."),
        ({"stuck": 1}, "stuck_fleet", "1 of 4 agents is stuck now."),
        ({"stuck": 2}, "stuck_fleet", "2 of 4 agents are stuck now."),
        (
            {"ended": [20, 20, 20, 1, 0]},
            "throughput_drop",
            "1 task ended in the last full hour, 95 % fewer than on average before (20).",
        ),
        (
            {"interval": "6h", "ended": [12, 20, 20, 20, 12, 20, 20, 20, 12, 0]},
            "throughput_drop",
            (
                "12 tasks ended in the last full 6 hours,"
                " no fewer than on average at this time of earlier days (12)."
            ),
        ),
        ({"truncated": 1}, "truncation", "1 of 100 answers was cut off by the length limit, 1 %."),
        ({"actions": [("post", 71, 6)]}, "failing_action", "post failed 6 of 71 times, 8.45 %."),
        ({"idle_with_queue": 1}, "silent_queue", "1 agent is idle now although work waits."),
        ({"approval_ages": [90.0]}, "approval_backlog", "1 approval open now, the oldest for 1 minute."),
        (
            {"approval_ages": [9_000.0, 10.0]},
            "approval_backlog",
            "2 approvals open now, the oldest for 2 hours.",
        ),
        ({"anomalies": 1}, "reported_anomalies", "Agents reported 1 anomaly."),
        ({"anomalies": 1_031}, "reported_anomalies", "Agents reported 1,031 anomalies."),
    ],
)
def test_what_was_found_is_one_sentence(change: dict[str, object], detector: str, sentence: str) -> None:
    assert said(QUIET._replace(**change))[detector] == sentence


@pytest.mark.parametrize(
    ("failed", "ended", "state"),
    [
        ([0, 0, 2], [5, 0, 0], "ok"),  # chance
        ([4, 4, 5], [96, 96, 97], "ok"),  # few of many
        ([1, 1, 1], [10, 10, 9], "warn"),
        ([0, 0, 5], [5, 5, 10], "alert"),
        ([9, 9, 9, 0, 0, 0], [9, 9, 9, 9, 9, 9], "ok"),  # over
    ],
)
def test_a_burst_is_several_failures_and_a_share(failed: list[int], ended: list[int], state: str) -> None:
    found = {one["detector"]: one["state"] for one in detect(QUIET._replace(failed=failed, ended=ended))}
    assert found["error_burst"] == state


def test_too_small_a_sample_is_said_with_what_is_missing() -> None:
    told = said(NOTHING)
    assert told["cost_spike"] == "Not enough data: 0 of 5 earlier intervals."
    assert told["truncation"] == "Not enough data: 0 of 20 LLM calls."
    assert told["stuck_fleet"] == "Not enough data: 0 of 1 agent."
    assert said(QUIET._replace(model_costs=[3]))["model_imbalance"].startswith("Not enough data: there is")

"""What the demo says before the first event and after the last one."""

from __future__ import annotations

from pathlib import Path

from hiveloop import DropReason, Stats
from hiveloop.demo import __file__ as demo_file
from hiveloop.demo.fleet import Fleet
from hiveloop.demo.tally import Figures
from hiveloop.demo.workspace import Workspace

__all__ = ["closing", "opening", "undelivered"]


_LANES = {"http": "the server", "otel": "OpenTelemetry", "tally": "this table"}
_REASONS: dict[DropReason, str] = {
    DropReason.SHUTDOWN: "not taken before the end",
    DropReason.QUEUE_FULL: "beyond the queue",
    DropReason.REJECTED: "rejected",
}


def opening(workspace: Workspace, limit: int) -> str:
    """Say what is about to happen."""
    listing = workspace.listing(limit)
    taken, seen = len(listing.names), len(listing.names) + listing.left_out
    number = f"{taken} documents"
    if listing.left_out:
        more = "" if listing.complete else "more than "
        number = f"{taken} of {more}{seen:,} documents (more with --limit)"
    return (
        f"Five agents, {number} in {workspace.source}\n"
        "The model is a local stand-in and the approving operator is simulated; everything else is real.\n"
        f"The documents stay as they are; corrections and the report go to {workspace.output}\n"
        "Ctrl-C stops.\n"
    )


def closing(figures: Figures, stats: Stats, fleet: Fleet, workspace: Workspace) -> str:
    """Sum up, and say what to do next."""
    rows = [*_work(figures, fleet), *_delivery(stats)]
    width = max(len(name) for name, _ in rows)
    table = [f"  {name:<{width}}  {text}" for name, text in rows]
    open_issues = [f"  open: {f.document}:{f.line}: {f.message}" for f in fleet.open_issues()]
    return "\n".join(["", "Summary", *table, *open_issues, "", "Next", *_next(fleet, workspace, stats)])


def _work(figures: Figures, fleet: Fleet) -> list[tuple[str, str]]:
    issues = f"{len(figures.issues_reported)} reported, {len(figures.issues_resolved)} resolved"
    failed = f", {figures.tasks_failed} failed" if figures.tasks_failed else ""
    undone = f", {fleet.left_undone} left undone" if fleet.left_undone else ""
    return [
        ("tasks", f"{figures.tasks_completed} completed{failed}{undone}"),
        ("actions", f"{figures.actions:,}"),
        ("LLM calls", f"{figures.llm_calls}, {figures.tokens_in:,} tokens in, {figures.tokens_out:,} out"),
        ("cost", f"${figures.cost:.4f} by the price list of the stand-in; nobody is charged"),
        ("retries", f"{figures.retries}, escalations {figures.escalations}, approvals {figures.approvals}"),
        ("issues", f"{issues}, {len(figures.issues_open)} open"),
    ]


def _delivery(stats: Stats) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, lane in stats.transports.items():
        dropped = sum(lane.dropped.values())
        reasons = ", ".join(
            f"{count} {_REASONS.get(reason, reason)}" for reason, count in lane.dropped.items()
        )
        error = f"; last error: {lane.last_error}" if dropped and lane.last_error else ""
        text = f"{lane.delivered} of {lane.accepted} events delivered, {dropped} dropped"
        rows.append((f"to {_LANES.get(name, name)}", text + (f" ({reasons})" if reasons else "") + error))
    return rows


def undelivered(stats: Stats) -> bool:
    """True when a transport lost events."""
    return any(lane.dropped for lane in stats.transports.values())


def _has_lost(stats: Stats, name: str) -> bool:
    lane = stats.transports.get(name)
    return lane is not None and bool(lane.dropped)


def _next(fleet: Fleet, workspace: Workspace, stats: Stats) -> list[str]:
    hints: list[tuple[str, str]] = []
    if fleet.report.exists():
        hints.append(("the report", str(fleet.report)))
    if workspace.corrected.exists():
        hints.append(("corrected copies", str(workspace.corrected)))
    if undelivered(stats):
        option = " --otlp" if _has_lost(stats, "otel") and not _has_lost(stats, "http") else ""
        hints.append(("find out what is wrong", f"python -m hiveloop doctor{option}"))
    elif "otel" in stats.transports:
        hints.append(("in your backend", "look for the service hiveloop-demo"))
    elif "http" not in stats.transports:
        hints.append(("your own documents", "python -m hiveloop demo --path FOLDER"))
        hints.append(("on a HiveBoard server", "python -m hiveloop demo --endpoint URL --api-key KEY"))
        hints.append(("check the way to yours", "python -m hiveloop doctor"))
    hints.append(("how it is done", str(Path(demo_file).parent / "researcher.py")))
    width = max(len(name) for name, _ in hints)
    return [f"  {name:<{width}}  {text}" for name, text in hints]

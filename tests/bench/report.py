"""From samples to the table: medians, ratios, what is required and whether it is met."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from .harness import Sample, Samples

_MIB = 1024 * 1024
_NO_FIGURE = "-"


@dataclass(frozen=True)
class Figures:
    """The samples of one table row, by target; `ours` and `peer` name the two that are compared."""

    values: dict[str, list[float]]
    ours: str
    peer: str

    def median(self, target: str) -> float | None:
        """Median over the rounds, or None without samples."""
        values = self.values.get(target)
        return median(values) if values else None

    def ratio(self, target: str) -> float | None:
        """Median over the rounds of ours / `target` of the same round: drift of the machine cancels."""
        pairs = zip(self.values.get(self.ours, ()), self.values.get(target, ()), strict=False)
        ratios = [mine / theirs for mine, theirs in pairs if theirs]
        return median(ratios) if ratios else None


Check = Callable[[Figures], bool | None]


@dataclass(frozen=True)
class Bound:
    """A limit: its text, and whether figures keep it (None: cannot be said without the peer)."""

    text: str
    holds: Check


def _costs_at_most(part: int, otel_part: int | None = None) -> Bound:
    def holds(figures: Figures) -> bool | None:
        limits = {figures.peer: part} | ({"otel_http": otel_part} if otel_part else {})
        ratios = {target: figures.ratio(target) for target in limits}
        if None in ratios.values():
            return None
        return all(ratio is not None and ratio <= 1 / limits[target] for target, ratio in ratios.items())

    otel = f" and 1/{otel_part} of otel" if otel_part else ""
    return Bound(f"<= 1/{part}{otel}", holds)


def _ratio_at_least(least: float) -> Bound:
    def holds(figures: Figures) -> bool | None:
        ratio = figures.ratio(figures.peer)
        return None if ratio is None else ratio >= least

    return Bound(f">= {least:g}x", holds)


def _ratio_at_most(most: float) -> Bound:
    def holds(figures: Figures) -> bool | None:
        ratio = figures.ratio(figures.peer)
        return None if ratio is None else ratio <= most

    return Bound(f"<= {most:g}x", holds)


def _at_most(most: float) -> Bound:
    def holds(figures: Figures) -> bool | None:
        ours = figures.median(figures.ours)
        return None if ours is None else ours <= most

    return Bound(f"<= {most:g}", holds)


def _never_more_than(most: float) -> Bound:
    """For what must hold in each round, not in the middle one."""

    def holds(figures: Figures) -> bool | None:
        ours = figures.values.get(figures.ours)
        return None if not ours else max(ours) <= most

    return Bound(f"{most:g}" if most == 0 else f"<= {most:g}", holds)


@dataclass(frozen=True)
class Row:
    """One line of the table: where its figure comes from and what is asked of it."""

    label: str
    plan: str
    value: Callable[[Sample], float]
    required: Bound | None = None
    stretch: Bound | None = None
    ours: str = "ours"
    peer: str = "hiveloop_020"

    def figures(self, results: dict[str, Samples]) -> Figures:
        """Collect the row's figure from the samples of its plan."""
        samples = results.get(self.plan, {})
        values = {target: [self.value(sample) for sample in taken] for target, taken in samples.items()}
        return Figures(values, self.ours, self.peer)


def _key(name: str, scale: float = 1.0) -> Callable[[Sample], float]:
    return lambda sample: float(sample[name]) * scale


def _masked(label: str, plan: str, name: str, required: Bound) -> Row:
    return Row(label, plan, _key(name), required, ours="ours_masked", peer="ours_bare")


ROWS = [
    Row(
        "caller's thread, CPU us/run",
        "caller",
        _key("cpu_us"),
        _costs_at_most(10, otel_part=5),
        _costs_at_most(20),
    ),
    Row("caller's thread, wall us/run", "caller", _key("wall_us")),
    Row("one llm_call while sending, p50 us", "llm_call", _key("call_p50")),
    Row("one llm_call while sending, p99 us", "llm_call", _key("call_p99")),
    Row(
        "one llm_call while sending, p99.9 us",
        "llm_call",
        _key("call_p999"),
        _costs_at_most(5),
        _costs_at_most(15),
    ),
    Row("0.2 ms of work and the call, p99 us", "llm_call", _key("step_p99")),
    Row("0.2 ms of work and the call, p99.9 us", "llm_call", _key("step_p999")),
    Row("delivered events/s", "delivery", _key("events_per_second"), _ratio_at_least(5), _ratio_at_least(8)),
    Row("runs lost", "delivery", _key("lost_runs"), _never_more_than(0)),
    Row("process CPU us/delivered run", "delivery", _key("cpu_us"), _costs_at_most(5), _costs_at_most(8)),
    Row("bytes/run on the wire", "delivery", _key("bytes_per_run")),
    Row("requests/1000 runs", "delivery", _key("requests_per_1000_runs")),
    Row("memory, B/queued event", "memory", _key("per_event"), _at_most(400), _at_most(250)),
    Row(
        "memory at 5x the events / at 1x",
        "memory_flat",
        lambda sample: sample["last"] / sample["first"],
        _at_most(1.25),
    ),
    Row("import, ms", "import", _key("ms"), _costs_at_most(4), _costs_at_most(8)),
    Row("import, modules", "import", _key("modules")),
    Row(
        "import, of requests asyncio ssl http",
        "import",
        lambda sample: len(sample["heavy"]),
        _never_more_than(0),
    ),
    Row("1000 agents, threads of the library", "agents", _key("threads"), _never_more_than(3)),
    Row("1000 agents, MiB", "agents", _key("rss", 1 / _MIB), _at_most(4)),
    Row("1000 agents, registration ms", "agents", _key("register_ms"), _at_most(60)),
    _masked("mask + redaction / neither: caller CPU us/run", "mask_caller", "cpu_us", _ratio_at_most(2)),
    _masked(
        "mask + redaction / neither: events/s", "mask_delivery", "events_per_second", _ratio_at_least(0.5)
    ),
    _masked("mask + redaction / neither: process CPU us/run", "mask_delivery", "cpu_us", _ratio_at_most(2)),
    Row(
        "burst of max_queue_size: events lost",
        "burst_within",
        lambda sample: abs(sample["emitted"] - sample["arrived"]) + sample["dropped"] + sample["repeated"],
        _never_more_than(0),
    ),
    Row(
        "5x that: events unaccounted for",
        "burst_beyond",
        lambda sample: (
            abs(sample["emitted"] - sample["arrived"] - sample["dropped"])
            + sample["unsettled"]
            + sample["repeated"]
        ),
        _never_more_than(0),
    ),
]


def summarise(results: dict[str, Samples]) -> list[dict[str, Any]]:
    """Return one mapping per row that has figures: medians, ratios, bounds and the verdict."""
    lines: list[dict[str, Any]] = []
    for row in ROWS:
        figures = row.figures(results)
        if figures.median(row.ours) is not None:
            lines.append(_line(row, figures))
    return lines


def _line(row: Row, figures: Figures) -> dict[str, Any]:
    return {
        "measure": row.label,
        "hiveloop_020": figures.median("hiveloop_020"),
        "otel_http": figures.median("otel_http"),
        "floor": figures.median("floor"),
        "ours": figures.median(row.ours),
        "ours_range": [min(figures.values[row.ours]), max(figures.values[row.ours])],
        "ratio": figures.ratio(row.peer),
        "otel_ratio": figures.ratio("otel_http"),
        "required": row.required.text if row.required else None,
        "stretch": row.stretch.text if row.stretch else None,
        "verdict": _verdict(row, figures),
    }


def _verdict(row: Row, figures: Figures) -> str:
    if row.required is None:
        return ""
    holds = row.required.holds(figures)
    if holds is None:
        return "no peer"
    if not holds:
        return "NOT met"
    return "met, stretch too" if row.stretch and row.stretch.holds(figures) else "met"


def render(lines: list[dict[str, Any]]) -> str:
    """Return the lines as a Markdown table whose columns also align in a terminal."""
    head = [
        "measure",
        "0.2.0",
        "otel",
        "ours",
        "[min..max]",
        "ratio",
        "/otel",
        "required",
        "stretch",
        "verdict",
    ]
    rows = [head, *(_cells(line) for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    )


def _cells(line: dict[str, Any]) -> list[str]:
    low, high = line["ours_range"]
    return [
        line["measure"],
        _number(line["hiveloop_020"]),
        _number(line["otel_http"]),
        _number(line["ours"]),
        f"[{_number(low)}..{_number(high)}]",
        _ratio(line["ratio"]),
        _ratio(line["otel_ratio"]),
        line["required"] or "",
        line["stretch"] or "",
        line["verdict"],
    ]


def _number(value: float | None) -> str:
    if value is None:
        return _NO_FIGURE
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _ratio(ratio: float | None) -> str:
    if ratio is None:
        return _NO_FIGURE
    return f"{ratio:.2f}x" if ratio >= 0.4 or ratio == 0 else f"1/{1 / ratio:.1f}"

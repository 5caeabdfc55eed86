"""The report that the editor publishes."""

from __future__ import annotations

from .notebook import Answer
from .worker import Office

__all__ = ["render"]


def render(office: Office, lead: str) -> str:
    """Write the report as Markdown.

    Args:
        office: what the fleet has found out.
        lead: the first paragraph.
    """
    notebook = office.notebook
    parts = [
        f"# Report on {office.workspace.source.name}",
        lead,
        "## Questions and answers",
        *(_answer(answer) for answer in notebook.answers),
        "## Documents",
        "\n".join(f"- **{name}**: {summary}" for name, summary in sorted(notebook.summaries.items())),
        "## Issues",
        _issues(office),
        "*Written by the agents of the hiveloop demo with a local stand-in for a language model.*",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _answer(answer: Answer) -> str:
    if not answer.text:
        return f"**{answer.question}** The documents do not say."
    return f"**{answer.question}** {answer.text} ({answer.source})"


def _issues(office: Office) -> str:
    still_open = [(finding, "open") for finding in office.notebook.open_issues()]
    repaired = [(finding, "repaired") for finding in office.notebook.resolved]
    lines = [f"- {f.document}, line {f.line}: {f.message} ({state})" for f, state in [*repaired, *still_open]]
    return "\n".join(lines) or "None."

"""Forward log records to HiveBoard as issues."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hiveloop._freeze import freeze_text
from hiveloop._guard import attempt

if TYPE_CHECKING:
    from hiveloop import Agent

__all__ = ["HiveBoardLogHandler"]

_SEVERITIES = ((logging.CRITICAL, "critical"), (logging.ERROR, "high"), (logging.WARNING, "medium"))


class HiveBoardLogHandler(logging.Handler):
    """Reports each log record of a level or above as an issue of an agent.

    All records of one logger and level share an issue id, so that repetitions count as one issue.
    Records of hiveloop itself are ignored: reporting on the reporter would never end.

    Args:
        agent: the agent to report for.
        level: lowest level to forward.
        category: category of the issues.
    """

    def __init__(self, agent: Agent, level: int = logging.WARNING, category: str = "log") -> None:
        super().__init__(level)
        self._agent = agent
        self._category = category

    def emit(self, record: logging.LogRecord) -> None:
        """Report one record; never raises."""
        if record.name == "hiveloop" or record.name.startswith("hiveloop."):
            return
        self._agent.report_issue(
            self._summary(record),
            _severity(record.levelno),
            issue_id=f"log-{record.name}-{record.levelname}",
            category=self._category,
            context={
                "logger": record.name,
                "filename": record.filename,
                "lineno": record.lineno,
                "funcName": record.funcName,
            },
        )

    def _summary(self, record: logging.LogRecord) -> str:
        # Arguments may not fit the message, and their own code may fail.
        return attempt("log record", record.getMessage, default="") or freeze_text(record.msg, 500)


def _severity(level: int) -> str:
    return next((word for least, word in _SEVERITIES if level >= least), "low")

"""What metrics remember between two events: agents with their attributes, and what has begun and not ended.

Attributes of metrics are words from small vocabularies: who, what kind, how it ended. Ids and free text never
get in, since every new value is a new time series. What users choose (names of actions, models, categories)
is limited to so many different words; the rest counts as ``_OTHER``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hiveloop._guard import notice
from hiveloop.events import AgentInfo

from . import semconv as names
from ._values import clean_name

if TYPE_CHECKING:
    from opentelemetry.metrics import UpDownCounter

__all__ = ["FORGOTTEN_AFTER_NS", "OTHER", "AgentState", "Begun", "Key", "Open", "Vocabulary", "Words"]

MOST_WORDS = 200
"""Different values of one attribute."""
MOST_ACTIONS = 1_000
"""The same for names of actions and tools."""
MOST_OPEN = 10_000
"""Tasks, approvals and issues remembered as open, each."""
FORGOTTEN_AFTER_NS = 24 * 3600 * 1_000_000_000
"""What has no event for so long is taken for abandoned."""
_MOST_SETS = 512
"""Sets of attributes kept per agent; they are made anew beyond that."""
_LONGEST_WORD = 255

OTHER = names.OTHER_ERROR
"""Stands for all values beyond those that are counted apart."""

Words = dict[str, str]
"""Attributes of a measurement."""
Key = tuple[str, str]
"""Agent and run, agent and issue, or agent and id of the request for an approval."""

_Sets = dict[tuple[tuple[str, ...], tuple[str | None, ...]], Words]


class Vocabulary:
    """Attribute values as they are exported: clean, and not too many."""

    def __init__(self) -> None:
        self._words: dict[str, dict[str, str]] = {}

    def word(self, name: str, value: str) -> str:
        """Return what stands for a value of the attribute `name`."""
        known = self._words.setdefault(name, {})
        word = known.get(value)
        if word is not None:
            return word
        most = MOST_ACTIONS if name in (names.HIVELOOP_ACTION_NAME, names.TOOL_NAME) else MOST_WORDS
        if len(known) >= most or len(value) > _LONGEST_WORD:
            notice(f"metric attribute {name}", "hiveloop: %s has too many values for metrics", name)
            return OTHER
        word = known[value] = clean_name(value)
        return word


class AgentState:
    """What is known of one agent.

    Attributes:
        agent_id: its name; `OTHER` for all that are too many to be told apart, which have no gauges.
        info: its metadata as of its last registration or heartbeat.
        open: tasks that have not ended.
        waiting: of them, those with an unanswered approval; and approvals outside tasks.
        failed: the task that ended last has failed, and none was started since.
        status: as shown, or None.
        threshold: seconds until it counts as stuck, or None.
        numbers: gauges made of its last heartbeat's payload.
    """

    __slots__ = (
        "_genai",
        "_ours",
        "_vocabulary",
        "agent_id",
        "failed",
        "info",
        "numbers",
        "open",
        "status",
        "threshold",
        "waiting",
    )

    def __init__(self, agent_id: str, info: AgentInfo, vocabulary: Vocabulary) -> None:
        self.agent_id = agent_id
        self.info = info
        self.open = 0
        self.waiting = 0
        self.failed = False
        self.status: str | None = None
        self.threshold: float | None = None
        self.numbers: set[str] = set()
        self._vocabulary = vocabulary
        self._ours: _Sets = {}
        self._genai: _Sets = {}

    @property
    def has_gauges(self) -> bool:
        """Whether this is a single agent, whose present state means something."""
        return self.agent_id != OTHER

    def describe(self, info: AgentInfo) -> bool:
        """Take in metadata; return whether anything is new."""
        changed = info is not self.info and info != self.info
        self.info = info
        if changed:
            self._ours.clear()
        return changed

    def ours(self, keys: tuple[str, ...] = (), *values: str | None) -> Words:
        """Return the attributes of a metric of ours: the agent's, and `keys` with those values that are set.

        The result is shared: do not change it.
        """
        return self._ours.get((keys, values)) or self._make(self._ours, keys, values)

    def genai(self, keys: tuple[str, ...], *values: str | None) -> Words:
        """Return the attributes of a metric of the conventions; as `ours`, without the agent's type."""
        return self._genai.get((keys, values)) or self._make(self._genai, keys, values)

    def _make(self, sets: _Sets, keys: tuple[str, ...], values: tuple[str | None, ...]) -> Words:
        word = self._vocabulary.word
        made = {names.AGENT_NAME: clean_name(self.agent_id)}
        if sets is self._ours:
            made[names.HIVELOOP_AGENT_TYPE] = word(names.HIVELOOP_AGENT_TYPE, self.info.type)
        made |= {key: word(key, value) for key, value in zip(keys, values, strict=True) if value}
        if len(sets) >= _MOST_SETS:
            sets.clear()
        sets[keys, values] = made
        return made


@dataclass(slots=True)
class Begun:
    """A task, an approval or an issue that has not ended.

    Attributes:
        agent: whose it is.
        attributes: with which it was counted, and will be taken off again.
        since_ns: wall clock of its beginning, nanoseconds since the epoch.
        seen_ns: wall clock of its last event.
        within: the run that waits for this approval.
        pending: approvals this run waits for.
        llm_calls: calls of models in this run.
        tool_calls: calls of tools in this run.
    """

    agent: AgentState
    attributes: Words
    since_ns: int
    seen_ns: int
    within: Key | None = None
    pending: int = 0
    llm_calls: int = 0
    tool_calls: int = 0


class Open:
    """What has begun and not ended, counted by an up-down counter; bounded in number and age.

    Args:
        counter: shows how many there are.
        forgotten: told of what was taken off without having ended.
    """

    def __init__(self, counter: UpDownCounter, forgotten: Callable[[Begun], None] | None = None) -> None:
        self._counter = counter
        self._forgotten = forgotten
        self._entries: OrderedDict[Key, Begun] = OrderedDict()

    def get(self, key: Key | None) -> Begun | None:
        """Return one that is open."""
        return None if key is None else self._entries.get(key)

    def begin(self, key: Key, begun: Begun) -> None:
        """Count a new one, and forget the one longest without an event when there are too many."""
        self.forget_older(begun.since_ns)
        if len(self._entries) >= MOST_OPEN:
            self._forget_first()
        self._entries[key] = begun
        self._counter.add(1, begun.attributes)

    def seen(self, key: Key, now_ns: int) -> None:
        """Note that there was an event of it."""
        begun = self._entries.get(key)
        if begun is not None:
            begun.seen_ns = now_ns
            self._entries.move_to_end(key)

    def end(self, key: Key | None) -> Begun | None:
        """Take one off; None when it is not known."""
        begun = None if key is None else self._entries.pop(key, None)
        if begun is not None:
            self._counter.add(-1, begun.attributes)
        return begun

    def oldest(self, agent: AgentState, within: Key | None) -> Key | None:
        """Return the key of the agent's first one within a run, or outside any."""
        for key, begun in self._entries.items():
            if begun.within == within and begun.agent is agent:
                return key
        return None

    def forget_older(self, now_ns: int) -> None:
        """Forget what had no event for a long time."""
        while self._entries:
            oldest = next(iter(self._entries.values()))
            if oldest.seen_ns >= now_ns - FORGOTTEN_AFTER_NS:
                return
            self._forget_first()

    def forget_all(self) -> None:
        """Count none as open."""
        while self._entries:
            self._forget_first()

    def _forget_first(self) -> None:
        begun = self.end(next(iter(self._entries)))
        if begun is not None and self._forgotten is not None:
            self._forgotten(begun)

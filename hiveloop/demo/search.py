"""An inverted index over passages, with BM25 ranking."""

from __future__ import annotations

import math
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .text import sentences, terms
from .workspace import Document

__all__ = ["Hit", "Index", "Passage"]

# The usual values: how soon a repeated word stops counting, and how much long passages are held back.
_K1, _B = 1.2, 0.75


@dataclass(frozen=True, slots=True)
class Passage:
    """A paragraph or so that can be quoted.

    Attributes:
        source: document and heading, such as ``notes.md > Costs``.
        document: name of the document.
        text: the passage, its sentences on one line.
    """

    source: str
    document: str
    text: str


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage and how well it fits the query; larger is better."""

    passage: Passage
    score: float


class Index:
    """Which words stand in which passages. Safe to fill and to search from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = 0
        self._passages: dict[int, Passage] = {}
        self._lengths: dict[int, int] = {}
        self._postings: defaultdict[str, dict[int, int]] = defaultdict(dict)

    def __len__(self) -> int:
        """Passages in the index."""
        return len(self._passages)

    @property
    def vocabulary(self) -> int:
        """Different words in the index."""
        return len(self._postings)

    def replace(self, document: Document) -> int:
        """Index a document in place of its former version; return the number of its passages."""
        passages = list(_passages(document))
        with self._lock:
            self._remove(document.name)
            for passage in passages:
                self._add(passage)
        return len(passages)

    def remove(self, name: str) -> None:
        """Forget a document."""
        with self._lock:
            self._remove(name)

    def search(self, query: str, most: int = 6) -> list[Hit]:
        """Return the best passages for a query, best first; ties in the order of indexing."""
        with self._lock:
            scores = self._scores(set(terms(query)))
            best = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:most]
            return [Hit(self._passages[number], round(score, 3)) for number, score in best]

    def rarity(self, words: Iterable[str]) -> dict[str, float]:
        """Say how much each word tells: near 0 when it stands everywhere, larger the rarer it is."""
        with self._lock:
            return {word: self._idf(word) for word in words}

    def _scores(self, words: Iterable[str]) -> dict[int, float]:
        average = sum(self._lengths.values()) / max(1, len(self._lengths))
        scores: defaultdict[int, float] = defaultdict(float)
        for word in sorted(words):
            weight = self._idf(word)
            for number, count in self._postings.get(word, {}).items():
                share = count * (_K1 + 1) / (count + _K1 * (1 - _B + _B * self._lengths[number] / average))
                scores[number] += weight * share
        return scores

    def _idf(self, word: str) -> float:
        found = len(self._postings.get(word, ()))
        return math.log(1 + (len(self._passages) - found + 0.5) / (found + 0.5))

    def _add(self, passage: Passage) -> None:
        number = self._numbers
        self._numbers += 1
        # The heading counts twice: it says what the passage is about.
        words = terms(passage.text) + 2 * terms(passage.source.partition(" > ")[2])
        self._passages[number] = passage
        self._lengths[number] = len(words)
        for word, count in Counter(words).items():
            self._postings[word][number] = count

    def _remove(self, name: str) -> None:
        gone = {number for number, passage in self._passages.items() if passage.document == name}
        if not gone:
            return
        for number in gone:
            del self._passages[number], self._lengths[number]
        for word, postings in list(self._postings.items()):
            kept = {number: count for number, count in postings.items() if number not in gone}
            if kept:
                self._postings[word] = kept
            else:
                del self._postings[word]


def _passages(document: Document, size: int = 4) -> Iterator[Passage]:
    """Cut a document into passages of up to `size` sentences that do not cross a heading."""
    for section in document.sections():
        # Questions are left out: a question that quotes itself is no answer.
        found = [sentence for sentence in sentences(section.text) if not sentence.endswith("?")]
        source = f"{document.name} > {section.heading}" if section.heading else document.name
        for start in range(0, len(found), size):
            yield Passage(source, document.name, " ".join(found[start : start + size]))

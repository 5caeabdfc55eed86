"""MemoryTransport keeps what it is given."""

from __future__ import annotations

import threading

from hiveloop.transport import Delivered, Transport
from hiveloop.transports import MemoryTransport
from tests.support.events import Script, batch


def test_events_are_kept_in_order() -> None:
    memory, script = MemoryTransport(), Script()
    first, second, third = script.started(), script.llm_call(), script.completed()

    assert memory.send(memory.prepare(batch(first, second)), 1.0) == Delivered()
    assert memory.send(memory.prepare(batch(third)), 1.0) == Delivered()

    assert memory.events == [first, second, third]


def test_the_list_is_a_copy_and_clear_empties_it() -> None:
    memory = MemoryTransport()
    memory.send(memory.prepare(batch(Script().started())), 1.0)
    seen = memory.events
    seen.append(Script().completed())
    assert len(memory.events) == 1

    memory.clear()

    assert memory.events == []
    assert len(seen) == 2


def test_reading_and_clearing_on_other_threads_loses_nothing() -> None:
    memory, script, rounds = MemoryTransport(), Script(), 2_000
    seen: list[int] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.append(len(memory.events))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(rounds):
        memory.send(memory.prepare(batch(script.llm_call(), script.llm_call())), 1.0)
    done.set()
    reader.join(10)

    assert len(memory.events) == 2 * rounds
    assert seen == sorted(seen)
    assert all(size % 2 == 0 for size in seen), "half a batch was visible"


def test_it_is_a_transport() -> None:
    assert isinstance(MemoryTransport(), Transport)
    assert MemoryTransport.name == "memory"

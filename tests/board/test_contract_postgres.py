"""Several boards on one PostgreSQL database: one fleet, whichever of them is asked or listened to."""

from __future__ import annotations

from pathlib import Path

from hiveloop.board.store.postgres import PostgresStore

from .boards import event, running_board
from .stores import new_database, postgres_server
from .test_cli_board import Running, board

__all__ = ["postgres_server"]


def test_what_one_board_takes_all_show_and_push(postgres_server: str, tmp_path: Path) -> None:
    url = new_database(postgres_server)
    here, there = tmp_path / "here", tmp_path / "there"
    with (
        running_board(here, store=PostgresStore(url)) as first,
        running_board(there, store=PostgresStore(url)) as second,
        first.stream(v=2, channels=["events"]) as near,
        second.stream(v=2, channels=["events"]) as far,
    ):
        sent = [event("task_started", task_id=f"t-{number}") for number in range(50)]
        for start in range(0, 50, 10):
            first.send(*sent[start : start + 10])
        ids = [one["event_id"] for one in sent]
        assert [one["event_id"] for one in near.events(50)] == ids
        assert [one["event_id"] for one in far.events(50)] == ids
        second.send(event(task_id="back"), *sent)  # those are stored already
        assert [one["task_id"] for one in near.events(1)] == ["back"]
        assert len(second.get("/v1/tasks", limit=200)["data"]) >= 50
        assert first.get("/v1/agents/ada")["derived_status"] == "processing"
        with second.client(None, Authorization=f"Bearer {first.keys['live']}") as client:
            assert client.get("/v1/agents").status_code == 200


def test_the_command_takes_a_database(postgres_server: str, tmp_path: Path) -> None:
    url = new_database(postgres_server)
    with board(tmp_path, "--port", 0, "--database", url) as running:
        assert "data in PostgreSQL" in running.said
        assert running.get("/v1/agents").json()["data"] == []
        assert running.end() == 0
    assert not (tmp_path / "data" / "board.db").exists()


def test_a_database_that_is_not_there_is_told(tmp_path: Path) -> None:
    running = Running(tmp_path, "--port", 0, "--database", "postgresql://tester:secret@127.0.0.1:9/none")
    assert running.wait() == 1
    assert "PostgreSQL" in running.said
    assert "secret" not in running.said
    assert "Traceback" not in running.said

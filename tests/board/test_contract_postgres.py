"""Several boards on one PostgreSQL database: one fleet, whichever of them is asked or listened to."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from hiveloop.board.store.postgres import PostgresStore
from tests.support.proxy import Way
from tests.support.wait import eventually

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
        with second.browser() as browser:
            assert browser.delete("/v1/agents/ada").status_code == 204
        assert first.get("/v1/agents")["data"] == []
        link = first.link()
        with first.client(None) as one, second.client(None) as other:
            assert one.get(link).status_code == 200
            assert other.get(link.replace(first.endpoint, second.endpoint)).status_code == 403  # it was used


def test_a_database_that_goes_away_is_told_and_taken_again(postgres_server: str, tmp_path: Path) -> None:
    url = urlsplit(new_database(postgres_server))
    with Way(url.port or 0) as way:
        through = url._replace(netloc=f"tester@127.0.0.1:{way.port}").geturl()
        with running_board(tmp_path, store=PostgresStore(through)) as running, running.client() as client:
            running.send(event("task_started", task_id="before"))
            way.cut()
            batch = {"envelope": {"agent_id": "ada"}, "events": [event("task_started", task_id="after")]}
            for _ in range(3):
                for answer in (client.post("/v1/ingest", json=batch), client.get("/v1/tasks")):
                    assert (answer.status_code, answer.json()["error"]) == (503, "storage_failed")
                    assert int(answer.headers["Retry-After"]) > 0
                    assert "connection" not in answer.text  # nothing of where the database is
            assert client.get("/health").status_code == 200
            way.mend()
            eventually(lambda: client.post("/v1/ingest", json=batch).status_code == 200)
            tasks = running.get("/v1/tasks")["data"]
        assert sorted(task["task_id"] for task in tasks) == ["after", "before"]


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

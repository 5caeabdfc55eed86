"""A prefork server: initialised in the parent, served by forked workers, ended by SIGTERM."""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import NoReturn

import hiveloop

WORKERS = 4
JOBS = 60

hb = hiveloop.init(flush_interval=60)
agent = hb.agent("server", heartbeat_interval=1)


def tell(who: str, n: int) -> None:
    agent.event("custom", {"kind": "told", "data": {"who": who, "n": n}})


def handle(connection: socket.socket) -> None:
    with connection:
        number = int(connection.recv(64))
        with (
            agent.task(f"job-{number}", project="prefork", type="api") as task,
            agent.track_context("handle"),
        ):
            task.llm_call("reason", "model-1", tokens_in=10, tokens_out=5)
            tell("job", number)
        connection.sendall(b"done")


def serve(listener: socket.socket, worker: int, ready: int) -> NoReturn:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    tell(f"worker-{worker}", 0)
    os.write(ready, b"!")
    while True:
        connection, _ = listener.accept()
        handle(connection)


def ask(port: int, number: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(str(number).encode())
        assert connection.recv(64) == b"done"


def main() -> None:
    for n in range(30):
        tell("parent", n)
    waiting, ready = os.pipe()
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        workers: list[int] = []
        for worker in range(WORKERS):
            pid = os.fork()
            if pid == 0:
                serve(listener, worker, ready)
            workers.append(pid)
        for _ in workers:
            os.read(waiting, 1)
        for number in range(JOBS):
            ask(listener.getsockname()[1], number)
        for pid in workers:
            os.kill(pid, signal.SIGTERM)
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in workers]
    print(codes)


main()

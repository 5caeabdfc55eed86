"""Where settings come from, what is refused, and how a client begins and ends."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hiveloop
from hiveloop import BatchLimits, Delivered, HiveLoopConfigError, HiveLoopError, Outcome, Transport
from hiveloop._config import resolve
from hiveloop.transports import HttpTransport, MemoryTransport
from tests.support.server import ScriptedServer

pytestmark = pytest.mark.usefixtures("strict", "bare")

KEY = "hb_live_0123456789"
DEFAULT = "https://api.hiveboard.io"


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty directory, with an empty home."""
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")


def write_config(where: str, endpoint: str, tmp_path: Path) -> Path:
    """Write a config file to the working directory or the home."""
    folder = tmp_path / "work" if where == "work" else tmp_path / "home" / ".loophive"
    folder.mkdir(exist_ok=True)
    path = folder / "loophive.cfg"
    path.write_text(f"[loophive]\nendpoint = {endpoint}\n")
    return path


def refusal(**arguments: Any) -> str:
    """The message with which `init` refuses."""
    with pytest.raises(HiveLoopConfigError) as caught:
        hiveloop.init(**arguments)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, HiveLoopError)
    assert hiveloop.get_client() is None
    return str(caught.value)


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


# -- precedence ---------------------------------------------------------------------------------------

SETTINGS: dict[str, tuple[object, tuple[str, object], tuple[object, object]]] = {
    # name: default, (text in the environment, its value), (argument, its value)
    "environment": ("production", ("staging", "staging"), ("test", "test")),
    "group": ("default", ("team-a", "team-a"), ("team-b", "team-b")),
    "flush_interval": (5.0, ("2.5", 2.5), (1, 1.0)),
    "batch_size": (None, ("50", 50), (10, 10)),
    "max_queue_size": (10_000, ("500", 500), (20, 20)),
    "debug": (False, ("1", True), (False, False)),
    "enabled": (True, ("no", False), (True, True)),
    "capture_content": (True, ("off", False), (True, True)),
    "preview_max_chars": (300, ("80", 80), (0, 0)),
    "redact": (True, ("FALSE", False), (True, True)),
    "timeout": (30.0, ("3", 3.0), (0.5, 0.5)),
    "shutdown_timeout": (5.0, ("2", 2.0), (0, 0.0)),
    "compression": (False, ("yes", True), (False, False)),
    "api_key": (None, ("hb_test_env", "hb_test_env"), (KEY, KEY)),
    "endpoint": (
        DEFAULT,
        ("https://env.example", "https://env.example"),
        ("http://arg.example", "http://arg.example"),
    ),
    "headers": ({}, ("X-A=1, X-B = 2", {"X-A": "1", "X-B": "2"}), ({"X-C": "3"}, {"X-C": "3"})),
}


def test_every_setting_is_in_the_table() -> None:
    config = resolve({}, {})
    assert set(SETTINGS) | {"ca_file"} == set(config.settings())


@pytest.mark.parametrize("name", SETTINGS)
def test_argument_before_environment_before_default(name: str) -> None:
    default, (text, from_text), (argument, from_argument) = SETTINGS[name]
    environ = {f"HIVELOOP_{name.upper()}": text}

    def value(arguments: dict[str, Any], environ: dict[str, str]) -> tuple[object, str]:
        config = resolve(arguments, environ)
        return getattr(config, name), config.sources[name]

    assert value({}, {}) == (default, "default")
    assert value({name: None}, {}) == (default, "default")
    assert value({}, {f"HIVELOOP_{name.upper()}": ""}) == (default, "default")
    assert value({}, environ) == (from_text, f"HIVELOOP_{name.upper()}")
    assert value({name: argument}, environ) == (from_argument, "argument")


def test_disabled_is_the_other_way_round() -> None:
    assert resolve({}, {"HIVELOOP_DISABLED": "1"}).enabled is False
    assert resolve({}, {"HIVELOOP_DISABLED": "true"}).enabled is False
    assert resolve({}, {"HIVELOOP_DISABLED": "0"}).enabled is True
    assert resolve({}, {"HIVELOOP_DISABLED": ""}).enabled is True
    assert resolve({"enabled": True}, {"HIVELOOP_DISABLED": "1"}).enabled is True
    assert resolve({"enabled": False}, {"HIVELOOP_DISABLED": "0"}).enabled is False


def test_long_names_are_cut_to_their_limits() -> None:
    config = resolve({"environment": "e" * 100, "group": "g" * 200}, {})
    assert (len(config.environment), len(config.group)) == (64, 128)


def test_a_certificate_file_may_come_from_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("x")
    assert resolve({"ca_file": path}, {}).ca_file == str(path)
    assert resolve({}, {"HIVELOOP_CA_FILE": str(path)}).ca_file == str(path)


def test_a_key_is_taken_without_the_line_break_of_its_file() -> None:
    assert resolve({}, {"HIVELOOP_API_KEY": f" {KEY}\n"}).api_key == KEY


@pytest.mark.parametrize(
    "endpoint", ["https://b.example/", "https://b.example/v1/ingest", " https://b.example// "]
)
def test_an_endpoint_is_tidied(endpoint: str) -> None:
    assert resolve({"endpoint": endpoint}, {}).endpoint == "https://b.example"


# -- the config file ----------------------------------------------------------------------------------


def test_the_file_in_the_working_directory_comes_before_the_one_at_home(tmp_path: Path) -> None:
    write_config("home", "http://home.example", tmp_path)
    assert resolve({}, {}).endpoint == "http://home.example", "one's own file may name any address"
    path = write_config("work", "https://work.example", tmp_path)
    config = resolve({}, {})
    assert config.endpoint == "https://work.example"
    assert config.sources["endpoint"] == str(path)


def test_environment_and_argument_come_before_the_files(tmp_path: Path) -> None:
    write_config("work", "https://work.example", tmp_path)
    assert resolve({}, {"HIVELOOP_ENDPOINT": "https://env.example"}).endpoint == "https://env.example"
    assert resolve({"endpoint": "https://arg.example"}, {}).endpoint == "https://arg.example"


def test_a_file_is_not_even_read_when_it_is_not_needed(tmp_path: Path) -> None:
    write_config("work", "ftp://nonsense", tmp_path)
    assert resolve({"endpoint": "https://arg.example"}, {}).endpoint == "https://arg.example"


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://any.example",
        "http://localhost:8000",
        "http://127.0.0.1:1",
        "http://[::1]:2",
        "http://127.8.9.1",
    ],
)
def test_a_file_of_a_project_may_name_https_or_this_machine(endpoint: str, tmp_path: Path) -> None:
    write_config("work", endpoint, tmp_path)
    assert resolve({}, {}).endpoint == endpoint


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://board.example.com",
        "http://127.0.0.1.example.com",
        "http://127.example.com",
        "http://localhost.example.com",
        "http://localhost@example.com",
        "http://example.com#https://x",
        "//example.com",
        "example.com",
        "file:///etc/passwd",
    ],
)
def test_a_file_of_a_project_may_not_send_the_key_elsewhere(endpoint: str, tmp_path: Path) -> None:
    write_config("work", endpoint, tmp_path)
    message = refusal(api_key=KEY)
    assert "loophive.cfg" in message
    assert KEY not in message


def test_where_the_address_came_from_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "hiveloop")
    path = write_config("work", "http://127.0.0.1:9", tmp_path)
    hiveloop.init(KEY)
    assert [r.getMessage() for r in caplog.records if str(path) in r.getMessage()]


@pytest.mark.parametrize(
    "text", ["", "[other]\nendpoint = https://x", "[loophive]\n", "[loophive]\nendpoint =\n"]
)
def test_a_file_without_an_address_says_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "work" / "loophive.cfg").write_text(text)
    assert resolve({}, {}).endpoint == DEFAULT


@pytest.mark.parametrize(
    "content", [b"", b"endpoint = x\n", b"[loophive\n", b"\xff\xfe\x00", b"[a]\nx=1\nx=2\n"]
)
def test_a_broken_file_is_named_and_not_quoted(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "work" / "loophive.cfg").write_bytes(content + f"api_key {KEY}\n".encode())
    with pytest.raises(HiveLoopConfigError, match=r"loophive\.cfg") as caught:
        hiveloop.init(KEY)
    error: BaseException | None = caught.value
    while error is not None:
        assert KEY not in f"{error} {error!r}"
        error = (
            None
            if error.__suppress_context__ and error.__cause__ is None
            else error.__cause__ or error.__context__
        )


def test_a_percent_sign_in_the_file_is_just_that(tmp_path: Path) -> None:
    write_config("work", "https://b.example/%20x", tmp_path)
    assert resolve({}, {}).endpoint == "https://b.example/%20x"


# -- what is refused ----------------------------------------------------------------------------------

BAD_VALUES: dict[str, list[object]] = {
    "environment": [7, ["x"], ""],
    "group": [7, b"x", ""],
    "flush_interval": [0, -1, "soon", float("nan"), float("inf"), True, [1], 10**400],
    "batch_size": [0, -5, 1.5, "many", float("nan"), True, {}],
    "max_queue_size": [0, -1, 0.5, "x", float("inf"), False],
    "debug": ["maybe", 2, [], object()],
    "enabled": ["perhaps", 5],
    "capture_content": ["some", 3.5],
    "preview_max_chars": [-1, "x", 1.5],
    "redact": ["all"],
    "timeout": [0, -3, "x", float("nan"), True, 10**400],
    "shutdown_timeout": [-1, "x", float("inf")],
    "compression": ["zip"],
    "endpoint": [
        *(
            "",
            "board.example.com",
            "ftp://x.example",
            "https://",
            "https:///x",
            "http://x:99999",
            7,
            ["https://x"],
        ),
        *(
            "https://x.example?key=1",
            "https://x.example/a b",
            "http://[::1",
            "https://u:p@x.example",
            "http://x:0",
        ),
    ],
    "ca_file": ["/no/such/file.pem", 7],
    "headers": [7, ["X"], {"X": 1}, {1: "x"}, {"X": "a\r\nB: c"}, {"": "x"}],
    "mask": ["mask", 7, {}],
    "transport": [7, "http", [], [7], MemoryTransport, [MemoryTransport(), "x"], object()],
    "api_key": [
        7,
        "sk_live_0123456789",
        "HB_live_x",
        "hb live",
        "hb_live_x y",
        "hb_live_é",
        b"hb_live_x",
        "live",
    ],
}
BAD = [
    pytest.param(name, value, id=f"{name}-{number}")
    for name, values in BAD_VALUES.items()
    for number, value in enumerate(values)
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_refused_by_name_with_a_fix(name: str, value: object) -> None:
    message = refusal(**{"api_key": KEY, name: value})
    assert name in message
    assert len(message) > len(name) + 20, "there is more to say than the name"
    assert "\n" not in message
    assert len(message) < 600
    if isinstance(value, str) and name == "api_key" and len(value) > 8:
        assert value not in message
    elif (
        name not in ("api_key", "headers", "transport") and "@" not in str(value) and "key" not in str(value)
    ):
        assert repr(value)[:100] in message


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("HIVELOOP_FLUSH_INTERVAL", "soon"),
        ("HIVELOOP_BATCH_SIZE", "1.5"),
        ("HIVELOOP_DEBUG", "perhaps"),
        ("HIVELOOP_DISABLED", "perhaps"),
        ("HIVELOOP_ENDPOINT", "board"),
        ("HIVELOOP_CA_FILE", "/no/such"),
        ("HIVELOOP_HEADERS", "=x"),
        ("HIVELOOP_API_KEY", "sk-0123456789abcdef0123456789"),
    ],
)
def test_a_bad_variable_is_refused_by_its_own_name(
    variable: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, text)
    message = refusal()
    assert variable in message
    assert variable != "HIVELOOP_API_KEY" or text not in message


def test_a_failed_init_can_be_put_right() -> None:
    refusal(api_key="wrong")
    assert hiveloop.init(KEY, endpoint="http://127.0.0.1:9").enabled


@pytest.mark.parametrize(
    "make",
    [
        lambda: HttpTransport("sk-wrong"),
        lambda: HttpTransport(KEY, "board"),
        lambda: HttpTransport(KEY, DEFAULT, timeout=0),
        lambda: HttpTransport(KEY, DEFAULT, timeout="x"),  # type: ignore[arg-type]
        lambda: HttpTransport(KEY, DEFAULT, ca_file="/no/such"),
    ],
)
def test_the_native_transport_refuses_on_its_own(make: Callable[[], object]) -> None:
    with pytest.raises(HiveLoopConfigError):
        make()


# -- off ----------------------------------------------------------------------------------------------


class Sockets:
    """Counts the sockets this process makes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made = 0
        real = socket.socket.__init__

        def counted(*args: Any, **kwargs: Any) -> None:
            self.made += 1
            real(*args, **kwargs)

        monkeypatch.setattr(socket.socket, "__init__", counted)


def use_everything(hb: hiveloop.HiveBoard) -> None:
    agent = hb.agent("sales", heartbeat_interval=0.01, heartbeat_payload=lambda: {"a": 1})

    @agent.track("step")
    def step(x: int) -> int:
        return x + 1

    with agent.task("lead-42") as task, agent.track_context("look") as action:
        assert hiveloop.get_current_task() is task
        assert step(1) == 2
        task.llm_call("reason", "model")
        action.set_payload({"a": 1})
        hiveloop.plan("goal", ["a"])
    agent.todo("t", "created", "x")
    assert hb.get_agent("sales") is agent
    assert hb.flush(1.0) is True
    assert hiveloop.flush(1.0) is True


@pytest.mark.parametrize("way", ["no key", "argument", "HIVELOOP_DISABLED", "HIVELOOP_ENABLED"])
def test_a_disabled_client_works_without_thread_or_socket(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {t for t in threading.enumerate() if t.name.startswith("hiveloop-")}
    sockets = Sockets(monkeypatch)
    if way.startswith("HIVELOOP"):
        monkeypatch.setenv(way, "1" if "DIS" in way else "0")
    hb = hiveloop.init(
        None if way == "no key" else KEY,
        endpoint="http://127.0.0.1:9",
        enabled=False if way == "argument" else None,
    )
    use_everything(hb)
    assert not hb.enabled
    assert sockets.made == 0
    assert {t for t in threading.enumerate() if t.name.startswith("hiveloop-")} == before
    assert hb.stats().accepted == 0
    hb.shutdown()


def test_the_sockets_of_an_enabled_client_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above would pass as well if the count did not work."""
    sockets = Sockets(monkeypatch)
    with ScriptedServer() as server:
        made = sockets.made
        use_everything(hiveloop.init(KEY, endpoint=server.url))
        assert sockets.made > made
        hiveloop.shutdown()


def test_without_a_key_there_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    use_everything(hiveloop.init())
    [warning] = warnings_in(caplog)
    assert "api_key" in warning
    assert "HIVELOOP_API_KEY" in warning


def test_switched_off_on_purpose_there_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    use_everything(hiveloop.init(enabled=False))
    assert warnings_in(caplog) == []


def test_a_transport_of_ones_own_needs_no_key(caplog: pytest.LogCaptureFixture) -> None:
    hb = hiveloop.init(transport=MemoryTransport())
    assert hb.enabled
    assert warnings_in(caplog) == []


def test_a_read_key_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    with ScriptedServer() as server:
        hb = hiveloop.init("hb_read_0123456789", endpoint=server.url)
        hb.agent("sales", heartbeat_interval=0)
        hb.shutdown()
        [warning] = [text for text in warnings_in(caplog) if "hb_read_" in text]
        assert "0123456789" not in warning


def test_under_pytest_nothing_connects_unless_asked_to(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not hiveloop.init(KEY).enabled
    hiveloop.reset()
    monkeypatch.setenv("HIVELOOP_PYTEST_NETWORK", "1")
    assert hiveloop.init(KEY, endpoint="https://board.invalid").enabled
    hiveloop.shutdown(0.1)


# -- beginnings and ends ------------------------------------------------------------------------------


def test_init_starts_no_thread_and_makes_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    sockets = Sockets(monkeypatch)
    hiveloop.init(KEY, endpoint="http://127.0.0.1:9")
    assert sockets.made == 0
    assert not [t for t in threading.enumerate() if t.name.startswith("hiveloop-")]


def test_a_second_init_warns_and_returns_the_first(caplog: pytest.LogCaptureFixture) -> None:
    memory = MemoryTransport()
    first = hiveloop.init(transport=memory, environment="a")
    assert hiveloop.init("nonsense", environment="b", timeout=-1) is first
    assert first.config.environment == "a"
    [warning] = warnings_in(caplog)
    assert "again" in warning
    assert "nonsense" not in warning


@pytest.mark.parametrize("end", [hiveloop.shutdown, hiveloop.reset])
def test_init_works_again_after_an_end(end: Callable[[], None], caplog: pytest.LogCaptureFixture) -> None:
    memories = [MemoryTransport(), MemoryTransport()]
    clients: list[object] = []
    for memory in memories:
        hb = hiveloop.init(transport=memory)
        clients.append(hb)
        with hb.agent("sales", heartbeat_interval=0).task("lead-42"):
            pass
        end()
    assert clients[0] is not clients[1]
    for memory in memories:
        kinds = [event.kind or event.type for event in memory.events]
        assert kinds == ["agent_registered", "task_started", "task_completed", "runtime"]
    assert warnings_in(caplog) == []


def test_an_end_may_come_twice_or_before_the_beginning() -> None:
    for _ in range(2):
        hiveloop.shutdown()
        hiveloop.reset()
        assert hiveloop.flush(0.1) is True
    hb = hiveloop.init(transport=MemoryTransport())
    hb.agent("sales")
    for _ in range(2):
        hb.shutdown()
        hiveloop.shutdown()
    assert hb.closed


def test_after_shutdown_sensors_are_counted_and_do_nothing() -> None:
    memory = MemoryTransport()
    hb = hiveloop.init(transport=memory)
    agent = hb.agent("sales", heartbeat_interval=0.01)
    hb.shutdown()
    delivered = len(memory.events)
    for _ in range(5):
        agent.llm_call("reason", "model")
    assert hb.stats().dropped == {"closed": 5}
    assert len(memory.events) == delivered
    assert hb.flush(0.5) is True


def test_get_client_is_what_init_made() -> None:
    assert hiveloop.get_client() is None
    hb = hiveloop.init(transport=MemoryTransport())
    assert hiveloop.get_client() is hb
    hiveloop.reset()
    assert hiveloop.get_client() is None


def test_several_transports_are_told_apart_by_name() -> None:
    hb = hiveloop.init(transport=[MemoryTransport(), MemoryTransport(), MemoryTransport()])
    hb.agent("sales", heartbeat_interval=0)
    assert hb.flush(5.0)
    assert set(hb.stats().transports) == {"memory", "memory-2", "memory-3"}
    assert {t.name for t in threading.enumerate() if t.name.startswith("hiveloop-")} == {
        "hiveloop-memory",
        "hiveloop-memory-2",
        "hiveloop-memory-3",
    }


class Structural:
    """A transport that inherits nothing."""

    name = "structural"
    limits = BatchLimits(max_events=2)

    def __init__(self) -> None:
        self.batches: list[Any] = []

    def prepare(self, batch: Any) -> object:
        return batch

    def send(self, prepared: Any, timeout: float) -> Outcome:
        self.batches.append(prepared)
        return Delivered()

    def flush(self, timeout: float) -> bool:
        return True

    def close(self, timeout: float) -> None:
        pass


def test_a_transport_need_not_inherit() -> None:
    transport = Structural()
    assert isinstance(transport, Transport)
    hb = hiveloop.init(transport=transport)
    agent = hb.agent("sales", heartbeat_interval=0)
    for _ in range(5):
        agent.llm_call("reason", "model")
    assert hb.flush(5.0)
    assert sum(len(batch.events) for batch in transport.batches) == 6
    assert max(len(batch.events) for batch in transport.batches) <= 2


def test_debug_shows_the_log_and_a_reset_hides_it_again(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("hiveloop")
    handlers = list(logger.handlers)
    hb = hiveloop.init(transport=MemoryTransport(), debug=True)
    hb.agent("sales", heartbeat_interval=0)
    assert "sales" in capsys.readouterr().err
    hiveloop.reset()
    assert logger.handlers == handlers


def test_of_two_variables_the_one_that_switches_off_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVELOOP_ENABLED", "1")
    monkeypatch.setenv("HIVELOOP_DISABLED", "1")
    assert not resolve({}).enabled
    assert resolve({"enabled": True}).enabled

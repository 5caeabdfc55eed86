"""The client: `HiveBoard`, and the one instance that `hiveloop.init` makes."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from ._agent import Agent, no_agent, seconds
from ._clock import Deadline
from ._config import Config, resolve, shown_value
from ._exit import ExitHook, renew_in_children
from ._freeze import freeze_text
from ._guard import guarded, guarded_scope, logger
from ._heartbeat import Callback, Heartbeats
from ._pipeline import EngineOptions, Pipeline
from ._record import EventBuilder
from ._redact import Mask, Privacy
from ._shape import is_a, is_list, kind_of
from ._version import __version__
from .errors import HiveLoopConfigError
from .events import AgentInfo
from .stats import Stats
from .transport import BatchLimits, Transport
from .transports._address import is_loopback

__all__ = ["HiveBoard", "flush", "get_client", "init", "reset", "shutdown"]

Transports = Transport | Sequence[Transport]

FLUSH_SECONDS = 10.0
"""Default patience of `flush`."""
SHORTEST_INTERVAL = 0.01
"""Seconds between heartbeats, at least: more of them would be a load, not a sign of life."""
ROOM_TO_SAY_GOODBYE = 0.5
"""Queue fill above which ``agent_stopped`` is not sent: it must not push out real events."""


class _DefaultText(str):
    """A default that can be told from the same text passed by the caller."""

    __slots__ = ()


class _DefaultSeconds(float):
    """A default that can be told from the same number passed by the caller."""

    __slots__ = ()


_GENERAL, _CUSTOM = _DefaultText("general"), _DefaultText("custom")
_EVERY_30_SECONDS, _AFTER_300_SECONDS = _DefaultSeconds(30), _DefaultSeconds(300)


def _is_passed(value: object) -> bool:
    """Tell whether the caller of `HiveBoard.agent` gave this argument: a second call changes only those."""
    return value is not None and not is_a(kind_of(value), _DefaultText, _DefaultSeconds)


class HiveBoard:
    """A running HiveLoop: agents, transports and their delivery. `hiveloop.init` makes it.

    Args:
        config: effective settings.
        transports: where events go; none for a disabled client.
        mask: the user's last word on each payload.
        options: engine behaviour; from `config` by default.
        captures: made by `hiveloop.testing`; an inner `init` returns it as it is.
    """

    def __init__(
        self,
        config: Config,
        transports: Sequence[Transport],
        *,
        mask: Mask | None = None,
        options: EngineOptions | None = None,
        captures: bool = False,
    ) -> None:
        self.config = config
        self.captures = captures
        self._lock = threading.RLock()
        self._agents: dict[str, Agent] = {}
        self._closed = False
        self._exit = ExitHook(self._at_exit)
        options = options or _options(config)
        self._clock = options.clock
        privacy = Privacy(
            redact=config.redact,
            capture_content=config.capture_content,
            preview_max_chars=config.preview_max_chars,
            mask=mask,
        )
        self._privacy = privacy
        self._pipeline = Pipeline(transports, EventBuilder(privacy), options, self._first_event)
        self._route = self._pipeline
        self._heartbeats = Heartbeats(options.clock, self._pipeline.pressure)
        renew_in_children(self)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "enabled" if self.enabled else "disabled"
        return f"<hiveloop.HiveBoard {state}, {len(self._agents)} agents>"

    @property
    def enabled(self) -> bool:
        """Whether events go anywhere."""
        return self._pipeline.enabled

    @property
    def closed(self) -> bool:
        """Whether `shutdown` was called."""
        return self._closed

    # -- agents --------------------------------------------------------------------------------

    @guarded_scope(no_agent)
    def agent(
        self,
        agent_id: str,
        type: str = _GENERAL,
        version: str | None = None,
        framework: str = _CUSTOM,
        heartbeat_interval: float = _EVERY_30_SECONDS,
        stuck_threshold: float = _AFTER_300_SECONDS,
        heartbeat_payload: Callback | None = None,
        queue_provider: Callback | None = None,
    ) -> Agent:
        """Register an agent, or update the metadata passed and return the agent of that id.

        Args:
            agent_id: unique name, at most 256 characters.
            type: role or classification.
            version: version of the agent or model.
            framework: name of the agent framework.
            heartbeat_interval: seconds between heartbeats; 0 disables them.
            stuck_threshold: seconds without a heartbeat before the board says "stuck".
            heartbeat_payload: returns a dict for each heartbeat, or None; runs on a thread of ours.
            queue_provider: returns the work queue's state for each heartbeat, or None; same thread.
        """
        name = freeze_text(agent_id, 256)
        given = {"type": type, "version": version, "framework": framework}
        with self._lock:
            agent = self._agents.get(name)
            new = agent is None
            if agent is None:
                agent = self._agents[name] = Agent(self._info(name), self._route)
            before = (agent.info, agent.stuck_threshold)
            passed = {k: freeze_text(v, 256) for k, v in given.items() if _is_passed(v)}
            changes: dict[str, Any] = {k: self._privacy.text(v) for k, v in passed.items()}
            agent.info = agent.info._replace(**changes)
            if _is_passed(stuck_threshold):
                agent.stuck_threshold = seconds(stuck_threshold, "stuck_threshold", 300)
            if new or before != (agent.info, agent.stuck_threshold):
                agent.register()
                logger.debug("hiveloop: agent %s registered", agent.info.agent_id)
            self._set_heartbeat(agent, new, heartbeat_interval, heartbeat_payload, queue_provider)
        return agent

    def _info(self, agent_id: str) -> AgentInfo:
        return AgentInfo(
            agent_id=self._privacy.text(agent_id) or "",
            environment=self.config.environment,
            group=self.config.group,
            runtime=f"python-{'.'.join(map(str, sys.version_info[:3]))}",
            sdk_version=f"hiveloop-{__version__}",
        )

    def _set_heartbeat(
        self, agent: Agent, new: bool, interval: float, payload: Callback | None, queue: Callback | None
    ) -> None:
        agent.heartbeat_payload = agent.heartbeat_payload if payload is None else payload
        agent.queue_provider = agent.queue_provider if queue is None else queue
        before = agent.heartbeat_interval
        if _is_passed(interval):
            wanted = seconds(interval, "heartbeat_interval", 30.0)
            agent.heartbeat_interval = max(wanted, SHORTEST_INTERVAL) if wanted else 0.0
        if self.enabled and (new or agent.heartbeat_interval != before):
            self._heartbeats.set(agent)

    def get_agent(self, agent_id: str) -> Agent | None:
        """Return the agent registered under an id, or None."""
        with self._lock:
            return self._agents.get(freeze_text(agent_id, 256))

    @property
    def pipeline(self) -> Pipeline:
        """What the agents of this client report through."""
        return self._pipeline

    def divert(self, target: HiveBoard | None) -> None:
        """Have the agents of this client report through another one, or again through its own.

        For `hiveloop.testing`: an application that keeps its agents in module variables made them
        before the test began.
        """
        with self._lock:
            self._route = self._pipeline if target is None else target.pipeline
            for agent in self._agents.values():
                agent.route(self._route)

    # -- delivery ------------------------------------------------------------------------------

    @guarded_scope(lambda: False)
    def flush(self, timeout: float = FLUSH_SECONDS) -> bool:
        """Wait until every event accepted before this call was delivered or dropped.

        Args:
            timeout: seconds to wait at most.

        Returns:
            False when the timeout passed first. At once when called on a delivery thread.
        """
        return self._pipeline.flush(Deadline(seconds(timeout, "timeout", FLUSH_SECONDS), self._clock))

    @guarded
    def shutdown(self, timeout: float | None = None) -> None:
        """Announce the end of each agent, deliver what is queued, stop all threads.

        One deadline covers everything; what is left by then is dropped and counted. Sensors called
        later are counted as ``closed``. A second call does nothing.

        Args:
            timeout: seconds it may take; 5 unless configured otherwise.
        """
        default = self.config.shutdown_timeout
        deadline = Deadline(default if timeout is None else seconds(timeout, "timeout", default), self._clock)
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._heartbeats.stop(deadline)
        for agent in list(self._agents.values()):
            if self._pipeline.pressure() <= ROOM_TO_SAY_GOODBYE:
                agent.stopped()
        self._pipeline.flush(deadline)
        self._pipeline.close(deadline)
        self._exit.cancel()
        logger.debug("hiveloop stopped: %s", self.stats())

    def retire(self) -> None:
        """Let no context find this client's tasks and agents any more."""
        with self._lock:
            for agent in self._agents.values():
                agent.retired = True

    def stats(self) -> Stats:
        """Return what became of every event so far; cheap, any thread."""
        return self._pipeline.stats(self._heartbeats.skipped)

    # -- process -------------------------------------------------------------------------------

    def _first_event(self) -> None:
        self._exit.register()
        self._heartbeats.start()

    def _at_exit(self) -> None:
        self.shutdown()

    def renew(self) -> None:
        """Start afresh in the child of a fork."""
        self._lock = threading.RLock()
        self._pipeline.renew()
        self._heartbeats.renew()


def _options(config: Config) -> EngineOptions:
    return EngineOptions(
        max_queue_size=config.max_queue_size,
        batch_size=config.batch_size,
        flush_interval=config.flush_interval,
        timeout=config.timeout,
    )


# -- the singleton ------------------------------------------------------------------------------

_lock = threading.RLock()
_instance: HiveBoard | None = None
_debug_handler: logging.Handler | None = None


def init(
    api_key: str | None = None,
    environment: str | None = None,
    group: str | None = None,
    endpoint: str | None = None,
    flush_interval: float | None = None,
    batch_size: int | None = None,
    max_queue_size: int | None = None,
    debug: bool | None = None,
    *,
    transport: Transports | None = None,
    enabled: bool | None = None,
    capture_content: bool | None = None,
    preview_max_chars: int | None = None,
    mask: Mask | None = None,
    redact: bool | None = None,
    timeout: float | None = None,
    shutdown_timeout: float | None = None,
    headers: Mapping[str, str] | None = None,
    ca_file: str | None = None,
    compression: bool | None = None,
) -> HiveBoard:
    """Start HiveLoop, once per process; a second call warns and returns the same instance.

    Every setting but `transport` and `mask` may come from the environment variable
    ``HIVELOOP_<NAME>``. An argument wins over the environment, that over the config file
    (``loophive.cfg``, endpoint only), that over the default. Without a key and an endpoint, events go to
    the board of the same user that runs on this machine, if one does. Makes no connection and starts no
    thread; both wait for the first event.

    Args:
        api_key: starts with "hb_". Without a key, a `transport` and a board on this machine HiveLoop is
            disabled: all calls work and nothing is sent.
        environment: deployment stage, at most 64 characters; "production".
        group: team or service, at most 128 characters; "default".
        endpoint: address of the HiveBoard server.
        flush_interval: seconds an event waits for company at most; 5.
        batch_size: events that make a batch worth sending before the interval has passed, and the most
            per request. By default 100, and up to 500 per request when there is a backlog.
        max_queue_size: events kept in memory per transport; the oldest are dropped beyond it; 10000.
        debug: log what the SDK does to stderr.
        transport: where events go, one `Transport` or several; the HiveBoard server by default.
        enabled: False switches everything off, as does ``HIVELOOP_DISABLED=1``.
        capture_content: False removes previews of prompts and responses and tool arguments and results.
        preview_max_chars: characters kept of each preview; 300.
        mask: takes a payload and returns what may be sent; called on a delivery thread, once per
            transport. When it raises, the payload is withheld.
        redact: replace well-known secrets (keys, tokens, passwords); True.
        timeout: seconds one request may take; 30.
        shutdown_timeout: seconds that `shutdown` and the end of the process may take; 5.
        headers: more HTTP headers for each request.
        ca_file: PEM file with the certificates to trust.
        compression: compress request bodies.

    Raises:
        HiveLoopConfigError: a setting is not valid; the message names it, the value and the fix.
    """
    arguments = dict(locals())
    chosen, masking = arguments.pop("transport"), arguments.pop("mask")
    global _instance
    with _lock:
        if _instance is not None and not _instance.closed:
            if not _instance.captures:
                logger.warning("hiveloop.init() was called again: the first call's settings stay in force")
            return _instance
        config = resolve(arguments, look_for_board=chosen is None)
        _check_mask(masking)
        _set_debug(config.debug)
        _instance = HiveBoard(config, _transports(config, chosen), mask=masking)
        logger.debug("hiveloop %s started: %r", __version__, config)
        _tell_origin(config)
        return _instance


def _shown_board(config: Config) -> str:
    """A board's address, and the one to open in a browser where that is another."""
    in_browsers = f" (in browsers {config.public_url})" if config.public_url else ""
    return f"{config.endpoint}{in_browsers}"


def _tell_origin(config: Config) -> None:
    """Say so when events go somewhere that neither the program nor its environment named."""
    origin = config.sources.get("endpoint", "")
    if not os.path.isabs(origin):
        return
    if origin == config.sources.get("api_key"):
        # A warning, because that is what programs that never set up logging show.
        logger.warning("hiveloop: reporting to the HiveBoard on this machine, %s", _shown_board(config))
    else:
        logger.info("hiveloop: the endpoint %s comes from %s", config.endpoint, origin)


def install(client: HiveBoard | None) -> HiveBoard | None:
    """Put a client in the place of the current one and return that; for `hiveloop.testing`."""
    global _instance
    with _lock:
        before, _instance = _instance, client
        return before


def _transports(config: Config, chosen: Transports | None) -> list[Transport]:
    if not config.enabled:
        logger.info("hiveloop is disabled")
        return []
    if chosen is not None:
        return _checked(chosen)
    if config.api_key is None:
        logger.warning(
            "hiveloop is disabled: no API key. Pass api_key= or set HIVELOOP_API_KEY, or pass transport="
        )
        return []
    if config.api_key.startswith("hb_read_"):
        logger.warning(
            "hiveloop: the API key is a read key (hb_read_...), which cannot send; use hb_live_ or hb_test_"
        )
    if "PYTEST_VERSION" in os.environ and not _may_connect(config):
        logger.info(
            "hiveloop: no connection to %s under pytest; pass transport= to ask for one", config.endpoint
        )
        return []
    return [native_transport(config)]


def native_transport(config: Config) -> Transport:
    """Return what sends to the configured HiveBoard."""
    from .transports.http import HttpTransport

    return HttpTransport(
        config.api_key,
        config.endpoint,
        timeout=config.timeout,
        headers=config.headers,
        ca_file=config.ca_file,
        compression=config.compression,
    )


def _may_connect(config: Config) -> bool:
    return is_loopback(config.endpoint) or os.environ.get("HIVELOOP_PYTEST_NETWORK") == "1"


def _checked(chosen: Any) -> list[Transport]:
    """Return the transports a caller passed, one or several.

    Raises:
        HiveLoopConfigError: one of them is no transport.
    """
    several: list[Any] = list(chosen) if is_list(chosen) else [chosen]
    for transport in several:
        if isinstance(transport, type):
            raise HiveLoopConfigError(
                f"transport={transport.__name__} is a class: pass an instance, {transport.__name__}()"
            )
        missing = [
            m for m in ("prepare", "send", "flush", "close") if not callable(getattr(transport, m, None))
        ]
        if not isinstance(getattr(transport, "limits", None), BatchLimits):
            missing.append("limits")
        if not isinstance(getattr(transport, "name", None), str):
            missing.append("name")
        if missing:
            lacks = ", ".join(missing)
            raise HiveLoopConfigError(
                f"transport={shown_value(transport)} is not valid: it lacks {lacks};"
                " subclass hiveloop.Transport"
            )
    if not several:
        raise HiveLoopConfigError("transport=[] is not valid: give one or more transports, or enabled=False")
    return several


def _check_mask(mask: object) -> None:
    if mask is not None and not callable(mask):
        raise HiveLoopConfigError(
            f"mask={shown_value(mask)} is not valid: give a callable that takes and returns a dict"
        )


def _set_debug(debug: bool) -> None:
    """Show the SDK's own log on stderr, or stop showing it."""
    global _debug_handler
    if _debug_handler is not None:
        logger.removeHandler(_debug_handler)
        logger.setLevel(logging.NOTSET)
        _debug_handler = None
    if debug:
        _debug_handler = logging.StreamHandler()
        _debug_handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(_debug_handler)
        logger.setLevel(logging.DEBUG)


def get_client() -> HiveBoard | None:
    """Return the client that `init` made, or None."""
    return _instance


def flush(timeout: float = FLUSH_SECONDS) -> bool:
    """Wait until every event accepted so far was delivered or dropped; see `HiveBoard.flush`.

    True when there is nothing to wait for, also without `init`.
    """
    return True if _instance is None else _instance.flush(timeout)


def shutdown(timeout: float | None = None) -> None:
    """Deliver what is queued and stop, within `timeout` seconds (5); see `HiveBoard.shutdown`."""
    if _instance is not None:
        _instance.shutdown(timeout)


def reset() -> None:
    """Flush, stop and forget the client, so that `init` starts afresh; for tests."""
    client = install(None)
    if client is not None:
        client.shutdown()
        client.retire()
        _set_debug(False)

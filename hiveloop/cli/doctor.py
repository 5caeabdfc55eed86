"""``python -m hiveloop doctor``: why does nothing show up?"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import hiveloop
from hiveloop import HiveLoopConfigError
from hiveloop._config import Config, config_files, resolve

from ._checks import Check, Status, check_process, describe_key
from ._options import number

__all__ = ["add_to", "run"]

_DESCRIPTION = """\
Follows an event from this program to the HiveBoard server and says where it is lost: the settings and
where each comes from, the key, the name lookup, the connection, TLS, the clocks, and one probe event
sent exactly as a program would send it (it shows up as agent hiveloop-doctor).

With --otlp, or when OTEL_EXPORTER_OTLP_ENDPOINT is set, it follows a span to the OpenTelemetry receiver,
too, with an empty request at the end. With --otlp and no HiveBoard key, it looks at nothing else.
"""
_EPILOG = """\
Give the key in HIVELOOP_API_KEY rather than on the command line, where other users of the machine can see
it; it is never printed. Exit codes: 0 all is well (warnings allowed), 1 a problem was found, 2 wrong usage.
"""


_OTLP_VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_UNSET = {"batch_size": "100, in a backlog up to 500"}
"""How settings are shown that are not set but have an effect."""


def add_to(add_command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = add_command(
        "doctor",
        help="find out why nothing shows up on the board",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--endpoint", metavar="URL", help="check this server instead of the configured one")
    parser.add_argument("--api-key", metavar="KEY", help="check this key instead of the configured one")
    parser.add_argument(
        "--otlp",
        metavar="URL",
        nargs="?",
        const="",
        help="check an OpenTelemetry receiver; without URL the one that the OTEL_* variables name",
    )
    parser.add_argument("--ca-file", metavar="PEM", help="trust the certificates in this file")
    parser.add_argument(
        "--timeout", type=number(0.1, 600), default=10.0, metavar="N", help="seconds for each step (10)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run all checks and return the exit code."""
    config, problem = _settings(arguments)
    if not arguments.json:
        _print_settings(config)
    plan = _plan(arguments, config)
    found: list[Check] = []
    for check in _checks(config, problem, plan, arguments.timeout):
        found.append(check)
        if not arguments.json:
            _print_check(check)
    code = 1 if any(check.status is Status.FAIL for check in found) else 0
    if arguments.json:
        print(json.dumps(_report(config, found, code), indent=2))
    else:
        print(f"\n{_verdict(config, plan, found)}")
    return code


class _Plan(NamedTuple):
    """What is looked at.

    Attributes:
        board: the HiveBoard server.
        otlp: the OTLP receiver: its address, empty for that of the variables, None for none.
    """

    board: bool
    otlp: str | None


def _plan(arguments: argparse.Namespace, config: Config | None) -> _Plan:
    otlp: str | None = arguments.otlp
    keyless = config is not None and config.api_key is None and arguments.endpoint is None
    if otlp is None and any(os.environ.get(name) for name in _OTLP_VARIABLES):
        return _Plan(True, "")
    return _Plan(otlp is None or not keyless, otlp)


def _settings(arguments: argparse.Namespace) -> tuple[Config | None, Check | None]:
    """Work out the settings; a wrong key is a finding, not a reason to look no further."""
    given = {"endpoint": arguments.endpoint, "api_key": arguments.api_key, "ca_file": arguments.ca_file}
    try:
        return resolve(given, look_for_board=True), None
    except HiveLoopConfigError as error:
        check = Check(
            "settings", Status.FAIL, str(error), "hiveloop.init raises this error: correct the value"
        )
    environ = {name: value for name, value in os.environ.items() if name != "HIVELOOP_API_KEY"}
    try:
        return resolve({**given, "api_key": None}, environ), check
    except HiveLoopConfigError:
        return None, check


def _checks(config: Config | None, problem: Check | None, plan: _Plan, timeout: float) -> Iterator[Check]:
    if problem:
        yield problem
    if config is not None:
        yield from _of_process(config, problem, plan)
    # The HTTP client is slow to import: show something first.
    if config is not None and plan.board:
        from ._network import check_network

        yield from check_network(config, timeout)
    if plan.otlp is not None:
        from ._otlp import check_otlp

        yield from check_otlp(plan.otlp, timeout)


def _of_process(config: Config, problem: Check | None, plan: _Plan) -> Iterator[Check]:
    for check in check_process(config, os.environ):
        if check.name == "key" and not plan.board:
            yield Check("key", Status.SKIP, "no HiveBoard key: no HiveBoard is looked at")
        elif check.name != "key" or not problem:
            yield check
    if plan.board:
        yield from _files(config)


def _files(config: Config) -> Iterator[Check]:
    """Name config files, since one that nobody remembers is a common surprise."""
    for path in map(os.path.abspath, config_files()):
        if os.path.isfile(path):
            used = config.sources.get("endpoint") == path
            yield Check(
                "file", Status.OK, f"{path} {'gives the endpoint' if used else 'exists, but is not used'}"
            )


# -- output ---------------------------------------------------------------------------------------


def _rows(config: Config) -> Iterator[tuple[str, Any, str]]:
    """Yield name, value and source of each setting, the secret ones described instead."""
    for name, value in config.settings().items():
        yield name, _shown(config, name, value), config.sources.get(name, "default")


def _shown(config: Config, name: str, value: Any) -> Any:
    match name:
        case "api_key":
            return describe_key(config.api_key)
        case "headers":  # their values may be credentials
            return ", ".join(sorted(config.headers)) or None
        case _:
            return value


def _print_settings(config: Config | None) -> None:
    print(f"hiveloop doctor, version {hiveloop.__version__}\n")
    if config is not None:
        print("Settings")
        for name, value, source in _rows(config):
            shown = _UNSET.get(name, "not set") if value is None else value
            print(f"  {name:<18}{shown!s:<32}  {source}")
        print()
    print("Checks", flush=True)


def _print_check(check: Check) -> None:
    print(f"  {check.status:<5} {check.name:<13} {check.message}", flush=True)
    if check.fix:
        print(f"  {'':<5} {'':<13} -> {check.fix}", flush=True)


def _verdict(config: Config | None, plan: _Plan, found: list[Check]) -> str:
    failed = [check for check in found if check.status is Status.FAIL]
    if failed:
        number = "1 problem" if len(failed) == 1 else f"{len(failed)} problems, to begin with"
        return f"Verdict: {number}: {failed[0].name}: {failed[0].message}"
    warned = [check.name for check in found if check.status is Status.WARN]
    but = f", but look at: {', '.join(warned)}" if warned else ""
    places = [f"events of this program reach {config.endpoint}"] if config and plan.board else []
    if plan.otlp is not None:
        from ._otlp import otlp_address

        whose = "its spans" if places else "spans of this program"
        places.append(f"{whose} reach {otlp_address(plan.otlp)}")
    return f"Verdict: {' and '.join(places)}{but}"


def _report(config: Config | None, found: list[Check], code: int) -> dict[str, Any]:
    settings = list(_rows(config)) if config else []
    return {
        "version": hiveloop.__version__,
        "verdict": "problem" if code else "ok",
        "exit_code": code,
        "settings": [{"name": name, "value": value, "source": source} for name, value, source in settings],
        "checks": [{"name": c.name, "status": c.status, "message": c.message, "fix": c.fix} for c in found],
    }

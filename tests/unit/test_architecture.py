"""How the package is put together: layers, the one safety net, a light import, documented names."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import hiveloop
import hiveloop.testing
import hiveloop.transport
import hiveloop.transports

PACKAGE = Path(hiveloop.__file__).parent

# From the bottom up. A module imports modules of the layers below its own, and none beside it. The name of
# a package stands for all modules in it that are not named themselves; those may import each other.
LAYERS = (
    ("_version", "errors", "stats", "_shape", "_guard", "_clock", "_backoff", "_ids", "_exit"),
    ("events", "_freeze", "_scope"),
    ("transport", "_redact"),
    ("payloads",),
    ("_wire",),
    ("_record",),
    (
        "transports._answers",
        "transports._text",
        "transports._symbols",
        "transports._loading",
        "transports._session",
    ),
    ("transports._address", "transports._spans", "transports._stream"),
    ("transports._phrases",),
    ("transports._story",),
    ("transports.console", "transports.http", "transports.jsonl", "transports.memory"),
    ("transports",),
    ("_lane",),
    ("_delivery",),
    ("_pipeline", "_heartbeat", "_action"),
    ("_task", "_track"),
    ("_agent",),
    ("_handover", "_sensors"),
    ("_config",),
    ("_client",),
    ("_views",),
    ("testing",),
    ("_pytest_plugin", "contrib"),
    ("",),  # hiveloop itself: the names that users see
    ("demo",),
    # The board, above everything that users import, so that nothing of the SDK can need it.
    (
        "board.model",
        "board.status",
        "board.prices",
        "board.keys",
        "board.locks",
        "board.security",
        "board.store.schema",
    ),
    ("board.intake", "board.handover", "board.folder", "board.store.protocol"),
    ("board.folding", "board.otlp", "board.keyring"),
    ("board.store", "board.span_events"),
    ("board.traces",),
    ("board.waiting",),
    ("board.queries",),
    ("board.live",),
    ("board",),  # routes, server, what runs beside them
    ("cli",),
    ("__main__",),
)

# Imports inside functions may go upward where a cycle lies in the matter itself.
UPWARD_WHEN_CALLED = {
    ("_scope", "_task"): "what is current is a task or an action, and is told by its class",
    ("_scope", "_agent"): "the same for an agent",
}

TRANSPORTS_NEED = frozenset(
    ("events", "payloads", "transport", "errors", "_shape", "_version", "_guard", "_wire")
)

HEAVY = frozenset(
    [
        "requests",
        "urllib3",
        "asyncio",
        "ssl",
        "http",
        "email",
        "socket",
        "inspect",
        "dataclasses",
        "json",
        "logging",
        "threading",
        "uuid",
        "configparser",
        "concurrent",
        "rich",
        "pytest",
    ]
)
HEAVY_AFTER_INIT = frozenset(
    ("requests", "urllib3", "asyncio", "ssl", "http", "inspect", "dataclasses", "uuid", "rich", "socket")
)
MOST_MODULES = 40
"""New modules of `import hiveloop`, the standard library's `typing` and all it needs included."""


class Import(NamedTuple):
    """One module imports another, both without the package's name.

    Attributes:
        when: "loaded", "called" for an import inside a function, or "checked" for type checkers only.
    """

    importer: str
    imported: str
    when: str
    line: int


def _modules() -> dict[str, Path]:
    """Every module of the package by its name without "hiveloop."; "" is the package itself."""
    found: dict[str, Path] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = _modules()
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def _imports(name: str) -> Iterator[Import]:
    yield from _imports_below(name, TREES[name], "loaded")


def _imports_below(name: str, node: ast.AST, when: str) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        inside = when
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inside = "called" if when == "loaded" else when
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            inside = "checked"
        elif isinstance(child, ast.Import | ast.ImportFrom):
            for imported in _targets(name, child):
                yield Import(name, imported, when, child.lineno)
        yield from _imports_below(name, child, inside)


def _targets(name: str, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """The modules of ours that one statement imports."""
    if isinstance(node, ast.Import):
        full = [alias.name for alias in node.names]
        yield from (n.removeprefix("hiveloop").lstrip(".") for n in full if n.split(".")[0] == "hiveloop")
        return
    base = _base(name, node)
    if base is None:
        return
    for alias in node.names:
        inner = f"{base}.{alias.name}".lstrip(".")
        yield inner if inner in MODULES else base


def _base(name: str, node: ast.ImportFrom) -> str | None:
    """The module a ``from`` names, or None when it is not ours."""
    if node.level == 0:
        module = node.module or ""
        return module.removeprefix("hiveloop").lstrip(".") if module.split(".")[0] == "hiveloop" else None
    is_package = MODULES[name].name == "__init__.py"
    parts = name.split(".") if name else []
    up = node.level - 1 if is_package else node.level
    kept = parts[: len(parts) - up]
    return ".".join([*kept, node.module] if node.module else kept)


def _layer(name: str) -> int:
    """The layer a module is in: its own name counts, else its package's."""
    for number, layer in enumerate(LAYERS):
        if name in layer:
            return number
    package = name.rpartition(".")[0]
    if package == "transports" or not package:
        raise AssertionError(f"{name} is in no layer")
    return _layer(package)


def _home(name: str) -> str:
    """The name in the layers that stands for a module: its own, else that of a package around it."""
    return name if any(name in layer for layer in LAYERS) else _home(name.rpartition(".")[0])


ALL_IMPORTS = [found for name in MODULES for found in _imports(name)]


def _shown(found: Import) -> str:
    return f"{MODULES[found.importer]}:{found.line} imports {found.imported or 'hiveloop'}"


# -- layers ---------------------------------------------------------------------------------------


def test_every_module_has_a_layer_and_every_layer_its_modules() -> None:
    for name in MODULES:
        _layer(name)
    listed = [name for layer in LAYERS for name in layer]
    assert len(listed) == len(set(listed))
    assert set(listed) <= set(MODULES)


def test_the_reader_of_imports_finds_all_kinds() -> None:
    seen = {(i.importer, i.imported, i.when) for i in ALL_IMPORTS}
    assert ("_task", "payloads", "loaded") in seen  # from . import payloads
    assert ("_client", "transports._address", "loaded") in seen  # from .transports._address import
    assert (
        "transports.http",
        "transports._address",
        "loaded",
    ) in seen  # from hiveloop.transports._address import
    assert ("transports.console", "transports._text", "loaded") in seen  # from ._text import, in a package
    assert ("_scope", "_task", "called") in seen
    assert ("_scope", "_agent", "checked") in seen
    assert ("__main__", "cli", "loaded") in seen


def test_imports_go_downward() -> None:
    wrong = [
        found
        for found in ALL_IMPORTS
        if found.when == "loaded"
        and _home(found.importer) != _home(found.imported)
        and _layer(found.imported) >= _layer(found.importer)
    ]
    assert not wrong, "\n".join(map(_shown, wrong))


def test_imports_inside_functions_go_downward_but_for_the_ones_with_a_reason() -> None:
    upward = {
        (found.importer, found.imported): found
        for found in ALL_IMPORTS
        if found.when == "called"
        and _home(found.importer) != _home(found.imported)
        and _layer(found.imported) >= _layer(found.importer)
    }
    assert set(upward) == set(UPWARD_WHEN_CALLED), "\n".join(map(_shown, upward.values()))


def test_no_import_is_part_of_a_cycle() -> None:
    graph: dict[str, set[str]] = {name: set() for name in MODULES}
    for found in ALL_IMPORTS:
        # A package imports its modules on demand, and `from . import x` names the package itself.
        if found.when == "loaded" and not found.importer.startswith(f"{found.imported}."):
            graph[found.importer].add(found.imported)
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_a_transport_needs_the_protocol_and_little_else() -> None:
    wrong = [
        found
        for found in ALL_IMPORTS
        if found.importer.startswith("transports")
        and not found.imported.startswith("transports")
        and found.imported not in TRANSPORTS_NEED
    ]
    assert not wrong, "\n".join(map(_shown, wrong))


# -- the board ------------------------------------------------------------------------------------

BOARD_NEEDS = frozenset(("_guard", "_handover", "_shape", "_version", "payloads"))
"""What the board takes from the SDK: it is a client of the wire format, not of the engine."""
WEB_SERVER = frozenset(("starlette", "uvicorn", "websockets"))
DATABASES = frozenset(("sqlite3", "psycopg"))
EXTRA = WEB_SERVER | {"msgspec", "psycopg"}
"""What only comes with the board's extra."""


def test_only_the_command_line_knows_the_board() -> None:
    wrong = [
        found
        for found in ALL_IMPORTS
        if _is_board(found.imported) and not _is_board(found.importer) and _home(found.importer) != "cli"
    ]
    assert not wrong, "\n".join(map(_shown, wrong))


def test_the_board_needs_little_of_the_sdk() -> None:
    wrong = [
        found
        for found in ALL_IMPORTS
        if _is_board(found.importer) and not _is_board(found.imported) and found.imported not in BOARD_NEEDS
    ]
    assert not wrong, "\n".join(map(_shown, wrong))


def _is_board(name: str) -> bool:
    return name == "board" or name.startswith("board.")


def test_the_store_alone_knows_databases_and_the_routes_alone_the_web() -> None:
    for name in filter(_is_board, MODULES):
        used = set(_foreign(TREES[name]))
        assert not used & DATABASES or name.startswith("board.store."), name
        assert not used & WEB_SERVER or _home(name) == "board", name


def _foreign(tree: ast.AST) -> Iterator[str]:
    """First parts of the names of modules that are not ours."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def test_the_reader_of_foreign_imports_finds_them() -> None:
    assert set(_foreign(TREES["board.store.sqlite"])) & DATABASES == {"sqlite3"}
    assert set(_foreign(TREES["board.server"])) & WEB_SERVER == {"uvicorn"}


def test_the_command_line_works_without_the_extra_of_the_board() -> None:
    assert not _tops(_modules_after("import hiveloop.cli")) & EXTRA


# -- rules about code -----------------------------------------------------------------------------


def _broad_handlers(tree: ast.AST) -> Iterator[tuple[ast.ExceptHandler, str]]:
    """Handlers of everything, with the widest class they catch."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = {"BaseException"} if node.type is None else _names(node.type)
            for wide in ("BaseException", "Exception"):
                if wide in caught:
                    yield node, wide
                    break


def _names(node: ast.AST) -> set[str]:
    plain = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    return plain | {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}


def _suppresses_everything(tree: ast.AST) -> bool:
    return any(
        isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("suppress")
        and any(_names(argument) & {"Exception", "BaseException"} for argument in node.args)
        for node in ast.walk(tree)
    )


def test_only_the_guard_catches_every_exception() -> None:
    catching = {
        name for name, tree in TREES.items() for _, wide in _broad_handlers(tree) if wide == "Exception"
    }
    catching |= {name for name, tree in TREES.items() if _suppresses_everything(tree)}
    assert catching == {"_guard"}


def test_what_catches_even_keyboard_interrupts_passes_them_on() -> None:
    for name, tree in TREES.items():
        for handler, wide in _broad_handlers(tree):
            if wide != "BaseException":
                continue
            assert name in ("_track", "_guard"), f"{MODULES[name]}:{handler.lineno}"
            raises = any(isinstance(node, ast.Raise) for node in ast.walk(handler))
            throws = any(called.endswith("thrower") for called in _names(handler))  # into the generator
            assert raises or throws, f"{MODULES[name]}:{handler.lineno} keeps an exception"


def _sleeps(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "time.sleep":
            yield node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            yield from (node.lineno for alias in node.names if alias.name in ("sleep", "*"))


def test_nobody_sleeps() -> None:
    tests = PACKAGE.parent / "tests"
    for path in [*MODULES.values(), *tests.rglob("*.py")]:
        lines = list(_sleeps(ast.parse(path.read_text(encoding="utf-8"))))
        assert not lines, f"{path}:{lines}"


def test_the_finders_find() -> None:
    """The searches above would pass as well if they found nothing at all."""
    source = "import time\ntry:\n    time.sleep(1)\nexcept (ValueError, Exception):\n    pass\n"
    tree = ast.parse(source + "with contextlib.suppress(BaseException):\n    pass\n")
    assert list(_sleeps(tree)) == [3]
    assert [wide for _, wide in _broad_handlers(tree)] == ["Exception"]
    assert [wide for _, wide in _broad_handlers(ast.parse("try: x\nexcept: y"))] == ["BaseException"]
    assert _suppresses_everything(tree)
    assert list(_sleeps(ast.parse("from time import sleep"))) == [1]


# -- a light import -------------------------------------------------------------------------------


def _modules_after(program: str) -> set[str]:
    """The modules that a program loads in a fresh interpreter, beyond those that start it."""
    code = (
        "import sys; before = set(sys.modules)\n"
        f"{program}\n"
        "new = sorted(set(sys.modules) - before)\n"
        "import json; print(json.dumps(new))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert not done.stderr
    return set(json.loads(done.stdout))


def _tops(modules: set[str]) -> set[str]:
    return {name.split(".")[0] for name in modules}


def test_importing_hiveloop_loads_next_to_nothing() -> None:
    loaded = _modules_after("import hiveloop")
    assert not _tops(loaded) & HEAVY
    assert {name for name in loaded if name.startswith("hiveloop")} == {"hiveloop", "hiveloop._version"}
    assert len(loaded) <= MOST_MODULES, sorted(loaded)


def test_a_client_loads_no_network_before_its_first_event() -> None:
    start = "hiveloop.init('hb_test_0123456789', endpoint='http://127.0.0.1:9')"
    loaded = _modules_after(f"import hiveloop; {start}")
    assert not _tops(loaded) & HEAVY_AFTER_INIT
    assert "hiveloop.transports.http" in loaded
    assert "hiveloop.transports.console" not in loaded


def test_a_disabled_client_loads_no_transport() -> None:
    loaded = _modules_after("import hiveloop; hiveloop.init('hb_test_0123456789', enabled=False)")
    names = {name for name in loaded if name.startswith("hiveloop.transports.")}
    assert names == {"hiveloop.transports._address"}


# -- public names ---------------------------------------------------------------------------------

PUBLIC_MODULES = ("", "errors", "events", "stats", "testing", "transport", "transports", "payloads")
TYPES_WITH_METHODS = (
    "HiveBoard",
    "Agent",
    "Task",
    "Action",
    "Transport",
    "ScopeHooks",
    "Event",
    "HttpTransport",
)


def _public(module: str) -> object:
    __import__(f"hiveloop.{module}".rstrip("."))
    return sys.modules[f"hiveloop.{module}".rstrip(".")]


@pytest.mark.parametrize("module", PUBLIC_MODULES)
def test_public_names_resolve_and_have_docstrings(module: str) -> None:
    home = _public(module)
    names: list[str] = home.__all__  # type: ignore[attr-defined]
    assert len(names) == len(set(names))
    for name in names:
        value = getattr(home, name)
        if isinstance(value, type) or callable(value):
            own = value.__dict__.get("__doc__") if isinstance(value, type) else value.__doc__
            assert own, f"hiveloop.{module}.{name} has no docstring"


@pytest.mark.parametrize("name", TYPES_WITH_METHODS)
def test_public_methods_have_docstrings(name: str) -> None:
    kind: type = getattr(hiveloop, name)
    for attribute, value in vars(kind).items():
        if attribute.startswith("_") or not (inspect.isroutine(value) or isinstance(value, property)):
            continue
        if name == "Agent" and attribute == "log_debug":
            continue  # for scopes; its one line says it all
        assert inspect.getdoc(value), f"{name}.{attribute} has no docstring"


def test_every_module_says_what_it_is_for() -> None:
    assert not [name for name, tree in TREES.items() if not ast.get_docstring(tree)]


def test_each_name_has_one_home() -> None:
    """The table of lazy imports and the list of public names cannot drift apart."""
    lazy = set(hiveloop._MODULES)
    assert lazy == set(hiveloop.__all__) - {"SDK_VERSION", "__version__"}
    assert set(hiveloop.__all__) <= set(dir(hiveloop))
    for name in lazy:
        home = sys.modules[f"hiveloop{hiveloop._MODULES[name]}"] if getattr(hiveloop, name) else None
        assert getattr(home, name) is getattr(hiveloop, name)


def test_a_wrong_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        hiveloop.nothing  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        hiveloop.transports.nothing  # noqa: B018

"""Every code block of README and docs runs, every link resolves, and every table is complete."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import pytest

import hiveloop
import hiveloop_otel
from hiveloop._config import resolve
from tests.support.otlp import OtlpSink
from tests.support.server import ScriptedServer

from .pages import DOCS, PAGES, ROOT, Block, blocks, links, prose, table_rows

ADDRESS = "https://board.example.com"
"""The server in the documentation; a loopback server takes its place."""
OURS = ("HIVELOOP_", "OTEL_")
SITE_SECONDS = 120

ALL = [block for page in PAGES for block in blocks(page)]
PYTHON = [block for block in ALL if block.language == "python"]
BASH = [block for block in ALL if block.language == "bash"]
BOARD_PAGES = sorted((DOCS / "board").glob("*.md"))
"""Their code runs against a real board: see `test_board_docs`."""


def environment(**more: str) -> dict[str, str]:
    """Return our environment as a newcomer's: without settings of ours, and strict about our own bugs."""
    foreign = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return {**foreign, "HIVELOOP_STRICT": "1", "NO_COLOR": "1", "COLUMNS": "100", "PYTHONUTF8": "1", **more}


def run(*command: object, folder: Path, given: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=folder,
        env=environment(**more),
        input=given,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


# -- code --------------------------------------------------------------------------------------------


def is_run(block: Block) -> bool:
    return not block.note.startswith(("not run:", "pytest"))


@pytest.mark.parametrize(
    "page", sorted({block.page for block in PYTHON if is_run(block)} - {*BOARD_PAGES}), ids=name_of
)
def test_python_blocks_of_page_run(page: Path, tmp_path: Path) -> None:
    runnable = [block for block in blocks(page, "python") if is_run(block)]
    with ScriptedServer() as server, OtlpSink() as collector:
        sources = [{"line": b.line, "source": b.text.replace(ADDRESS, server.url)} for b in runnable]
        account = {
            "HIVELOOP_API_KEY": "hb_test_docs",
            "HIVELOOP_ENDPOINT": server.url,
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        }
        program = Path(__file__).with_name("run_page.py")
        done = run(program, page, folder=tmp_path, given=json.dumps(sources), **account)

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert server.violations == collector.violations == []
    compare_output(page, dict(zip((b.line for b in runnable), json.loads(done.stdout), strict=True)))


def compare_output(page: Path, printed: dict[int, str]) -> None:
    """Compare what blocks printed with the text blocks below them that say ``<!-- prints -->``."""
    last = 0
    for block in blocks(page):
        if block.line in printed:
            last = block.line
        elif block.note == "prints":
            assert steady(printed[last]) == steady(block.text), f"{block} is not what line {last} prints"


def steady(text: str) -> list[str]:
    """Return the lines of an output without what changes from run to run: times, durations, columns."""
    text = re.sub(r"\d\d:\d\d:\d\d", "00:00:00", text)
    text = re.sub(r"\b\d+(\.\d+)?m?s\b", "0ms", text)
    return [" ".join(line.split()) for line in text.strip().splitlines()]


@pytest.mark.parametrize("block", [b for b in PYTHON if b.note.startswith("pytest")], ids=str)
def test_pytest_block_passes(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "test_documentation.py"
    file.write_text(block.text, encoding="utf-8")
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", file, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("block", [b for b in PYTHON if not is_run(b)], ids=str)
def test_python_block_that_is_not_run_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec")
    assert block.note.removeprefix("not run:").strip(), "say why it is not run"


@pytest.mark.parametrize("block", [b for b in ALL if b.language == "json"], ids=str)
def test_json_block_parses(block: Block) -> None:
    json.loads(block.text)


def test_every_block_says_its_language() -> None:
    assert [str(block) for block in ALL if not block.language] == []


# -- commands ----------------------------------------------------------------------------------------


def commands(block: Block) -> list[list[str]]:
    lines = block.text.replace("\\\n", " ").replace(" && ", "\n").splitlines()
    return [shlex.split(line, comments=True) for line in lines if shlex.split(line, comments=True)]


@pytest.mark.parametrize("block", BASH, ids=str)
def test_bash_block_names_what_exists(block: Block) -> None:
    for words in commands(block):
        settings = [word.partition("=")[0] for word in words if re.match(r"HIVELOOP_\w+=", word)]
        assert [name for name in settings if name not in variables()] == []
        check_command([word for word in words if not re.match(r"\w+=", word)])


def check_command(words: list[str]) -> None:
    match [word.removeprefix(".venv/bin/").replace("python3", "python") for word in words]:
        case ["python", "-m", "venv", _]:
            pass
        case [] | ["export", *_] | ["cd", *_] | ["git", *_]:
            pass
        case ["pip", "install", *arguments]:
            assert_installable(arguments)
        case ["python", "-m", "hiveloop", *arguments]:
            assert_options_exist("hiveloop", arguments)
        case ["hiveloop", *arguments]:
            assert_options_exist("hiveloop", arguments[: [*arguments, "--"].index("--")])
        case ["curl", *_]:
            pass
        case ["python", "-m", "tests.bench", *arguments]:
            assert_options_exist("tests.bench", arguments)
        case ["python", "-m", "pytest" | "mkdocs", *_] | ["pytest", *_] | ["mkdocs", *_]:
            pass
        case ["python", file, *_]:
            assert (ROOT / file).exists() or file in ("agent.py", "app.py"), f"there is no {file}"
        case _:
            raise AssertionError(f"unknown command {words}")


def assert_installable(arguments: list[str]) -> None:
    """Every extra must be one of ours."""
    extras = re.findall(
        r"^\s*([\w-]+) = \[", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    wanted = re.findall(r"\[([\w,-]+)\]", " ".join(arguments))
    assert [name for group in wanted for name in group.split(",") if name not in extras] == []


def assert_options_exist(module: str, arguments: list[str]) -> None:
    """The help text must know the command and each option."""
    command = [word for word in arguments[:1] if not word.startswith("-")]
    done = run("-m", module, *command, "--help", folder=ROOT)
    assert done.returncode == 0, done.stderr
    options = {word.partition("=")[0] for word in arguments if word.startswith("--")}
    assert [option for option in options if option not in done.stdout] == []


def variables() -> set[str]:
    """Environment variables that the package reads, by what its source says."""
    packages = (ROOT / "hiveloop", ROOT / "hiveloop_otel")
    sources = "".join(path.read_text(encoding="utf-8") for home in packages for path in home.rglob("*.py"))
    named = set(re.findall(r"\bHIVELOOP_[A-Z_]+\b", sources))
    return named | {f"HIVELOOP_{name.upper()}" for name in resolve({}, {}).settings()}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_environment_variables_exist(page: Path) -> None:
    named = set(re.findall(r"\bHIVELOOP_[A-Z_]+\b(?!<)", page.read_text(encoding="utf-8")))
    assert named <= variables()


# -- links and site ----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files(page: Path) -> None:
    targets = [target.partition("#")[0] for target in links(page)]
    assert [target for target in targets if target and not (page.parent / target).exists()] == []


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation as HTML; building it resolves links, anchors, the navigation and every docstring."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**environment(), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=SITE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class _Page(HTMLParser):
    """Collects the ids of a page and the addresses that a browser would load by itself."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.loaded: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if "id" in found:
            self.ids.add(found["id"])
        if tag == "link" and found.get("rel") not in ("canonical", "prev", "next"):
            self.loaded.append(found["href"])
        elif "src" in found:
            self.loaded.append(found["src"])


def test_site_has_every_page(site: Path) -> None:
    """The build is strict: a broken link or anchor, or a page that is not in the navigation, ends it."""
    expected = {page.relative_to(DOCS).with_suffix("") for page in DOCS.rglob("*.md")}
    built = {page.parent.relative_to(site) for page in site.rglob("index.html")}
    assert {page.parent if page.name == "index" else page for page in expected} == built


def test_site_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    loaded = {address for page in pages for address in _Page(page).loaded}
    assert [address for address in loaded if re.match(r"(https?:)?//", address)] == []


def test_reference_has_every_public_name(site: Path) -> None:
    ids = _Page(site / "reference" / "index.html").ids
    sensors = inspect.getmembers(importlib.import_module("hiveloop._sensors"), inspect.isfunction)
    by_hand = {name for name, _ in sensors} | {"SDK_VERSION", "__version__"}
    public = {f"hiveloop.{name}" for name in hiveloop.__all__ if name not in by_hand}
    public |= {f"hiveloop_otel.{name}" for name in hiveloop_otel.__all__}
    assert [name for name in sorted(public) if name not in ids] == []


def test_reference_names_every_sensor_function() -> None:
    named = {row[0].strip("`") for row in table_rows(DOCS / "reference.md", "Sensors as functions")}
    sensors = importlib.import_module("hiveloop._sensors")
    assert {name.removeprefix("hiveloop.") for name in named} == set(sensors.__all__)


# -- completeness ------------------------------------------------------------------------------------


def test_configuration_names_every_setting_with_its_default() -> None:
    table = table_rows(DOCS / "configuration.md", "All settings")
    rows = {re.findall(r"\w+", row[0])[0]: row for row in table}
    arguments = set(inspect.signature(hiveloop.init).parameters)
    effective = resolve({}, {}).settings()
    assert arguments | set(effective) == set(rows)
    for name, value in effective.items():
        named, default = rows[name][:2]
        variable = "HIVELOOP_DISABLED" if name == "enabled" else f"HIVELOOP_{name.upper()}"
        assert f"`{variable}`" in named
        assert default.strip("`") == shown(name, value), name


def shown(name: str, value: Any) -> str:
    """Return a default as the table writes it."""
    special = {"batch_size": "100", "headers": "none", "api_key": "none", "ca_file": "none"}
    return special.get(name) or (json.dumps(value) if isinstance(value, str) else str(value))


def test_delivery_names_every_drop_reason_and_outcome() -> None:
    page = DOCS / "delivery.md"
    reasons = {row[0].strip("`") for row in table_rows(page, "Drop reasons")}
    assert reasons == set(hiveloop.DropReason)
    outcomes = {row[0].strip("`").partition("(")[0] for row in table_rows(page, "Outcomes")}
    assert outcomes == {kind.__name__ for kind in get_args(hiveloop.Outcome)}


def test_log_lines_in_troubleshooting_are_ours() -> None:
    """Each line of the table, without the parts that vary, must be in the source."""
    rows = table_rows(DOCS / "troubleshooting.md", "What the log says")
    varies = r"hiveloop: |http: |\bcost\b|Task\.llm_call|TypeError|HTTP 401|…|\d+"
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "hiveloop").rglob("*.py"))
    parts = [part.strip() for row in rows for part in re.split(varies, row[0].strip("`"))]
    assert [part for part in parts if part not in source] == []
    assert len(rows) > 5


def test_wire_format_names_every_event_type() -> None:
    rows = table_rows(DOCS / "wire-format.md", "Event types")
    assert {row[0].strip("`") for row in rows} == set(hiveloop.EventType)


def test_decision_records_are_listed_and_have_their_parts() -> None:
    index = (DOCS / "adr" / "index.md").read_text(encoding="utf-8")
    parts = ("## Context\n", "## Decision\n", "## Consequences\n", "## Refused\n")
    for page in sorted((DOCS / "adr").glob("0*.md")):
        text = page.read_text(encoding="utf-8")
        assert f"({page.name})" in index
        assert [part for part in parts if part not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_page_has_one_title(page: Path) -> None:
    titles = re.findall(r"^# \S", prose(page), flags=re.MULTILINE)
    assert len(titles) == 1 or page.name == "changelog.md"

"""The pages on OpenTelemetry are complete: every option, name and metric, and configurations that load."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hiveloop_otel import HiveLoopSpanProcessor, OTelTransport, semconv

from .everything import Exported, export_everything
from .pages import DOCS, table_rows

PAGES = DOCS / "otel"
CONFIGURATIONS = sorted((PAGES / "collector").glob("*.yaml"))

# Component types of the Collector's core and contrib distributions that our configurations may use. Source:
# metadata.yaml of each, September 2026.
COMPONENTS = {
    "receivers": {"otlp"},
    "processors": {"memory_limiter", "batch", "tail_sampling"},
    "exporters": {"otlp_grpc", "otlp_http", "load_balancing", "prometheus", "debug"},
    "extensions": {"health_check", "file_storage"},
}
POLICIES = {"status_code", "boolean_attribute", "ottl_condition", "latency", "probabilistic"}


def text_of(name: str) -> str:
    return (PAGES / name).read_text(encoding="utf-8")


def names_in(text: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", text))


def constants(module: Any, *prefixes: str) -> dict[str, str]:
    found = {name: value for name, value in vars(module).items() if name.startswith(prefixes)}
    return {name: value for name, value in found.items() if isinstance(value, str)}


# -- the pages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "kind"), [("index.md", OTelTransport), ("inbound.md", HiveLoopSpanProcessor)]
)
def test_every_argument_is_in_the_table(page: str, kind: type) -> None:
    heading = "Options" if kind is OTelTransport else "Arguments"
    named = {name for row in table_rows(PAGES / page, heading) for name in re.findall(r"`(\w+)`", row[0])}
    assert named == set(inspect.signature(kind).parameters)


def test_defaults_in_the_table_are_those_of_the_code() -> None:
    rows = table_rows(PAGES / "index.md", "Options")
    told = {name: row[1] for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    defaults = {name: each.default for name, each in inspect.signature(OTelTransport).parameters.items()}
    given = {name: default for name, default in defaults.items() if default is not None}
    assert len(given) > 8
    for name, default in given.items():
        shown = f'"{default}"' if isinstance(default, str) else str(default)
        assert f"`{shown}`" == told[name], name


def test_every_metric_and_its_attributes_are_in_the_table() -> None:
    page = text_of("mapping.md")
    modules = Path(semconv.__file__).parent.glob("_metric*.py")
    further = {name for path in modules for name in re.findall(r'"(hiveloop\.[a-z_.]+)"', path.read_text())}
    metrics = {*constants(semconv, "METRIC_").values(), *further}
    assert len(metrics) > 20
    assert further
    assert [name for name in sorted(metrics) if f"`{name}" not in page] == []


def test_every_event_is_in_the_table() -> None:
    page = text_of("mapping.md")
    events = {
        value
        for name, value in vars(semconv).items()
        if isinstance(value, str)
        and value.startswith("hiveloop.")
        and not name.startswith(("HIVELOOP_", "METRIC_", "LATEST_"))
    }
    assert {"hiveloop.retry", "hiveloop.task.started", "hiveloop.custom"} <= events
    derived = {semconv.APPROVAL_WAIT_DURATION}
    assert [name for name in sorted(events - derived) if f"`{name}" not in page] == []


def test_every_attribute_of_ours_is_explained() -> None:
    page = text_of("mapping.md")
    shortened = re.sub(r"`\.(\w+)`", r"\1", page)
    attributes = constants(semconv, "HIVELOOP_").values()
    missing = [
        name
        for name in sorted(attributes)
        if f"`{name}" not in page and name.rpartition(".")[2] not in shortened
    ]
    assert missing == []


def test_names_of_the_conventions_are_those_the_code_writes() -> None:
    """A name in the documentation that no constant has is a misspelling, or was never written."""
    written = {value for value in vars(semconv).values() if isinstance(value, str)}
    named = {name for name in names_in(text_of("mapping.md")) if re.fullmatch(r"gen_ai\.[a-z_.]+[a-z]", name)}
    assert len(named) > 20
    assert sorted(named - written) == []


# -- configurations of the Collector -----------------------------------------------------------------


def load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def used(configuration: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield section and name of every component that the service runs."""
    yield from (("extensions", name) for name in configuration["service"]["extensions"])
    for pipeline in configuration["service"]["pipelines"].values():
        for section in ("receivers", "processors", "exporters"):
            yield from ((section, name) for name in pipeline[section])


def test_there_are_configurations() -> None:
    assert [path.stem for path in CONFIGURATIONS] == ["balancer", "sampler", "single"]


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_configuration_has_real_components_and_runs_each(path: Path) -> None:
    configuration = load(path)
    defined = {(section, name) for section in COMPONENTS for name in configuration.get(section, {})}
    assert set(used(configuration)) == defined
    assert [name for section, name in defined if name.split("/")[0] not in COMPONENTS[section]] == []
    assert set(configuration) == {*COMPONENTS, "service"}
    assert set(configuration["service"]["pipelines"]) == {"traces", "metrics", "logs"}


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_memory_is_limited_first_and_batches_are_made_last(path: Path) -> None:
    for pipeline in load(path)["service"]["pipelines"].values():
        processors = pipeline["processors"]
        assert processors[0] == "memory_limiter"
        assert "batch" not in processors[:-1]


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_queues_are_kept_in_a_store_that_exists(path: Path) -> None:
    configuration = load(path)
    queues = [exporter.get("sending_queue", {}) for exporter in configuration["exporters"].values()]
    assert {queue["storage"] for queue in queues if queue} <= set(configuration["extensions"])


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_configuration_takes_what_a_transport_sends_by_default(path: Path) -> None:
    protocols = load(path)["receivers"]["otlp"]["protocols"]
    ports = {name: settings["endpoint"].rpartition(":")[2] for name, settings in protocols.items()}
    assert {"http": "4318", "grpc": "4317"}.items() >= ports.items()
    assert ("http" in ports) == (path.stem != "sampler")  # which is behind the balancer


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_variables_are_explained_at_the_top(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    head = text.partition("\n\n")[0]
    assert [name for name in re.findall(r"\$\{env:(\w+)\}", text) if f"{name}=" not in head] == []


def test_policies_ask_for_attributes_that_exist() -> None:
    policies = load(PAGES / "collector" / "sampler.yaml")["processors"]["tail_sampling"]["policies"]
    assert {policy["type"] for policy in policies} == POLICIES
    assert all(policy["type"] in policy for policy in policies)
    written = {value for value in vars(semconv).values() if isinstance(value, str)}
    asked = set(re.findall(r"hiveloop\.[a-z_.]+", str(policies)))
    assert asked
    assert asked <= written


# -- the tables tell the truth -------------------------------------------------------------------------

NAME = re.compile(r"`((?:[a-z_]+)?\.[a-z_.]+(?:\{\w+\})?)(?:`|…)")
KIND_OF_SPAN = {
    "Attributes of tasks": ("invoke_agent sales",),
    "Attributes of actions": ("execute_tool search", "decorated", "think"),
    "Attributes of model calls": ("chat claude-sonnet-4-5",),
}


@pytest.fixture(scope="module")
def exported() -> Exported:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HIVELOOP_STRICT", "1")
        return export_everything()


def full_names(cell: str) -> list[str]:
    """Names in a cell; one that begins with a dot takes the place of the last part of the one before."""
    names: list[str] = []
    for name in NAME.findall(cell):
        names.append(f"{names[-1].rpartition('.')[0]}{name}" if name.startswith(".") and names else name)
    return names


def is_written(name: str, written: set[str]) -> bool:
    start, brace, _ = name.partition("{")
    return any(key.startswith(start) for key in written) if brace or name.endswith(".") else name in written


@pytest.mark.parametrize("heading", KIND_OF_SPAN)
def test_attributes_of_spans_are_exported(exported: Exported, heading: str) -> None:
    written = {key for span in KIND_OF_SPAN[heading] for key in exported.spans[span]}
    named = {
        name for row in table_rows(PAGES / "mapping.md", heading) for cell in row for name in full_names(cell)
    }
    assert len(named) > 5
    assert [name for name in sorted(named) if not is_written(name, written)] == []


def test_attributes_of_every_span_are_on_every_span(exported: Exported) -> None:
    rows = table_rows(PAGES / "mapping.md", "Attributes of every span")
    named = {name for row in rows for name in full_names(row[0])}
    for span in ("execute_tool search", "chat claude-sonnet-4-5"):
        assert named <= exported.spans[span]


def test_attributes_of_events_are_exported(exported: Exported) -> None:
    rows = table_rows(PAGES / "mapping.md", "Events")
    assert len(rows) > 15
    for row in rows:
        event = full_names(row[1])[0].replace("{kind}", "house_rule")
        assert event in exported.events, event
        named = {event + name if name.startswith(".") else name for name in NAME.findall(row[2])}
        assert sorted(named - exported.events[event]) == []


def test_content_is_where_the_table_says(exported: Exported) -> None:
    written = {key for keys in (*exported.spans.values(), *exported.events.values()) for key in keys}
    rows = table_rows(PAGES / "mapping.md", "Content")
    named = {name for row in rows for name in full_names(row[1])}
    assert len(named) == 7
    assert sorted(named - written) == []


def test_logs_are_exported(exported: Exported) -> None:
    named = {name for row in table_rows(PAGES / "mapping.md", "Logs") for name in full_names(row[0])}
    assert len(named) == 5
    assert sorted(named - exported.logs) == []


def test_metrics_are_of_the_kind_and_unit_the_table_says(exported: Exported) -> None:
    unseen = {"hiveloop.otel.spans.dropped", "hiveloop.agent.open_action.age"}
    for row in table_rows(PAGES / "mapping.md", "Metrics"):
        for name in full_names(row[0]):
            if name in unseen:
                continue
            if name.endswith("{key}"):
                name = f"{name.removesuffix('{key}')}mood"
                row[2] = exported.metrics[name][1]
            told = row[1].partition(",")[0], row[2]
            assert exported.metrics.get(name) == told, name
            further = {key for key in full_names(row[3]) if not key.startswith("error.")}
            assert sorted(further - exported.metric_attributes[name]) == []


def test_every_metric_exported_is_in_the_table(exported: Exported) -> None:
    page = text_of("mapping.md")
    own = {name for name in exported.metrics if not name.startswith("hiveloop.agent.state.")}
    assert [name for name in sorted(own) if f"`{name}`" not in page] == []


def test_the_resource_says_what_the_page_says(exported: Exported) -> None:
    section = text_of("mapping.md").split("## Resource and scope\n")[1].split("\n## ")[0]
    of_the_sdk = {"service.instance.id"}  # of newer releases
    assert sorted(set(full_names(section)) - exported.resource - of_the_sdk) == []

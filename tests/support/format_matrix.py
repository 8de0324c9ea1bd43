"""`pytest -m cell --format-matrix` prints which cell of the matrix of formats was run, and how it ended.

A test says its cells by a mark, `@pytest.mark.cell("coco", "reader")`, or in a `pytest.param(..., marks=...)`:
`in` reads a set that the format's own tool wrote, `out` writes one, `reader` has it read by the format's own reader,
`trip` writes and reads odd clips and compares them. A cell that no test runs makes the command fail, also with
`--collect-only`; a cell that a format cannot have says why.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import pytest

from avis_data.formats.sets.registry import SETS

KINDS = ("in", "out", "reader", "trip")
Cell = tuple[str, str]
Counts = dict[Cell, dict[str, int]]
_COLLECTED = pytest.StashKey[Counts]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--format-matrix", action="store_true", help="print the matrix of formats")


@pytest.fixture(autouse=True)
def cells_of_formats(request: pytest.FixtureRequest, record_property: pytest.RecordProperty) -> None:
    """Cells travel with the report, so that they are known where tests run in several processes."""
    for name, kind in cells_of(request.node):
        record_property("cell", f"{name}:{kind}")


def cells_of(item: pytest.Item) -> Iterator[Cell]:
    """The cells that a test runs."""
    for mark in item.iter_markers("cell"):
        name, *kinds = mark.args
        for kind in kinds:
            assert kind in KINDS, kind
            yield name, kind


def pytest_collection_finish(session: pytest.Session) -> None:
    counts: Counts = defaultdict(lambda: defaultdict(int))
    for item in session.items:
        for cell in cells_of(item):
            counts[cell]["collected"] += 1
    session.config.stash[_COLLECTED] = counts


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """The matrix fails where a cell is empty, whatever was run."""
    is_asked = session.config.getoption("--format-matrix") and not hasattr(session.config, "workerinput")
    if is_asked and exitstatus == pytest.ExitCode.OK and "NOT RUN" in "".join(_lines(session.config)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    config = terminalreporter.config
    if config.getoption("--format-matrix"):
        done = "collected" if config.getoption("collectonly") else "passed of those run"
        terminalreporter.section(f"formats: tests {done}, by what they do")
        for line in _lines(config):
            terminalreporter.write_line(line)


def _lines(config: pytest.Config) -> Iterator[str]:
    counts = config.stash.get(_COLLECTED, {}) if config.getoption("collectonly") else _run(config)
    yield f"{'':16}" + "".join(f"{kind:>18}" for kind in KINDS)
    for name in sorted({*SETS.names(), *(name for name, _ in counts)}):
        yield f"{name:16}" + "".join(f"{_shown(counts.get((name, kind), {}), name, kind):>18}" for kind in KINDS)


def _run(config: pytest.Config) -> Counts:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    counts: Counts = defaultdict(lambda: defaultdict(int))
    for outcome in ("passed", "failed", "skipped"):
        for report in reporter.stats.get(outcome, []) if reporter else []:
            for key, value in report.user_properties:
                if key == "cell":
                    name, _, kind = value.partition(":")
                    counts[name, kind][outcome] += 1
    return counts


def _shown(found: dict[str, int], name: str, kind: str) -> str:
    total = sum(found.values())
    if not total:
        return _why_not(name, kind) or "NOT RUN"
    skipped = f" ({found['skipped']} skipped)" if found.get("skipped") else ""
    return str(total) if "collected" in found else f"{found.get('passed', 0)}/{total}{skipped}"


def _why_not(name: str, kind: str) -> str | None:
    """Why a format has no such cell; None: it has."""
    spec = SETS[name] if name in SETS else None
    if spec is None:
        return "not of a set"
    if kind == "in":
        return None if spec.reader is not None else "only written"
    return None if spec.writer is not None else "only read"

"""`pytest -m cell --format-matrix` prints which cell of the matrix of formats was run, and how it ended.

A test says its cells by a mark, `@pytest.mark.cell("coco", "reader")`, or in a `pytest.param(..., marks=...)`:
`in` reads a set that the format's own tool wrote, `out` writes one, `reader` has it read by the format's own reader,
`trip` writes and reads odd clips and compares them.
"""

from __future__ import annotations

from collections import defaultdict

import pytest

from avis_data.formats.sets.registry import SETS

KINDS = ("in", "out", "reader", "trip")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--format-matrix", action="store_true", help="print the matrix of formats")


@pytest.fixture(autouse=True)
def cells_of_formats(request: pytest.FixtureRequest, record_property: pytest.RecordProperty) -> None:
    """Cells travel with the report, so that they are known where tests run in several processes."""
    for mark in request.node.iter_markers("cell"):
        name, *kinds = mark.args
        for kind in kinds:
            assert kind in KINDS, kind
            record_property("cell", f"{name}:{kind}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not terminalreporter.config.getoption("--format-matrix"):
        return
    counts: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for outcome in ("passed", "failed", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            for key, value in report.user_properties:
                if key == "cell":
                    name, _, kind = value.partition(":")
                    counts[name, kind][outcome] += 1
    terminalreporter.section("formats: tests passed of those run, by what they do")
    terminalreporter.write_line(f"{'':16}" + "".join(f"{kind:>10}" for kind in KINDS))
    for name in sorted({*SETS.names(), *(name for name, _ in counts)}):
        shown = [_shown(counts[name, kind], asked=_has(name, kind)) for kind in KINDS]
        terminalreporter.write_line(f"{name:16}" + "".join(f"{text:>10}" for text in shown))


def _has(name: str, kind: str) -> bool:
    """Whether a format has such a cell: those that are only read are never written."""
    return name in SETS and (SETS[name].reader if kind == "in" else SETS[name].writer) is not None


def _shown(found: dict[str, int], *, asked: bool) -> str:
    total = sum(found.values())
    if not total:
        return "NOT RUN" if asked else "-"
    return f"{found['passed']}/{total}" + (f" ({found['skipped']}s)" if found["skipped"] else "")

"""`pytest --may-skip REGEX`: a run ends in an error where a test was skipped for another reason."""

from __future__ import annotations

import re

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--may-skip",
        default=None,
        metavar="REGEX",
        help="Reasons for which tests may be skipped; a skip for another makes the run fail (default: all may).",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    allowed: str | None = session.config.getoption("--may-skip")
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if allowed is None or reporter is None or exitstatus != pytest.ExitCode.OK:
        return
    left = [report for report in reporter.stats.get("skipped", []) if not re.search(allowed, str(report.longrepr))]
    if left:
        for report in left:
            reporter.write_line(f"skipped, which is not allowed here: {report.nodeid}: {report.longrepr}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

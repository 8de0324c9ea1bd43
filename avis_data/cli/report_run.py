"""How the commands that run stages tell what they will do, and what they did."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from avis_data.errors import ExitCode, Reason

if TYPE_CHECKING:
    from avis_data.pipelines.engine.planner import Plan
    from avis_data.pipelines.engine.runner import StageReport

__all__ = ["human_bytes", "human_time", "say_plans", "say_report", "say_reports", "say_trouble"]


def say_plans(plans: Sequence[Plan], *, as_json: bool) -> ExitCode:
    """Print what would be done (`--dry-run`)."""
    if as_json:
        click.echo(json.dumps({"dry_run": True, "stages": [plan.as_dict() for plan in plans]}))
        return ExitCode.OK
    ahead: list[str] = []
    for plan in plans:
        nothing_yet = ahead and not (
            plan.num_to_do or plan.num_done or plan.failed_before or plan.unreadable or plan.torn
        )
        if nothing_yet:  # what it will have to do is not known before the stages ahead of it are done
            click.echo(f"{plan.stage:9} waits for {' and '.join(ahead)}")
            continue
        line = f"{plan.stage:9} {plan.num_to_do} to do, {plan.num_done} done"
        if plan.failed_before:
            line += f", {sum(plan.failed_before.values())} failed before"
        if plan.num_waiting:
            line += f", {plan.num_waiting} wait for the stage before"
        line += _nothing_to_do(plan)
        if plan.unreadable:
            line += f", {len(plan.unreadable)} cannot be begun"
        if plan.torn:
            line += f", {len(plan.torn)} with missing or changed files"
        if plan.num_to_do and plan.expected_s is not None and plan.expected_bytes is not None:
            line += f"; about {human_time(plan.expected_s / plan.workers)} and {human_bytes(plan.expected_bytes)}"
        if ahead:
            line += f"; more after {' and '.join(ahead)}"
        if plan.num_to_do:
            ahead.append(plan.stage)
        click.echo(line)
    return ExitCode.OK


def say_reports(reports: Iterable[StageReport], *, as_json: bool) -> ExitCode:
    """Print how stages went, each as it ends (JSON: all at the end); gives the exit code."""
    code, ended = ExitCode.OK, []
    for report in reports:
        code = max(code, report.exit_code)
        ended.append(report.as_dict())
        if not as_json:
            say_report(report, again="again: --retry-failed[=<reason>]")
    if as_json:
        click.echo(json.dumps({"exit_code": int(code), "stages": ended}))
    return code


def say_report(report: StageReport, *, again: str) -> None:
    """Print how one stage went; `again` says how its failures are tried again."""
    parts = [f"{report.done} done", f"{report.already_done} were done before"]
    if report.failed:
        parts.append(f"{sum(report.failed.values())} failed ({_by_reason(report.failed)})")
    if report.failed_before:
        parts.append(f"{sum(report.failed_before.values())} failed before ({_by_reason(report.failed_before)})")
    if report.waiting:
        parts.append(f"{report.waiting} wait for the stage before")
    click.echo(f"{report.stage:9} {', '.join(parts)}{_nothing_to_do(report.plan)} [{human_time(report.wall_s)}]")
    say_trouble(report, again=again)


def say_trouble(report: StageReport, *, again: str) -> None:
    """Print on stderr why a stage ended early, or where its failures are told."""
    if report.stopped:
        click.echo(f"{report.stage:9} stopped: {report.stopped}", err=True)
    elif report.failed or report.failed_before:
        click.echo(f"          why: avis-data status --failed; {again}", err=True)


def _nothing_to_do(plan: Plan) -> str:
    counts = Counter(plan.nothing_to_do.values())
    return "".join(f", {count} {why}" for why, count in sorted(counts.items()))


def _by_reason(counts: Mapping[Reason, int]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))


def human_time(seconds: float) -> str:
    """`4.2 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def human_bytes(size: float) -> str:
    """`512 B`, `3.4 MB`, powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"

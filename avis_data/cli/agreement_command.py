"""`avis-data agreement`: how far annotators agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avis_data.cli.options import current_workspace, json_option

if TYPE_CHECKING:
    from avis_data.annotation.agreement_figures import AgreementFigures, Estimate
    from avis_data.annotation.agreement_page import AgreementReport

__all__ = ["command"]

_SHOWN = 10


@click.command("agreement")
@click.option("--round", "round_name", metavar="ROUND", help="One draft round. Default: all of them.")
@click.option("--html", type=click.Path(path_type=Path), help="Also write a page to open.")
@json_option
def command(round_name: str | None, html: Path | None, as_json: bool) -> None:
    """Compare what two people said of the same clips: masks, identities, who sounds when.

    Clips are labelled twice with `avis-data annotate push --double 5%`. The definitions are in docs/review.md.

    \b
    Example:
      avis-data agreement --html agreement.html
      avis-data agreement --round draft --json
    """
    from avis_data.annotation.adjudication import compare_rounds
    from avis_data.annotation.agreement_page import agreement_report, write_agreement_page
    from avis_data.recipe import load_recipe

    workspace = current_workspace()
    load_recipe(workspace)
    report = agreement_report(compare_rounds(workspace, round_name))
    if html is not None:
        write_agreement_page(workspace, report, html)
    if as_json:
        click.echo(json.dumps(report.as_dict(), ensure_ascii=False))
    else:
        _print(report)
        if html is not None:
            click.echo(f"page: {html}")


def _print(report: AgreementReport) -> None:
    total = report.total
    click.echo(f"{total.num_clips} clip(s) labelled by two or more, {total.num_comparisons} comparison(s)")
    if not total.num_comparisons:
        return
    for name, found in (("all", total), *report.rounds.items(), *report.annotators.items()):
        click.echo(f"{name}: {_line(found)}")
    for category in total.categories:
        click.echo(f"  {category.category}: kappa {_number(category.kappa)}, HOTA {_number(category.hota)}")
    click.echo("most disagreement:")
    for item in report.queue[:_SHOWN]:
        differ = f"{item.seconds_differing} of {item.seconds_sounding} sounding track-seconds"
        click.echo(f"  {item.clip_id} ({item.a}, {item.b}): {100 * item.disagreement:.1f} %, {differ}")


def _line(found: AgreementFigures) -> str:
    parts = [
        f"mask IoU {_estimate(found.mask_iou)}",
        f"boundary F {_estimate(found.boundary_f)}",
        f"HOTA {_estimate(found.hota)}",
        f"kappa {_estimate(found.kappa)}",
        f"onset {_number(found.spans.onset_mean_abs_s)} s",
        f"offset {_number(found.spans.offset_mean_abs_s)} s",
    ]
    return ", ".join(parts)


def _estimate(estimate: Estimate) -> str:
    if estimate.low is None:
        return _number(estimate.value)
    return f"{_number(estimate.value)} [{_number(estimate.low)}, {_number(estimate.high)}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"

"""`avis-data agreement`: how far annotators agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avis_data.cli.options import current_workspace, html_option, json_option

if TYPE_CHECKING:
    from avis_data.report.agreement_figures import AgreementFigures, AgreementReport, Estimate

__all__ = ["command"]

_SHOWN = 10


@click.command("agreement")
@click.option("--round", "round_name", metavar="ROUND", help="The round, by its name.")
@html_option
@json_option
def command(round_name: str | None, page: Path | None, as_json: bool) -> None:
    """Compare what two people said of the same clips: masks, identities, who sounds when.

    Without --round all draft rounds are compared; clips are labelled twice with `annotate push --double 5%`. With the
    name of a review or fix round, what people left is compared with what they found. The definitions are in
    docs/review.md.

    \b
    Example:
      avis-data agreement --html agreement.html
      avis-data agreement --round review --json
    """
    from avis_data.annotation.agreement.adjudication import compare_rounds
    from avis_data.annotation.agreement.label_pairs import is_blind
    from avis_data.annotation.agreement.report import agreement_report, strips_to_look_at
    from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
    from avis_data.recipe import load_recipe
    from avis_data.report.agreement import write_agreement_page

    workspace = current_workspace()
    load_recipe(workspace)
    labels = WorkspaceLabels(workspace)
    blind = round_name is None or is_blind(round_name)
    states = {place.clip_id: place.state.value for place in labels.places()}
    report = agreement_report(compare_rounds(labels, round_name), is_blind=blind, states=states)
    if page is not None:
        write_agreement_page(report, strips_to_look_at(labels, report), page)
    if as_json:
        click.echo(json.dumps(report.as_dict(), ensure_ascii=False))
    else:
        _print(report)
        if page is not None:
            click.echo(f"page: {page}")


def _print(report: AgreementReport) -> None:
    total = report.total
    what = "labelled by two or more" if report.is_blind else "as people found them and left them, so not blind"
    click.echo(f"{total.num_clips} clip(s) {what}, {total.num_comparisons} comparison(s)")
    if not total.num_comparisons:
        twice = "avis-data annotate push --round draft --annotators A,B --double 5%, then avis-data annotate pull"
        click.echo(f"  hint: {twice if report.is_blind else 'avis-data annotate pull'}", err=True)
        return
    for name, found in (("all", total), *report.rounds.items(), *report.annotators.items()):
        click.echo(f"{name}: {_line(found)}")
    for category in total.categories:
        click.echo(f"  {category.category}: kappa {_number(category.kappa)}, HOTA {_number(category.hota)}")
    for one, other, number in report.confusion:
        if one != other:
            click.echo(f"  {one} or {other}: {number} object(s) that the one calls this and the other that")
    click.echo("most disagreement:")
    for item in report.queue[:_SHOWN]:
        differ = f"{item.seconds_differing} of {item.seconds_sounding} sounding track-seconds"
        state = item.state or "not in the manifest"
        click.echo(f"  {item.clip_id} ({item.a}, {item.b}): {100 * item.disagreement:.1f} %, {differ}; {state}")
        for a, b in item.confused:
            click.echo(f"    {a} is {b}: one object, two categories")
        for a, b, seconds in item.swaps:
            pages = ", ".join(str(second + 1) for second in seconds)
            click.echo(f"    {a} is {b} on page {pages}: identities are exchanged there")


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

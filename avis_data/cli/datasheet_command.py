"""`avis-data datasheet`: the page that a dataset paper needs, from what the workspace knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import click

from avis_data.cli.options import current_workspace, html_option, out_option, seed_option

if TYPE_CHECKING:
    from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
    from avis_data.paths import Workspace
    from avis_data.pipelines.exports.inputs import ExportInputs
    from avis_data.pipelines.exports.plan import ExportPlan
    from avis_data.report.agreement_figures import AgreementReport
    from avis_data.report.datasheet import CategoryCount, DatasheetFacts, Labour

__all__ = ["command", "labour_of"]


@click.command("datasheet")
@out_option(default=Path("datasheet.md"))
@html_option
@click.option(
    "--split", metavar="N/N/N", help="Sizes of train/val/test or train/val: numbers of clips, or percentages."
)
@seed_option()
@click.option("--contact", help="Whom people ask to remove a clip: an address.")
def command(out: Path, page: Path | None, split: str | None, seed: int, contact: str | None) -> None:
    """Write the datasheet of the dataset, as Markdown: composition, collection, labelling, splits, rights, limits.

    It counts what `avis-data export --format ytvis` with the same --split and --seed would write. What only the
    authors know is marked TO BE WRITTEN BY THE AUTHORS.

    \b
    Example:
      avis-data datasheet --split 616/105/205 --contact avis@example.org --html datasheet.html
    """
    from avis_data.pipelines.exports import FORMATS
    from avis_data.pipelines.exports.plan import ExportOptions, plan_export
    from avis_data.report.datasheet import AUTHORS, write_datasheet

    workspace = current_workspace()
    spec = FORMATS["ytvis"].with_options(features=False)
    plan = plan_export(workspace, spec, ExportOptions(split=split, seed=seed))
    write_datasheet(_facts(workspace, plan, contact), out, page=page)
    marks = out.read_text(encoding="utf-8").count(AUTHORS)
    click.echo(f"{out}: written; {marks} places are left to the authors (search for {AUTHORS!r})")


def _facts(workspace: Workspace, plan: ExportPlan, contact: str | None) -> DatasheetFacts:
    from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
    from avis_data.pipelines.exports.certificate import sources_of_sound, truth_statement
    from avis_data.report.datasheet import DatasheetFacts

    inputs, labels = plan.inputs, WorkspaceLabels(workspace)
    videos = {item.held.video_id: item.source for item in inputs.clips}
    lengths = [item.held.num_seconds for item in inputs.clips]
    truth = truth_statement(inputs, plan.selection)
    return DatasheetFacts(
        name=inputs.recipe.name,
        description=inputs.recipe.description,
        fps=inputs.recipe.extract.fps,
        counts=plan.counts(),
        categories=_categories(inputs),
        clip_seconds=(min(lengths), median(lengths), max(lengths)),
        frame_at=Counter(item.clip.frame_at or "unknown" for item in inputs.clips),
        sounds=sources_of_sound(inputs),
        extractors=dict(Counter(video.extractor for video in videos.values()).most_common()),
        uploaded=_range(video.upload_date for video in videos.values()),
        accessed=_range(video.accessed_on for video in videos.values()),
        channels=len({video.channel for video in videos.values() if video.channel}),
        videos_without_channel=sum(not video.channel for video in videos.values()),
        licenses=Counter(item.license or "" for item in inputs.clips),
        split_request=plan.assignment.request,
        split_seed=plan.assignment.seed,
        sources_divided=len(plan.assignment.divided_groups()),
        truth={name: counts for name, counts in truth.items() if isinstance(counts, dict)},
        without_truth=len(inputs.without_truth),
        dropped=len(inputs.dropped),
        agreement=_agreement(labels),
        labour=labour_of(labels, labels.round_names()),
        contact=contact,
    )


def _categories(inputs: ExportInputs) -> dict[str, CategoryCount]:
    from avis_data.report.datasheet import CategoryCount

    clips, tracks, masks = Counter[str](), Counter[str](), Counter[str]()
    for item in inputs.clips:
        clips.update({track.track.category for track in item.tracks})
        for track in item.tracks:
            tracks[track.track.category] += 1
            masks[track.track.category] += sum(mask is not None for mask in track.masks)
    names = [category.name for category in inputs.categories.categories]
    return {name: CategoryCount(clips=clips[name], tracks=tracks[name], masks=masks[name]) for name in names}


def _range(dates: Iterable[str | None]) -> tuple[str, str] | None:
    known = sorted(date for date in dates if date)
    return (known[0], known[-1]) if known else None


def _agreement(labels: WorkspaceLabels) -> AgreementReport | None:
    from avis_data.annotation.agreement.adjudication import compare_rounds
    from avis_data.annotation.agreement.report import agreement_report

    if not labels.round_names():
        return None
    states = {place.clip_id: place.state.value for place in labels.places()}
    return agreement_report(compare_rounds(labels), is_blind=True, states=states)


def labour_of(labels: WorkspaceLabels, rounds: Sequence[str]) -> Labour:
    """Who labelled in these rounds, and for how long."""
    from avis_data.report.datasheet import Labour

    answers = [answer for name in rounds for answer in labels.answers(name) if answer.is_finished]
    times = [answer.lead_time_s for answer in answers if answer.lead_time_s is not None]
    return Labour(
        people=len({answer.annotator for answer in answers}),
        answers=len(answers),
        timed=len(times),
        hours=round(sum(times) / 3600, 2),
    )

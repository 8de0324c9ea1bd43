"""Problems, flags, disagreements, remarks and label errors of a whole round in one list, the worst first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avis_data.annotation.agreement.adjudication import compare_rounds
from avis_data.annotation.labels.records import Answer, ClipProblem, Interval, LabelledClip
from avis_data.annotation.labels.rounds import Place
from avis_data.annotation.labels.states import heard_seconds
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.problems.evidence import Evidence, PredictedTrack, clip_evidence
from avis_data.annotation.problems.label_errors import Suspect, rank
from avis_data.errors import DataError
from avis_data.features.activity import clip_activity
from avis_data.masks.rle import Rle, area, rle_from_segmentation
from avis_data.media.stills import open_still
from avis_data.metrics.inputs import TrackInput, VideoInput
from avis_data.metrics.reading import read_evaluation
from avis_data.pipelines.engine.bucket import bring_clip
from avis_data.report.problems import ProblemItem

__all__ = ["collect_problems", "read_predicted"]

_SEVERITY = {
    **dict.fromkeys(("bad_mask", "bad_page", "bad_span", "not_a_region", "bad_label", "no_label", "repair_waits"), 0.9),
    **dict.fromkeys(("several_annotations", "other_annotator", "skipped", "no_verdict", "no_reason"), 0.7),
    **dict.fromkeys(("span_without_mask", "mask_without_span", "several_masks", "prompt_left", "empty_mask"), 0.5),
    "speck": 0.3,
}
"""How bad what pulling found is; of a kind without a line here 0.6."""
_REMARK, _FLAG = 0.8, 0.45
_SUSPECTS = 0.1
"""Share of the tracks that are listed as label errors."""
_LEAST = 2.0
"""A track with a lower suspicion is like the others."""
Link = Callable[[Answer], str | None]


def collect_problems(
    labels: WorkspaceLabels,
    *,
    link: Link,
    predicted: Mapping[str, Sequence[PredictedTrack]] | None = None,
    clip_ids: Sequence[str] | None = None,
    on_clip: Callable[[str], object] | None = None,
) -> list[ProblemItem]:
    """All that needs a look in the labels that count, the worst first. One clip's masks are held at a time.

    Args:
        labels: only read.
        link: the address of an answer's task.
        predicted: a model's tracks by clip, for the queue of label errors; clips that are not in it have none.
        clip_ids: only these; None: all.
        on_clip: called with every clip that is done.

    Raises:
        DataError: if a file of labels is damaged.
    """
    chosen = set(labels.clips if clip_ids is None else labels.chosen_clips(clip_ids))
    places = [place for place in labels.places() if place.clip_id in chosen]
    answers = {place.clip_id: _answers(labels, place) for place in places}
    items: list[ProblemItem] = []
    evidence: list[Evidence] = []
    for place in places:
        said = answers[place.clip_id]
        masks = _Masks(labels, said[0]) if said else None
        items += _of_clip(labels, place, said, masks, link)
        if said and masks is not None:
            evidence += _evidence(labels, masks.read, predicted)
        if on_clip is not None:
            on_clip(place.clip_id)
    items += _disagreements(labels, answers, link)
    items += _suspects(labels, rank(evidence), answers, link)
    return sorted(
        items, key=lambda item: (-item.severity, item.clip_id, item.kind, item.still or 0, item.identity or "")
    )


def read_predicted(truth: Path, predictions: Path) -> dict[str, list[PredictedTrack]]:
    """A model's tracks by the name of the video, which is the id of the clip in an export.

    Raises:
        DataError: if a file is missing or of another form.
    """
    found = read_evaluation(truth, predictions, needs_labels=False)
    return {
        video.name: [_predicted(track, found.categories, video) for track in video.predictions]
        for video in found.videos
    }


def _predicted(track: TrackInput, categories: Mapping[int, str], video: VideoInput) -> PredictedTrack:
    masks = {}
    for still, mask in enumerate(track.masks):
        with suppress(DataError):  # told by `evaluate`; here it says nothing
            rle = rle_from_segmentation(mask, height=video.height, width=video.width)
            if rle is not None and area(rle):
                masks[still] = rle
    return PredictedTrack(category=categories.get(track.category, ""), score=track.score, masks=masks)


class _Masks:
    """The labels of one answer, read once, and what is on a still of it."""

    def __init__(self, labels: WorkspaceLabels, answer: Answer) -> None:
        self.read = labels.labels_of(answer)

    def on(self, still: int) -> tuple[tuple[str, Rle], ...]:
        found = ((track.identity, track.rle_by_frame().get(still)) for track in self.read.tracks)
        return tuple((identity, rle) for identity, rle in found if rle is not None)


def _answers(labels: WorkspaceLabels, place: Place) -> list[Answer]:
    """Those that count; of a clip that is open what was said so far, the newest round first."""
    if place.labels is not None:
        return [place.labels, *place.others]
    said = [passage.answers for passage in labels.clip_passages(place.clip_id) if passage.answers]
    return list(said[-1]) if said else []


def _of_clip(
    labels: WorkspaceLabels, place: Place, said: Sequence[Answer], masks: _Masks | None, link: Link
) -> Iterator[ProblemItem]:
    for answer in said:
        for problem in answer.problems:
            severity = _SEVERITY.get(problem.kind, 0.6)
            shown = masks if masks is not None and answer is said[0] else None
            yield _item(labels, "problem", problem.kind, problem, answer, severity, link, shown)
    first = said[0] if said else None
    for remark in place.remarks:
        yield _item(labels, "remark", place.state.value, _note(remark), first, _REMARK, link, masks, place.clip_id)
    found = labels.prelabels(place.clip_id) if first is None else None  # somebody has looked since, else
    for flag in found.flags if found is not None else ():
        note = ClipProblem(kind=flag.reason, identity=flag.identity, frame=flag.frame, message=flag.message)
        yield _item(labels, "flag", flag.reason, note, None, _FLAG, link, None, place.clip_id)


def _note(message: str) -> ClipProblem:
    return ClipProblem(kind="", message=message)


def _item(
    labels: WorkspaceLabels,
    source: str,
    kind: str,
    problem: ClipProblem,
    answer: Answer | None,
    severity: float,
    link: Link,
    masks: _Masks | None,
    clip_id: str | None = None,
) -> ProblemItem:
    clip_id = answer.clip_id if answer is not None else clip_id or ""
    still = problem.frame or 0
    if clip_id:
        bring_clip(labels.workspace, clip_id)
    picture = labels.workspace.frame(clip_id, still)
    return ProblemItem(
        source=source,
        kind=kind,
        clip_id=clip_id,
        round=answer.round if answer is not None else None,
        annotator=answer.annotator if answer is not None else None,
        identity=problem.identity,
        still=problem.frame,
        message=problem.message,
        severity=round(severity, 4),
        task=link(answer) if answer is not None else None,
        picture=picture if picture.is_file() else None,
        masks=masks.on(still) if masks is not None else (),
    )


def _disagreements(
    labels: WorkspaceLabels, answers: Mapping[str, Sequence[Answer]], link: Link
) -> Iterator[ProblemItem]:
    for found in compare_rounds(labels):
        if found.disagreement <= 0 or found.clip_id not in answers:
            continue
        said = answers[found.clip_id]
        differ = f"{found.seconds_differing} of {found.seconds_sounding} sounding track-seconds"
        note = _note(f"{found.a} and {found.b} differ in {differ} (avis-data agreement --html)")
        answer = said[0] if said else None
        masks = _Masks(labels, answer) if answer is not None else None
        yield _item(labels, "disagreement", found.round, note, answer, found.disagreement, link, masks, found.clip_id)


def _evidence(
    labels: WorkspaceLabels, said: LabelledClip, predicted: Mapping[str, Sequence[PredictedTrack]] | None
) -> Iterable[Evidence]:
    clip_id = said.clip_id
    pictures: dict[int, NDArray[np.uint8]] = {}
    bring_clip(labels.workspace, clip_id)
    for still in sorted({mask.frame for track in said.tracks for mask in track.masks}):
        with suppress(DataError):  # a still that is gone is told by `status`
            pictures[still] = np.asarray(open_still(labels.workspace.frame(clip_id, still)))
    active: list[bool] | None = None
    with suppress(DataError):
        spans = clip_activity(labels.workspace.clip_dir(clip_id) / "audio.wav")
        active = heard_seconds([Interval(start_s=a, end_s=b) for a, b in spans], said.num_frames, share=0.0)
    tracks = (predicted or {}).get(clip_id)
    if tracks is not None and any(
        (rle.height, rle.width) != (said.height, said.width) for track in tracks for rle in track.masks.values()
    ):
        tracks = None  # of an export of another size
    return clip_evidence(said, pictures=pictures, active=active, predicted=tracks)


def _suspects(
    labels: WorkspaceLabels, suspects: Sequence[Suspect], answers: Mapping[str, Sequence[Answer]], link: Link
) -> Iterator[ProblemItem]:
    most = max(1, round(_SUSPECTS * len(suspects)))
    listed = [item for item in suspects[:most] if item.suspicion >= _LEAST]
    for place, item in enumerate(listed):
        answer = answers[item.clip_id][0]
        why = "; ".join(item.reasons) or "is unlike the other tracks"
        name = item.identity or f"a {item.category}"
        note = ClipProblem(kind="label error", identity=item.identity, frame=item.still, message=f"{name} {why}")
        severity = 0.95 - 0.5 * place / max(1, len(listed))
        yield _item(
            labels,
            "label error",
            f"suspicion {item.suspicion:.1f}",
            note,
            answer,
            severity,
            link,
            _Masks(labels, answer),
        )

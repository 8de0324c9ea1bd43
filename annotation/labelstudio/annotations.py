"""One annotation of the server to what one person said of a clip: tracks, states, makers of masks, what looks wrong."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from avis_data.annotation.labels.made_masks import MadeMask, mask_sha256
from avis_data.annotation.labels.records import (
    ClipProblem,
    ClipTask,
    LabelledClip,
    LabelledMask,
    LabelledTrack,
    MaskOrigin,
    Media,
    Revision,
    RoundKind,
    Verdict,
)
from avis_data.annotation.labels.rounds import (
    ACCEPT_CHANGED,
    ACCEPT_EMPTIED,
    FIXED_UNCHANGED,
    OWN_LABELS,
    round_kind,
)
from avis_data.annotation.labels.states import states
from avis_data.annotation.labels.track_problems import split_identity, track_problems
from avis_data.annotation.labelstudio.configuration import VERDICTS
from avis_data.annotation.labelstudio.regions import DrawnMask, ReadResult, read_result, regions_from_tracks
from avis_data.annotation.labelstudio.server_records import ServerAnnotation
from avis_data.records import Clip

__all__ = ["Context", "labels_from_annotation"]


@dataclass(frozen=True, kw_only=True)
class Context:
    """What must be known of a clip to read what was said of it."""

    clip: Clip
    round_name: str
    categories: Collection[str]
    """The names of the category set."""
    pushed: ClipTask | None
    """What the page was filled with."""
    media: Media | None
    """The stills and the sound of the page, as its task says; None: it does not."""
    made: Mapping[str, MadeMask]
    """The masks that engines made for this clip, by hash."""


def labels_from_annotation(
    annotation: ServerAnnotation,
    context: Context,
    *,
    annotator: str,
    updated_by: str | None,
    revision: Revision | None,
    problems: Sequence[ClipProblem] = (),
) -> LabelledClip:
    """What an annotation says; nothing of it is trusted, and what is left out is told in the problems.

    A mask that equals one that the page was filled with keeps its maker. Another one that an engine made for this clip
    has that engine's origin, and else it was edited by hand. The person's time is shared out over the masks that are
    theirs.

    Args:
        annotation: as received.
        context: of its clip.
        annotator: e-mail of who completed it.
        updated_by: e-mail of who changed it last, where that is another.
        revision: where it is from.
        problems: found before.
    """
    clip, result = context.clip, annotation.result
    read = read_result(
        result if isinstance(result, list) else [],
        num_seconds=clip.num_seconds,
        height=clip.height,
        width=clip.width,
    )
    skipped = annotation.was_cancelled is True
    lead_time_s = _number(annotation.lead_time)
    tracks = _tracks(read, context, updated_by or annotator, lead_time_s)
    found = [
        *problems,
        *read.problems,
        *track_problems(tracks, context.categories, clip.num_seconds),
        *_verdict_problems(read, context, skipped),
        *_page_problems(read, tracks, context, {annotator, updated_by}),
    ]
    return LabelledClip(
        clip_id=clip.clip_id,
        round=context.round_name,
        annotator=annotator,
        fps=clip.fps,
        num_frames=clip.num_frames,
        height=clip.height,
        width=clip.width,
        tracks=tracks,
        off_screen=read.off_screen,
        verdict=_verdict(read, context, skipped),
        reasons=read.reasons,
        note=read.note,
        lead_time_s=lead_time_s,
        updated_by=updated_by,
        media=context.media,
        revision=revision,
        problems=tuple(found),
    )


def _tracks(read: ReadResult, context: Context, person: str, lead_time_s: float | None) -> tuple[LabelledTrack, ...]:
    before = _pushed_masks(context.pushed)
    kept: dict[tuple[str, int], LabelledMask] = {}
    for (identity, frame), drawn in read.masks.items():
        text = mask_sha256(drawn.rle)
        old = before.get((identity, frame, text)) or before.get(("", frame, text))
        kept[identity, frame] = old or _new_mask(drawn, frame, context, context.made.get(text), person)
    own = [key for key, mask in kept.items() if mask.round == context.round_name and mask.annotator == person]
    if own and lead_time_s is not None:
        share = round(lead_time_s / len(own), 3)
        kept |= {key: kept[key].model_copy(update={"seconds": share}) for key in own}
    tracks = []
    for identity in read.identities():
        masks = tuple(mask for (name, _), mask in sorted(kept.items()) if name == identity)
        intervals = read.intervals.get(identity, ())
        tracks.append(
            LabelledTrack(
                identity=identity,
                category=split_identity(identity)[0],
                intervals=intervals,
                states=states(intervals, {mask.frame for mask in masks}, context.clip.num_seconds),
                masks=masks,
            )
        )
    return tuple(tracks)


def _new_mask(drawn: DrawnMask, frame: int, context: Context, made: MadeMask | None, person: str) -> LabelledMask:
    return LabelledMask(
        frame=frame,
        height=drawn.rle.height,
        width=drawn.rle.width,
        counts=drawn.rle.counts,
        origin=made.origin if made else MaskOrigin.EDITED,
        engine=made.engine if made else None,
        weights_sha256=made.weights_sha256 if made else None,
        confidence=made.confidence if made else None,
        annotator=person,
        round=context.round_name,
    )


def _pushed_masks(pushed: ClipTask | None) -> dict[tuple[str, int, str], LabelledMask]:
    """The pushed masks by identity, still and hash; also under no identity, for masks that only got another label."""
    found = {}
    for track in pushed.tracks if pushed is not None else ():
        for mask in track.masks:
            text = mask_sha256(mask.rle)
            found[track.identity, mask.frame, text] = mask
            found.setdefault(("", mask.frame, text), mask)
    return found


def _verdict(read: ReadResult, context: Context, skipped: bool) -> Verdict | None:
    if skipped:
        return Verdict.UNSURE
    return read.verdict if read.verdict in VERDICTS[round_kind(context.round_name)] else None


def _verdict_problems(read: ReadResult, context: Context, skipped: bool) -> list[ClipProblem]:
    allowed = VERDICTS[round_kind(context.round_name)]
    if skipped:
        return [ClipProblem(kind="skipped", message="skipped: counts as unsure")]
    if read.verdict is None:
        return [ClipProblem(kind="no_verdict", message="no verdict was chosen")]
    if read.verdict not in allowed:
        return [ClipProblem(kind="no_verdict", message=f"{read.verdict.value!r} is no verdict of {context.round_name}")]
    if read.verdict is Verdict.SEND_BACK and not (read.reasons or read.note):
        return [ClipProblem(kind="no_reason", message="sent back, and nothing says why")]
    return []


def _page_problems(
    read: ReadResult, tracks: Sequence[LabelledTrack], context: Context, people: Collection[str | None]
) -> list[ClipProblem]:
    """Where a verdict and what became of the page contradict each other, or nobody else saw what was drawn."""
    kind, pushed = round_kind(context.round_name), context.pushed
    found = []
    if kind is RoundKind.FIX and read.verdict is Verdict.DONE and pushed is not None and _is_as_given(read, context):
        found.append(ClipProblem(kind="nothing_changed", message="sent back, and nothing was changed"))
    if kind is not RoundKind.REVIEW or read.verdict not in (Verdict.ACCEPT, Verdict.FIXED):
        return found
    if pushed is not None and read.verdict is Verdict.ACCEPT:
        if not tracks and any(track.masks or track.intervals for track in pushed.tracks):
            message = "and all objects are gone: does nothing sound? Then say fixed"
            found.append(ClipProblem(kind=ACCEPT_EMPTIED, message=message))
        elif not _is_as_given(read, context):
            message = "and masks or seconds are not as they were given: if that is meant, say fixed"
            found.append(ClipProblem(kind=ACCEPT_CHANGED, message=message))
    if pushed is not None and read.verdict is Verdict.FIXED and _is_as_given(read, context):
        message = "and nothing was changed: if nothing is wrong, say accept"
        found.append(ClipProblem(kind=FIXED_UNCHANGED, message=message))
    masks = [mask for track in tracks for mask in track.masks]
    if masks and all(mask.round == context.round_name and mask.annotator in people for mask in masks):
        message = "all masks are the reviewer's own: somebody else has to review them"
        found.append(ClipProblem(kind=OWN_LABELS, message=message))
    return found


def _is_as_given(read: ReadResult, context: Context) -> bool:
    """Whether masks, spans and labels are those that the page was filled with, as it gives them back."""
    assert context.pushed is not None
    clip, pushed = context.clip, context.pushed
    regions = regions_from_tracks(pushed.tracks, off_screen=pushed.off_screen)
    given = read_result(regions, num_seconds=clip.num_seconds, height=clip.height, width=clip.width)
    return _drawn(given) == _drawn(read)


def _drawn(read: ReadResult) -> tuple[object, ...]:
    return {key: mask.rle for key, mask in read.masks.items()}, dict(read.intervals), read.off_screen


def _number(value: object) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e9:
        return float(value)
    return None

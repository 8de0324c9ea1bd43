"""Who made which mask, what looks wrong, and which verdicts count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from avis_data.annotation.labels.made_masks import MadeMask
from avis_data.annotation.labels.records import (
    ClipTask,
    Interval,
    LabelledClip,
    LabelledMask,
    LabelledTrack,
    MaskOrigin,
    Media,
    Verdict,
)
from avis_data.annotation.labels.states import states
from avis_data.annotation.labelstudio.annotations import Context, labels_from_annotation
from avis_data.annotation.labelstudio.regions import mask_regions, regions_from_tracks, sounding_region
from avis_data.annotation.labelstudio.server_records import ServerAnnotation
from avis_data.masks.rle import Rle, encode
from avis_data.records import Clip, SoundState, State

HEIGHT, WIDTH, SECONDS = 16, 24, 4
CLIP = Clip(
    clip_id="c1",
    video_id="v1",
    start_s=0,
    num_seconds=SECONDS,
    fps=1.0,
    num_frames=SECONDS,
    width=WIDTH,
    height=HEIGHT,
    frame_at="mid",
    sound=SoundState.COMPLETE,
    frames_sha256="0" * 64,
    audio_sha256="0" * 64,
)


def rle(x: int, size: int = 6) -> Rle:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[2 : 2 + size, x : x + size] = True
    return encode(mask)


def before(identity: str = "dog_1", **of_mask: Any) -> LabelledTrack:
    """A track of an earlier round: second 0 at x = 0, second 1 at x = 1."""
    values = {"origin": MaskOrigin.CLICKED, "engine": "sam", "annotator": "ann@x", "round": "draft", "seconds": 3.0}
    masks = tuple(
        LabelledMask(frame=x, height=HEIGHT, width=WIDTH, counts=rle(x).counts, **(values | of_mask)) for x in (0, 1)
    )
    spans = (Interval(start_s=0, end_s=2),)
    return LabelledTrack(
        identity=identity, category="dog", intervals=spans, states=states(spans, {0, 1}, SECONDS), masks=masks
    )


def said(
    result: list[Any], *, round_name: str = "draft", start: list[LabelledTrack] | None = None, **of_annotation: Any
) -> LabelledClip:
    made = MadeMask.of(
        rle(10),
        identity="dog_1",
        frame=2,
        origin=MaskOrigin.CLICKED,
        engine="grabcut",
        confidence=0.5,
        at="2026-01-01T00:00:00+00:00",
    )
    context = Context(
        clip=CLIP,
        round_name=round_name,
        categories={"dog", "cat"},
        pushed=ClipTask(clip_id="c1", tracks=tuple(start)) if start else None,
        media=Media.of(CLIP),
        made={made.sha256: made},
    )
    entry = {"id": 1, "completed_by": 1, "updated_at": "2026-01-01", "result": result} | of_annotation
    return labels_from_annotation(
        ServerAnnotation.of(entry), context, annotator="bob@x", updated_by=None, revision=None
    )


def choice(value: str, name: str = "verdict") -> dict[str, Any]:
    return {"type": "choices", "from_name": name, "value": {"choices": [value]}}


def kinds(clip: LabelledClip) -> list[str]:
    return sorted(problem.kind for problem in clip.problems)


def test_an_untouched_mask_keeps_its_maker_and_the_others_share_the_time() -> None:
    start = before()
    result = [*regions_from_tracks([start]), choice("accept")]
    result += mask_regions("dog_1", 2, rle(10)) + mask_regions("dog_1", 3, rle(12))
    clip = said(result, round_name="review", start=[start], lead_time=30.0)
    untouched, also_untouched, clicked, drawn = clip.tracks[0].masks
    assert (untouched, also_untouched) == start.masks
    assert (clicked.origin, clicked.engine, clicked.confidence) == (MaskOrigin.CLICKED, "grabcut", 0.5)
    assert (drawn.origin, drawn.engine) == (MaskOrigin.EDITED, None)
    assert {(mask.annotator, mask.round, mask.seconds) for mask in (clicked, drawn)} == {("bob@x", "review", 15.0)}


def test_a_changed_mask_is_its_changers() -> None:
    start = before()
    result = regions_from_tracks([start])[:1] + mask_regions("dog_1", 0, rle(1)) + mask_regions("dog_1", 1, rle(1))
    changed, same = said([*result, choice("fixed")], round_name="review", start=[start]).tracks[0].masks
    assert (changed.origin, changed.annotator) == (MaskOrigin.EDITED, "bob@x")
    assert same == start.masks[1]


def test_a_mask_under_another_label_keeps_its_maker() -> None:
    start = before()
    moved = said([*mask_regions("cat_1", 0, rle(0)), choice("done")], start=[start])
    assert (moved.tracks[0].identity, moved.tracks[0].category) == ("cat_1", "cat")
    assert moved.tracks[0].masks == start.masks[:1]


def test_the_same_mask_written_by_another_encoder_is_the_same() -> None:
    """A foreign file may split a run by an empty one: another text, the same mask."""
    start = before()
    runs = rle(0)
    foreign = runs.counts
    padded = _with_empty_run(foreign)
    mask = start.masks[0].model_copy(update={"counts": padded})
    start = start.model_copy(update={"masks": (mask,)})
    assert padded != foreign
    clip = said([*mask_regions("dog_1", 0, Rle(HEIGHT, WIDTH, padded)), choice("done")], start=[start])
    assert clip.tracks[0].masks[0].annotator == "ann@x"


def _with_empty_run(counts: str) -> str:
    from pycocotools import mask as coco_mask

    from avis_data.masks.rle import runs_from_rle

    runs = runs_from_rle(Rle(HEIGHT, WIDTH, counts)).tolist()
    runs[0:1] = [runs[0] - 1, 0, 1]
    return str(coco_mask.frPyObjects({"size": [HEIGHT, WIDTH], "counts": runs}, HEIGHT, WIDTH)["counts"].decode())


def test_states_and_problems() -> None:
    result = [
        sounding_region("dog_1", Interval(start_s=0, end_s=2)),
        *mask_regions("dog_1", 1, rle(0)),
        *mask_regions("dog_1", 3, rle(0)),
        *mask_regions("cat_2", 0, rle(3, size=2)),
        *mask_regions("cow_1", 0, rle(9)),
        sounding_region("cow_1", Interval(start_s=0, end_s=1)),
        choice("done"),
    ]
    clip = said(result)
    found = {(problem.kind, problem.identity, problem.frame) for problem in clip.problems}
    assert found == {
        ("span_without_mask", "dog_1", 0),
        ("mask_without_span", "cat_2", None),
        ("speck", "cat_2", 0),
        ("bad_label", "cow_1", None),
    }
    dog = next(track for track in clip.tracks if track.identity == "dog_1")
    assert dog.states == (State.HIDDEN, State.SOUNDING, State.HIDDEN, State.SILENT)


@pytest.mark.parametrize(
    ("round_name", "value", "verdict", "problems"),
    [
        ("draft", "done", Verdict.DONE, []),
        ("draft", "accept", None, ["no_verdict"]),
        ("fix-2", "unsure", Verdict.UNSURE, []),
        ("review", "done", None, ["no_verdict"]),
        ("review-3", "fixed", Verdict.FIXED, []),
        ("review", "send back", Verdict.SEND_BACK, ["no_reason"]),
    ],
)
def test_the_verdict_is_checked_again(
    round_name: str, value: str, verdict: Verdict | None, problems: list[str]
) -> None:
    clip = said([choice(value)], round_name=round_name)
    assert (clip.verdict, kinds(clip)) == (verdict, problems)


def test_no_verdict_and_skipped() -> None:
    assert (said([]).verdict, kinds(said([]))) == (None, ["no_verdict"])
    skipped = said([choice("done")], was_cancelled=True)
    assert (skipped.verdict, kinds(skipped)) == (Verdict.UNSURE, ["skipped"])


@pytest.mark.parametrize("junk", [None, 5, "x", {}, [None], [[]]])
def test_a_damaged_annotation_is_read_as_far_as_it_goes(junk: Any) -> None:
    clip = said(junk, lead_time="long")
    assert clip.tracks == () and clip.lead_time_s is None

"""Label Studio's regions to masks and spans and back; nothing that arrives is trusted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from avis_data.annotation.labels.records import Interval, LabelledMask, LabelledTrack, MaskOrigin, Verdict
from avis_data.annotation.labels.states import heard_seconds, intervals_from_seconds, merged, states
from avis_data.annotation.labels.track_problems import split_identity
from avis_data.annotation.labelstudio.regions import (
    mask_regions,
    read_result,
    regions_from_tracks,
    sounding_region,
    tracks_from_regions,
)
from avis_data.masks.brush_rle import encode_brush
from avis_data.masks.rle import Rle, decode, encode
from avis_data.records import State

HEIGHT, WIDTH, SECONDS = 24, 32, 6
SIZE = {"num_seconds": SECONDS, "height": HEIGHT, "width": WIDTH}


def blob(x: int, y: int, size: int = 6) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[y : y + size, x : x + size] = True
    return mask


def labelled(second: int, mask: np.ndarray) -> LabelledMask:
    counts = encode(mask).counts
    return LabelledMask(frame=second, height=HEIGHT, width=WIDTH, counts=counts, origin=MaskOrigin.EDITED)


def track(identity: str, spans: list[tuple[float, float]], masks: dict[int, np.ndarray]) -> LabelledTrack:
    intervals = tuple(Interval(start_s=start, end_s=end) for start, end in spans)
    return LabelledTrack(
        identity=identity,
        category=identity.rpartition("_")[0],
        intervals=intervals,
        states=states(intervals, masks, SECONDS),
        masks=tuple(labelled(second, mask) for second, mask in sorted(masks.items())),
    )


def kinds(result: list[Any]) -> list[str]:
    return [problem.kind for problem in read_result(result, **SIZE).problems]


def test_a_track_comes_back_as_it_went() -> None:
    tracks = (
        track("dog_1", [(0, 2), (4, 6)], {0: blob(1, 2), 4: blob(5, 9), 5: blob(6, 9)}),
        track("lawn_mover_2", [(1, 3)], {1: blob(20, 3, 8), 3: blob(0, 0, 5)}),
    )
    assert tracks_from_regions(regions_from_tracks(tracks), **SIZE) == tracks


def test_pages_ranges_and_ids_are_the_servers() -> None:
    brush, label = mask_regions("dog_1", 3, encode(blob(2, 2)), score=0.75)
    assert brush["id"] == label["id"] == "dog_1.00003"
    assert (brush["item_index"], brush["original_width"], brush["original_height"]) == (3, WIDTH, HEIGHT)
    assert (brush["type"], brush["from_name"], brush["to_name"], brush["score"]) == ("brush", "mask", "frame", 0.75)
    assert (label["type"], label["from_name"], label["value"]["labels"]) == ("labels", "object", ["dog_1"])
    span = sounding_region("dog_1", Interval(start_s=0, end_s=10))
    assert span["value"]["ranges"] == [{"start": 1, "end": 10}]  # 1-based, both ends in it


def test_a_range_is_the_seconds_that_it_covers() -> None:
    read = read_result([sounding_region("dog_1", Interval(start_s=4, end_s=5))], **SIZE)
    assert read.intervals == {"dog_1": (Interval(start_s=4, end_s=5),)}
    assert heard_seconds(read.intervals["dog_1"], SECONDS) == [False] * 4 + [True, False]


def test_strokes_of_one_label_on_one_page_are_one_mask() -> None:
    first = mask_regions("dog_1", 2, encode(blob(0, 0)))
    second = [{**region, "id": "by-hand"} for region in mask_regions("dog_1", 2, encode(blob(12, 12)))]
    read = read_result([*first, *second], **SIZE)
    assert set(read.masks) == {("dog_1", 2)}
    assert np.array_equal(decode(read.masks["dog_1", 2].rle), blob(0, 0) | blob(12, 12))
    assert [problem.kind for problem in read.problems] == ["several_masks"]


def test_a_brush_and_its_eraser_on_other_pages_stay_apart() -> None:
    result = [*mask_regions("dog_1", 1, encode(blob(0, 0))), *mask_regions("dog_1", 2, encode(blob(3, 3)))]
    read = read_result(result, **SIZE)
    assert set(read.masks) == {("dog_1", 1), ("dog_1", 2)} and not read.problems


def test_soft_edges_count_from_the_middle_on() -> None:
    regions = mask_regions("dog_1", 0, encode(blob(0, 0)))
    soft = _one_run_brush(alpha=127)
    regions = [{**region, "value": {**region["value"], "rle": soft}} for region in regions]
    assert kinds(regions) == ["empty_mask"]
    hard = [{**region, "value": {**region["value"], "rle": _one_run_brush(alpha=128)}} for region in regions]
    assert decode(read_result(hard, **SIZE).masks["dog_1", 0].rle).all()


def _one_run_brush(*, alpha: int) -> list[int]:
    """The whole picture with one value, coded by the definition of the format."""
    count = HEIGHT * WIDTH * 4
    bits = f"{count:032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}" + "1" + "11" + f"{count - 1:016b}" + f"{alpha:08b}"
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"item_index": SECONDS}, "bad_page"),
        ({"item_index": -1}, "bad_page"),
        ({"item_index": "0"}, "bad_page"),
        ({"item_index": True}, "bad_page"),
        ({"original_width": WIDTH + 1}, "bad_mask"),
        ({"original_height": None}, "bad_mask"),
        ({"value": {"format": "rle", "rle": "abc", "labels": ["dog_1"]}}, "bad_mask"),
        ({"value": {"format": "rle", "rle": [1, 2, 3], "labels": ["dog_1"]}}, "bad_mask"),
        ({"value": {"format": "rle", "rle": encode_brush(blob(0, 0, 0)), "labels": ["dog_1"]}}, "empty_mask"),
        ({"value": {"format": "rle", "rle": encode_brush(blob(0, 0))}}, "no_label"),
        ({"value": None}, "not_a_region"),
        ({"type": "ellipse"}, "foreign_region"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_left_out_and_told(change: dict[str, Any], kind: str) -> None:
    region = mask_regions("dog_1", 0, encode(blob(0, 0)))[1] | change
    read = read_result([region, *mask_regions("dog_2", 1, encode(blob(3, 3)))], **SIZE)
    assert [problem.kind for problem in read.problems] == [kind]
    assert set(read.masks) == {("dog_2", 1)}  # the good one beside it stays


def test_prompts_that_were_never_accepted_are_told_once() -> None:
    point = {"id": "x", "item_index": 2, "original_width": WIDTH, "original_height": HEIGHT}
    place = {"x": 10.0, "y": 10.0, "width": 0.2}
    result = [
        {**point, "type": "keypoint", "from_name": "point", "value": place},
        {**point, "type": "labels", "from_name": "object", "value": {**place, "labels": ["dog_1"]}},
    ]
    read = read_result(result, **SIZE)
    assert not read.masks and [(problem.kind, problem.frame) for problem in read.problems] == [("prompt_left", 2)]


@pytest.mark.parametrize("span", [{"start": 0, "end": 1}, {"start": 3, "end": 2}, {"start": 7, "end": 9}, {}, 5])
def test_impossible_spans_are_told(span: Any) -> None:
    region = sounding_region("dog_1", Interval(start_s=0, end_s=1))
    region["value"]["ranges"] = [span]
    assert kinds([region]) == ["bad_span"]


def test_a_span_over_the_end_is_cut() -> None:
    region = sounding_region("dog_1", Interval(start_s=4, end_s=90))
    assert read_result([region], **SIZE).intervals["dog_1"] == (Interval(start_s=4, end_s=SECONDS),)


def test_marks_are_no_objects() -> None:
    result = regions_from_tracks((), off_screen=[Interval(start_s=1, end_s=3)], silence=[Interval(start_s=4, end_s=6)])
    read = read_result(result, **SIZE)
    assert read.off_screen == (Interval(start_s=1, end_s=3),)
    assert not read.intervals and not read.problems


def test_verdict_reasons_and_note() -> None:
    result = [
        {"type": "choices", "from_name": "verdict", "value": {"choices": ["send back"]}},
        {"type": "choices", "from_name": "reason", "value": {"choices": ["mask", "identity"]}},
        {"type": "textarea", "from_name": "note", "value": {"text": ["second 3", "the left dog"]}},
    ]
    read = read_result(result, **SIZE)
    assert (read.verdict, read.reasons) == (Verdict.SEND_BACK, ("mask", "identity"))
    assert read.note == "second 3\nthe left dog" and not read.problems
    assert kinds([{"type": "choices", "from_name": "verdict", "value": {"choices": ["fine"]}}]) == ["bad_choice"]


def test_random_damage_never_raises() -> None:
    rng = np.random.default_rng(5)
    junk: list[Any] = [None, -1, 1.5, "x", [], {}, [None], {"a": 1}, 10**12, True]
    good = regions_from_tracks([track("dog_1", [(0, 3)], {0: blob(0, 0), 1: blob(1, 1)})])
    told = 0
    for _ in range(300):
        region = dict(good[int(rng.integers(len(good)))])
        spot = list(region)[int(rng.integers(len(region)))]
        region[spot] = junk[int(rng.integers(len(junk)))]
        if isinstance(region.get("value"), dict) and region["value"] and rng.random() < 0.5:
            value = dict(region["value"])
            value[list(value)[int(rng.integers(len(value)))]] = junk[int(rng.integers(len(junk)))]
            region["value"] = value
        read = read_result([region], **SIZE)
        told += bool(read.problems)
        assert all(0 <= second < SECONDS for _, second in read.masks)
    assert 100 < told < 300


def test_identity_and_category() -> None:
    assert split_identity("lawn_mover_2") == ("lawn_mover", 2)
    assert split_identity("dog") == ("dog", None)
    assert split_identity("_1") == ("_1", None)


@pytest.mark.parametrize(
    ("spans", "heard"),
    [
        ([(0.5, 2)], "110000"),  # exactly half counts
        ([(0.51, 2)], "010000"),
        ([(0, 0.3), (0.7, 1)], "100000"),  # parts add up
        ([(0, 0.3), (0.1, 0.4)], "000000"),  # overlaps do not
        ([(5.4, 9)], "000001"),
        ([], "000000"),
    ],
)
def test_a_second_is_heard_from_half_of_it_on(spans: list[tuple[float, float]], heard: str) -> None:
    intervals = [Interval(start_s=start, end_s=end) for start, end in spans]
    assert heard_seconds(intervals, SECONDS) == [letter == "1" for letter in heard]


def test_states_and_runs() -> None:
    intervals = [Interval(start_s=1, end_s=3)]
    expected = (State.HIDDEN, State.SOUNDING, State.HIDDEN, State.SILENT, State.HIDDEN, State.HIDDEN)
    assert states(intervals, {1, 3}, SECONDS) == expected
    runs = intervals_from_seconds([True, False, True, True])
    assert runs == (Interval(start_s=0, end_s=1), Interval(start_s=2, end_s=4))
    touching = [Interval(start_s=2, end_s=4), Interval(start_s=0, end_s=2)]
    assert merged(touching) == (Interval(start_s=0, end_s=4),)


def test_the_mask_is_exact_at_odd_sizes() -> None:
    rng = np.random.default_rng(1)
    for height, width in ((1, 1), (3, 7), (17, 5)):
        mask = rng.random((height, width)) < 0.5
        mask[0, 0] = True
        read = read_result(mask_regions("dog_1", 0, encode(mask)), num_seconds=1, height=height, width=width)
        rle: Rle = read.masks["dog_1", 0].rle
        assert np.array_equal(decode(rle), mask)

"""What must hold of the metrics whatever the data: perfect is 1, order and form do not matter, errors are seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from avis_data.metrics import ModeResult, TrackInput, VideoInput, evaluate_avis
from support.metric_world import (
    CATEGORIES,
    HEIGHT,
    WIDTH,
    blocks,
    copied,
    gt_json,
    perfect,
    random_world,
    still_block,
    tied_world,
    video,
)

MAIN = ("AP_all", "AP50", "AP75", "AR_all", "HOTA", "DetA", "AssA", "DetRe", "DetPr", "AssRe", "AssPr", "LocA", "OWTA")
MAIN += ("FSLA", "FSLAn", "FSLAs", "FSLAm")
EMPTY = np.zeros((HEIGHT, WIDTH), dtype=bool)
FRAMES = 10


def strict(world: Sequence[VideoInput]) -> dict[str, Any]:
    found = evaluate_avis(world, categories=CATEGORIES, modes=["strict"]).strict
    assert found is not None
    return found.as_dict()


def compat(world: Sequence[VideoInput]) -> dict[str, Any]:
    found = evaluate_avis(world, categories=CATEGORIES, modes=["aviseg_compat"]).aviseg_compat
    assert found is not None
    return found.as_dict()


def shuffled(world: Sequence[VideoInput], rng: np.random.Generator) -> list[VideoInput]:
    def mixed(tracks: Sequence[TrackInput]) -> list[TrackInput]:
        return [tracks[index] for index in rng.permutation(len(tracks))]

    videos = [replace(item, truth=mixed(item.truth), predictions=mixed(item.predictions)) for item in world]
    return [videos[index] for index in rng.permutation(len(videos))]


def enlarged(world: Sequence[VideoInput], factor: int) -> list[VideoInput]:
    def larger(tracks: Sequence[TrackInput]) -> list[TrackInput]:
        return [
            replace(
                track, masks=[None if m is None else np.kron(m, np.ones((factor, factor))) > 0 for m in track.masks]
            )
            for track in tracks
        ]

    return [
        replace(
            item,
            height=item.height * factor,
            width=item.width * factor,
            truth=larger(item.truth),
            predictions=larger(item.predictions),
        )
        for item in world
    ]


@pytest.mark.parametrize("silence", [None, EMPTY], ids=["null", "empty mask"])
@pytest.mark.parametrize("seed", range(5))
def test_a_perfect_prediction_has_exactly_one_everywhere_in_strict_mode(seed: int, silence: Any) -> None:
    rng = np.random.default_rng(seed)
    world = shuffled(perfect(random_world(rng, videos=6), silence=silence), rng)
    assert {name: value for name, value in strict(world).items() if name in MAIN and value != 1.0} == {}


@pytest.mark.parametrize("seed", range(8))
def test_strict_does_not_depend_on_order_even_where_everything_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    world = tied_world(rng)
    first = strict(world)
    for _ in range(5):
        again = strict(shuffled(world, rng))
        assert {name: again[name] for name in MAIN} == {name: first[name] for name in MAIN}


@pytest.mark.parametrize("seed", range(8))
def test_strict_does_not_depend_on_resolution(seed: int) -> None:
    rng = np.random.default_rng(seed)
    world = [*tied_world(rng), *(copied(item, f"w{item.name}", 99) for item in random_world(rng))]
    small, large = strict(world), strict(enlarged(world, 3))
    assert {name: large[name] for name in MAIN} == {name: small[name] for name in MAIN}


@pytest.mark.parametrize("seed", range(8))
def test_strict_takes_null_and_empty_masks_for_the_same(seed: int) -> None:
    world = random_world(np.random.default_rng(seed))

    def form(tracks: Sequence[TrackInput], silence: Any) -> list[TrackInput]:
        return [
            replace(track, masks=[silence if m is None or not m.any() else m for m in track.masks]) for track in tracks
        ]

    null, empty = (
        [replace(item, truth=form(item.truth, s), predictions=form(item.predictions, s)) for item in world]
        for s in (None, EMPTY)
    )
    assert strict(null) == strict(empty)


def test_arrays_rle_and_polygons_give_the_same() -> None:
    world = random_world(np.random.default_rng(3))
    rles = {track["id"]: track["segmentations"] for track in gt_json(world)["annotations"]}
    coded = [replace(item, truth=[replace(t, masks=rles[t.track_id]) for t in item.truth]) for item in world]
    assert strict(coded) == strict(world)
    box = still_block(4, 5, frames=2)
    corners = [4, 5, 10, 5, 10, 11, 4, 11]
    as_polygon = TrackInput(category=1, masks=[[corners], [corners]])
    assert strict([video([as_polygon], [blocks(box)])])["LocA"] == 1.0


def test_tracks_without_any_mask_do_not_count_in_strict_mode() -> None:
    track = blocks(still_block(2, 2, frames=4), score=0.5)
    nothing = TrackInput(category=1, masks=[EMPTY] * 4, score=0.9)
    found = strict([video([track, replace(nothing, masks=[None] * 4)], [nothing, track])])
    assert {name: value for name, value in found.items() if name in MAIN and value not in (1.0, None)} == {}


def test_two_classes_with_one_mask_are_both_right() -> None:
    """A player and the instrument outlined as one: pairing goes by masks, so only the class can tell them apart."""
    player = blocks(still_block(2, 2, frames=4), category=1)
    instrument = replace(player, category=2)
    for truth in ([player, instrument], [instrument, player]):
        for score in (0.2, 0.9):
            assert strict([video(truth, [replace(player, score=0.5), replace(instrument, score=score)])])["FSLA"] == 1.0


@pytest.mark.parametrize("name", ["aviseg_compat", "strict", "ytvis"])
def test_what_fits_a_crowd_better_still_takes_the_truth_that_counts(name: str) -> None:
    crowd = replace(blocks(still_block(2, 2, frames=2, width=10)), crowd=True)
    single = blocks(still_block(2, 2, frames=2, width=6))
    predicted = blocks(still_block(2, 2, frames=2, width=9))
    found = evaluate_avis([video([crowd, single], [predicted])], categories=CATEGORIES).as_dict()[name]
    assert found["AP50"] == pytest.approx(1.0)
    assert found["AP75"] == 0.0


def test_an_iou_of_exactly_095_matches_under_the_rules_of_youtube_vis_only() -> None:
    truth = np.zeros((1, HEIGHT, WIDTH), dtype=bool)
    truth[0, 2, :20] = True
    predicted = truth.copy()
    predicted[0, 2, 0] = False
    found = evaluate_avis([video([blocks(truth)], [blocks(predicted)])], categories=CATEGORIES)
    assert found.ytvis is not None
    assert found.aviseg_compat is not None
    assert found.ytvis.figures["AP"] == pytest.approx(1.0)
    assert found.aviseg_compat.details["AP_per_iou"][-1] == 0.0


def test_where_scores_tie_youtube_vis_takes_videos_by_id_and_the_public_evaluation_by_folder() -> None:
    right, wrong = blocks(still_block(2, 2, frames=3), track_id=1), blocks(still_block(15, 2, frames=3))
    found = evaluate_avis(
        [video([right], [right], name="b", video_id=1), video([right], [wrong], name="a", video_id=2)],
        categories=CATEGORIES,
    )
    assert found.ytvis is not None
    assert found.aviseg_compat is not None
    assert found.ytvis.figures["AP"] == pytest.approx(51 / 101)  # right first: precision 1 up to recall 1/2
    assert found.aviseg_compat.figures["AP_all"] == pytest.approx(0.5 * 51 / 101)


def test_no_predictions_find_nothing_but_silence() -> None:
    track = still_block(2, 2, frames=FRAMES)
    track[6:] = False
    found = strict([video([blocks(track)], [])])
    assert {name: found[name] for name in ("AP_all", "AR_all", "HOTA", "DetA", "DetRe", "FSLAs")} == dict.fromkeys(
        ("AP_all", "AR_all", "HOTA", "DetA", "DetRe", "FSLAs"), 0.0
    )
    assert found["FSLAn"] == 1.0
    assert found["FSLA"] == pytest.approx(0.4)
    assert found["FSLAm"] is None


def test_all_silent_truth_with_no_prediction_is_right_and_leaves_the_rest_undefined() -> None:
    silent = VideoInput(name="a", num_frames=4, height=HEIGHT, width=WIDTH)
    found = strict([silent])
    assert (found["FSLA"], found["FSLAn"]) == (1.0, 1.0)
    assert [found[name] for name in ("AP_all", "HOTA", "FSLAs")] == [None, None, None]


def test_classes_that_do_not_occur_cost_nothing_in_strict_and_points_in_compat() -> None:
    world = [video([blocks(still_block(2, 2, frames=4), track_id=1)], [blocks(still_block(2, 2, frames=4))])]
    assert strict(world)["HOTA"] == 1.0
    assert compat(world)["HOTA"] == pytest.approx(1 / 3)


def test_false_class_without_truth_costs_hota_but_not_ap() -> None:
    truth = [blocks(still_block(2, 2, frames=4))]
    found = strict([video(truth, [*truth, blocks(still_block(20, 2, frames=4), category=3, score=0.1)])])
    assert found["AP_all"] == 1.0
    assert found["HOTA"] == 0.5


def swapped(a: TrackInput, b: TrackInput) -> list[TrackInput]:
    half = FRAMES // 2
    return [
        replace(a, masks=[*a.masks[:half], *b.masks[half:]]),
        replace(b, masks=[*b.masks[:half], *a.masks[half:]]),
    ]


def eroded(track: TrackInput) -> TrackInput:
    return replace(track, masks=[None if m is None else m & np.roll(m, 1, axis=1) for m in track.masks])


def late(track: TrackInput) -> TrackInput:
    return replace(track, masks=[None, *track.masks[:-1]])


def held(track: TrackInput) -> TrackInput:
    last = next(mask for mask in track.masks[::-1] if mask is not None)
    return replace(track, masks=[last if mask is None else mask for mask in track.masks])


def planted(change: Callable[[TrackInput, TrackInput], list[TrackInput]]) -> dict[str, Any]:
    """Two dogs, the second silent at the end; their perfect prediction with one error planted."""
    first = blocks(still_block(1, 2, frames=FRAMES), track_id=1)
    pausing = still_block(14, 2, frames=FRAMES)
    pausing[8:] = False
    second = blocks(pausing, track_id=2)
    return strict([video([first, second], change(first, second))])


EXTRA = blocks(still_block(1, 11, frames=FRAMES), score=0.1)
SURE_EXTRA = replace(EXTRA, score=2.0)
ERRORS: dict[str, tuple[Callable[[TrackInput, TrackInput], list[TrackInput]], set[str]]] = {
    "none": (lambda a, b: [a, b], set()),
    "identities swapped": (
        swapped,
        {"AP_all", "AP75", "AP50", "AR_all", "HOTA", "AssA", "AssRe", "AssPr", "OWTA", "FSLA", "FSLAs", "FSLAm"},
    ),
    "outline": (
        lambda a, b: [eroded(a), b],
        {"AP_all", "AR_all", "HOTA", "DetA", "DetRe", "DetPr", "LocA", "OWTA", "FSLA", "FSLAs", "FSLAm"},
    ),
    "extra track, sure": (
        lambda a, b: [a, b, SURE_EXTRA],
        {"AP_all", "AP50", "AP75", "HOTA", "DetA", "DetPr", "FSLA", "FSLAs", "FSLAm"},
    ),
    "extra track, unsure": (lambda a, b: [a, b, EXTRA], {"HOTA", "DetA", "DetPr", "FSLA", "FSLAs", "FSLAm"}),
    "track missed": (
        lambda a, b: [a],
        {"AP_all", "AP50", "AP75", "AR_all", "HOTA", "DetA", "DetRe", "OWTA", "FSLA", "FSLAm"},
    ),
    "mask of a silent thing": (
        lambda a, b: [a, held(b)],
        {"AP_all", "AR_all", "HOTA", "DetA", "DetPr", "AssA", "AssPr", "OWTA", "FSLA", "FSLAs"},
    ),
    "wrong class": (
        lambda a, b: [a, replace(b, category=2)],
        {"AP_all", "AP50", "AP75", "AR_all", "HOTA", "DetA", "AssA", "DetRe", "DetPr", "AssRe", "AssPr", "OWTA"}
        | {"FSLA", "FSLAm"},
    ),
    "one frame late": (
        lambda a, b: [a, late(b)],
        {"AP_all", "AR_all", "HOTA", "DetA", "AssA", "DetRe", "DetPr", "AssRe", "AssPr", "OWTA"}
        | {"FSLA", "FSLAs", "FSLAm"},
    ),
}
"""Planted error -> the metrics that it must lower, and no other."""


@pytest.mark.parametrize("error", ERRORS)
def test_each_planted_error_lowers_exactly_the_metrics_that_it_should(error: str) -> None:
    change, lowered = ERRORS[error]
    found = planted(change)
    assert {name for name in MAIN if found[name] is not None and found[name] < 1} == lowered


def test_compat_depends_on_the_order_of_predictions_and_on_how_silence_is_written() -> None:
    """Why it must not be compared with anything but tables that were made by the same code."""
    pausing = still_block(14, 2, frames=FRAMES)
    pausing[5:] = False
    still = still_block(1, 2, frames=FRAMES)
    truth = [blocks(still, track_id=1), blocks(pausing, track_id=2)]
    exact = [blocks(still), TrackInput(category=1, masks=pausing)]
    forward, backward = compat([video(truth, exact)]), compat([video(truth, exact[::-1])])
    assert forward["FSLAs"] == 1.0
    assert backward["FSLAs"] == 1.0  # a swap of two is its own inverse
    three = [*truth, blocks(still_block(22, 2, frames=FRAMES) & (np.arange(FRAMES) < 2)[:, None, None], track_id=3)]
    cycle = [TrackInput(category=1, masks=[EMPTY if m is None else m for m in track.masks]) for track in three]
    assert compat([video(three, cycle)])["FSLAs"] == 1.0
    assert compat([video(three, [*cycle[1:], cycle[0]])])["FSLAs"] < 1.0
    assert compat([video(truth, exact)])["DetPr"] < compat([video(truth, truth)])["DetPr"]


def test_track_zero_lets_its_truth_be_matched_again_in_compat_only() -> None:
    track = blocks(still_block(2, 2, frames=4), track_id=1, score=0.9)
    world = [video([track], [track, replace(track, score=0.8)])]
    results = {
        name: evaluate_avis(world, categories=CATEGORIES, modes=["aviseg_compat"], variants=variants).aviseg_compat
        for name, variants in (("official", ()), ("from one", ("official_ids_from_one",)))
    }
    assert isinstance(results["official"], ModeResult)
    assert isinstance(results["from one"], ModeResult)
    assert results["official"].figures["AR_all"] == 2.0
    assert results["from one"].figures["AR_all"] == 1.0
    assert strict(world)["AR_all"] == 1.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda item: replace(item, name="b"), "two videos"),
        (lambda item: replace(item, num_frames=3), "4 masks in a track, 3 frames"),
        (lambda item: replace(item, predictions=[replace(item.truth[0], score=float("nan"))]), "finite"),
        (lambda item: replace(item, predictions=[replace(item.truth[0], category=9)]), "class 9"),
    ],
)
def test_the_api_refuses_what_makes_no_sense(change: Any, words: str) -> None:
    item = video([blocks(still_block(2, 2, frames=4))], [])
    other = replace(item, name="b", truth=[])
    with pytest.raises(ValueError, match=words):
        evaluate_avis([other, change(item)], categories=CATEGORIES)

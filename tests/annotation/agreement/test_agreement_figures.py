"""Agreement of labels of which the figures are known in closed form."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from avis_data.annotation.agreement.adjudication import adjudication_queue
from avis_data.annotation.agreement.compare import ClipAgreement, compare_clips
from avis_data.annotation.agreement.figures import agreement_figures, annotator_figures
from avis_data.annotation.agreement.report import agreement_report
from avis_data.annotation.labels.records import LabelledTrack, Verdict
from avis_data.metrics.boundary import boundary_f
from support.rounds_world import labels, square, track

A, B = "ann@example.com", "bob@example.com"
ALPHAS = [round(0.05 * k, 2) for k in range(1, 20)]


def compared(
    a: Sequence[LabelledTrack], b: Sequence[LabelledTrack], *, clip_id: str = "c", num_seconds: int = 6
) -> ClipAgreement:
    one = labels(clip_id, "draft", A, a, num_seconds=num_seconds)
    return compare_clips(one, labels(clip_id, "draft", B, b, num_seconds=num_seconds))


def dog(name: str, x: int, heard: Sequence[tuple[float, float]], seconds: Sequence[int] = range(6)) -> LabelledTrack:
    return track(name, {second: square(x, 4) for second in seconds}, heard)


def test_identical_labels_agree_in_everything() -> None:
    tracks = [
        dog("dog_1", 2, [(0, 3)]),
        dog("dog_2", 20, [(2, 6)]),
        track("cat_1", {1: square(35, 10, 6), 2: square(36, 10, 6)}, [(1, 3)]),
    ]
    items = [compared(tracks, tracks, clip_id=f"c{number}") for number in range(6)]
    found = agreement_figures(items)
    for name in ("mask_iou", "boundary_f", "hota", "det_a", "ass_a", "kappa"):
        estimate = getattr(found, name)
        assert (estimate.value, estimate.low, estimate.high) == (1.0, 1.0, 1.0), name
    assert {(item.category, item.kappa, item.hota) for item in found.categories} == {("cat", 1, 1), ("dog", 1, 1)}
    spans = found.spans
    assert (spans.num_pairs, spans.num_unpaired, spans.onset_mean_abs_s, spans.offset_bias_s) == (18, 0, 0.0, 0.0)
    assert found.disagreement == 0.0 and (found.num_matched, found.num_unmatched) == (18, 0)


def test_an_object_that_sounds_throughout_for_both_has_kappa_one() -> None:
    always = [dog("dog_1", 2, [(0, 6)])]
    assert agreement_figures([compared(always, always)]).kappa.value == 1.0


def test_sounding_labels_by_chance_have_kappa_zero() -> None:
    rng = np.random.default_rng(7)
    items = []
    for number in range(40):
        said = [[(t, t + 1) for t in range(60) if rng.random() < 0.4] for _ in range(2)]
        tracks = [[track("dog_1", {0: square(2, 2)}, spans, num_seconds=60)] for spans in said]
        items.append(compared(*tracks, clip_id=f"c{number}", num_seconds=60))
    kappa = agreement_figures(items).kappa
    # Standard error of kappa without agreement: sqrt(pe / (n (1 - pe))), Fleiss 1969; pe = 0.52, n = 2400.
    assert kappa.value is not None and abs(kappa.value) < 3 * (0.52 / (2400 * 0.48)) ** 0.5
    assert kappa.low is not None and kappa.high is not None and kappa.low < 0 < kappa.high


def test_kappa_by_hand() -> None:
    """Both hear 2 of 6 seconds together, each one alone 1, none 2: po = 4/6, pe = 1/2."""
    found = agreement_figures([compared([dog("dog_1", 2, [(0, 3)])], [dog("dog_1", 2, [(1, 4)])])])
    assert found.kappa.value == pytest.approx((4 / 6 - 1 / 2) / (1 / 2))
    assert found.categories[0].heard_by_one == 2 and found.categories[0].track_seconds == 6


def test_swapped_identities_cost_half_of_the_association() -> None:
    """Both dogs sound throughout; from second 3 on the second person has their names the other way round."""
    ours = [dog("dog_1", 2, [(0, 6)]), dog("dog_2", 30, [(0, 6)])]
    theirs = [
        track(name, {second: square(x if second < 3 else other, 4) for second in range(6)}, [(0, 6)])
        for name, x, other in (("dog_1", 2, 30), ("dog_2", 30, 2))
    ]
    found = agreement_figures([compared(ours, theirs)])
    # Every pair of a true positive is right in 3 of the 6 + 6 - 3 seconds of either.
    assert found.det_a.value == 1.0 and found.ass_a.value == pytest.approx(3 / 9)
    assert found.hota.value == pytest.approx((1 / 3) ** 0.5)
    assert found.kappa.value == 1.0, "who hears what is the same"
    assert found.disagreement == pytest.approx(0.5) and found.mask_iou.value == pytest.approx(0.5)


def test_categories_count_the_same_however_often_they_occur() -> None:
    """Five clips of dogs that agree, one of a cat that only one person has."""
    base = [dog("dog_1", 2, [(0, 6)])]
    items = [compared(base, base, clip_id=f"c{number}") for number in range(5)]
    items.append(compared([], [dog("cat_1", 2, [(0, 6)])], clip_id="cat"))
    assert agreement_figures(items).hota.value == pytest.approx(0.5)
    assert items[-1].heard["cat"].tolist() == [[0, 6], [0, 0]], "heard by the second person only"


def test_names_of_identities_do_not_matter() -> None:
    ours = [dog("dog_1", 2, [(0, 3)]), dog("dog_2", 30, [(3, 6)])]
    theirs = [dog("dog_2", 2, [(0, 3)]), dog("dog_7", 30, [(3, 6)])]
    found = agreement_figures([compared(ours, theirs)])
    assert found.hota.value == found.kappa.value == found.mask_iou.value == 1.0


def test_another_category_is_another_object() -> None:
    found = agreement_figures([compared([dog("dog_1", 2, [(0, 6)])], [dog("cat_1", 2, [(0, 6)])])])
    assert (found.num_matched, found.num_unmatched) == (0, 2)
    assert found.hota.value == 0.0 and found.disagreement == 1.0 and found.mask_iou.value is None
    assert found.spans.num_unpaired == 2 and found.spans.onset_mean_abs_s is None


def test_an_onset_one_second_late() -> None:
    items = [compared([dog("dog_1", 2, [(1, 5)])], [dog("dog_1", 2, [(2, 5)])])]
    spans = agreement_figures(items).spans
    assert (spans.onset_mean_abs_s, spans.offset_mean_abs_s) == (1.0, 0.0)
    people = annotator_figures(items)
    assert people[B].spans.onset_bias_s == 1.0 and people[A].spans.onset_bias_s == -1.0
    assert people[A].kappa == people[B].kappa


def test_intervals_are_paired_by_their_overlap() -> None:
    ours, theirs = [(0, 2), (3, 5)], [(0.5, 1.5), (3, 4.5), (5.5, 6)]
    spans = compared([dog("dog_1", 2, ours)], [dog("dog_1", 2, theirs)]).spans
    assert sorted(spans.onset_s) == [0.0, 0.5] and sorted(spans.offset_s) == [-0.5, -0.5]
    assert (spans.only_a, spans.only_b) == (0, 1)


def test_masks_that_overlap_by_half() -> None:
    """8 x 8 squares, one 4 pixels to the right: 32 pixels of 96."""
    found = agreement_figures([compared([dog("dog_1", 8, [(0, 6)])], [dog("dog_1", 12, [(0, 6)])])])
    assert found.mask_iou.value == pytest.approx(1 / 3)
    expected = np.mean([alpha <= 1 / 3 for alpha in ALPHAS])
    assert found.hota.value == pytest.approx(expected) and found.disagreement == 1.0


def test_masks_of_silent_seconds_count_for_outlines_and_not_for_what_is_published() -> None:
    ours, theirs = dog("dog_1", 2, [(0, 2)]), dog("dog_1", 2, [(0, 2)], seconds=[0, 1])
    found = agreement_figures([compared([ours], [theirs])])
    assert found.hota.value == 1.0 and found.disagreement == 0.0 and found.mask_iou.value == 1.0
    assert compared([ours], [theirs]).num_masks == 2


def test_objects_without_masks_are_matched_by_their_sound() -> None:
    ours = [track("dog_1", {}, [(0, 2)]), track("dog_2", {}, [(4, 6)])]
    theirs = [track("dog_1", {}, [(4, 6)]), track("dog_2", {}, [(0, 2)])]
    found = agreement_figures([compared(ours, theirs)])
    assert found.num_matched == 2 and found.kappa.value == 1.0
    assert found.hota.value is None and found.mask_iou.value is None, "there is no mask to measure"


def test_empty_clips_have_no_figures_and_no_disagreement() -> None:
    item = compared([], [])
    found = agreement_figures([item])
    assert item.disagreement == 0.0 and found.disagreement == 0.0
    assert {found.mask_iou.value, found.hota.value, found.kappa.value, found.boundary_f.value} == {None}
    one_sided = compared([], [dog("dog_1", 2, [(0, 6)])])
    assert one_sided.disagreement == 1.0 and agreement_figures([one_sided]).hota.value == 0.0
    nothing = agreement_figures([])
    assert nothing.num_clips == 0 and nothing.disagreement is None and nothing.categories == ()


def test_it_does_not_matter_who_is_named_first() -> None:
    rng = np.random.default_rng(3)
    said = [
        [
            track(
                f"dog_{k}",
                {t: square(*rng.integers(2, 20, 2)) for t in range(6)},
                [(int(rng.integers(0, 3)), int(rng.integers(3, 7)))],
            )
            for k in (1, 2)
        ]
        for _ in range(2)
    ]
    one, other = agreement_figures([compared(*said)]), agreement_figures([compared(*reversed(said))])
    for name in ("mask_iou", "boundary_f", "hota", "ass_a", "kappa"):
        assert getattr(one, name).value == pytest.approx(getattr(other, name).value, abs=1e-12), name
    assert one.disagreement == other.disagreement


def test_the_clip_on_which_people_differ_most_comes_first() -> None:
    base = [dog("dog_1", 2, [(0, 6)])]
    same, half = compared(base, base, clip_id="a"), compared(base, [dog("dog_1", 2, [(0, 3)])], clip_id="b")
    drop = compare_clips(labels("z", "draft", A, base), labels("z", "draft", B, base, Verdict.DROP))
    assert [item.clip_id for item in adjudication_queue([same, half, drop])] == ["z", "b", "a"]
    assert [item.disagreement for item in (same, half, drop)] == [0.0, 0.5, 1.0]


def test_the_interval_of_a_figure_holds_the_scatter_of_clips() -> None:
    """Half of the clips agree wholly, half not at all: the mean of 100 draws of 0 or 1."""
    base, other = [dog("dog_1", 2, [(0, 6)])], [dog("dog_1", 4, [(0, 6)])]
    items = [compared(base, base if number % 2 else other, clip_id=f"c{number:03d}") for number in range(100)]
    iou = agreement_figures(items).mask_iou
    low_iou = 6 / 10  # squares of 8 that are 2 pixels apart
    half_width = 1.96 * (1 - low_iou) / 2 / 10
    assert iou.value == pytest.approx((1 + low_iou) / 2)
    assert iou.low == pytest.approx(iou.value - half_width, abs=0.012)
    assert iou.high == pytest.approx(iou.value + half_width, abs=0.012)
    first = agreement_figures(items)
    assert agreement_figures(items) == first
    assert agreement_figures(items[:4]).mask_iou.low is None


@pytest.mark.parametrize(("shift", "tolerance", "expected"), [(0, 0, 1.0), (1, 1, 1.0), (2, 1, None), (20, 3, 0.0)])
def test_outlines_within_the_tolerance_agree(shift: int, tolerance: int, expected: float | None) -> None:
    found = boundary_f(square(4, 4), square(4 + shift, 4), tolerance_px=tolerance)
    assert found == boundary_f(square(4 + shift, 4), square(4, 4), tolerance_px=tolerance)
    if expected is not None:
        assert found == expected
    else:
        assert found == pytest.approx(brute_boundary_f(square(4, 4), square(4 + shift, 4), tolerance)) and 0 < found < 1


@pytest.mark.parametrize("seed", range(6))
def test_boundary_f_equals_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a_HW, b_HW = (rng.random((14, 17)) < 0.5 for _ in range(2))
    for tolerance in (0, 1, 2):
        expected = brute_boundary_f(a_HW, b_HW, tolerance)
        assert boundary_f(a_HW, b_HW, tolerance_px=tolerance) == pytest.approx(expected, abs=1e-12)


def brute_boundary_f(a_HW: np.ndarray, b_HW: np.ndarray, tolerance: int) -> float:
    def outline(mask_HW: np.ndarray) -> set[tuple[int, int]]:
        height, width = mask_HW.shape
        found = set()
        for y, x in np.argwhere(mask_HW):
            around = [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
            if any(0 <= v < height and 0 <= u < width and not mask_HW[v, u] for v, u in around):
                found.add((int(y), int(x)))
        return found

    def near(some: set[tuple[int, int]], others: set[tuple[int, int]]) -> float:
        hits = [any((y - v) ** 2 + (x - u) ** 2 <= tolerance**2 for v, u in others) for y, x in some]
        return sum(hits) / len(hits)

    a, b = outline(a_HW), outline(b_HW)
    if not a or not b:
        return float(bool(a) == bool(b))
    precision, recall = near(a, b), near(b, a)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def test_outlines_of_nothing_and_of_everything() -> None:
    nothing, everything = np.zeros((9, 9), dtype=bool), np.ones((9, 9), dtype=bool)
    assert boundary_f(nothing, nothing) == boundary_f(everything, everything) == boundary_f(nothing, everything) == 1.0
    part = nothing.copy()
    part[2:5, 2:5] = True
    assert boundary_f(part, nothing) == 0.0
    with pytest.raises(ValueError, match="same"):
        boundary_f(part, np.zeros((9, 8), dtype=bool))


@pytest.mark.parametrize("first_second", [1, 4, 6])
def test_exchanged_identities_are_named_with_their_seconds(first_second: int) -> None:
    """From a second on, one person's dog_1 is the other's dog_2, and the other way round."""
    spots = (2, 30)
    a = [dog("dog_1", spots[0], [(0, 6)]), dog("dog_2", spots[1], [(0, 6)])]
    places = [[spots[(k + (second >= first_second)) % 2] for second in range(6)] for k in (0, 1)]
    b = [track(f"dog_{k + 1}", {second: square(places[k][second], 4) for second in range(6)}, [(0, 6)]) for k in (0, 1)]
    found = {(swap.a, swap.b): set(swap.seconds) for swap in compared(a, b).swaps}
    same = {name: {second for second in range(6) if second < first_second} for name in ("dog_1", "dog_2")}
    kept, exchanged = same["dog_1"], set(range(6)) - same["dog_1"]
    if len(kept) >= len(exchanged):
        expected = {("dog_1", "dog_2"): exchanged, ("dog_2", "dog_1"): exchanged}
    else:  # they are paired the other way round, so it is the beginning that is exchanged
        expected = {("dog_1", "dog_1"): kept, ("dog_2", "dog_2"): kept}
    assert found == {names: seconds for names, seconds in expected.items() if seconds}


def test_categories_that_people_confuse_are_counted() -> None:
    a = [dog("dog_1", 2, [(0, 6)]), dog("dog_2", 20, [(0, 6)]), dog("cat_1", 36, [(0, 6)])]
    b = [dog("cat_1", 2, [(0, 6)]), dog("dog_1", 21, [(0, 6)]), dog("cow_1", 38, [(0, 6)], range(1))]
    one = compared(a, b)
    assert one.confused == (("dog_1", "cat_1"),), "a cow on one of six stills is no confusion"
    assert dict(one.categories) == {("dog", "cat"): 1, ("dog", "dog"): 1}
    report = agreement_report([one, compared(b, a)])
    assert report.confusion == [("cat", "dog", 2), ("dog", "dog", 2)]
    assert report.as_dict()["confusion"] == [
        {"categories": ["cat", "dog"], "objects": 2},
        {"categories": ["dog", "dog"], "objects": 2},
    ]
    assert [row.confused for row in report.queue] == [(("dog_1", "cat_1"),), (("cat_1", "dog_1"),)]

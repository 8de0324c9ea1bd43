"""Linking detections to tracks, and suppressing boxes that say the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from avis_data.training.models.afcv.boxes import best_boxes, box_iou
from avis_data.training.models.afcv.tracker import Detections, SimilarityTracker

HERE, THERE, FAR = (0.0, 0.0, 10.0, 10.0), (0.0, 0.0, 10.0, 5.0), (50.0, 50.0, 60.0, 60.0)
EAST, NORTH = (1.0, 0.0), (0.0, 1.0)


def found(*rows: tuple[int, float, tuple[float, ...], tuple[float, ...]]) -> Detections:
    """Detections of (label, score, box, embedding)."""
    labels, scores, boxes, embeddings = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Detections(
        label_D=torch.tensor(labels, dtype=torch.int64),
        score_D=torch.tensor(scores),
        box_D4=torch.tensor(boxes).reshape(-1, 4),
        embed_DC=torch.tensor(embeddings).reshape(-1, 2),
    )


def at_angle(cosine: float) -> tuple[float, float]:
    """An embedding with that cosine to EAST; its length does not count."""
    return 3.0 * cosine, 3.0 * (1 - cosine**2) ** 0.5


def test_new_tracks_are_numbered_by_score() -> None:
    tracker = SimilarityTracker(0.4, remembered=9)
    assert tracker.step(found((0, 0.3, HERE, EAST), (0, 0.9, FAR, NORTH), (1, 0.5, HERE, EAST))) == [2, 0, 1]
    assert tracker.step(found((1, 0.5, HERE, EAST), (0, 0.2, FAR, NORTH))) == [1, 0]


def test_the_class_is_a_gate() -> None:
    tracker = SimilarityTracker(0.4, remembered=9)
    assert tracker.step(found((0, 0.9, HERE, EAST))) == [0]
    assert tracker.step(found((1, 0.9, HERE, EAST))) == [1]


@pytest.mark.parametrize(("cosine", "track"), [(0.41, 0), (0.39, 1)])
def test_a_detection_goes_on_from_a_similarity_of_four_tenths(cosine: float, track: int) -> None:
    tracker = SimilarityTracker(0.4, remembered=9)
    tracker.step(found((0, 0.9, HERE, EAST)))
    assert tracker.step(found((0, 0.9, FAR, at_angle(cosine)))) == [track]


@pytest.mark.parametrize(("cosine", "track"), [(-0.05, 0), (-0.2, 1)])
def test_the_similarity_is_the_cosine_plus_the_overlap(cosine: float, track: int) -> None:
    tracker = SimilarityTracker(0.4, remembered=9)
    tracker.step(found((0, 0.9, HERE, EAST)))
    assert tracker.step(found((0, 0.9, THERE, at_angle(cosine)))) == [track]  # the boxes' IoU is 0.5


def test_of_several_detections_of_one_track_the_most_similar_stays_and_the_others_are_dropped() -> None:
    tracker = SimilarityTracker(0.4, remembered=9)
    tracker.step(found((0, 0.9, HERE, EAST)))
    rows = ((0, 0.9, THERE, EAST), (0, 0.5, HERE, EAST), (0, 0.4, FAR, EAST))
    assert tracker.step(found(*rows)) == [None, 0, None]  # not the one of the highest score
    assert tracker.step(found((0, 0.9, FAR, NORTH))) == [1]  # and none of the dropped ones started a track


def test_a_dropped_detection_gets_no_second_choice() -> None:
    tracker = SimilarityTracker(0.4, remembered=9)
    tracker.step(found((0, 0.9, HERE, EAST), (0, 0.8, FAR, at_angle(0.8))))
    both_like_the_first = found((0, 0.9, HERE, EAST), (0, 0.8, HERE, at_angle(0.99)))
    assert tracker.step(both_like_the_first) == [0, None]


def test_a_track_is_compared_with_its_last_detection_however_old() -> None:
    tracker = SimilarityTracker(0.4, remembered=9)
    tracker.step(found((0, 0.9, HERE, EAST)))
    for _ in range(50):
        assert tracker.step(found()) == []
    assert tracker.step(found((0, 0.9, FAR, EAST))) == [0]
    assert tracker.step(found((0, 0.9, HERE, NORTH))) == [1]  # where it was first no longer counts


def test_tracks_of_one_frame_do_not_link_with_each_other() -> None:
    tracker = SimilarityTracker(0.4, remembered=9)
    assert tracker.step(found((0, 0.9, HERE, EAST), (0, 0.8, HERE, EAST))) == [0, 1]


def test_beyond_the_limit_what_was_not_seen_for_longest_is_forgotten() -> None:
    tracker = SimilarityTracker(0.4, remembered=2)
    assert tracker.step(found((0, 0.9, HERE, EAST))) == [0]
    assert tracker.step(found((1, 0.9, HERE, EAST))) == [1]
    assert tracker.step(found((0, 0.9, HERE, EAST))) == [0]  # seen again: now 1 is the one to go
    assert tracker.step(found((2, 0.9, HERE, EAST))) == [2]
    assert tracker.known == {0, 2}
    assert tracker.step(found((0, 0.9, HERE, EAST), (1, 0.8, HERE, EAST))) == [0, 3]
    assert tracker.known == {0, 3}


def test_of_equal_tracks_the_oldest_goes_on_whenever_it_was_seen() -> None:
    tracker = SimilarityTracker(0.4, remembered=9)
    assert tracker.step(found((0, 0.9, HERE, EAST), (0, 0.8, HERE, EAST))) == [0, 1]
    assert tracker.step(found((0, 0.9, HERE, EAST))) == [0]
    assert tracker.step(found((0, 0.9, HERE, EAST))) == [0]  # 1 lies before it by now


def test_boxes_without_area_overlap_nothing() -> None:
    boxes = torch.tensor([[5.0, 5, 5, 5], [0, 0, 10, 10]])
    assert box_iou(boxes, boxes).tolist() == [[0, 0], [0, 1]]


def suppressed_by_loops(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, overlap: float) -> list[int]:
    """Pixel counting on a fine grid instead of formulas: boxes have whole coordinates."""
    cells = [{(x, y) for x in range(a, c) for y in range(b, d)} for a, b, c, d in boxes.tolist()]
    kept: list[int] = []
    for place in sorted(range(len(scores)), key=lambda place: (-scores[place], place)):
        rivals = [other for other in kept if labels[other] == labels[place]]
        if all(len(cells[place] & cells[other]) / len(cells[place] | cells[other]) <= overlap for other in rivals):
            kept.append(place)
    return kept


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("limit", [3, 100])
def test_suppression_equals_brute_force(seed: int, limit: int) -> None:
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 12, size=(40, 2))
    boxes = np.concatenate((start, start + rng.integers(4, 12, size=(40, 2))), axis=1)
    scores, labels = rng.integers(1, 20, size=40) / 20, rng.integers(0, 3, size=40)
    got = best_boxes(
        torch.from_numpy(boxes).double(), torch.from_numpy(scores), torch.from_numpy(labels), overlap=0.3, limit=limit
    )
    want = suppressed_by_loops(boxes, scores, labels, 0.3)
    assert limit < len(want) < 40 or limit == 100
    assert got.tolist() == want[:limit]


def test_no_box_stays_none() -> None:
    none = torch.zeros(0)
    assert best_boxes(torch.zeros(0, 4), none, none.long(), overlap=0.6, limit=5).tolist() == []

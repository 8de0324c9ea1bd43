"""Strict metrics against slow programs that share no code with ours: sets of pixels, permutations, definitions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from avis_data.errors import DataError
from avis_data.masks.rle import Rle, runs_from_rle
from avis_data.metrics import VideoInput, evaluate_avis
from avis_data.metrics.run_lengths import decode_runs, empty_counts, intersections_GPL
from support.metric_oracles import ALPHAS, Pixels, interpolated, iou, pixels, track_iou
from support.metric_world import CATEGORIES, random_world


def assignments(rows: int, columns: int) -> Any:
    """All one-to-one assignments as lists of pairs."""
    if rows <= columns:
        for chosen in itertools.permutations(range(columns), rows):
            yield list(enumerate(chosen))
    else:
        for chosen in itertools.permutations(range(rows), columns):
            yield [(row, column) for column, row in enumerate(chosen)]


def best_assignment(weights: Sequence[Sequence[float]], columns: int) -> list[tuple[int, int]]:
    best = max(assignments(len(weights), columns), key=lambda pairs: math.fsum(weights[g][p] for g, p in pairs))
    return [(g, p) for g, p in best if weights[g][p] > 0]


def alignment(truth: list[Pixels], predicted: list[Pixels]) -> list[list[float]]:
    soft = [[0.0] * len(predicted) for _ in truth]
    for t in range(len((truth or predicted or [[]])[0])):
        overlap = [[iou(g[t], p[t]) for p in predicted] for g in truth]
        for g, p in itertools.product(range(len(truth)), range(len(predicted))):
            others = sum(overlap[g]) + sum(row[p] for row in overlap) - overlap[g][p]
            soft[g][p] += overlap[g][p] / others if others > 1e-15 else 0.0
    return [
        [
            soft[g][p] / (sum(map(bool, truth[g])) + sum(map(bool, predicted[p])) - soft[g][p])
            for p in range(len(predicted))
        ]
        for g in range(len(truth))
    ]


def naive_hota(world: Sequence[VideoInput]) -> float:
    classes = []
    for category in CATEGORIES:
        per_alpha = [hota_of_class(world, category, alpha) for alpha in ALPHAS]
        if per_alpha[0] is not None:
            classes.append(sum(per_alpha) / len(per_alpha))
    return sum(classes) / len(classes)


def hota_of_class(world: Sequence[VideoInput], category: int, alpha: float) -> Any:
    tp = fn = fp = 0
    association = 0.0
    for item in world:
        truth, predicted = (
            [shape for track in side if track.category == category and any(shape := pixels(track))]
            for side in (item.truth, item.predictions)
        )
        aligned = alignment(truth, predicted)
        matched: dict[tuple[int, int], int] = {}
        for t in range(item.num_frames):
            weights = [
                [aligned[g][p] * iou(truth[g][t], predicted[p][t]) for p in range(len(predicted))]
                for g in range(len(truth))
            ]
            pairs = best_assignment(weights, len(predicted)) if truth and predicted else []
            hits = [(g, p) for g, p in pairs if iou(truth[g][t], predicted[p][t]) >= alpha - 1e-12]
            for pair in hits:
                matched[pair] = matched.get(pair, 0) + 1
            tp += len(hits)
            fn += sum(bool(g[t]) for g in truth) - len(hits)
            fp += sum(bool(p[t]) for p in predicted) - len(hits)
        for (g, p), number in matched.items():
            either = sum(map(bool, truth[g])) + sum(map(bool, predicted[p])) - number
            association += number * number / either
    if tp + fn + fp == 0:
        return None
    return math.sqrt(tp / (tp + fn + fp) * association / tp) if tp else 0.0


def naive_fsla(world: Sequence[VideoInput]) -> float:
    right = frames = 0
    for item in world:
        truth = [(track.category, shape) for track in item.truth if any(shape := pixels(track))]
        predicted = [(track.category, shape) for track in item.predictions if any(shape := pixels(track))]
        partner: dict[int, int] = {}
        if truth and predicted:
            weights = alignment([shape for _, shape in truth], [shape for _, shape in predicted])
            partner = dict(best_assignment(weights, len(predicted)))
        for t, alpha in itertools.product(range(item.num_frames), ALPHAS):
            sounding = [g for g, (_, shape) in enumerate(truth) if shape[t]]
            good = len(sounding) == sum(bool(shape[t]) for _, shape in predicted)
            for g in sounding:
                good &= g in partner and (
                    truth[g][0] == predicted[partner[g]][0]
                    and iou(truth[g][1][t], predicted[partner[g]][1][t]) > alpha + 1e-12
                )
            right += good
        frames += item.num_frames * len(ALPHAS)
    return right / frames


def naive_ap(world: Sequence[VideoInput], threshold: float) -> float:
    """Area under the interpolated precision-recall curve at 101 points, from the definition, one class at a time."""
    values = []
    for category in CATEGORIES:
        ranked: list[tuple[float, bool]] = []
        total = 0
        for item in world:
            truth = [shape for track in item.truth if track.category == category and any(shape := pixels(track))]
            total += len(truth)
            free = set(range(len(truth)))
            chosen = [track for track in item.predictions if track.category == category and any(pixels(track))]
            for track in sorted(chosen, key=lambda track: -track.score):
                overlaps = {g: track_iou(truth[g], pixels(track)) for g in free}
                best = max(overlaps, key=lambda g: overlaps[g], default=None)
                hit = best is not None and overlaps[best] >= threshold
                if hit:
                    free.discard(best)
                ranked.append((track.score, hit))
        if total:
            values.append(interpolated(sorted(ranked, reverse=True), total))
    return sum(values) / len(values)


WITH_TRUTH = [seed for seed in range(30) if any(item.truth for item in random_world(np.random.default_rng(seed)))][:25]


@pytest.mark.parametrize("seed", WITH_TRUTH)
def test_strict_metrics_equal_the_definitions(seed: int) -> None:
    world = random_world(np.random.default_rng(seed))
    strict = evaluate_avis(world, categories=CATEGORIES, modes=["strict"]).strict
    assert strict is not None
    assert strict.figures["HOTA"] == pytest.approx(naive_hota(world), abs=1e-12)
    assert strict.figures["FSLA"] == pytest.approx(naive_fsla(world), abs=1e-12)
    thresholds = [0.5 + 0.05 * k for k in range(10)]
    assert strict.details["AP_per_iou"] == pytest.approx(
        [naive_ap(world, threshold) for threshold in thresholds], abs=1e-12
    )
    assert strict.figures["AP_all"] == pytest.approx(np.mean(strict.details["AP_per_iou"]), abs=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_run_intersections_equal_sets_of_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width, entries = int(rng.integers(1, 12)), int(rng.integers(1, 12)), 3
    masks = rng.random((2, 2, entries, height, width)) < rng.random((2, 2, entries, 1, 1))
    masks[0, 0, 0], masks[1, 1, 2] = True, False
    truth, predicted = (
        decode_runs([counts(mask) for track in side for mask in track], height * width) for side in masks
    )
    assert truth is not None
    assert predicted is not None
    assert truth.area_N.tolist() == [int(mask.sum()) for track in masks[0] for mask in track]
    shared = intersections_GPL(truth, predicted, num_entries=entries)
    for g, p, t in itertools.product(range(2), range(2), range(entries)):
        assert shared[g, p, t] == len(set(np.flatnonzero(masks[0, g, t])) & set(np.flatnonzero(masks[1, p, t])))
    assert truth.corner_N.tolist() == [
        int(np.flatnonzero(mask.ravel(order="F"))[0]) if mask.any() else -1 for track in masks[0] for mask in track
    ]


def test_batched_and_single_reader_refuse_the_same_counts() -> None:
    """Text of masks with characters changed, cut or added: one reader must not let pass what the other refuses."""
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(2000):
        text = list(counts(rng.random((6, 7)) < 0.4))
        for _ in range(rng.integers(1, 4)):
            place = int(rng.integers(len(text)))
            change = rng.integers(3)
            if change == 0:
                text[place] = chr(int(rng.integers(33, 127)))
            elif change == 1 and len(text) > 1:
                del text[place]
            else:
                text.insert(place, chr(int(rng.integers(48, 112))))
        changed = "".join(text)
        found = decode_runs([empty_counts(42), changed], 42)
        try:
            runs = runs_from_rle(Rle(6, 7, changed))
        except DataError:
            refused += 1
            assert found is None, changed
        else:
            assert found is not None, changed
            assert found.area_N[1] == runs[1::2].sum()
    assert 500 < refused < 2000


@pytest.mark.parametrize("pixels_in_all", [1, 15, 16, 31, 42, 360 * 640, 720 * 1280, 1080 * 1920])
def test_empty_counts_are_those_of_the_coco_coder(pixels_in_all: int) -> None:
    coded = coco_mask.encode(np.zeros((pixels_in_all, 1), dtype=np.uint8, order="F"))
    assert empty_counts(pixels_in_all) == coded["counts"].decode()


def counts(mask: np.ndarray) -> str:
    coded: str = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode()
    return coded

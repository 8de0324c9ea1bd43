"""The modes that follow public code, against plain programs that go through the specification step by step."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from avis_data.metrics import TrackInput, VideoInput, evaluate_avis
from support.metric_oracles import ALPHAS, interpolated, iou, pixels
from support.metric_world import CATEGORIES, random_world, tied_world, with_predictions


def mixed_up(rng: np.random.Generator, item: VideoInput) -> VideoInput:
    """Ids in any order, and sometimes a truth track without a mask."""
    truth = list(item.truth)
    if rng.random() < 0.3:
        truth.insert(int(rng.integers(len(truth) + 1)), TrackInput(category=1, masks=[None] * item.num_frames))
    ids = rng.permutation(90)[: len(truth)]
    return replace(item, truth=[replace(t, track_id=int(number)) for t, number in zip(truth, ids, strict=True)])


def naive_compat_fsla(world: Sequence[VideoInput]) -> list[float]:
    """Step by step as the specification tells it, index mix-ups included; silent, single and multi frames."""
    right, frames = [0, 0, 0], [0, 0, 0]
    for item in world:
        truth, predicted = [pixels(t) for t in item.truth], [pixels(p) for p in item.predictions]
        present = [[mask is not None for mask in track.masks] for track in item.truth]
        with_entry = [g for g in range(len(truth)) if any(present[g])]
        by_id = sorted(with_entry, key=lambda g: item.truth[g].track_id)
        soft = np.zeros((len(by_id), len(predicted)))
        for t in range(item.num_frames):
            overlap = np.array([[iou(truth[g][t], p[t]) for p in predicted] for g in by_id]).reshape(soft.shape)
            for row, column in itertools.product(*map(range, soft.shape)):
                others = overlap[row].sum() + overlap[:, column].sum() - overlap[row, column]
                soft[row, column] += overlap[row, column] / others if others > 1e-15 else 0.0
        counts_G = np.array([sum(present[g]) for g in by_id], dtype=float)
        pairs = list(zip(*linear_sum_assignment(-soft / (counts_G[:, None] + item.num_frames - soft)), strict=True))
        for t, alpha in itertools.product(range(item.num_frames), ALPHAS):
            here = [g for g in range(len(truth)) if present[g][t]]
            kind = min(len(here), 2)
            frames[kind] += 1
            classes = {item.truth[g].category for g in here}
            if classes != {p.category for p in item.predictions} or len(here) != sum(bool(p[t]) for p in predicted):
                continue
            if not here:
                right[kind] += 1
            elif len(here) == 1:
                places = [place for place, (_, column) in enumerate(pairs) if column == here[0]]
                right[kind] += bool(places) and iou(truth[here[0]][t], predicted[places[0]][t]) > alpha + 1e-12
            else:
                right[kind] += all(
                    item.truth[g].category == item.predictions[p].category
                    and (iou(truth[g][t], predicted[p][t]) > alpha + 1e-12 if present[g][t] else not predicted[p][t])
                    for g, p in pairs
                )
    return [share / number if number else -1 for share, number in zip(right, frames, strict=True)]


@pytest.mark.parametrize("seed", range(25))
def test_compat_fsla_equals_the_specification_step_by_step(seed: int) -> None:
    rng = np.random.default_rng(seed)
    world = [mixed_up(rng, item) for item in random_world(rng, videos=6)]
    if seed % 2:  # so that more frames pass the gate
        world = with_predictions(
            world, lambda item: [replace(t, score=0.5) for t in item.truth][:: rng.choice([-1, 1])]
        )
    found = evaluate_avis(world, categories=CATEGORIES, modes=["aviseg_compat"]).aviseg_compat
    assert found is not None
    ours = [
        -1 if value is None else value
        for value in (found.figures["FSLAn"], found.figures["FSLAs"], found.figures["FSLAm"])
    ]
    assert ours == pytest.approx(naive_compat_fsla(world), abs=1e-12)


def naive_compat_hota(world: Sequence[VideoInput]) -> float:
    """Frame by frame as the specification tells it: the solver sees what is present, empty masks included."""
    values = []
    for category in CATEGORIES:
        hits = {alpha: [0.0, 0.0, 0.0] for alpha in ALPHAS}  # TP, detections of both sides, sum of association
        for item in sorted(world, key=lambda item: item.name):
            _add_video(hits, item, category)
        per_alpha = [
            math.sqrt(tp / max(1, everything - tp) * association / max(1, tp))
            for tp, everything, association in hits.values()
        ]
        values.append(sum(per_alpha) / len(per_alpha))
    return sum(values) / len(values)


def _add_video(hits: dict[float, list[float]], item: VideoInput, category: int) -> None:
    truth, predicted = ([t for t in side if t.category == category] for side in (item.truth, item.predictions))
    shapes_G, shapes_P = [pixels(t) for t in truth], [pixels(p) for p in predicted]
    here = [[[m is not None for m in track.masks] for track in side] for side in (truth, predicted)]
    overlap = [
        np.array([[iou(g[t], p[t]) for p in shapes_P] for g in shapes_G]).reshape(len(truth), len(predicted))
        for t in range(item.num_frames)
    ]
    soft = np.zeros((len(truth), len(predicted)))
    for matrix in overlap:
        others = matrix.sum(axis=0)[None] + matrix.sum(axis=1)[:, None] - matrix
        soft += np.where(others > 1e-15, matrix / np.maximum(others, 1e-15), 0.0)
    frames_G, frames_P = (np.array([sum(row) for row in side], dtype=float) for side in here)
    aligned = soft / np.maximum(frames_G[:, None] + frames_P[None] - soft, 1e-15)
    matched = {alpha: np.zeros_like(soft) for alpha in ALPHAS}
    for t, matrix in enumerate(overlap):
        rows, columns = (np.flatnonzero([row[t] for row in side]) for side in here)
        chosen = linear_sum_assignment(-(aligned * matrix)[np.ix_(rows, columns)])
        for alpha in ALPHAS:
            hits[alpha][1] += len(rows) + len(columns)
            for g, p in zip(rows[chosen[0]], columns[chosen[1]], strict=True):
                matched[alpha][g, p] += matrix[g, p] >= alpha - 1e-12
    for alpha, number in matched.items():
        hits[alpha][0] += number.sum()
        hits[alpha][2] += (number * number / np.maximum(1, frames_G[:, None] + frames_P[None] - number)).sum()


@pytest.mark.parametrize("make", [random_world, tied_world])
@pytest.mark.parametrize("seed", range(12))
def test_compat_hota_equals_the_specification_frame_by_frame(make: Any, seed: int) -> None:
    world = make(np.random.default_rng(seed))
    found = evaluate_avis(world, categories=CATEGORIES, modes=["aviseg_compat"]).aviseg_compat
    assert found is not None
    assert found.figures["HOTA"] == pytest.approx(naive_compat_hota(world), abs=1e-12)


AREAS = {"all": (0, 1e10), "s": (0, 128**2), "m": (128**2, 256**2)}


def naive_greedy(
    world: Sequence[VideoInput], table: Any, category: int, threshold: float, rules: tuple[str, str]
) -> Any:
    """One class, one threshold, one area range: (score, hit) of what counts, and how many truth tracks count."""
    mode, area = rules
    low, high = AREAS[area]
    ranked, total = [], 0
    for item in sorted(world, key=lambda item: item.video_id if mode == "ytvis" else item.name):
        overlap, areas_G, areas_P = table[item.name]
        rows = [g for g, t in enumerate(item.truth) if t.category == category]
        counts = {g: not item.truth[g].crowd and low <= areas_G[g] <= high for g in rows}
        total += sum(counts.values())
        taken: set[int] = set()
        columns = [p for p, t in enumerate(item.predictions) if t.category == category]
        for p in sorted(columns, key=lambda p: -item.predictions[p].score):
            for group in (True, False):  # truth that counts comes first
                again = mode == "ytvis" and not group
                free = [g for g in rows if counts[g] is group and (g not in taken or (again and item.truth[g].crowd))]
                best = max(free, key=lambda g: (overlap[g][p], g), default=None)
                if best is not None and overlap[best][p] >= threshold - (0 if mode == "ytvis" else 2.2e-16):
                    taken.add(best)
                    if group:
                        ranked.append((item.predictions[p].score, True))
                    break
            else:
                if low <= areas_P[p] <= high:
                    ranked.append((item.predictions[p].score, False))
    return sorted(ranked, key=lambda pair: -pair[0]), total


def overlap_table(item: VideoInput) -> Any:
    """IoU of every truth track with every predicted track, and the mean areas of both."""
    shape = (item.height, item.width)
    truth, predicted = (
        [np.array([np.zeros(shape, dtype=bool) if m is None else m for m in track.masks]) for track in side]
        for side in (item.truth, item.predictions)
    )
    overlap = [[(g & p).sum() / max(1, (g | p).sum()) for p in predicted] for g in truth]
    return overlap, [mean_area(g) for g in truth], [mean_area(p) for p in predicted]


def mean_area(mask_THW: np.ndarray) -> float:
    sizes = [int(mask.sum()) for mask in mask_THW if mask.any()]
    return sum(sizes) / len(sizes) if sizes else 0.0


def larger(item: VideoInput, factor: int, rng: np.random.Generator) -> VideoInput:
    """Big enough for two area ranges, some of the truth marked as crowd."""

    def grown(track: TrackInput) -> TrackInput:
        masks = [None if m is None else np.kron(m, np.ones((factor, factor))) > 0 for m in track.masks]
        return replace(track, masks=masks)

    truth = [replace(grown(t), crowd=bool(rng.random() < 0.25)) for t in item.truth]
    predictions = [grown(p) for p in item.predictions]
    size = {"height": item.height * factor, "width": item.width * factor}
    return replace(item, truth=truth, predictions=predictions, **size)


@pytest.mark.parametrize("seed", range(8))
def test_ap_with_crowds_and_area_ranges_equals_a_plain_program(seed: int) -> None:
    rng = np.random.default_rng(seed)
    world = [larger(item, 22, rng) for item in random_world(rng, videos=4, frames=2)]
    found = evaluate_avis(
        world, categories=CATEGORIES, modes=["aviseg_compat", "ytvis"], variants=["official_ids_from_one"]
    ).as_dict()
    table = {item.name: overlap_table(item) for item in world}
    for mode, area in itertools.product(("aviseg_compat", "ytvis"), AREAS):
        thresholds = np.linspace(0.5, 0.95, 10) if mode == "ytvis" else np.arange(0.5, 1.0, 0.05)
        values = []
        for category, threshold in itertools.product(CATEGORIES, thresholds):
            ranked, total = naive_greedy(world, table, category, threshold, (mode, area))
            values += [interpolated(ranked, total)] if total else []
        name = "AP" if (mode, area) == ("ytvis", "all") else f"AP_{area}"
        assert found[mode][name] == pytest.approx(np.mean(values) if values else -1.0, abs=1e-12), (mode, name)

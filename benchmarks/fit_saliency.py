"""How the weights of the engine `saliency` were fitted, and what they are worth on clips that they were not fitted on.

    python -m benchmarks.fit_saliency --media DIR --engine-weights u2netp.onnx [--every 3]

Fits on manifests/open-15: every third mask, once by its own box and once by that box with sides up to 8 % off, and by
the point deepest in it. Each clip weighs as the root of its masks. Printed figures are of clips left out: chances of
pixels are fitted in five folds over clips, the choice among masks leaving one clip out. Only then the weights that are
printed are fitted on all. Half an hour on one core.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from avis_data.annotation.segmenters.mask_choice import candidates, said_of, soft_iou
from avis_data.annotation.segmenters.object_chances import (
    Box,
    Map,
    View,
    allowed,
    connected,
    first_box_cues,
    later_box_cues,
    point_cues,
    view_of,
)
from avis_data.annotation.segmenters.saliency import box_windows, point_windows
from avis_data.annotation.segmenters.saliency_maps import Network, Window, load_network, saliency, warped
from benchmarks.open15 import Drawn, drawn_masks, iou, prepared

_SIDES_OFF = (0.0, 0.08)
_PIXELS = 1500
_PENALTY = 1e-3
_CHOICE_PENALTY = 0.02
_POINT_ABOVE = 0.35
_FIRST = (
    "cut", "likelihood", "near, region", "near", "around", "crossing", "outline", "across 2", "down", "down 2",
    "across 2, down 2", "across 2, down", "across 4", "down 4", "side",
)  # fmt: skip
_LATER = ("cut", "likelihood", "near", "around", "crossing", "outline", "before, smooth", "before, region")
Weights = dict[str, float]
_Where = TypeVar("_Where", Box, tuple[float, float])


@dataclass(kw_only=True)
class Asked:
    """One mask, asked for in one way."""

    clip: str
    view: View
    truth_HW: NDArray[np.bool_]
    open_HW: NDArray[np.bool_]
    maps: list[Map]
    box: Box | None = None
    point: tuple[float, float] = (0.0, 0.0)
    cues: dict[str, Map] = field(default_factory=dict)
    chances_HW: Map = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))
    said: list[dict[str, float]] = field(default_factory=list)
    ious: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--engine-weights", type=Path, required=True)
    parser.add_argument("--every", type=int, default=3)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    network = load_network(arguments.engine_weights)
    boxes: list[Asked] = []
    points: list[Asked] = []
    rng = np.random.default_rng(7)
    with tempfile.TemporaryDirectory() as folder:
        for number, drawn in enumerate(drawn_masks(prepared(Path(folder), arguments.media.resolve()))):
            if number % arguments.every == 1:
                boxes += [_by_box(drawn, network, off, rng) for off in _SIDES_OFF]
                points.append(_by_point(drawn, network))
    _fit_boxes(boxes)
    _fit_points(points)


def _fit_boxes(rows: list[Asked]) -> None:
    for row in rows:
        row.cues = first_box_cues(row.view, _box(row))
    print("FIRST_IN_BOX =", _rounded(_left_out(rows, _FIRST)))
    for row in rows:
        row.cues = later_box_cues(row.view, _box(row), row.chances_HW * row.open_HW)
    print("LATER_IN_BOX =", _rounded(_left_out(rows, _LATER)))
    for row in rows:
        chances = row.chances_HW * row.open_HW
        found = candidates(row.view, _box(row), chances, row.maps)
        row.said = [dict(said) for said in said_of(row.view, _box(row), chances, row.maps, found)]
        row.ious = [iou(one.mask_HW, row.truth_HW) for one in found]
    chosen: list[tuple[float, float]] = []
    for clip in sorted({row.clip for row in rows}):
        weights = _choice([row for row in rows if row.clip != clip])
        for row in rows:
            if row.clip == clip:
                expected = [_score(weights, said) if said else 0.0 for said in row.said]
                chosen.append((max(expected), row.ious[int(np.argmax(expected))]))
    print(f"a box: mean IoU of clips left out {np.mean([got for _, got in chosen]):.3f}, {_auc(chosen)}")
    print("WEIGHTS =", _rounded(_choice(rows)))


def _fit_points(rows: list[Asked]) -> None:
    names = tuple(rows[0].cues)
    weights = _left_out(rows, names)
    chosen = []
    for row in rows:
        mask = connected(row.view, row.point, row.chances_HW > _POINT_ABOVE)
        chosen.append((soft_iou(mask, row.chances_HW), iou(mask, row.truth_HW)))
    print(f"a point: mean IoU of clips left out {np.mean([got for _, got in chosen]):.3f}, {_auc(chosen)}")
    print("AROUND_POINT =", _rounded(weights))


def _by_box(drawn: Drawn, network: Network, off: float, rng: np.random.Generator) -> Asked:
    height, width = drawn.mask_HW.shape
    x0, y0, x1, y1 = drawn.box
    moved = np.asarray(drawn.box) + rng.uniform(-off, off, 4) * (x1 - x0, y1 - y0, x1 - x0, y1 - y0)
    left, top, right, bottom = (float(side) for side in np.clip(moved, 0, (width, height, width, height)))
    box = (left, top, right, bottom)
    view = view_of(drawn.picture_HW3, box)
    maps = [warped(found, window, view.window, view.size) for window, found in _maps(drawn, network, box_windows, box)]
    return Asked(
        clip=drawn.clip, view=view, truth_HW=_seen(drawn, view), open_HW=allowed(view, box), maps=maps, box=box
    )


def _by_point(drawn: Drawn, network: Network) -> Asked:
    view = view_of(drawn.picture_HW3, None)
    truth = _seen(drawn, view)
    row = Asked(clip=drawn.clip, view=view, truth_HW=truth, open_HW=np.ones_like(truth), maps=[], point=drawn.point)
    row.cues = point_cues(view, drawn.point, list(_maps(drawn, network, point_windows, drawn.point)))
    return row


def _maps(
    drawn: Drawn, network: Network, windows: Callable[[_Where, int, int], list[Window]], where: _Where
) -> Iterator[tuple[Window, Map]]:
    for window in windows(where, *drawn.mask_HW.shape):
        yield window, saliency(network, drawn.picture_HW3, window)


def _seen(drawn: Drawn, view: View) -> NDArray[np.bool_]:
    x0, y0, x1, y1 = view.window
    part = drawn.mask_HW[y0:y1, x0:x1].astype(np.float32)
    return np.asarray(cv2.resize(part, view.size, interpolation=cv2.INTER_AREA) > 0.5)


def _box(row: Asked) -> Box:
    assert row.box is not None
    return row.box


def _left_out(rows: list[Asked], names: Sequence[str]) -> Weights:
    """Chances of every row by weights that its clip had no part in; gives the weights of all."""
    clips = sorted({row.clip for row in rows})
    for fold in (clips[number::5] for number in range(5)):
        weights = _logistic([row for row in rows if row.clip not in fold], names)
        for row in rows:
            if row.clip in fold:
                score = weights["1"] + sum(weights[name] * row.cues[name] for name in names)
                row.chances_HW = np.asarray(1 / (1 + np.exp(-np.clip(score, -20, 20))), dtype=np.float32)
    return _logistic(rows, names)


def _logistic(rows: list[Asked], names: Sequence[str]) -> Weights:
    rng, counts = np.random.default_rng(0), Counter(row.clip for row in rows)
    values, truths, shares = [], [], []
    for row in rows:
        open_ = np.flatnonzero(row.open_HW)
        some = rng.choice(open_, min(len(open_), _PIXELS), replace=False)
        values.append(np.stack([row.cues[name].ravel()[some] for name in names], axis=1))
        truths.append(row.truth_HW.ravel()[some])
        shares.append(np.full(len(some), counts[row.clip] ** -0.5 / len(some)))
    cues = torch.from_numpy(np.concatenate(values)).float()
    truth, share = (torch.from_numpy(np.concatenate(part)).float() for part in (truths, shares))
    mean, spread = cues.mean(0), cues.std(0) + 1e-3
    cues = (cues - mean) / spread
    weights = torch.zeros(len(names) + 1, requires_grad=True)
    steps = torch.optim.LBFGS([weights], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        steps.zero_grad()
        each = torch.nn.functional.binary_cross_entropy_with_logits(
            cues @ weights[:-1] + weights[-1], truth, reduction="none"
        )
        total = (each * share).sum() / share.sum() + _PENALTY * (weights[:-1] ** 2).sum()
        total.backward()
        return total

    steps.step(loss)
    found = (weights[:-1] / spread).detach()
    return dict(zip(names, found.tolist(), strict=True)) | {"1": float(weights[-1].detach() - found @ mean)}


def _choice(rows: list[Asked]) -> Weights:
    """Ridge regression of IoU on what is said of each mask."""
    counts = Counter(row.clip for row in rows)
    taken = [
        (said, got, counts[row.clip] ** -0.5)
        for row in rows
        for said, got in zip(row.said, row.ious, strict=True)
        if said
    ]
    names = list(taken[0][0])
    values = np.array([[said[name] for name in names] for said, _, _ in taken])
    got, share = (np.array([one[column] for one in taken]) for column in (1, 2))
    mean, spread = values.mean(axis=0), values.std(axis=0) + 1e-6
    cues = np.column_stack([(values - mean) / spread, np.ones(len(values))])
    held = _CHOICE_PENALTY * share.sum() * np.diag([1.0] * len(names) + [0.0])
    solved = np.linalg.solve(cues.T @ (cues * share[:, None]) + held, cues.T @ (share * got))
    found = solved[:-1] / spread
    return dict(zip(names, found.tolist(), strict=True)) | {"1": float(solved[-1] - found @ mean)}


def _score(weights: Weights, said: dict[str, float]) -> float:
    return weights["1"] + sum(weights[name] * value for name, value in said.items())


def _auc(chosen: list[tuple[float, float]]) -> str:
    """How often the confidence of a good mask is above that of a bad one."""
    parts = []
    for least in (0.5, 0.7):
        good, bad = ([said for said, got in chosen if (got >= least) == side] for side in (True, False))
        over = np.mean(np.asarray(good)[:, None] > np.asarray(bad)[None]) if good and bad else float("nan")
        parts.append(f"AUC of its confidence for IoU {least}: {over:.2f}")
    return ", ".join(parts)


def _rounded(weights: Weights) -> Weights:
    return {name: float(f"{weight:.3g}") for name, weight in weights.items()}


if __name__ == "__main__":
    main()

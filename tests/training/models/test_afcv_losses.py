"""AFCV's losses against loops over cells, on pairs of frames small enough for that."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from avis_data.training.data.clips import TrainingClip
from avis_data.training.models.afcv.fcos_head import FcosOutput, cell_grid
from avis_data.training.models.afcv.losses import (
    AfcvOutputs,
    afcv_ratios,
    box_loss,
    centreness,
    focal_loss,
    mean_losses,
)
from avis_data.training.models.afcv.model import IdentityClassifier
from avis_data.training.models.afcv.pyramid import pyramid_sizes
from avis_data.training.models.afcv.targets import PairTargets, pair_targets
from avis_data.training.models.losses import Ratio
from support.tiny_afcv import (
    CLASSES,
    IDENTITIES,
    dice_by_loop,
    filled,
    focal_by_loop,
    map_enlarged_by_loop,
    mask_by_loop,
    pair_of,
)

SIZE = (64, 96)
GRID = cell_grid(pyramid_sizes(SIZE))
LEFT, RIGHT, MOVED = (4, 8, 34, 38), (50, 20, 90, 60), (30, 4, 60, 34)
TWO = pair_of((LEFT, MOVED), (RIGHT, LEFT))
"""Two objects in both frames."""


def targets_of(*pairs: TrainingClip) -> PairTargets:
    return pair_targets(pairs, GRID, SIZE)


def outputs_of(frames: int, seed: int = 0, identify: Callable[[Tensor], Tensor] | None = None) -> AfcvOutputs:
    """Random heads and mask features of that many frames."""
    rng = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng, requires_grad=True)

    cells = len(GRID.stride_L)
    heads = FcosOutput(
        grid=GRID,
        logits_NLK=drawn(frames, cells, CLASSES),
        ltrb_NL4=drawn(frames, cells, 4).abs(),
        centre_NL=drawn(frames, cells),
        filters_NLF=drawn(frames, cells, 169),
        embed_NLC=drawn(frames, cells, 6),
    )
    classifier = identify or IdentityClassifier(6, IDENTITIES)
    return AfcvOutputs(heads=heads, features_N8hw=drawn(frames, 8, 8, 12), identify=classifier)


def value(ratio: Ratio) -> float:
    return ratio.numerator.item() / max(ratio.denominator.item(), ratio.floor)


def dice_of(outputs: AfcvOutputs, targets: PairTargets, made: int, shown: int) -> float:
    """Dice loss of the filters of one positive cell, where another is, by loops."""
    filters = outputs.heads.filters_NLF[targets.frame_R[made], targets.cell_R[made]].detach().numpy()
    features = outputs.features_N8hw[targets.frame_R[shown]].detach().numpy()
    cell = int(targets.cell_R[shown])
    small = mask_by_loop(filters, features, GRID.xy_L2[cell].tolist(), int(GRID.level_L[cell]))
    return dice_by_loop(map_enlarged_by_loop(small, 2), targets.masks_Ihw[targets.truth_R[shown]].numpy())


def test_mask_and_crossover_losses_equal_loops_over_positive_cells() -> None:
    targets = targets_of(TWO, pair_of((RIGHT, None), (LEFT, RIGHT), seed=1))
    outputs = outputs_of(4)
    ratios = afcv_ratios(outputs, targets, crossover=True)
    for frame in range(2):
        mine = [row for row, number in enumerate(targets.frame_R.tolist()) if number % 2 == frame]
        own = [dice_of(outputs, targets, row, row) for row in mine]
        assert value(ratios[f"{frame}.mask"]) == pytest.approx(np.mean(own), abs=1e-5)
        partner = targets.partner_R.tolist()
        crossed = [dice_of(outputs, targets, row, partner[row]) for row in mine if partner[row] >= 0]
        assert 0 < len(crossed) < len(mine) or frame == 1
        assert value(ratios[f"{frame}.crossover"]) == pytest.approx(np.mean(crossed), abs=1e-5)


def cutting(targets: PairTargets, channel_of: dict[int, int], frames: int) -> AfcvOutputs:
    """Filters that cut out one mask feature: that of the identity; features are the masks of tracks by identity."""
    outputs = outputs_of(frames)
    features = torch.full((frames, 8, 8, 12), -1.0)
    filters = torch.zeros_like(outputs.heads.filters_NLF)
    for row in range(len(targets.cell_R)):
        frame, cell, identity = int(targets.frame_R[row]), int(targets.cell_R[row]), int(targets.identity_R[row])
        small = targets.masks_Ihw[targets.truth_R[row]][::2, ::2]
        features[frame, identity] = 2 * small - 1
        weights = filters[frame, cell]
        weights[2 + channel_of[identity]] = 40.0  # first layer, first output: that feature
        weights[80] = 1.0  # second layer passes it on
        weights[144] = 1.0  # third too
        weights[168] = -20.0  # its bias
    return replace(outputs, heads=replace(outputs.heads, filters_NLF=filters), features_N8hw=features)


def crossed(outputs: AfcvOutputs, targets: PairTargets) -> list[float]:
    ratios = afcv_ratios(outputs, targets, crossover=True)
    return [value(ratios[name]) for name in ("0.mask", "1.mask", "0.crossover", "1.crossover")]


def test_filters_of_one_frame_must_cut_out_their_own_object_in_the_other() -> None:
    """Objects with corners on cells of 8; then what is wrong is the object, not the outline."""
    first, second = (8, 8, 40, 40), (48, 16, 88, 56)
    targets = targets_of(pair_of((first, second), (second, first)))
    right = cutting(targets, {0: 0, 1: 1}, 2)
    good = crossed(right, targets)
    assert max(good) < 0.2
    swapped = cutting(targets, {0: 1, 1: 0}, 2)
    assert min(crossed(swapped, targets)) > 0.9
    filters = torch.stack((swapped.heads.filters_NLF[0], right.heads.filters_NLF[1]))
    only_first = replace(right, heads=replace(right.heads, filters_NLF=filters))
    mask0, mask1, from0, from1 = crossed(only_first, targets)
    assert mask0 > 0.9 and from0 > 0.9  # filters of frame 0 are wrong in their own frame and in the other
    assert (mask1, from1) == (good[1], good[3])  # those of frame 1 are right in both
    features = torch.stack((right.features_N8hw[0], right.features_N8hw[1][[1, 0, 2, 3, 4, 5, 6, 7]]))
    mask0, mask1, from0, from1 = crossed(replace(right, features_N8hw=features), targets)
    assert (mask0, from1) == (good[0], good[3])  # whatever looks at frame 0
    assert mask1 > 0.9 and from0 > 0.9  # whatever looks at frame 1


def test_gradients_of_the_crossover_reach_the_filters_of_one_frame_and_the_features_of_the_other() -> None:
    outputs = outputs_of(2)
    afcv_ratios(outputs, targets_of(TWO), crossover=True)["0.crossover"].numerator.backward()
    filters, features = outputs.heads.filters_NLF.grad, outputs.features_N8hw.grad
    assert filters is not None and features is not None
    assert filters[0].any() and not filters[1].any()
    assert features[1].any() and not features[0].any()


def test_in_equal_frames_crossover_at_the_own_place_is_the_mask_loss() -> None:
    pair = pair_of((LEFT, LEFT), (RIGHT, RIGHT))
    targets = targets_of(pair)
    half = len(targets.cell_R) // 2
    same_place = torch.cat((torch.arange(half) + half, torch.arange(half)))
    outputs = outputs_of(1)
    heads = replace(
        outputs.heads,
        **{
            name: getattr(outputs.heads, name).expand(2, *[-1] * (getattr(outputs.heads, name).dim() - 1))
            for name in ("logits_NLK", "ltrb_NL4", "centre_NL", "filters_NLF", "embed_NLC")
        },
    )
    both = replace(outputs, heads=heads, features_N8hw=outputs.features_N8hw.expand(2, -1, -1, -1))
    losses = mean_losses(afcv_ratios(both, replace(targets, partner_R=same_place), crossover=True))
    assert torch.equal(losses["crossover"], losses["mask"])


def test_objects_of_one_frame_only_do_not_cross_over() -> None:
    shared = pair_of((LEFT, MOVED))
    more = pair_of((LEFT, MOVED), (RIGHT, None))
    outputs = outputs_of(2)
    lone = targets_of(more)
    rows = (lone.identity_R == 0).nonzero()[:, 0]
    own = targets_of(shared)
    assert rows.tolist() == [0 + r for r in rows.tolist()] and len(rows) == len(own.cell_R)
    partner = torch.where(own.partner_R >= 0, rows[own.partner_R], -1)
    full = lone.partner_R.clone()
    full[rows] = partner  # the same draws, so that only the lone object differs
    alone = afcv_ratios(outputs, own, crossover=True)
    with_lone = afcv_ratios(outputs, replace(lone, partner_R=full), crossover=True)
    for name in ("0.crossover", "1.crossover"):
        assert value(with_lone[name]) == pytest.approx(value(alone[name]), abs=1e-6)


@pytest.mark.parametrize("tracks", [((LEFT, None), (None, RIGHT)), ((None, None),), ()], ids=["apart", "empty", "none"])
def test_without_anything_in_common_or_at_all_losses_are_finite(tracks: tuple[tuple[None, None], ...]) -> None:
    outputs = outputs_of(2)
    losses = mean_losses(afcv_ratios(outputs, targets_of(pair_of(*tracks)), crossover=True))
    assert losses["crossover"].item() == 0
    if not any(box for track in tracks for box in track):
        zero = {name for name, loss in losses.items() if loss.item() == 0}
        assert zero == {"box", "centre", "mask", "crossover", "embedding"}
    sum(losses.values()).backward()  # type: ignore[union-attr]
    for leaf in (outputs.heads.filters_NLF, outputs.features_N8hw, outputs.heads.logits_NLK, outputs.heads.embed_NLC):
        assert leaf.grad is not None and bool(leaf.grad.isfinite().all())


def test_class_box_and_centre_losses_equal_loops() -> None:
    targets, outputs = targets_of(TWO), outputs_of(2)
    ratios = afcv_ratios(outputs, targets, crossover=False)
    for frame in range(2):
        logits = outputs.heads.logits_NLK[frame].detach().numpy()
        truth = np.zeros_like(logits)
        for cell, label in enumerate(targets.label_NL[frame].tolist()):
            if label >= 0:
                truth[cell, label] = 1
        mine = [row for row, number in enumerate(targets.frame_R.tolist()) if number == frame]
        assert value(ratios[f"{frame}.class"]) == pytest.approx(focal_by_loop(logits, truth) / len(mine), rel=1e-4)
        centres, boxes, entropy = [], [], []
        for row in mine:
            cell = int(targets.cell_R[row])
            left, top, right, bottom = targets.ltrb_R4[row].tolist()
            centre = math.sqrt(min(left, right) / max(left, right) * min(top, bottom) / max(top, bottom))
            centres.append(centre)
            predicted = outputs.heads.ltrb_NL4[frame, cell].tolist()
            boxes.append(giou_loss_by_corners(predicted, [left, top, right, bottom]))
            logit = outputs.heads.centre_NL[frame, cell].item()
            probability = 1 / (1 + math.exp(-logit))
            entropy.append(-centre * math.log(probability) - (1 - centre) * math.log(1 - probability))
        assert value(ratios[f"{frame}.centre"]) == pytest.approx(np.mean(entropy), rel=1e-4)
        assert value(ratios[f"{frame}.box"]) == pytest.approx(np.average(boxes, weights=centres), rel=1e-4)
    assert "0.crossover" not in ratios


def giou_loss_by_corners(first: list[float], second: list[float]) -> float:
    """Boxes round the origin, as corners."""
    a, b = ((-box[0], -box[1], box[2], box[3]) for box in (first, second))
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return 1 - ((shared + 1) / (union + 1) - (hull - union) / hull)


def test_values_by_hand() -> None:
    quarter = focal_loss(torch.zeros(2), torch.tensor([1.0, 0.0]))
    assert float(quarter) == pytest.approx(0.25 * math.log(2))  # (0.25 + 0.75) * 0.5 ** 2 * log 2
    same = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    assert float(box_loss(same, same)) == 0
    assert float(box_loss(torch.ones(1, 4), 2 * torch.ones(1, 4))) == pytest.approx(1 - 5 / 17)
    assert float(centreness(torch.tensor([[1.0, 2.0, 4.0, 2.0]]))) == pytest.approx(0.5)


def test_the_embedding_loss_is_that_of_scaled_directions() -> None:
    torch.manual_seed(0)
    classifier = IdentityClassifier(6, IDENTITIES)
    torch.nn.init.normal_(classifier.linear.weight)
    targets, outputs = targets_of(TWO), outputs_of(2, identify=classifier)
    total = 0.0
    weight, bias = classifier.linear.weight.detach().numpy(), classifier.linear.bias.detach().numpy()
    for frame, cell, identity in zip(targets.frame_R, targets.cell_R, targets.identity_R, strict=True):
        embedding = outputs.heads.embed_NLC[frame, cell].detach().numpy().astype(np.float64)
        z = math.sqrt(2) * math.log(IDENTITIES - 1) * embedding / np.linalg.norm(embedding)
        truth = np.zeros(IDENTITIES)
        truth[int(identity)] = 1
        total += focal_by_loop(weight @ z + bias, truth)
    got = value(afcv_ratios(outputs, targets, crossover=True)["embedding"])
    assert got == pytest.approx(total / len(targets.cell_R), rel=1e-4)


def test_the_scale_of_youtube_vis() -> None:
    with torch.device("meta"):
        assert IdentityClassifier(256, 3774).scale == pytest.approx(11.647, abs=5e-4)
        assert IdentityClassifier(256, 1).scale > 0.9  # one track: no loss of meaning, but no division by nothing


@pytest.mark.parametrize("identity", [-2, IDENTITIES])
def test_an_identity_that_the_classifier_does_not_have_is_an_error(identity: int) -> None:
    pair = pair_of((LEFT, MOVED), track_ids_N=torch.tensor([identity]))
    with pytest.raises(ValueError, match=f"the classifier has 0 to {IDENTITIES - 1}"):
        afcv_ratios(outputs_of(2), targets_of(pair), crossover=True)


def test_losses_are_means_over_both_frames_each_divided_by_its_own_positives() -> None:
    def ratio(numerator: float, denominator: float) -> Ratio:
        return Ratio(numerator=torch.tensor(numerator), denominator=torch.tensor(denominator))

    losses = mean_losses({"0.class": ratio(6.0, 2.0), "1.class": ratio(8.0, 0.0), "embedding": ratio(9.0, 3.0)})
    assert {name: float(loss) for name, loss in losses.items()} == {"class": 5.5, "embedding": 3.0}


def test_masks_that_were_left_out_count_in_neither_mask_loss() -> None:
    targets, outputs = targets_of(TWO), outputs_of(2)
    chosen = torch.zeros_like(targets.mask_R)
    chosen[[0, 5]] = True
    assert targets.frame_R[[0, 5]].tolist() == [0, 0]
    ratios = afcv_ratios(outputs, replace(targets, mask_R=chosen), crossover=True)
    partner = targets.partner_R.tolist()
    want = np.mean([dice_of(outputs, targets, row, row) for row in (0, 5)])
    crossing = np.mean([dice_of(outputs, targets, row, partner[row]) for row in (0, 5)])
    assert value(ratios["0.mask"]) == pytest.approx(want, abs=1e-5)
    assert value(ratios["0.crossover"]) == pytest.approx(crossing, abs=1e-5)
    assert value(ratios["1.mask"]) == 0
    assert filled([LEFT], SIZE).sum() == 900

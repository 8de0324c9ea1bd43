"""Matching, points and the loss ratios against brute force and closed forms."""

from __future__ import annotations

from itertools import permutations

import torch
from torch.nn import functional

from avis_data.training.models.losses import Ratio, joined, mask_losses, means, similarity_loss
from avis_data.training.models.matcher import CostWeights, match_costs, matched
from avis_data.training.models.points import SeededPoints, sample_points, uncertain_points
from avis_data.training.models.targets import ClipTarget, clip_target, frame_targets, target_rows


def test_the_cheapest_assignment() -> None:
    rng = torch.Generator().manual_seed(1)
    for targets in (0, 1, 3):
        cost = torch.rand(5, targets, generator=rng)
        found = matched([cost])
        best = min(
            sum(float(cost[query, target]) for target, query in enumerate(chosen))
            for chosen in permutations(range(5), targets)
        )
        assert len(found.query_R) == targets
        assert abs(float(cost[found.query_R, found.target_R].sum()) - best) < 1e-6


def test_costs_that_are_no_numbers_are_matched_last() -> None:
    found = matched([torch.tensor([[float("nan")], [3.0], [float("inf")]])])
    assert found.query_R.tolist() == [1]


def test_a_cost_by_hand() -> None:
    """One pixel, one point, so every part can be written down."""
    target = ClipTarget(
        labels_G=torch.tensor([1]), ids_GT=torch.tensor([[0]]), masks_GTHW=torch.ones(1, 1, 1, 1, dtype=torch.bool)
    )
    logits, mask = torch.tensor([[0.0, 1.0, 2.0]]), torch.full((1, 1, 1, 1), 0.7)
    rows = target_rows([target], torch.device("cpu"))
    cost = match_costs(logits[None], mask[None], rows, torch.full((1, 4, 2), 0.5), CostWeights())[0]
    probability = torch.tensor(0.7).sigmoid()
    expected = (
        -2 * logits.softmax(1)[0, 1] - 5 * probability.log() + 5 * (1 - (8 * probability + 1) / (4 * probability + 5))
    )
    torch.testing.assert_close(cost[0, 0], expected)


def test_points_at_the_centres_of_pixels_read_the_pixels() -> None:
    maps = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    y, x = torch.meshgrid((torch.arange(4) + 0.5) / 4, (torch.arange(5) + 0.5) / 5, indexing="ij")
    points = torch.stack((x, y), dim=2).flatten(0, 1).expand(2, -1, -1)
    torch.testing.assert_close(sample_points(maps, points), maps.flatten(2))


def test_many_maps_are_read_as_few_are_inside_and_outside() -> None:
    """A CPU reads many maps in another way; the oracle is PyTorch's own sampling."""
    rng = torch.Generator().manual_seed(0)
    points = 1.4 * torch.rand(2, 60, 2, generator=rng, dtype=torch.float64) - 0.2
    points[0, :4] = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.1, 0.125]])
    for maps in (torch.rand(2, 20, 4, 5, generator=rng).double(), torch.rand(2, 4, 5, 20, generator=rng).double()):
        many = maps if maps.shape[1] == 20 else maps.permute(0, 3, 1, 2)
        expected = functional.grid_sample(many, 2 * points[:, :, None] - 1, align_corners=False)[..., 0]
        torch.testing.assert_close(sample_points(many, points), expected)


def test_uncertain_points_are_those_next_to_zero() -> None:
    maps = torch.tensor([[[[-3.0, 0.1, 5.0, -0.2]]]])
    candidates = torch.tensor([[[0.125, 0.5], [0.375, 0.5], [0.625, 0.5], [0.875, 0.5]]])
    extra = torch.tensor([[[0.625, 0.5]]])
    chosen = uncertain_points(maps, candidates, extra, keep=2)
    assert sorted(chosen[0, :2, 0].tolist()) == [0.375, 0.875]
    assert chosen[0, 2, 0] == 0.625


def test_the_points_of_a_clip_do_not_depend_on_the_others() -> None:
    together = SeededPoints([7, 8])
    alone = SeededPoints([8])
    for rows in ([0, 1, 1], [1, 0], [0]):
        own = [place for place, clip in enumerate(rows) if clip == 1]
        both = together.draw("x", rows, 3)
        assert torch.equal(both[own], alone.draw("x", [0] * len(own), 3))


def test_mask_losses_of_whole_maps() -> None:
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 4, generator=rng)
    truth = torch.rand(2, 3, 4, 4, generator=rng) > 0.5
    y, x = torch.meshgrid((torch.arange(4) + 0.5) / 4, (torch.arange(4) + 0.5) / 4, indexing="ij")
    points = torch.stack((x, y), dim=2).flatten(0, 1).expand(2, 3, -1, -1)
    mask, dice = mask_losses(logits, truth, points, pairs=4)
    probability, inside = logits.sigmoid().flatten(1), truth.flatten(1).float()
    entropy = functional.binary_cross_entropy(probability, inside, reduction="none").mean(1).sum()
    expected = (1 - (2 * (probability * inside).sum(1) + 1) / (probability.sum(1) + inside.sum(1) + 1)).sum()
    losses = means({"mask": mask, "dice": dice})
    torch.testing.assert_close(losses["mask"], entropy / 4)
    torch.testing.assert_close(losses["dice"], expected / 4)


def test_similarity_by_hand() -> None:
    ratio = similarity_loss(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([5, 6]))
    expected = [functional.softplus(torch.tensor(-1.0)), functional.softplus(torch.tensor(-4.0))]
    unequal = 2 * functional.softplus(torch.tensor(0.0))
    torch.testing.assert_close(ratio.numerator, sum(expected, start=unequal))
    assert ratio.denominator == 4


def test_joined_ratios_are_one_mean() -> None:
    parts = [{"a": Ratio(numerator=torch.tensor(n), denominator=torch.tensor(d))} for n, d in ((6.0, 2.0), (1.0, 5.0))]
    assert means(joined(parts))["a"] == 1.0
    empty = {"a": Ratio(numerator=torch.tensor(0.0), denominator=torch.tensor(0.0))}
    assert means(empty)["a"] == 0.0


def test_targets_keep_the_tracks_that_are_heard() -> None:
    masks = torch.zeros(3, 2, 4, 4, dtype=torch.bool)
    masks[0, 1, :2] = True
    masks[2, :, 2:] = True
    labels = torch.tensor([5, 6, 7])
    target = clip_target(labels, masks, padded_size=(32, 64), num_classes=9)
    assert target.labels_G.tolist() == [5, 7]
    assert target.ids_GT.tolist() == [[-1, 0], [2, 2]]
    assert target.masks_GTHW.shape == (2, 2, 32, 64)
    assert int(target.masks_GTHW.sum()) == int(masks.sum())
    assert [frame.labels_G.tolist() for frame in frame_targets(target)] == [[7], [5, 7]]
    compat = clip_target(labels, masks, padded_size=(32, 64), num_classes=9, late_onset_label="no_object")
    assert compat.labels_G.tolist() == [9, 7]

"""Masks by an instance's own filters: against explicit loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from avis_data.training.models.afcv.mask_head import (
    FILTER_VALUES,
    MaskBranch,
    aligned_bilinear,
    dynamic_masks,
    split_filters,
)
from support.tiny_afcv import map_enlarged_by_loop, mask_by_loop


def test_aligned_bilinear_gives_the_value_of_the_specification() -> None:
    line = torch.tensor([0.0, 1.0, 2.0, 3.0]).view(1, 1, 1, 4).expand(1, 1, 4, 4)
    assert aligned_bilinear(line, 2)[0, 0, 5].tolist() == [0, 0, 0.5, 1, 1.5, 2, 2.5, 3]


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 3)])
def test_aligned_bilinear_equals_a_loop_over_its_outputs(factor: int, size: tuple[int, int]) -> None:
    x = np.random.default_rng(0).normal(size=size)
    got = aligned_bilinear(torch.from_numpy(x)[None, None], factor)[0, 0].numpy()
    np.testing.assert_allclose(got, map_enlarged_by_loop(x, factor), rtol=0, atol=1e-12)


def test_filters_are_169_values_weights_before_biases() -> None:
    assert FILTER_VALUES == 169
    filters = torch.arange(2 * 169, dtype=torch.float32).view(2, 169)
    layers = split_filters(filters)
    assert [tuple(weight.shape[1:]) for weight, _ in layers] == [(8, 10), (8, 8), (1, 8)]
    assert [tuple(bias.shape[1:]) for _, bias in layers] == [(8,), (8,), (1,)]
    parts = [weight.flatten(1) for weight, _ in layers] + [bias for _, bias in layers]
    assert torch.equal(torch.cat(parts, dim=1), filters)
    assert layers[1][0][0, 2, 5] == 80 + 2 * 8 + 5  # second layer: output 2, input 5
    assert layers[0][1][0, 3] == 80 + 64 + 8 + 3


def test_dynamic_masks_equal_an_explicit_loop_over_instances_and_cells() -> None:
    rng = np.random.default_rng(1)
    filters = rng.normal(size=(5, 169))
    features = rng.normal(size=(2, 8, 3, 4))
    frames, levels = [0, 1, 1, 0, 1], [0, 4, 2, 1, 3]
    xy = rng.uniform(0, 32, size=(5, 2))
    got = dynamic_masks(
        torch.from_numpy(filters),
        torch.from_numpy(features),
        torch.tensor(frames),
        torch.from_numpy(xy),
        torch.tensor(levels),
    )
    assert got.shape == (5, 6, 8)
    for instance in range(5):
        small = mask_by_loop(filters[instance], features[frames[instance]], xy[instance].tolist(), levels[instance])
        np.testing.assert_allclose(got[instance].numpy(), map_enlarged_by_loop(small, 2), rtol=0, atol=1e-9)


def test_no_instance_gives_no_mask() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    masks = dynamic_masks(torch.zeros(0, 169), torch.zeros(1, 8, 3, 4), none, torch.zeros(0, 2), none)
    assert masks.shape == (0, 6, 8)


def test_the_mask_branch_sums_three_levels_at_stride_8() -> None:
    torch.manual_seed(0)
    branch = MaskBranch(32, 16).eval()
    maps = [torch.randn(2, 32, 8 // 2**level, 12 // 2**level) for level in range(3)]
    whole = branch(maps)
    assert whole.shape == (2, 8, 8, 12)
    for level in range(3):
        others = [x if number != level else torch.zeros_like(x) for number, x in enumerate(maps)]
        assert not torch.allclose(branch(others), whole), f"level {level} is not used"

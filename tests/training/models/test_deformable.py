"""Deformable attention reads the same by rows of a table as by grids, forward and backward, near and far from a map."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from avis_data.training.models.avism.deformable import DeformableEncoderLayer, reference_points

_SIZES = ([(3, 5), (6, 9), (11, 19)], [(1, 1), (2, 1), (3, 2)], [(4, 7), (4, 7), (2, 3)])


@pytest.mark.parametrize("sizes", _SIZES)
def test_rows_and_grids_are_one_result(sizes: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer = DeformableEncoderLayer(16, 4, 32, levels=3, points=4).double()
    attention = layer.self_attn
    torch.nn.init.normal_(attention.attention_weights.weight)
    torch.nn.init.normal_(attention.sampling_offsets.weight)
    torch.nn.init.normal_(attention.sampling_offsets.bias, std=6.0)  # many points lie outside
    tokens = torch.randn(2, sum(height * width for height, width in sizes), 16, dtype=torch.float64)
    position, reference = torch.randn_like(tokens[0]), reference_points(sizes).double()

    def result() -> list[Tensor]:
        x = tokens.clone().requires_grad_()
        read = layer(x, position, reference, sizes)
        return [read, *torch.autograd.grad(read.pow(3).sum(), [x, *layer.parameters()])]

    by_rows = result()
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    by_grids = result()
    assert by_grids[0].grad_fn is not None
    for rows, grids in zip(by_rows, by_grids, strict=True):
        torch.testing.assert_close(rows, grids, rtol=1e-10, atol=1e-10)

"""A backbone's norms are part of its convolutions: what comes out is that of one after the other, as they are now."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from avis_data.training.models.backbones import Backbone, ResNetSpec, build_backbone

if TYPE_CHECKING:
    from transformers import ResNetBackbone  # takes seconds, which the collection of tests need not wait for

WIDTHS = (8, 16, 32, 64)
FRAMES = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))


def two_of_one(*, frozen: bool) -> tuple[Backbone, ResNetBackbone]:
    """Ours, and that of transformers with the same values; no norm has those that it starts with."""
    from transformers import ResNetBackbone, ResNetConfig

    spec = ResNetSpec(depths=(1, 2, 1, 1), stem_channels=8, channels=WIDTHS, frozen_norms=frozen)
    config = ResNetConfig(
        embedding_size=8,
        hidden_sizes=list(WIDTHS),
        depths=[1, 2, 1, 1],
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    ours, theirs = build_backbone(spec), ResNetBackbone(config)
    rng = torch.Generator().manual_seed(0)
    state = theirs.state_dict()
    for name, tensor in state.items():
        if tensor.is_floating_point():
            spread = torch.randn(tensor.shape, generator=rng)
            tensor.copy_(1 + spread.abs() if "running_var" in name else 0.3 * spread)
    counts = {name for name in state if name.endswith("num_batches_tracked")} if frozen else set()
    ours.body.load_state_dict({name: tensor for name, tensor in state.items() if name not in counts}, strict=True)
    return ours.eval(), theirs.eval()


def check_alike(ours: Backbone, theirs: ResNetBackbone) -> None:
    with torch.no_grad():
        expected = theirs(FRAMES).feature_maps
        for found, map_ in zip(ours(FRAMES), expected, strict=True):
            torch.testing.assert_close(found, map_, atol=1e-4, rtol=1e-4)
    for found, map_ in zip(ours(FRAMES), expected, strict=True):
        torch.testing.assert_close(found, map_, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("frozen", [True, False])
def test_what_comes_out_is_what_it_was(frozen: bool) -> None:
    check_alike(*two_of_one(frozen=frozen))


@pytest.mark.parametrize("changed", ["convolution.weight", "normalization.bias", "normalization.running_var"])
def test_values_that_change_after_a_prediction_count_in_the_next(changed: str) -> None:
    ours, theirs = two_of_one(frozen=True)
    check_alike(ours, theirs)
    with torch.no_grad():
        for state in (ours.body.state_dict(), theirs.state_dict()):
            state[f"encoder.stages.1.layers.0.shortcut.{changed}"].mul_(1.5)
    check_alike(ours, theirs)
    assert not torch.equal(ours(FRAMES)[1], two_of_one(frozen=True)[0](FRAMES)[1])


def test_gradients_are_those_of_the_two() -> None:
    def gradients(backbone: Backbone | ResNetBackbone) -> list[Tensor]:
        found = backbone.double()(FRAMES.double())
        maps = found if isinstance(found, tuple) else found.feature_maps
        convolutions = [value for value in backbone.parameters() if value.dim() == 4]
        return list(torch.autograd.grad(sum(map_.square().mean() for map_ in maps), convolutions))

    for found, expected in zip(*map(gradients, two_of_one(frozen=True)), strict=True):
        torch.testing.assert_close(found, expected)


def test_norms_that_learn_see_the_batch_in_training() -> None:
    ours, theirs = two_of_one(frozen=False)
    for found, expected in zip(ours.train()(FRAMES), theirs.train()(FRAMES).feature_maps, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.body.state_dict()[name], value, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["copy", "pickle"]
)
def test_a_model_that_predicted_can_be_copied(copied: Callable[[Backbone], Backbone]) -> None:
    """What was kept for prediction cannot be copied, and is made anew."""
    ours, theirs = two_of_one(frozen=True)
    check_alike(ours, theirs)
    check_alike(copied(ours), theirs)

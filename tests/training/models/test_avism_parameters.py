"""Known answers: the parameter counts of the published models (specification of AVISM, section 9)."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from avis_data.training.models.avism.config import AvismConfig
from avis_data.training.models.avism.model import Avism
from avis_data.training.models.backbones import FrozenBatchNorm, ResNetSpec, SwinSpec

R50 = AvismConfig()
R101 = AvismConfig(backbone=ResNetSpec(depths=(3, 4, 23, 3)))
SWIN_L = AvismConfig(backbone=SwinSpec(), frame_queries=200)


def built(config: AvismConfig) -> Avism:
    with torch.device("meta"):
        return Avism(config)


def count(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


@pytest.mark.parametrize(
    ("config", "backbone", "pixel_decoder", "frame_decoder", "tracker", "total"),
    [
        (R50, 23_454_912, 6_035_904, 15_486_491, 21_094_939, 66_072_246),
        (R101, 42_394_816, 6_035_904, 15_486_491, 21_094_939, 85_012_150),
        (SWIN_L, 195_201_204, 5_790_144, 15_537_691, 21_120_539, 237_649_578),
    ],
    ids=["r50", "r101", "swinl"],
)
def test_parts_and_totals(
    config: AvismConfig, backbone: int, pixel_decoder: int, frame_decoder: int, tracker: int, total: int
) -> None:
    model = built(config)
    assert count(model.backbone) == backbone
    assert count(model.pixel_decoder) == pixel_decoder
    assert count(model.frame_decoder) == frame_decoder
    assert count(model.tracker) == tracker
    assert count(model) == total


@pytest.mark.parametrize(("config", "values"), [(R50, 53_120), (R101, 105_344)], ids=["r50", "r101"])
def test_the_affine_values_of_batch_norms_are_frozen(config: AvismConfig, values: int) -> None:
    norms = [module for module in built(config).modules() if isinstance(module, FrozenBatchNorm)]
    assert sum(norm.weight.numel() + norm.bias.numel() for norm in norms) == values
    assert count(*norms) == 0
    assert not any(isinstance(module, nn.BatchNorm2d) for module in built(config).modules())


def test_the_fusions() -> None:
    model = built(R50)
    fusion = model.frame_decoder.fusion
    assert fusion is not None and model.tracker.fusion is not None
    assert count(fusion.audio_proj) == 33_024
    assert count(fusion.scales) == 791_040
    assert count(fusion.out_proj) == 196_864
    assert count(fusion) == 1_020_928
    assert count(model.tracker.fusion) - count(model.tracker.fusion.audio_proj) == 7_923_456 - 33_024
    vita = built(AvismConfig(frame_fusion=False, video_fusion=False))
    assert count(vita.frame_decoder) == 14_465_563
    assert vita.tracker.fusion is None


def test_the_layers_of_the_tracker() -> None:
    tracker = built(R50).tracker
    decoder = tracker.decoder
    assert count(tracker.encoder) == 7_890_432
    assert tracker.fusion is not None
    assert count(tracker.fusion) == 7_923_456
    assert count(decoder.cross, decoder.self_attention, decoder.feedforward) == 4_736_256

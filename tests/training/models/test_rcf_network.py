"""RCF's network: sizes, parameters, what depends on what, masking of sound and padding, filters, positions."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from avis_data.training.config import load_config
from avis_data.training.models.positions import sine_position
from avis_data.training.models.rcf.config import RcfConfig
from avis_data.training.models.rcf.context import ReferenceTokens
from avis_data.training.models.rcf.model import Rcf
from avis_data.training.models.rcf.network import Heard, RcfNetwork
from avis_data.training.registry import build_model
from support.tiny_rcf import AUDIO, CLASSES, heard, tiny_model

STAGES = (256, 512, 1024, 2048)


def count(module: nn.Module | None) -> int:
    assert module is not None
    return sum(parameter.numel() for parameter in module.parameters())


def images(clips: int, frames: int, size: tuple[int, int] = (64, 96), seed: int = 0) -> torch.Tensor:
    return torch.randn(clips, frames, 3, *size, generator=torch.Generator().manual_seed(seed))


def all_valid(clips: int, size: tuple[int, int] = (64, 96)) -> torch.Tensor:
    return torch.ones(clips, size[0] // 32, size[1] // 32, dtype=torch.bool)


def said(model: Rcf, frames: torch.Tensor, sound: Heard | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.no_grad():
        output = model.outputs(frames, all_valid(len(frames), tuple(frames.shape[3:])), sound)  # type: ignore[arg-type]
    return output.logits_LBQK, output.masks_LBQHW


def test_parameters_are_those_of_the_specification() -> None:
    network = RcfNetwork(RcfConfig(audio=True), STAGES)
    assert network.references is not None and network.audio is not None
    assert count(network.encoder) == 7_890_432
    assert count(network.decoder) - count(network.decoder.query_position) == 9_473_024
    assert (count(network.target), count(network.references.weight)) == (524_544, 2_049)
    assert count(network.references.project) == 524_544
    assert count(RcfNetwork(RcfConfig(references=3), STAGES).references) == 1_579_265
    assert (count(network.pyramid), count(network.filters)) == (3_411_712, 131_584)
    assert (count(network.audio.recurrent), count(network.audio.project)) == (25_182_208, 656_128)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rcf_r101", "rcf_r50_audio", "rcf_swinb", "rcf_swinl"])
def test_every_published_model_takes_a_frame_of_360_x_640(name: str) -> None:
    config = load_config(name)
    model = build_model(config).eval()
    frame = torch.zeros(3, 360, 640, dtype=torch.uint8)
    assert isinstance(model, Rcf)
    with torch.no_grad():
        maps = model.look(frame)
        delta = config.model.references
        sound = Heard(audio_BRA=torch.zeros(1, delta + 1, 4096), valid_BR=torch.ones(1, delta + 1, dtype=torch.bool))
        output = model.decide(maps, [maps[-1]] * delta, sound if config.model.audio else None)
    assert [tuple(x.shape[2:]) for x in maps] == [(96, 160), (48, 80), (24, 40), (12, 20)]
    assert output.logits_LBQK.shape == (1, 1, 10, config.model.num_classes + 1)
    assert output.masks_LBQHW.shape == (1, 1, 10, 96, 160)


def test_backbones_have_the_parameters_of_the_published_ones() -> None:
    found = [count(build_model(load_config(name)).backbone) for name in ("rcf_r50_audio", "rcf_r101")]  # type: ignore[arg-type]
    norms = [2 * 26_560, 2 * 52_672]  # frozen batch norms are buffers here
    assert [value + norm for value, norm in zip(found, norms, strict=True)] == [23_508_032, 42_500_160]


@pytest.mark.parametrize("fusion", ["reference_tokens", "full_encoder", "full_decoder"])
@pytest.mark.parametrize("changes", [{}, {"weight_map": False}, {"positions": "input"}, {"reference_tokens": 1}])
def test_a_reference_matters_where_there_are_references(fusion: str, changes: dict[str, Any]) -> None:
    for references in (0, 1, 3):
        model = tiny_model(references=references, fusion=fusion, **changes).eval()
        frames = images(2, references + 1)
        other = frames.clone()
        other[:, 0] += 1.0  # the oldest reference; without any, the target
        before, after = said(model, frames), said(model, other)
        assert before[0].shape == (1, 2, 5, CLASSES + 1) and before[1].shape == (1, 2, 5, 16, 24)
        assert not torch.allclose(before[1], after[1], atol=1e-4)
    assert model.network.references is None or count(model.network.references.project) > 0


def test_without_references_other_frames_change_nothing() -> None:
    model = tiny_model(references=0, order_supervision=True).eval()
    frames = images(1, 2)
    other = frames.clone()
    other[:, 0] += 1.0
    before, after = said(model, frames), said(model, other)
    torch.testing.assert_close(before[1][:, 1], after[1][:, 1], atol=1e-6, rtol=0)
    assert not torch.allclose(before[1][:, 0], after[1][:, 0], atol=1e-3)


def test_the_order_of_references_matters() -> None:
    model = tiny_model(references=3).eval()
    frames = images(1, 4)
    swapped = frames[:, [2, 1, 0, 3]]
    assert not torch.allclose(said(model, frames)[1], said(model, swapped)[1], atol=1e-4)


def test_silence_for_want_of_sound_is_the_model_without_audio() -> None:
    hears = tiny_model(references=2, audio=True).eval()
    deaf = tiny_model(references=2).eval()
    deaf.load_state_dict({name: tensor for name, tensor in hears.state_dict().items() if "network.audio" not in name})
    frames = images(2, 3)
    for one, other in zip(said(hears, frames, heard(2, 3, valid=False)), said(deaf, frames), strict=True):
        assert (one - other).abs().max() < 1e-5
    for one, other in zip(said(hears, frames, heard(2, 3)), said(deaf, frames), strict=True):
        assert (one - other).abs().max() > 1e-4


def test_values_where_there_is_no_sound_have_no_part_in_anything() -> None:
    model = tiny_model(references=2, audio=True).eval()
    frames, sound = images(1, 3), heard(1, 3)
    valid = torch.tensor([[False, True, True]])
    noise = sound.audio_BRA.clone()
    noise[0, 0] += 100
    before = said(model, frames, replace(sound, valid_BR=valid))
    after = said(model, frames, Heard(audio_BRA=noise, valid_BR=valid))
    torch.testing.assert_close(before, after, atol=0, rtol=0)
    reversed_sound = Heard(audio_BRA=sound.audio_BRA.flip(1), valid_BR=sound.valid_BR)
    assert not torch.allclose(said(model, frames, sound)[0], said(model, frames, reversed_sound)[0], atol=1e-4)


def test_reference_tokens_equal_a_loop() -> None:
    """Each cell of the 2 x 2 grid is the mean over its valid cells; of a 2 x 4 map the last column is padding."""
    torch.manual_seed(0)
    module = ReferenceTokens(3, 8, references=2, tokens=4, weight_map=True)
    maps = torch.randn(1, 2, 3, 2, 4)
    valid = torch.ones(1, 2, 4, dtype=torch.bool)
    valid[..., 3] = False
    with torch.no_grad():
        tokens = module(maps, valid)
        joined = torch.cat([maps[0, 0], maps[0, 1]])  # the nearest first
        weighted = torch.empty(6, 2, 4)
        assert module.weight is not None
        for row in range(2):
            for column in range(4):
                inner = float(module.weight.weight[0, :, 0, 0] @ joined[:, row, column] + module.weight.bias[0])
                weighted[:, row, column] = joined[:, row, column] / (1 + math.exp(-inner))
        wanted = []
        for row in range(2):
            for columns in ((0, 1), (2,)):
                mean = torch.stack([weighted[:, row, column] for column in columns]).mean(0)
                wanted.append(module.project.weight[:, :, 0, 0] @ mean + module.project.bias)
    torch.testing.assert_close(tokens.tokens_BSC[0], torch.stack(wanted), atol=1e-5, rtol=0)
    assert tokens.valid_BS.all() and tokens.valid_BS.shape == (1, 4)


def test_masks_are_filters_on_the_segmentation_map() -> None:
    model = tiny_model().eval()
    kept: dict[str, torch.Tensor] = {}
    for name in ("filters", "pyramid"):
        getattr(model.network, name).register_forward_hook(
            lambda _module, _args, output, name=name: kept.update({name: output})
        )
    masks = said(model, images(1, 2))[1][0, 0].numpy()
    filters, segmentation = kept["filters"][0, 0].detach().numpy(), kept["pyramid"][0].detach().numpy()
    for slot in range(5):
        for row, column in ((0, 0), (7, 13), (15, 23)):
            value = sum(filters[slot, c] * segmentation[c, row, column] for c in range(32))
            assert masks[slot, row, column] == pytest.approx(value, abs=1e-4)


def test_padding_of_a_batch_is_masked() -> None:
    """Attention and means leave padded cells out: what they hold does not reach the classes."""
    model = tiny_model(references=1).eval()
    seen: list[torch.Tensor] = []
    valid = all_valid(1, (64, 128))
    valid[..., 3] = False
    generator = torch.Generator().manual_seed(0)
    maps = [torch.randn(1, width, 64 // s, 128 // s, generator=generator) for width, s in ((16, 4), (16, 8), (32, 16))]
    for value in (0.0, 50.0):
        coarse = torch.randn(1, 32, 2, 4, generator=torch.Generator().manual_seed(1))
        coarse[..., 3] = value
        with torch.no_grad():
            seen.append(model.network([*maps, coarse], coarse[:, None], valid, None).logits_LBQK)
    torch.testing.assert_close(seen[0], seen[1], atol=1e-5, rtol=0)


def test_centred_positions_of_a_coarse_cell_lie_between_those_that_it_covers() -> None:
    fine, coarse = sine_position(4, 6, 8, centred=True), sine_position(2, 3, 8, centred=True)
    slow = 2  # sine of the slowest frequency of y: nearly a straight line
    covered = fine.view(4, 6, 8)[:2, 0, slow]
    assert covered.min() < coarse[0, slow] < covered.max()
    one = sine_position(1, 1, 8, centred=True)[0]
    np.testing.assert_allclose(one[:2], [math.sin(math.pi), math.cos(math.pi)], atol=1e-6)
    assert not torch.allclose(fine, sine_position(4, 6, 8))


def test_dropout_is_only_for_training() -> None:
    model = tiny_model(dropout=0.5)
    frames = images(1, 2)
    torch.testing.assert_close(said(model.eval(), frames), said(model, frames))
    model.train()
    assert not torch.allclose(said(model, frames)[0], said(model, frames)[0])


def test_what_the_audio_width_is_for() -> None:
    model = tiny_model(audio=True, audio_channels=AUDIO + 1)
    assert model.network.audio is not None and model.network.audio.recurrent.input_size == AUDIO + 1

"""AVS-BG and TPAVI against explicit forms of their equations, and what the whole model does with odd clips."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from avis_data.errors import ConfigError, DataError
from avis_data.training.config import load_config
from avis_data.training.data.clips import TensorClip, TrainingBatch
from avis_data.training.models.avs_bg import head as head_module
from avis_data.training.models.avs_bg.frames import ClipFrames
from avis_data.training.models.avs_bg.fusion import AudioVisualGate, Tpavi
from avis_data.training.models.avs_bg.head import MotionGate, SoundGenerator
from avis_data.training.models.avs_bg.losses import generation_loss, mask_entropy_and_iou
from avis_data.training.registry import build_model
from support.tiny_avs import avs_clip, tiny_avs


def numbers(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("config", "settings", "count"),
    [
        ("avs_bg_pvt_s4", [], 85_499_515),
        ("avs_bg_pvt_ms3", [], 85_499_515),
        ("avs_bg_r50_s4", [], 27_924_987),
        ("avs_bg_pvt_s4", ["model.motion=false"], 85_499_515 - 8),
        ("avs_bg_pvt_s4", ["model.generation=false"], 85_499_515 - 53_298),
        ("avs_bg_r50_ms3", ["model.generation=false"], 27_924_987 - 53_298),
        ("avs_bg_pvt_s4", ["model.fusion=none", "model.motion=false", "model.generation=false"], 85_212_481),
        ("avs_bg_r50_s4", ["model.fusion=none", "model.motion=false", "model.generation=false"], 27_637_953),
        ("avsbench_pvt_s4", [], 101_320_577),
        ("avsbench_pvt_ms3", [], 101_320_577),
        ("avsbench_pvt_avss", [], 101_321_863),
        ("avsbench_r50_s4", [], 91_400_961 - 22_063_104),  # its second, never used branch is not built
        ("avsbench_r50_avss", [], 91_402_247 - 22_063_104),
        ("avsbench_pvt_s4", ["model.generation=true"], 101_320_577 + 256 * 64 + 9 * 64 * 64 + 64 * 128 + 50),
    ],
)
def test_parameters_are_those_of_the_published_models(config: str, settings: list[str], count: int) -> None:
    with torch.device("meta"):
        assert numbers(build_model(load_config(config, settings))) == count


@pytest.mark.parametrize("limit", [None, 5])
def test_the_sums_first_form_of_tpavi_equals_the_pairwise_one(limit: int | None) -> None:
    torch.manual_seed(0)
    module = Tpavi(12, 128, audio_bias=True, frames=limit, pairwise=False).double()
    torch.nn.init.normal_(module.out_norm.weight)
    pairwise = Tpavi(12, 128, audio_bias=True, frames=limit, pairwise=True).double()
    pairwise.load_state_dict(module.state_dict())
    x, audio, clips = torch.randn(17, 12, 4, 3).double(), torch.randn(17, 128).double(), ClipFrames((10, 1, 6))
    fused, heard = module(x, audio, clips)
    expected, _ = pairwise(x, audio, clips)
    assert torch.allclose(fused, expected, atol=1e-12)
    assert heard.shape == (17, 12)
    pieces = ClipFrames((5, 5, 1, 5, 1)) if limit else clips
    mixed = pairwise.mixed(x, module.align(audio), clips)
    assert torch.allclose(mixed, _mixed_by_loops(module, x, module.align(audio), pieces), atol=1e-12)


def _mixed_by_loops(module: Tpavi, x: Tensor, sound: Tensor, pieces: ClipFrames) -> Tensor:
    """Equation by equation: cell p takes up g of cell q as far as theta of p fits phi of the sound in q's frame."""
    theta, phi, g = module.theta(x), module.phi(sound), module.g(x)
    mixed = torch.zeros_like(theta)
    start = 0
    for length in pieces.lengths:
        frames = range(start, start + length)
        cells = [(t, i, j) for t in frames for i in range(x.shape[2]) for j in range(x.shape[3])]
        for t, i, j in cells:
            for s, k, m in cells:
                mixed[t, :, i, j] += (theta[t, :, i, j] @ phi[s]) * g[s, :, k, m] / len(cells)
        start += length
    return mixed


def test_a_new_tpavi_only_normalises() -> None:
    module = Tpavi(8, 128, audio_bias=True, frames=None, pairwise=False).eval()
    x = torch.randn(5, 8, 3, 3)
    fused, _ = module(x, torch.randn(5, 128), ClipFrames((5,)))
    assert torch.allclose(fused, torch.nn.functional.layer_norm(x.movedim(1, -1), (8,)).movedim(-1, 1), atol=1e-6)


def test_a_gate_of_zeros_halves_what_it_adds() -> None:
    gate = AudioVisualGate(128)
    torch.nn.init.zeros_(gate.conv3.weight)
    x = torch.randn(2, 128, 3, 3)
    fused, sound = gate(x, torch.rand(2, 128) + 0.1, ClipFrames((2,)))
    assert torch.allclose(fused, 1.5 * x / x.norm(dim=1, keepdim=True), atol=1e-5)
    assert torch.allclose(sound.norm(dim=1), torch.ones(2), atol=1e-4)


@pytest.mark.parametrize(("lengths", "partners"), [((5,), [1, 2, 3, 4, 3]), ((1, 2, 3), [0, 2, 1, 4, 5, 4])])
def test_partners_stay_in_their_clip(lengths: tuple[int, ...], partners: list[int]) -> None:
    assert ClipFrames(lengths).partners().tolist() == partners


def test_motion_in_chunks_equals_its_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    gate = MotionGate().double()
    z = torch.randn(4, 6, 3, 4, dtype=torch.float64, requires_grad=True)
    whole = gate(z, ClipFrames((4,)))
    (wanted,) = torch.autograd.grad(whole.square().sum(), z)
    monkeypatch.setattr(head_module, "_PRODUCTS_AT_ONCE", 100)  # two rows at a time
    chunked = gate(z, ClipFrames((4,)))
    (found,) = torch.autograd.grad(chunked.square().sum(), z)
    assert torch.allclose(chunked, whole) and torch.allclose(found, wanted)
    for t, partner in enumerate((1, 2, 3, 2)):
        products = torch.einsum("chw,cxy->hwxy", z[t], z[partner]).clamp(min=0)
        share = torch.sigmoid(gate.scale.weight[0, 0, 0, 0] * products.mean((2, 3)) + gate.scale.bias[0])
        assert torch.allclose(whole[t], z[t] * (1 + share))


def test_a_generator_without_a_mask_gives_the_same_for_all_channels() -> None:
    generator = SoundGenerator(16, 128)
    sound = generator(torch.randn(3, 16, 7, 7), torch.zeros(3, 1, 224, 224))
    assert torch.allclose(sound, generator.cells.bias.expand(3, 128))
    assert generation_loss(torch.zeros(2, 128), torch.zeros(2, 128)).item() == pytest.approx(1.1314e-5, rel=1e-3)


def test_mask_loss_has_the_measured_values() -> None:
    truth = torch.zeros(2, 224, 224)
    truth[0, 50:150, 60:180] = 1
    truth[1, :, :112] = 1
    constant = {value: mask_entropy_and_iou(torch.full_like(truth, value), truth).item() for value in (0.0, 4.0)}
    assert constant[0.0] == pytest.approx(1.396502, abs=1e-5)
    assert constant[4.0] == pytest.approx(3.109503, abs=1e-5)
    assert mask_entropy_and_iou(12 * truth - 6, truth).item() == pytest.approx(0.011715, abs=1e-5)
    empty = torch.zeros(1, 224, 224)
    assert mask_entropy_and_iou(empty - 6, empty).item() == pytest.approx(0.997480, abs=1e-5)
    assert mask_entropy_and_iou(empty, empty).item() == pytest.approx(1.693107, abs=1e-5)


def test_losses_do_not_depend_on_frames_that_only_fill_up() -> None:
    """Of the baseline, whose only statistics over frames are of a norm that evaluation freezes."""
    model = tiny_avs("tpavi", fusion_frames=5, num_classes=3, kl_weight=0.5).eval()
    clip = avs_clip(0, frames=5, num_classes=3)
    filled = avs_clip(0, frames=5, num_classes=3, slots=10)
    plain = model(TrainingBatch(clips=(clip,)))  # type: ignore[arg-type]
    padded = model(TrainingBatch(clips=(filled,)))  # type: ignore[arg-type]
    assert set(plain) == {"mask", "heard"}
    for name, value in plain.items():
        assert padded[name].item() == pytest.approx(value.item(), rel=1e-5)


@pytest.mark.parametrize("kind", ["av_corr", "tpavi", "none"])
@pytest.mark.parametrize("frames", [1, 2, 7])
def test_any_number_of_frames_is_predicted(kind: str, frames: int) -> None:
    model = tiny_avs(kind).eval()
    clip = avs_clip(3, frames=frames)
    source = TensorClip(clip_id="c", frames_T3HW=clip.frames_T3HW, audio_TA=clip.audio_TA, size_hw=(50, 70))
    logits = model.predict(source)
    assert logits.shape == (frames, 50, 70) and logits.dtype.name == "float32"


def test_a_model_that_needs_sound_says_which_clip_has_none() -> None:
    model = tiny_avs("av_corr")
    silent = dataclasses.replace(avs_clip(0), audio_TA=None, clip_id="rain")
    with pytest.raises(DataError, match="clip rain: has no sound"):
        model(TrainingBatch(clips=(silent,)))  # type: ignore[arg-type]
    narrow = dataclasses.replace(avs_clip(0), audio_TA=torch.rand(5, 64), clip_id="rain")
    with pytest.raises(DataError, match=r"clip rain: audio features of shape \(5, 64\), must be \(5, 128\)"):
        model(TrainingBatch(clips=(narrow,)))  # type: ignore[arg-type]
    deaf = tiny_avs("none", generation=False)
    assert "mask" in deaf(TrainingBatch(clips=(silent,)))  # type: ignore[arg-type]


def test_masking_with_the_truth_needs_all_labels() -> None:
    model = tiny_avs("av_corr", generation_mask="truth")
    first_only = dataclasses.replace(avs_clip(0), labelled_T=torch.tensor([True, False, False, False, False]))
    with pytest.raises(DataError, match="not every frame has a label"):
        model(TrainingBatch(clips=(first_only,)))  # type: ignore[arg-type]
    assert set(model(TrainingBatch(clips=(avs_clip(0),)))) == {"mask", "generation"}  # type: ignore[arg-type]


def test_channels_that_cannot_meet_the_sound_are_refused() -> None:
    with pytest.raises(ConfigError, match="av_corr multiplies 64 channels with 128"):
        build_model(load_config("avs_bg_tiny", ["model.channels=64"]))


def test_labels_outside_the_supervised_frames_change_nothing() -> None:
    model = tiny_avs("av_corr").eval()
    clip = dataclasses.replace(avs_clip(0), labelled_T=torch.tensor([True, False, False, False, False]))
    other = dataclasses.replace(clip, labels_THW=torch.cat((clip.labels_THW[:1], 1 - clip.labels_THW[1:])))
    losses = [model(TrainingBatch(clips=(c,)))["mask"].item() for c in (clip, other)]  # type: ignore[arg-type]
    assert losses[0] == losses[1]

"""Settings that change the time and not the result: compiled parts, channels last, pinned memory, float32 products."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from avis_data.training.data.clips import TrainingBatch
from avis_data.training.models.avism.model import Avism
from support.tiny_avism import tiny_model, training_clip
from support.tiny_training import started, tiny_config


def gradients(model: Avism, frames: Tensor) -> list[Tensor]:
    """The maps, and the gradients of backbone and pixel decoder."""
    maps = model._maps(model.normalise(frames))
    parameters = [*model.backbone.parameters(), *model.pixel_decoder.parameters()]
    mask = model.pixel_decoder.mask_embedding(maps.fpn_NChw)
    total = mask.square().sum() + sum(scale.square().sum() for scale in maps.scales)
    return [*maps.scales, mask, *torch.autograd.grad(total, parameters)]


@pytest.mark.parametrize("bf16", [False, True])
def test_backbone_and_pixel_decoder_compile_without_a_break(bf16: bool) -> None:
    """`fullgraph` raises at the first break; the result is that of the parts as they are."""
    torch._dynamo.reset()
    model, frames = tiny_model().train(), training_clip(1).frames_T3HW
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        plain = gradients(model, frames)
        for part in (model.backbone, model.pixel_decoder):
            part.compile(fullgraph=True, backend="aot_eager", dynamic=False)
        compiled = gradients(model, frames)
    alike = list(zip(plain, compiled, strict=True))
    for one, other in alike[:4] if bf16 else alike:  # gradients of the backbone differ more in bf16
        torch.testing.assert_close(other, one, atol=0.1 if bf16 else 1e-3, rtol=0.1 if bf16 else 1e-3)
    torch._dynamo.reset()


def test_settings_reach_the_model(world_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[torch.nn.Module] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: asked.append(self))
    settings = ("loop.compile=true", "loop.channels_last=true", "loop.precision=tf32", "loop.iterations=1")
    try:
        trainer = started(tiny_config(*settings), world_export, tmp_path / "fast")
        assert torch.get_float32_matmul_precision() == "high"
        assert torch.backends.cudnn.allow_tf32
        plain = started(tiny_config("loop.iterations=1"), world_export, tmp_path / "plain")
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision("highest")
    model = trainer.model
    assert isinstance(model, Avism)
    assert asked == [model.backbone, model.pixel_decoder] and model.backbone.channels_last
    found, expected = (run.gradients(run._batches()) for run in (trainer, plain))
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-3)


def test_every_tensor_of_a_clip_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[int] = []
    monkeypatch.setattr(Tensor, "pin_memory", lambda self: pinned.append(id(self)) or self)
    clip = training_clip(1)
    batch = TrainingBatch(clips=(clip, replace(clip, audio_TA=None))).pin_memory()
    tensors = {id(x) for own in batch.clips for x in vars(own).values() if isinstance(x, Tensor)}
    assert set(pinned) == tensors and len(pinned) == 9

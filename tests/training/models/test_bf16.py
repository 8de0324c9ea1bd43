"""bf16 works on every processor, also on one that computes in bf16 by emulation only."""

from __future__ import annotations

import os
import subprocess
import sys

import torch

from avis_data.training.registry import MODELS
from support.tiny_avism import tiny_model, training_clip

PROGRAM = """
import torch
from avis_data.training.data.clips import TrainingBatch
from support import tiny_afcv, tiny_avism, tiny_avs, tiny_rcf

MODELS = {
    "avism": (tiny_avism.tiny_model(), [tiny_avism.training_clip(0)]),
    "rcf": (tiny_rcf.tiny_model(audio=True), [tiny_rcf.sample(audio=True)]),
    "afcv": (tiny_afcv.tiny_model(), [tiny_afcv.pair_of(((8, 8, 40, 40), (10, 8, 42, 40)))]),
    "avs-bg": (tiny_avs.tiny_avs("av_corr"), [tiny_avs.avs_clip(0), tiny_avs.avs_clip(1)]),
}
for name, (model, clips) in MODELS.items():
    with torch.autocast("cpu", torch.bfloat16):
        losses = model.train()(TrainingBatch(clips=tuple(clips)))
        total = torch.stack([loss.float() for loss in losses.values()]).sum()
        total.backward()
    assert torch.isfinite(total), name
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters()), name
    print(name)
"""


def test_every_model_learns_in_bf16_on_a_processor_without_it() -> None:
    """oneDNN believes what the variable says of the processor, and has no bf16 LSTM for this one."""
    paths = os.pathsep.join(sys.path)
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "PYTHONPATH": paths}
    ran = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert sorted(ran.stdout.split()) == sorted(MODELS.names())


def test_the_pixel_decoder_in_bf16_is_that_of_float32() -> None:
    """A bf16 has 8 bits, so its rounding is up to 2^-8 of a value; sums of many roundings stay near one of them."""
    model = tiny_model().eval()
    with torch.no_grad():
        backbone_maps = model.backbone(model.normalise(training_clip(1).frames_T3HW))
        exact = model.pixel_decoder(backbone_maps)
        with torch.autocast("cpu", torch.bfloat16):
            found = model.pixel_decoder(backbone_maps)
            found_mask = model.pixel_decoder.mask_embedding(found.fpn_NChw)
        exact_mask = model.pixel_decoder.mask_embedding(exact.fpn_NChw)
    assert found_mask.dtype == found.fpn_NChw.dtype == torch.bfloat16, "its products are not bf16"
    pairs = zip((*exact.scales, exact_mask), (*found.scales, found_mask), strict=True)
    for one, other in pairs:
        difference = other.float() - one
        assert 0 < difference.norm() < 4 * 2**-8 * one.norm()
        assert difference.abs().max() < 8 * 2**-8 * one.abs().max()

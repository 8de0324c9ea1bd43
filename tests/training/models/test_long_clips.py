"""A long clip is tracked a few windows at a time: as at once but for rounding, and in memory that does not grow."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from avis_data.training.models.attention import Attention
from avis_data.training.models.avism import long_clips
from avis_data.training.models.avism.long_clips import KeptTokens, LongClip, ShortClip
from avis_data.training.models.avism.model import build_tracker
from avis_data.training.models.avism.tracker import Tracker
from support.tiny_avism import AUDIO, tiny_config

ROUNDING = {"rtol": 1e-5, "atol": 1e-5}


def tracker_of(window: int, *, hears: bool) -> Tracker:
    torch.manual_seed(window)
    tracker = build_tracker(
        replace(tiny_config(window=window, encoder_layers=4, sounding_head=True), video_fusion=hears)
    )
    for parameter in tracker.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter, mean=0.5, std=0.5)
    return tracker.eval()


@pytest.mark.parametrize("on_disk", [True, False])
@pytest.mark.parametrize("hears", [True, False])
@pytest.mark.parametrize("window", [0, 1, 3, 6])
@pytest.mark.parametrize("frames", [1, 4, 6, 7, 23, 48])
def test_a_long_clip_gives_what_it_gives_at_once(
    frames: int, window: int, hears: bool, on_disk: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_clips, "_WINDOWS_AT_ONCE", 2)
    monkeypatch.setattr(long_clips, "_FRAMES_AT_ONCE", 5)
    if not on_disk:
        monkeypatch.setattr(long_clips, "DISK_RESERVE", 2**70)
    tracker = tracker_of(window, hears=hears)
    queries = torch.randn(frames, 5, 32, generator=torch.Generator().manual_seed(frames))
    audio = torch.rand(frames, AUDIO, generator=torch.Generator().manual_seed(1)) if hears else None
    heads = []
    for clip in (ShortClip(tracker), LongClip(tracker, frames)):
        with clip, torch.no_grad():
            for piece in torch.split(queries, 3):
                clip.add(piece)
            heads.append(clip.head(audio))
    at_once, in_pieces = heads
    torch.testing.assert_close(in_pieces.logits_LBPK, at_once.logits_LBPK, **ROUNDING)
    torch.testing.assert_close(in_pieces.mask_embed_LBPC, at_once.mask_embed_LBPC, **ROUNDING)
    torch.testing.assert_close(in_pieces.similarity_LBPC, at_once.similarity_LBPC, **ROUNDING)
    assert at_once.sounding_LBPT is not None and at_once.sounding_LBPT.shape == (1, 1, 6, frames)
    torch.testing.assert_close(in_pieces.sounding_LBPT, at_once.sounding_LBPT, **ROUNDING)


def test_audio_is_asked_for() -> None:
    with LongClip(tracker_of(3, hears=True), 4) as clip, pytest.raises(ValueError, match="needs audio"):
        clip.add(torch.zeros(4, 5, 32))
        clip.head(None)


@pytest.mark.parametrize("sizes", [(1,), (5, 1, 7), (2, 2, 2, 2)])
@pytest.mark.parametrize("spread", [1.0, 300.0])  # the largest logit is that of a later piece, by far
def test_attention_over_pieces_is_attention_to_all(sizes: tuple[int, ...], spread: float) -> None:
    """Oracle: PyTorch's own module with the same weights, float64."""
    torch.manual_seed(0)
    ours, whole = Attention(16, 4).double(), nn.MultiheadAttention(16, 4, batch_first=True).double()
    whole.load_state_dict(ours.state_dict())
    query = torch.randn(2, 3, 16).double()
    keys = [spread * torch.randn(2, size, 16).double() for size in sizes]
    values = [torch.randn(2, size, 16).double() for size in sizes]
    with torch.no_grad():
        expected, _ = whole(query, torch.cat(keys, 1), torch.cat(values, 1))
        torch.testing.assert_close(
            ours.over_pieces(query, zip(keys, values, strict=True)), expected, rtol=1e-10, atol=1e-10
        )


@pytest.mark.parametrize("on_disk", [True, False])
def test_tokens_come_back_from_their_frames(on_disk: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not on_disk:
        monkeypatch.setattr(long_clips, "DISK_RESERVE", 2**70)
    rng = torch.Generator().manual_seed(0)
    expected = torch.zeros(20, 3, 4)
    with KeptTokens(20, (3, 4)) as kept:
        for _ in range(30):
            frames = torch.randperm(20, generator=rng)[:6]
            tokens = torch.randn(6, 3, 4, generator=rng)
            kept.write(frames, tokens)
            expected[frames] = tokens
            asked = torch.randperm(20, generator=rng).view(5, 4)
            assert torch.equal(kept.read(asked), expected[asked.flatten()])


_OF_A_CHILD = """
import sys, torch
from avis_data.platforms import peak_memory_mb
from avis_data.training.models.avism.config import AvismConfig
from avis_data.training.models.avism.long_clips import LongClip
from avis_data.training.models.avism.model import build_tracker

torch.set_num_threads(1)
tracker = build_tracker(AvismConfig(encoder_layers=1, decoder_layers=1, feedforward=64, heads=2)).eval()
for frames in (120, int(sys.argv[1])):
    with LongClip(tracker, frames) as clip, torch.no_grad():
        for start in range(0, frames, 12):
            clip.add(torch.rand(12, 100, 256))
        clip.head(torch.rand(frames, 128))
    print(peak_memory_mb())
"""


def test_memory_does_not_grow_with_the_frames() -> None:
    """At the width of R-50, whose tokens of 600 frames are 61 MB."""
    said = subprocess.run([sys.executable, "-c", _OF_A_CHILD, "600"], check=True, capture_output=True, text=True)
    short, long = map(float, said.stdout.split())
    assert long - short < 25, f"{short:.0f} MB for 120 frames, {long:.0f} MB for 600"

"""The tracker: the one-token form of the audio fusion, batches, windows, clips of any length."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from avis_data.training.models.avism import tracker as tracker_module
from avis_data.training.models.avism.model import build_tracker
from avis_data.training.models.avism.tracker import Tracker, VideoFusion
from avis_data.training.models.avism.windows import padded_frames, window_layout
from support.tiny_avism import AUDIO, tiny_config

LENGTHS = [1, 2, 3, 5, 6, 7, 11, 12, 13]


def tracker_of(window: int, *, training: bool) -> Tracker:
    torch.manual_seed(window)
    tracker = build_tracker(tiny_config(window=window, encoder_layers=4))
    for parameter in tracker.parameters():
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter, mean=0.5, std=0.5)
    return tracker.train(training)


def drawn(layers: int, clips: int, frames: int) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(frames)
    queries = torch.randn(layers, clips, frames, 5, 32, generator=rng)
    return queries, torch.rand(clips, frames, AUDIO, generator=rng)


def repeated_form(fusion: VideoFusion, audio_NTA: Tensor, tokens_NTQC: Tensor, num_frames: int) -> Tensor:
    """The published form: one audio token for every query of a frame, additive -1000 where nothing may be seen."""
    total, queries = tokens_NTQC.shape[1], tokens_NTQC.shape[2]
    window, shift = fusion.window, -(-fusion.window // 2)
    stream = fusion.start(audio_NTA, total)[:, :, None].expand(-1, -1, queries, -1)
    for index, (attention, feedforward) in enumerate(zip(fusion.attention, fusion.feedforward, strict=True)):
        roll = shift if index % 2 else 0
        place = torch.arange(total).roll(roll)
        turned, keys = stream.roll(roll, 1), tokens_NTQC.roll(roll, 1)
        parts = []
        for start in range(0, total, window):
            frames = place[start : start + window]
            hidden = (frames >= num_frames)[None].expand(window, -1).clone()
            if roll and start == 0:
                end_half = torch.arange(window) < shift
                hidden |= end_half[:, None] != end_half[None]
            mask = (hidden.float() * -1000).repeat_interleave(queries, 0).repeat_interleave(queries, 1)
            audio = turned[:, start : start + window].flatten(1, 2)
            seen = keys[:, start : start + window].flatten(1, 2)
            inner = attention.attention
            read, _ = torch.nn.functional.multi_head_attention_forward(
                audio.transpose(0, 1), seen.transpose(0, 1), seen.transpose(0, 1), audio.shape[2], inner.heads,
                inner.in_proj_weight, inner.in_proj_bias, None, None, False, 0.0,
                inner.out_proj.weight, inner.out_proj.bias, attn_mask=mask,
            )  # fmt: skip
            audio = feedforward(attention.norm(audio + read.transpose(0, 1)))
            parts.append(audio.unflatten(1, (window, queries)))
        stream = torch.cat(parts, 1).roll(-roll, 1)
    return stream


@pytest.mark.parametrize("window", [1, 3, 6])
@pytest.mark.parametrize("frames", LENGTHS)
def test_one_audio_token_per_frame_gives_what_one_per_query_gives(window: int, frames: int) -> None:
    tracker = tracker_of(window, training=False)
    queries, audio = drawn(1, 2, frames)
    with torch.no_grad():
        tokens = tracker.encoder(tracker.encoder_input(queries), frames)
        assert tracker.fusion is not None
        one = tracker.fusion(audio, tokens, frames)[:, :frames, None]
        repeated = repeated_form(tracker.fusion, audio, tokens, frames)[:, :frames]
    assert torch.equal(repeated.amax(2), repeated.amin(2)) or (repeated.amax(2) - repeated.amin(2)).max() < 1e-5
    torch.testing.assert_close(one.expand_as(repeated), repeated, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("frames", [1, 5, 7])
def test_clips_of_a_batch_give_what_they_give_alone(training: bool, frames: int) -> None:
    tracker = tracker_of(3, training=training)
    queries, audio = drawn(3 if training else 1, 3, frames)
    with torch.no_grad():
        together = tracker(queries, audio)
        for clip in range(3):
            alone = tracker(queries[:, clip : clip + 1], audio[clip : clip + 1])
            assert len(alone.heads) == len(together.heads) == (2 if training else 1)
            for head, both in zip(alone.heads, together.heads, strict=True):
                torch.testing.assert_close(head.logits_LBPK[:, 0], both.logits_LBPK[:, clip])
                torch.testing.assert_close(head.mask_embed_LBPC[:, 0], both.mask_embed_LBPC[:, clip])
            torch.testing.assert_close(alone.similarity_LBTQC[:, 0], together.similarity_LBTQC[:, clip])


@pytest.mark.parametrize("frames", [5, 20, 21, 50])
def test_a_long_clip_in_groups_of_windows_gives_what_it_gives_at_once(
    frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = tracker_of(2, training=False)
    queries, audio = drawn(1, 1, frames)
    with torch.no_grad():
        at_once = tracker(queries, audio).heads[-1].logits_LBPK
        monkeypatch.setattr(tracker_module, "_WINDOWS_AT_ONCE", 3)
        in_groups = tracker(queries, audio).heads[-1].logits_LBPK
    torch.testing.assert_close(in_groups, at_once, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shifted", [True, False])
@pytest.mark.parametrize("window", [1, 2, 3, 6])
@pytest.mark.parametrize("frames", LENGTHS)
def test_who_sees_whom(frames: int, window: int, shifted: bool) -> None:
    """Against the rule said in other words: same window of the rolled clip, no padding, never around the end."""
    layout = window_layout(frames, window, shifted=shifted)
    total, shift = padded_frames(frames, window), -(-window // 2) if shifted else 0
    assert sorted(layout.frames_VW.flatten().tolist()) == list(range(total))
    seen = {
        (int(row[i]), int(row[j]))
        for row, visible in zip(layout.frames_VW, layout.visible_VWW, strict=True)
        for i in range(window)
        for j in range(window)
        if visible[i, j] and row[i] < frames
    }
    expected = {
        (a, b)
        for a in range(frames)
        for b in range(frames)
        if (a + shift) // window == (b + shift) // window  # the frames that wrap have a window of their own
    }
    assert seen == expected


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("frames", [1, 3, 4, 5])
def test_a_clip_of_less_than_a_window_needs_no_padding(frames: int, training: bool) -> None:
    tracker = tracker_of(6, training=training)
    queries, audio = drawn(1, 1, frames)
    with torch.no_grad():
        padded = tracker.encoder_input(queries)
        assert padded.shape[1] == 6 and tracker.fusion is not None
        results = []
        for start in (padded, padded[:, :frames]):
            tokens = tracker.encoder(start, frames)
            results.append((tokens[:, :frames], tracker.fusion(audio, tokens, frames)[:, :frames]))
    for with_padding, without in zip(*results, strict=True):
        torch.testing.assert_close(without, with_padding, atol=1e-5, rtol=1e-5)


def test_padded_frames_never_change_a_real_one() -> None:
    tracker = tracker_of(6, training=False)
    queries, audio = drawn(1, 1, 7)
    with torch.no_grad():
        tokens = tracker.encoder_input(queries)
        spoilt = tokens.clone()
        spoilt[:, 7:] = 100.0
        assert tracker.fusion is not None
        for start in (tokens, spoilt):
            out = tracker.encoder(start, 7)
            stream = tracker.fusion(audio, out, 7)
            result = (out[:, :7], stream[:, :7])
            if start is tokens:
                clean = result
    torch.testing.assert_close(result[0], clean[0])
    torch.testing.assert_close(result[1], clean[1])


def test_audio_changes_the_tracker_and_is_asked_for() -> None:
    tracker = tracker_of(3, training=False)
    queries, audio = drawn(1, 1, 4)
    with torch.no_grad():
        heard = tracker(queries, audio).heads[-1].logits_LBPK
        silent = tracker(queries, torch.zeros_like(audio)).heads[-1].logits_LBPK
    assert (heard - silent).abs().max() > 1e-5
    with pytest.raises(ValueError, match="needs audio"):
        tracker(queries, None)

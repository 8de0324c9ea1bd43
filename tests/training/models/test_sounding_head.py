"""The sounding head: each track is asked in each frame, learns where its truth has a mask, and gates its masks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from avis_data.masks.rle import area, decode
from avis_data.training.data.clips import PredictedTrack, TrainingBatch
from avis_data.training.models.avism.config import AvismLossConfig
from avis_data.training.models.avism.sounding import (
    Listening,
    SoundingHead,
    counting_loss,
    masks_while_sounding,
    sounding_loss,
)
from avis_data.training.models.avism.tracker import VideoHead
from avis_data.training.models.spec import GateBy, PredictOptions
from support.tiny_avism import AUDIO, learnt, tiny_model, training_clip, whole_clip

ALL = PredictOptions(top_k=12, score_threshold=0.05)


def head(audio_channels: int | None = AUDIO) -> SoundingHead:
    torch.manual_seed(0)
    return SoundingHead(32, 4, audio_channels).eval()


def inputs(frames: int = 5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    states = torch.randn(2, 6, 32, generator=generator)
    return (
        states,
        torch.randn(2, frames, 4, 32, generator=generator),
        torch.rand(2, frames, AUDIO, generator=generator),
    )


@torch.no_grad()
def test_a_frame_is_asked_by_itself() -> None:
    states, tokens, audio = inputs()
    said = head()(states, tokens, audio)
    assert said.shape == (2, 6, 5)
    for frame in range(5):
        alone = head()(states, tokens[:, frame : frame + 1], audio[:, frame : frame + 1])
        torch.testing.assert_close(said[..., frame : frame + 1], alone)


@torch.no_grad()
def test_another_sound_in_one_frame_changes_what_is_said_of_that_frame_only() -> None:
    states, tokens, audio = inputs()
    other = audio.clone()
    other[:, 2] = 0
    difference = (head()(states, tokens, other) - head()(states, tokens, audio)).abs().amax((0, 1))
    assert difference[2] > 1e-3 and not difference[[0, 1, 3, 4]].any()


def test_without_sound_it_has_what_the_queries_heard() -> None:
    states, tokens, _ = inputs()
    assert head(None)(states, tokens, None).shape == (2, 6, 5)
    with pytest.raises(ValueError, match="needs audio"):
        head()(states, tokens, None)


def test_the_loss_is_cross_entropy_over_the_frames_of_matched_tracks() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.0], [-3.0, 4.0, 1.0]])
    sounds = torch.tensor([[True, False, True], [False, True, True]])
    loss = sounding_loss(logits, sounds)
    wanted = functional.binary_cross_entropy(logits.sigmoid(), sounds.float())
    assert float(loss.numerator / loss.denominator) == pytest.approx(float(wanted), rel=1e-6)


def test_masks_of_silent_frames_teach_nothing() -> None:
    logits = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    sounds = torch.tensor([[True, False, True], [False, False, True]])
    masks_while_sounding(logits, sounds).sigmoid().sum().backward()
    assert logits.grad is not None
    taught = logits.grad.flatten(2).abs().sum(2) > 0
    assert torch.equal(taught, sounds)


def test_a_model_learns_when_its_tracks_sound() -> None:
    """Each track of the clip is silent in one frame; after some steps the head says in which."""
    clip = training_clip(3, frames=4)
    model = tiny_model(sounding_head=True, loss=AvismLossConfig(points=256)).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    batch = TrainingBatch(clips=(clip,))
    losses = []
    for _ in range(90):
        parts = model(batch)
        optimiser.zero_grad()
        sum(parts.values()).backward()  # type: ignore[union-attr]  # there are losses
        optimiser.step()
        losses.append(sum(float(value.detach()) for name, value in parts.items() if name.endswith(".sounding")))
    assert {name for name in parts if name.endswith(".sounding")} == {"video.0.sounding", "video.1.sounding"}
    assert losses[-1] < 0.25 * losses[0]


def check_gated(
    without: list[PredictedTrack], gated: list[PredictedTrack], chance_PT: torch.Tensor, threshold: float
) -> None:
    """Every track is as without the gate where its chance is above the threshold, and silent elsewhere."""
    kept, silent = {(track.query, track.label): track for track in gated}, 0
    for before in without:
        sounds_T = (chance_PT[before.query] > threshold).tolist()
        expected = [decode(mask) & sounds for mask, sounds in zip(before.masks, sounds_T, strict=True)]
        silent += sum(bool(area(mask)) and not sounds for mask, sounds in zip(before.masks, sounds_T, strict=True))
        after = kept.get((before.query, before.label))
        assert (after is not None) == any(mask.any() for mask in expected)
        for mask, wanted in zip(() if after is None else after.masks, expected, strict=after is not None):
            np.testing.assert_array_equal(decode(mask), wanted)
    assert silent, "the threshold lies among the chances, so some frames must have gone silent"


def test_the_gate_of_a_model_follows_the_head() -> None:
    """Oracle: what the tracker's head says, asked by itself."""
    model, clip = tiny_model(sounding_head=True).eval(), whole_clip(1, 7)
    said: list[torch.Tensor] = []
    model.tracker.sounding.register_forward_hook(lambda _, __, out: said.append(out))
    without = model.predict(clip, ALL)
    chance_PT = said[0][0].sigmoid()
    threshold = float(chance_PT.median())
    check_gated(without, model.predict(clip, replace(ALL, frame_gate=threshold)), chance_PT, threshold)


@pytest.mark.parametrize("kept_frames", [36, 2])
def test_without_a_sounding_head_the_gate_may_ask_the_similarity_heads(kept_frames: int) -> None:
    """Oracle: the products of what both heads gave, the clip kept in memory or on the disk."""
    model, clip = tiny_model().eval(), whole_clip(1, 7)
    said: dict[str, list[torch.Tensor]] = {"query_similarity": [], "token_similarity": []}
    for name, found in said.items():
        head_ = getattr(model.tracker, name)
        head_.register_forward_hook(lambda _, __, out, found=found: found.append(out))
    options = replace(ALL, kept_frames=kept_frames)
    without = model.predict(clip, options)
    tokens_TQC = torch.cat([out.flatten(0, -3) for out in said["token_similarity"]])
    chance_PT = torch.einsum("pc,tqc->ptq", said["query_similarity"][-1][0], tokens_TQC[:7]).amax(-1).sigmoid()
    threshold = float(chance_PT.median())
    gated = model.predict(clip, replace(options, frame_gate=threshold, gate_by="similarity"))
    check_gated(without, gated, chance_PT, threshold)


@pytest.mark.parametrize(
    ("gate_by", "has_head", "wanted"),
    [
        ("head", True, [0.2, 0.9]),
        ("head", False, [0.7, 0.4]),
        ("class", True, [0.7, 0.4]),
        ("similarity", True, [0.6, 0.5]),
        ("head-and-class", True, [0.2, 0.4]),
        ("head-and-class", False, [0.7, 0.4]),
    ],
)
def test_who_says_whether_a_track_sounds(gate_by: GateBy, has_head: bool, wanted: list[float]) -> None:
    """One track of class 1, two frames."""
    one = torch.zeros(1, 1, 1, 4)
    says = torch.tensor([0.2, 0.9]).logit().expand(1, 1, 1, 2)
    head = VideoHead(
        logits_LBPK=one,
        mask_embed_LBPC=one,
        similarity_LBPC=one,
        sounding_LBPT=says if has_head else None,
        there_LBPT=torch.tensor([0.6, 0.5]).logit().expand(1, 1, 1, 2),
    )
    heard_TK = torch.tensor([[0.1, 0.7, 0.0], [0.8, 0.4, 0.0]])
    torch.testing.assert_close(head.sound_of(0, 1, heard_TK, gate_by), torch.tensor(wanted))


@torch.no_grad()
def test_a_placed_fusion_tells_left_from_right() -> None:
    """What is seen at one place moves to another: without positions the fusion cannot tell, with them it can."""
    answers = {}
    for placed in (False, True):
        fusion = tiny_model(placed_fusion=placed).eval().frame_decoder
        scales = [torch.zeros(1, 32, side, side) for side in (2, 4, 8)]
        found = []
        for column in (0, 7):
            scales[2][:] = 0
            scales[2][..., column] = 1
            decoded = fusion(
                scales, [torch.zeros_like(scale) for scale in scales], torch.full((1, AUDIO), 0.5), keep_layers=4
            )
            found.append(decoded.queries_LNQC[0])
        answers[placed] = float((found[0] - found[1]).abs().max())
    assert answers[False] < 1e-5 < 1e-3 < answers[True]


@torch.no_grad()
def test_what_is_heard_within_a_second_has_an_order() -> None:
    torch.manual_seed(0)
    listening = Listening(32, 4, 12, 4).eval()
    audio, asking = torch.randn(2, 12), torch.randn(5, 32)
    heard = listening(audio, asking)
    assert heard.shape == (2, 5, 32)
    turned = listening(audio.unflatten(1, (4, 3)).flip(1).flatten(1), asking)
    assert float((turned - heard).abs().max()) > 1e-3
    assert float((heard[:, 0] - heard[:, 1]).abs().max()) > 1e-3, "each query hears by itself"


def test_a_sound_that_has_not_so_many_tokens_is_told() -> None:
    with pytest.raises(ValueError, match="10 audio channels cannot be split into 4 tokens"):
        Listening(32, 4, 10, 4)


def test_several_tokens_go_through_both_fusions_and_a_long_clip() -> None:
    """The clip is longer than what is kept, so the tracker works from the disk; both ways say the same."""
    model, clip = tiny_model(audio_tokens=4).eval(), whole_clip(1, 7)
    short = model.predict(clip, ALL)
    long = model.predict(clip, replace(ALL, kept_frames=2))
    assert short and [(track.query, track.label) for track in short] == [(track.query, track.label) for track in long]
    for one, other in zip(short, long, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-5)
        for mask, same in zip(one.masks, other.masks, strict=True):
            assert (decode(mask) != decode(same)).mean() < 1e-3
    other = replace(clip, audio_TA=clip.audio_TA.flip(1))
    changed = {(track.query, track.label): track.score for track in model.predict(other, ALL)}
    assert any(abs(changed.get((track.query, track.label), 0.0) - track.score) > 1e-4 for track in short)


def test_the_counting_loss_is_cross_entropy_over_none_one_and_several() -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    loss = counting_loss(logits, torch.tensor([0, 1, 2, 5]))
    wanted = functional.cross_entropy(logits, torch.tensor([0, 1, 2, 2]))
    assert float(loss.numerator / loss.denominator) == pytest.approx(float(wanted), rel=1e-6)


def test_a_model_learns_how_many_things_sound() -> None:
    """Two tracks, each silent in one of four frames; a clip without tracks counts as well."""
    model = tiny_model(counting_head=True, loss=AvismLossConfig(points=256)).train()
    batch = TrainingBatch(clips=(training_clip(3, frames=4), training_clip(4, frames=4, tracks=0)))
    losses = learnt(model, batch, "counting")
    assert losses[-1] < 0.3 * losses[0]

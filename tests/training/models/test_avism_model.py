"""The whole model: batches, silent clips, frozen norms, prediction of clips of any length, errors."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from avis_data.errors import DataError
from avis_data.masks.rle import decode
from avis_data.training.data.clips import PredictedTrack, TensorClip, TrainingBatch
from avis_data.training.models.avism import model as model_module
from avis_data.training.models.avism.config import AvismLossConfig
from avis_data.training.models.avism.model import Avism
from avis_data.training.models.losses import joined, means
from avis_data.training.models.spec import PredictOptions
from support.tiny_avism import AUDIO, tiny_model, training_clip, whole_clip

ALL = PredictOptions(top_k=12, score_threshold=0.05)


def losses_of(model: Avism, *clips: object) -> dict[str, Tensor]:
    return model(TrainingBatch(clips=clips))  # type: ignore[arg-type]


def gradients(model: Avism, *clips: object) -> dict[str, Tensor]:
    model.zero_grad()
    torch.stack(list(losses_of(model, *clips).values())).sum().backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}  # type: ignore[union-attr]


def test_names_of_the_losses() -> None:
    names = set(losses_of(tiny_model(), training_clip(1)))
    heads = [*(f"frame.{i}" for i in range(4)), *(f"video.{i}" for i in range(2))]
    assert names == {f"{head}.{what}" for head in heads for what in ("class", "mask", "dice")} | {"similarity"}


@pytest.mark.parametrize(
    ("frames", "sizes"),
    [((4, 4), ((64, 96), (64, 96))), ((4, 4), ((64, 96), (32, 64))), ((4, 3), ((64, 96), (60, 90)))],
    ids=["same", "two sizes", "two sizes and lengths"],
)
def test_a_batch_gives_what_its_clips_give_alone(
    frames: tuple[int, int], sizes: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    """Numerators and denominators of each clip alone, added: no clip changes what another one gives."""
    model = tiny_model()
    clips = [
        training_clip(seed + 1, frames=n, size=size) for seed, (n, size) in enumerate(zip(frames, sizes, strict=True))
    ]
    together = losses_of(model, *clips)
    with torch.no_grad():
        from avis_data.training.models.points import SeededPoints

        parts = [model._group_losses([clip], [0], SeededPoints([clip.seed])) for clip in clips]
    expected = means(joined(parts))
    config = model.loss_config
    weights = {"class": config.class_weight, "mask": config.mask_weight, "dice": config.dice_weight}
    for name, loss in together.items():
        weight = weights.get(name.split(".")[-1], config.sim_weight)
        torch.testing.assert_close(loss, expected[name] * weight, atol=1e-4, rtol=1e-4)


def test_lambdas_weigh_the_losses_of_frames_and_of_clips() -> None:
    """The paper's equation 1: each level times its own, the similarity loss by neither."""
    plain = losses_of(tiny_model(), training_clip(1))
    config = replace(tiny_model().loss_config, frame_weight=0.25, video_weight=4.0)
    found = losses_of(tiny_model(loss=config), training_clip(1))
    factors = {"frame": 0.25, "video": 4.0, "similarity": 1.0}
    assert {name.split(".")[0] for name in plain} == set(factors) and set(found) == set(plain)
    for name, loss in plain.items():
        torch.testing.assert_close(found[name], factors[name.split(".")[0]] * loss, atol=0, rtol=1e-6)


def test_the_order_of_the_clips_does_not_matter() -> None:
    model = tiny_model()
    one, two = training_clip(1), training_clip(2, size=(32, 64), tracks=1)
    first, second = losses_of(model, one, two), losses_of(model, two, one)
    for name in first:
        torch.testing.assert_close(first[name], second[name], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("tracks", [0, 2])
def test_every_parameter_gets_a_gradient(tracks: int) -> None:
    """A clip without any object too: processes that train together must agree on what has a gradient."""
    found = gradients(tiny_model(), training_clip(3, tracks=tracks))
    assert all(torch.isfinite(gradient).all() for gradient in found.values())
    if tracks:
        assert [name for name, gradient in found.items() if not gradient.any()] == []


def test_recomputing_the_maps_changes_no_gradient() -> None:
    plain, saving = tiny_model(seed=4), tiny_model(seed=4, checkpointing=True)
    clip = training_clip(5)
    found = gradients(saving, clip)
    for name, gradient in gradients(plain, clip).items():
        torch.testing.assert_close(found[name], gradient)


def test_training_changes_no_batch_norm() -> None:
    model = tiny_model().train()
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    gradients(model, training_clip(1))
    assert any("running_mean" in name for name in before)
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
    with torch.no_grad():
        in_training = model.maps(training_clip(1).frames_T3HW).fpn_NChw
        at_test = model.eval().maps(training_clip(1).frames_T3HW).fpn_NChw
    torch.testing.assert_close(in_training, at_test, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_embedding_of_a_smaller_map_is_the_smaller_embedding() -> None:
    model = tiny_model().eval()
    maps = model.maps(training_clip(1).frames_T3HW)
    whole = model.pixel_decoder.mask_embedding(maps.fpn_NChw)
    for small, scale in zip(model.pixel_decoder.small_mask_embeddings(maps), maps.scales, strict=True):
        expected = functional.interpolate(whole, size=scale.shape[2:], mode="bilinear", align_corners=False)
        torch.testing.assert_close(small, expected, atol=1e-5, rtol=1e-5)


def test_compat_label_of_late_tracks() -> None:
    """Track 0 is silent in the first frame: the published label makes it no object."""
    clip = training_clip(1)
    right = losses_of(tiny_model(), clip)
    compat = losses_of(tiny_model(loss=AvismLossConfig(points=32, late_onset_label="no_object")), clip)
    assert right["video.1.class"] != compat["video.1.class"]
    always = replace(clip, masks_NTHW=clip.masks_NTHW[:, 2:3].expand(-1, 4, -1, -1))
    right = losses_of(tiny_model(), always)
    compat = losses_of(tiny_model(loss=AvismLossConfig(points=32, late_onset_label="no_object")), always)
    assert right["video.1.class"] == compat["video.1.class"]


def test_the_weight_of_the_similarity_loss() -> None:
    half = losses_of(tiny_model(), training_clip(1))
    whole = losses_of(tiny_model(loss=AvismLossConfig(points=32, sim_weight=1.0)), training_clip(1))
    torch.testing.assert_close(2 * half["similarity"], whole["similarity"])


def same(ours: list[PredictedTrack], others: list[PredictedTrack]) -> None:
    assert [(track.query, track.label) for track in ours] == [(track.query, track.label) for track in others]
    for track, other in zip(ours, others, strict=True):
        assert abs(track.score - other.score) < 1e-4
        differing = sum(int((decode(a) != decode(b)).sum()) for a, b in zip(track.masks, other.masks, strict=True))
        pixels = sum(mask.height * mask.width for mask in track.masks)
        assert differing <= max(4, 2e-4 * pixels)  # those whose logit is next to zero


@pytest.mark.parametrize("heard", [False, True], ids=["published", "sounding pixels"])
@pytest.mark.parametrize("frames", [1, 2, 7])
def test_prediction_does_not_depend_on_how_it_is_cut(frames: int, heard: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model, clip = tiny_model(sounding_pixels=heard).eval(), whole_clip(1, frames)
    at_once = model.predict(clip, ALL)
    assert at_once and all(len(track.masks) == frames for track in at_once)
    assert [track.score for track in at_once] == sorted((track.score for track in at_once), reverse=True)
    assert all((rle.height, rle.width) == clip.size_hw for track in at_once for rle in track.masks)
    same(model.predict(clip, replace(ALL, frames_per_pass=2, kept_frames=0)), at_once)
    monkeypatch.setattr(model_module, "_PIXELS_AT_ONCE", 1)  # each frame by itself
    same(model.predict(clip, ALL), at_once)


class CountedClip:
    """A clip of any length whose frames are made when they are asked for."""

    clip_id, size_hw = "long", (32, 32)

    def __init__(self, num_frames: int) -> None:
        self.num_frames = num_frames
        self.audio_TA = torch.rand(num_frames, AUDIO, generator=torch.Generator().manual_seed(0))
        self.asked: list[int] = []

    def frames(self, start: int, stop: int) -> Tensor:
        self.asked.append(stop - start)
        rng = torch.Generator().manual_seed(start)
        return torch.randint(0, 256, (stop - start, 3, 32, 32), generator=rng, dtype=torch.uint8)


@pytest.mark.parametrize("heard", [False, True], ids=["published", "sounding pixels"])
def test_a_long_clip_is_read_once_in_pieces(heard: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    clip, kept = CountedClip(100), CountedClip(100)
    model = tiny_model(sounding_pixels=heard).eval()
    as_they_are = model.predict(kept, replace(ALL, kept_frames=100))
    tracks = model.predict(clip, ALL)
    assert tracks and len(tracks[0].masks) == 100
    assert clip.asked == kept.asked == [18, 18, 18, 18, 18, 10]
    same(tracks, as_they_are)
    for error in (OSError(28, "No space left on device"), None):  # no room at all, or less than is left to others
        free = Usage(free=0) if error is None else Usage(error=error)
        monkeypatch.setattr("shutil.disk_usage", free)
        full = CountedClip(100)
        same(model.predict(full, ALL), tracks)
        assert full.asked == [18, 18, 18, 18, 18, 10, 18, 10], "what found no room is computed again"


class Usage:
    """A disk."""

    def __init__(self, *, free: int = 0, error: OSError | None = None) -> None:
        self.free, self._error = free, error

    def __call__(self, _: object) -> Usage:
        if self._error is not None:
            raise self._error
        return self


def test_audio_is_asked_for_only_where_it_is_used() -> None:
    clip = replace(whole_clip(1, 3), audio_TA=None)
    with pytest.raises(DataError, match=r"clip1.*no audio"):
        tiny_model().eval().predict(clip)
    tiny_model(frame_fusion=False, video_fusion=False).eval().predict(clip)
    wrong = TensorClip(clip_id="x", frames_T3HW=clip.frames_T3HW, audio_TA=torch.zeros(2, 8), size_hw=(60, 90))
    with pytest.raises(DataError, match=r"\(2, 8\).*\(3, 128\)"):
        tiny_model().eval().predict(wrong)
    with pytest.raises(DataError, match="no audio"):
        losses_of(tiny_model(), replace(training_clip(1), audio_TA=None))


def test_each_fusion_hears() -> None:
    for changes in ({"frame_fusion": True, "video_fusion": False}, {"frame_fusion": False, "video_fusion": True}):
        model, clip = tiny_model(**changes).eval(), whole_clip(1, 3)
        silent = replace(clip, audio_TA=torch.zeros(3, AUDIO))
        heard, unheard = ([track.score for track in model.predict(c, ALL)] for c in (clip, silent))
        assert heard != unheard, changes


def test_prediction_needs_evaluation_mode() -> None:
    with pytest.raises(ValueError, match="eval"):
        tiny_model().train().predict(whole_clip(1, 2))

"""AFCV as a whole: parameters, gradients, sound, training on odd pairs, and prediction frame by frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from avis_data.errors import DataError
from avis_data.masks.rle import decode
from avis_data.training.data.clips import TensorClip, TrainingBatch
from avis_data.training.models.afcv.config import AfcvConfig, AfcvLossConfig, DetectionOptions
from avis_data.training.models.afcv.detections import found_objects
from avis_data.training.models.afcv.fcos_head import FcosOutput, cell_grid
from avis_data.training.models.afcv.model import Afcv
from avis_data.training.models.afcv.pyramid import Pyramid, pyramid_sizes, scaled_gradient
from avis_data.training.models.afcv.stream import AfcvStream
from avis_data.training.models.afcv.targets import pair_targets
from avis_data.training.models.backbones import FrozenBatchNorm, ResNetSpec
from avis_data.training.models.inference import MaskSizes
from avis_data.training.models.online import watch
from support.tiny_afcv import CLASSES, pair_of, tiny_model

LEFT, RIGHT, MOVED = (4, 8, 34, 38), (50, 20, 90, 60), (30, 4, 60, 34)


def count(*modules: nn.Module | None) -> int:
    return sum(parameter.numel() for module in modules if module is not None for parameter in module.parameters())


def losses_of(model: Afcv, *pairs: Any) -> dict[str, Tensor]:
    losses: dict[str, Tensor] = model(TrainingBatch(clips=pairs))
    return losses


def test_the_parameter_counts_of_the_specification() -> None:
    with torch.device("meta"):
        model = Afcv(AfcvConfig(num_identities=3774))
    controller = count(model.head.controller)
    assert controller == 389_545
    assert count(model.head) - controller == 7_257_138
    assert count(model.mask_branch) == 1_477_384
    assert count(model.pyramid) == 3_868_672
    assert count(model.identities) == 969_918
    assert model.sound is not None
    assert count(model.sound.backbone) == 11_176_512
    assert count(model.sound.project) == count(model.fusion) == 131_328


def test_what_is_frozen() -> None:
    with torch.device("meta"):
        model = Afcv(AfcvConfig())
    body = model.backbone.body
    frozen = {name for name, parameter in body.named_parameters() if not parameter.requires_grad}
    assert frozen == {name for name, _ in body.named_parameters() if name.startswith(("embedder", "encoder.stages.0."))}
    assert any(isinstance(module, FrozenBatchNorm) for module in body.modules())
    assert model.sound is not None
    assert all(parameter.requires_grad for parameter in model.sound.parameters())
    assert any(isinstance(module, nn.BatchNorm2d) for module in model.sound.backbone.modules())


def test_the_pyramid_has_the_sizes_that_the_targets_count_on() -> None:
    pyramid = Pyramid((4, 6, 8), 5)
    for padded in ((384, 640), (64, 96), (32, 32), (160, 352)):
        maps = [torch.zeros(1, width, padded[0] // s, padded[1] // s) for width, s in ((4, 8), (6, 16), (8, 32))]
        assert [tuple(x.shape[1:]) for x in pyramid(maps)] == [(5, *size) for size in pyramid_sizes(padded)]


def test_the_gradient_is_scaled_and_the_value_is_not() -> None:
    x = torch.randn(3, 5, requires_grad=True)
    y = scaled_gradient(x, 0.1)
    assert torch.equal(y, x)
    weight = torch.randn(3, 5)
    (y * weight).sum().backward()
    assert x.grad is not None and torch.equal(x.grad, 0.1 * weight)


def test_backbone_and_pyramid_learn_with_a_tenth_of_the_gradient_heads_with_all_of_it() -> None:
    pair = pair_of((LEFT, MOVED))
    grads = []
    for scale in (1.0, 0.1):
        model = tiny_model(pyramid_gradient=scale)
        sum(losses_of(model, pair).values()).backward()  # type: ignore[union-attr]
        grads.append({name: value.grad for name, value in model.named_parameters() if value.grad is not None})
    full, scaled = grads
    assert full.keys() == scaled.keys()
    for name, gradient in full.items():
        factor = 0.1 if name.startswith(("backbone.", "pyramid.")) else 1.0
        torch.testing.assert_close(scaled[name], factor * gradient, rtol=1e-3, atol=1e-5 * float(gradient.abs().max()))


def without_sound(model: Afcv) -> Afcv:
    """The CrossVIS of the same weights."""
    crossvis = tiny_model(audio=False)
    shared = {name: value for name, value in model.state_dict().items() if not name.startswith(("sound.", "fusion."))}
    crossvis.load_state_dict(shared)
    return crossvis


def test_at_the_start_afcv_is_crossvis_bit_for_bit_whatever_it_hears() -> None:
    model = tiny_model()
    crossvis = without_sound(model)
    pairs = [pair_of((LEFT, MOVED), (RIGHT, None), seed=seed) for seed in range(2)]
    heard, deaf = losses_of(model, *pairs), losses_of(crossvis, *pairs)
    assert heard.keys() == deaf.keys() and all(torch.equal(heard[name], deaf[name]) for name in heard)
    model.eval(), crossvis.eval()
    frame, slices = pairs[0].frames_T3HW[0], 50 * torch.randn(64, 64)
    for ours, theirs in zip(outputs(model, frame, slices), outputs(crossvis, frame, None), strict=True):
        assert torch.equal(ours, theirs)


def outputs(model: Afcv, frame: Tensor, slices: Tensor | None) -> list[Tensor]:
    heads, features = model.look(frame, slices)
    return [heads.logits_NLK, heads.ltrb_NL4, heads.centre_NL, heads.filters_NLF, heads.embed_NLC, features]


def test_after_one_step_the_sound_counts_unless_there_is_none() -> None:
    model = tiny_model()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05)
    sum(losses_of(model, pair_of((LEFT, MOVED))).values()).backward()  # type: ignore[union-attr]
    optimiser.step()
    assert model.fusion is not None and bool(model.fusion.mix.weight[:, 64:].any())
    model.eval()
    frame = pair_of(seed=3).frames_T3HW[0]
    loud, quiet = outputs(model, frame, torch.randn(64, 64)), outputs(model, frame, torch.randn(64, 64) - 3)
    assert not torch.equal(loud[0], quiet[0])
    for ours, theirs in zip(
        outputs(model, frame, None), outputs(model_with_dead_sound(model), frame, None), strict=True
    ):
        assert torch.equal(ours, theirs)


def model_with_dead_sound(model: Afcv) -> Afcv:
    """The same model with other weights wherever sound goes in."""
    other = tiny_model(seed=1)
    other.load_state_dict(model.state_dict())
    assert other.sound is not None and other.fusion is not None
    for parameter in other.sound.parameters():
        nn.init.normal_(parameter, std=3.0)
    with torch.no_grad():
        other.fusion.mix.weight[:, 64:] = 7.0
    return other.eval()


def test_a_silent_clip_trains_as_without_sound_and_beside_clips_that_have_some() -> None:
    model = tiny_model()
    with torch.no_grad():
        nn.init.normal_(model.fusion.mix.weight[:, 64:], std=0.5)  # type: ignore[union-attr]
    silent = pair_of((LEFT, MOVED), audio=False)
    ours, theirs = losses_of(model, silent), losses_of(without_sound_weights(model), silent)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    mixed = losses_of(model, silent, pair_of((LEFT, MOVED), seed=1))
    assert all(bool(loss.isfinite()) for loss in mixed.values())


def without_sound_weights(model: Afcv) -> Afcv:
    crossvis = without_sound(model)
    return crossvis.train()


@pytest.mark.parametrize(
    "pairs",
    [
        [pair_of((None, None))],
        [pair_of()],
        [pair_of((LEFT, None)), pair_of((None, RIGHT), seed=1)],
        [pair_of((LEFT, LEFT), (RIGHT, RIGHT))],
        [pair_of((LEFT, MOVED)), pair_of(((4, 8, 34, 38), (8, 30, 40, 70)), size=(96, 64), seed=1)],
        [pair_of((LEFT, MOVED)), pair_of((LEFT, MOVED), size=(60, 70), seed=1)],
        [pair_of(((0, 0, 1, 1), (95, 63, 96, 64)))],
    ],
    ids=["empty frames", "no tracks", "nothing shared", "one frame twice", "portrait", "other size", "one pixel"],
)
@pytest.mark.parametrize("crossover", [True, False])
def test_odd_pairs_train(pairs: list[Any], crossover: bool) -> None:
    model = tiny_model(loss=AfcvLossConfig(crossover=crossover))
    losses = losses_of(model, *pairs)
    names = {"class", "box", "centre", "mask", "crossover", "embedding"}
    assert set(losses) == (names if crossover else names - {"crossover"})
    sum(losses.values()).backward()  # type: ignore[union-attr]
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name  # processes that share a model wait for every one
        assert bool(parameter.grad.isfinite().all()), name


def test_landscape_and_portrait_run_apart_and_their_losses_are_joined() -> None:
    wide, tall = pair_of((LEFT, MOVED)), pair_of(((4, 8, 34, 38), (8, 30, 40, 70)), size=(96, 64), seed=1)
    model = tiny_model(audio=False).eval()  # batch norms that do not depend on the group
    both, apart = losses_of(model, wide, tall), [losses_of(model, pair) for pair in (wide, tall)]
    positives = [
        len(pair_targets([pair], cell_grid(pyramid_sizes(size)), size).cell_R)
        for pair, size in ((wide, (64, 96)), (tall, (96, 64)))
    ]
    want = sum(losses["embedding"].item() * n for losses, n in zip(apart, positives, strict=True)) / sum(positives)
    assert both["embedding"].item() == pytest.approx(want, rel=1e-5)


def test_pairs_of_other_sizes_are_padded_with_what_normalised_frames_have_in_the_middle() -> None:
    model = tiny_model()
    seen: list[Tensor] = []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    small, large = pair_of((LEFT, MOVED), size=(60, 70)), pair_of((LEFT, MOVED), size=(90, 120), seed=1)
    losses_of(model, small, large)
    (images,) = seen
    assert images.shape == (4, 3, 96, 128)
    assert not images[:2, :, 60:].any() and not images[:2, :, :, 70:].any() and not images[2:, :, 90:].any()
    pixels = small.frames_T3HW[0, 0, :60, :70].float()
    np.testing.assert_allclose(images[0, 0, :60, :70], (pixels - 123.675) / 58.395, atol=1e-5)


def test_what_is_no_pair_or_has_other_sound_is_said() -> None:
    model = tiny_model()
    wrong = pair_of((LEFT, MOVED), audio_TA=torch.zeros(2, 128))
    with pytest.raises(DataError, match=r"clip pair0: slices of sound of shape \(2, 128\), must be \(2, 64, 64\)"):
        losses_of(model, wrong)
    with pytest.raises(ValueError, match="a pair is needed"):
        losses_of(model, pair_of((LEFT, MOVED), frames_T3HW=torch.zeros(3, 3, 64, 96, dtype=torch.uint8)))
    with pytest.raises(ValueError, match="num_identities"):
        losses_of(tiny_model(num_identities=None), pair_of((LEFT, MOVED)))
    with pytest.raises(ValueError, match="evaluation mode"):
        model.start((64, 96))


def heads_saying(
    *said: tuple[int, int, float, float, tuple[float, ...]], size: tuple[int, int] = (64, 96)
) -> FcosOutput:
    """Heads that are sure of nothing but: cell, class, class logit, centre logit, distances in cells."""
    grid = cell_grid(pyramid_sizes(size))
    cells = len(grid.stride_L)
    heads = FcosOutput(
        grid=grid,
        logits_NLK=torch.full((1, cells, CLASSES), -20.0),
        ltrb_NL4=torch.ones(1, cells, 4),
        centre_NL=torch.zeros(1, cells),
        filters_NLF=torch.zeros(1, cells, 169),
        embed_NLC=torch.arange(cells, dtype=torch.float32)[None, :, None].expand(-1, -1, 3),
    )
    for cell, label, logit, centre, ltrb in said:
        heads.logits_NLK[0, cell, label] = logit
        heads.centre_NL[0, cell] = centre
        heads.ltrb_NL4[0, cell] = torch.tensor(ltrb)
    return heads


SIZES = MaskSizes(padded=(64, 96), network=(64, 96), original=(128, 192))


def test_detections_by_hand() -> None:
    """Cell 13 is (12, 12) on P3, 12 cells a row; cell 96 is the first one of P4, at (8, 8)."""
    heads = heads_saying(
        (13, 2, 2.0, 1.0, (1.0, 1.0, 2.0, 3.0)),
        (96, 0, 3.0, 3.0, (2.0, 0.25, 1.0, 1.0)),
        (40, 1, -1.0, -1.8, (1.0, 1.0, 1.0, 1.0)),  # 0.269 * 0.142 = 0.038: below the threshold
    )
    found = found_objects(heads, SIZES, DetectionOptions())
    assert found.cell_D.tolist() == [96, 13]
    assert found.detections.label_D.tolist() == [0, 2]
    sigmoid = 1 / (1 + np.exp(-np.array([3.0, 3.0, 2.0, 1.0])))
    np.testing.assert_allclose(found.detections.score_D, np.sqrt([sigmoid[0] * sigmoid[1], sigmoid[2] * sigmoid[3]]))
    # twice the size of the network's frame; the first box begins left of the frame
    np.testing.assert_allclose(found.detections.box_D4, [[0, 8, 48, 48], [8, 8, 56, 72]])
    assert found.detections.embed_DC[:, 0].tolist() == [96, 13]


def test_a_cell_may_be_two_classes_and_levels_have_their_own_limit() -> None:
    two = heads_saying((13, 2, 2.0, 2.0, (1.0,) * 4))
    two.logits_NLK[0, 13, 0] = 1.0
    assert found_objects(two, SIZES, DetectionOptions()).detections.label_D.tolist() == [2, 0]
    many = heads_saying(*((cell, 1, 5.0 - cell / 100, 3.0, (0.2,) * 4) for cell in (*range(20), 96, 97)))
    found = found_objects(many, SIZES, DetectionOptions(per_level=3))
    assert found.cell_D.tolist() == [0, 1, 2, 96, 97]
    assert found_objects(many, SIZES, DetectionOptions(per_frame=4)).cell_D.tolist() == [0, 1, 2, 3]


def test_boxes_outside_of_the_frame_are_dropped() -> None:
    """The frame covers 60 of the 64 rows; the box of cell 84 lies in the padding only."""
    sizes = MaskSizes(padded=(64, 96), network=(59, 96), original=(59, 96))
    heads = heads_saying((84, 0, 3.0, 3.0, (0.0, 0.1, 1.0, 1.0)), (13, 0, 2.0, 2.0, (1.0,) * 4))
    assert found_objects(heads, sizes, DetectionOptions()).cell_D.tolist() == [13]


def clip_of(frames: int, size: tuple[int, int] = (60, 90), audio: bool = True) -> TensorClip:
    rng = torch.Generator().manual_seed(5)
    return TensorClip(
        clip_id="clip",
        frames_T3HW=torch.randint(0, 256, (frames, 3, *size), generator=rng, dtype=torch.uint8),
        audio_TA=torch.randn(frames, 64, 64, generator=rng) if audio else None,
        size_hw=(72, 108),
    )


def eager_model() -> Afcv:
    """Random weights that find something in noise."""
    model = tiny_model(seed=2, detection=DetectionOptions(least_score=0.2, per_frame=5))
    with torch.no_grad():
        nn.init.zeros_(model.head.classify.bias)  # type: ignore[arg-type]
        nn.init.normal_(model.head.controller.weight, std=0.2)
        nn.init.constant_(model.head.box.bias, 2.0)  # type: ignore[arg-type]
    return model.eval()


@pytest.mark.parametrize("frames", [1, 4])
def test_tracks_are_the_objects_of_every_frame(frames: int) -> None:
    model, clip = eager_model(), clip_of(frames)
    tracks = model.predict(clip)
    assert tracks and [track.score for track in tracks] == sorted((track.score for track in tracks), reverse=True)
    by_frame = list(watch(model, clip))
    assert len(by_frame) == frames
    for track in tracks:
        assert len(track.masks) == frames and all((mask.height, mask.width) == (72, 108) for mask in track.masks)
        for frame, seen in enumerate(by_frame):
            mine = [thing for thing in seen if thing.identity == track.query]
            want = decode(mine[0].mask) if mine else np.zeros((72, 108), dtype=bool)
            assert len(mine) <= 1 and np.array_equal(decode(track.masks[frame]), want)
    assert any(decode(mask).any() for track in tracks for mask in track.masks)


def test_the_score_of_a_track_is_the_mean_of_its_detections_so_far() -> None:
    frames = [
        heads_saying((13, 2, 2.0, 2.0, (1.0,) * 4)),
        heads_saying(),
        heads_saying((13, 2, 0.0, 1.0, (1.0,) * 4)),
    ]
    ready = iter(frames)
    stream = AfcvStream(lambda frame, audio: (next(ready), torch.zeros(1, 8, 8, 12)), (64, 96), DetectionOptions())
    seen = [stream.step(torch.zeros(3, 64, 96, dtype=torch.uint8), None) for _ in frames]
    first, third = 1 / (1 + np.exp(-2.0)), np.sqrt(0.5 / (1 + np.exp(-1.0)))
    assert [[(thing.identity, thing.label) for thing in things] for things in seen] == [[(0, 2)], [], [(0, 2)]]
    assert seen[0][0].score == pytest.approx(first) and seen[2][0].score == pytest.approx((first + third) / 2)


def test_what_a_stream_remembers_does_not_grow() -> None:
    """Nothing is ever linked, so that every detection starts a track."""
    heads = heads_saying((13, 2, 2.0, 2.0, (1.0,) * 4), (40, 1, 2.0, 2.0, (1.0,) * 4))
    options = DetectionOptions(link=3.0, remembered_tracks=3)
    stream = AfcvStream(lambda frame, audio: (heads, torch.zeros(1, 8, 8, 12)), (64, 96), options)
    frame = torch.zeros(3, 64, 96, dtype=torch.uint8)
    identities = [thing.identity for _ in range(20) for thing in stream.step(frame, None)]
    assert sorted(identities) == list(range(40))
    assert stream._tracker.known == set(stream._scores) == {37, 38, 39}


def test_frames_in_which_nothing_is_found_give_no_track() -> None:
    model = tiny_model().eval()  # says 0.01 everywhere
    assert list(watch(model, clip_of(2))) == [[], []]
    assert model.predict(clip_of(2)) == []


def test_half_precision_trains_and_predicts() -> None:
    model = eager_model().train()
    with torch.autocast("cpu", torch.bfloat16):
        losses = losses_of(model, pair_of((LEFT, MOVED)))
        sum(losses.values()).backward()  # type: ignore[union-attr]
        assert model.eval().predict(clip_of(2))
    assert all(loss.dtype == torch.float32 and bool(loss.isfinite()) for loss in losses.values())


def test_a_stream_does_not_look_ahead() -> None:
    model, clip = eager_model(), clip_of(4)
    whole, part = list(watch(model, clip)), list(watch(model, TensorClip(
        clip_id="part", frames_T3HW=clip.frames_T3HW[:2], audio_TA=clip.audio_TA[:2], size_hw=clip.size_hw  # type: ignore[index]
    )))  # fmt: skip
    assert whole[:2] == part


def test_a_clip_without_sound_is_predicted_as_by_crossvis() -> None:
    model = eager_model()
    crossvis = tiny_model(audio=False, detection=model.config.detection)
    crossvis.load_state_dict(
        {name: value for name, value in model.state_dict().items() if not name.startswith(("sound.", "fusion."))}
    )
    with torch.no_grad():
        model.fusion.mix.weight[:, 64:] = 1.0  # type: ignore[union-attr]
    clip = clip_of(2, audio=False)
    assert model.predict(clip) == crossvis.eval().predict(clip)
    wrong = TensorClip(clip_id="odd", frames_T3HW=clip.frames_T3HW, audio_TA=torch.zeros(2, 128), size_hw=(72, 108))
    with pytest.raises(DataError, match=r"clip odd: slices of sound"):
        model.predict(wrong)


def test_r101_differs_in_its_third_stage_only() -> None:
    with torch.device("meta"):
        r50, r101 = Afcv(AfcvConfig()), Afcv(AfcvConfig(backbone=ResNetSpec(depths=(3, 4, 23, 3))))
    assert count(r101) - count(r50) == 42_394_816 - 23_454_912

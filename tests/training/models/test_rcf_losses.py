"""RCF's objective: matching by dice coefficient and class, the losses against loops, order supervision, odd samples."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from avis_data.training.data.clips import TrainingBatch
from avis_data.training.models.rcf.config import RcfLossConfig
from avis_data.training.models.rcf.losses import match_slots, rcf_losses, slot_costs, stride4_masks
from avis_data.training.models.rcf.network import SlotOutput
from avis_data.training.models.targets import ClipTarget, clip_target
from support.tiny_rcf import AUDIO, CLASSES, sample, tiny_model


def target_of(*boxes: tuple[int, int, int, int], labels: list[int] | None = None, ids: Any = None) -> ClipTarget:
    """Boxes (top, left, bottom, right) in a frame of 32 x 32 pixels."""
    masks = torch.zeros(len(boxes), 1, 32, 32, dtype=torch.bool)
    for mask, (top, left, bottom, right) in zip(masks, boxes, strict=True):
        mask[0, top:bottom, left:right] = True
    tracks = list(range(len(boxes))) if ids is None else ids
    return ClipTarget(
        labels_G=torch.tensor(list(range(len(boxes))) if labels is None else labels, dtype=torch.int64),
        ids_GT=torch.tensor(tracks, dtype=torch.int64)[:, None],
        masks_GTHW=masks,
    )


def logits_of(*probabilities: list[float]) -> torch.Tensor:
    return torch.tensor(probabilities).clamp(min=1e-8).log()


def perfect(mask: torch.Tensor) -> torch.Tensor:
    return torch.where(mask > 0, 12.0, -12.0)


def test_truth_is_taken_at_pixels_2_6_10() -> None:
    found = stride4_masks(target_of((2, 6, 3, 7), (3, 6, 6, 9)))
    assert found.shape == (2, 8, 8)
    assert found.nonzero().tolist() == [[0, 0, 1]]  # the other box holds rows 3 to 5 only


def test_a_perfect_mask_wins_over_a_sure_wrong_class() -> None:
    """Slot 0 is sure of the class and has no mask; slot 1 gives the class one percent and has the mask."""
    target = target_of((4, 4, 28, 28), labels=[2])
    mask = stride4_masks(target)[0]
    logits = logits_of([0.0, 0.0, 0.9, 0.1], [0.6, 0.0, 0.01, 0.39])
    masks = torch.stack([perfect(1 - mask), perfect(mask)])
    cost = slot_costs(logits, masks, target)
    np.testing.assert_allclose(cost[:, 0], [-0.9, -1.01], atol=1e-3)  # minus (dice coefficient + probability)
    assert match_slots(logits[None], masks[None], [target], supervised=1).query_R.tolist() == [1]
    sure = logits_of([0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0])
    half = torch.stack([perfect(1 - mask), torch.where(mask > 0, 0.0, -12.0)])
    assert match_slots(sure[None], half[None], [target], supervised=1).query_R.tolist() == [0]


def dice_by_loop(logits: Any, truth: Any) -> float:
    probability = 1 / (1 + np.exp(-logits))
    return float(1 - 2 * (probability * truth).sum() / ((probability**2).sum() + (truth**2).sum() + 1e-5))


def test_losses_equal_loops() -> None:
    rng = torch.Generator().manual_seed(0)
    targets = [target_of((0, 0, 16, 16), (16, 8, 30, 30)), target_of((8, 8, 24, 24), labels=[3])]
    output = SlotOutput(
        logits_LBQK=torch.randn(2, 2, 3, 5, generator=rng), masks_LBQHW=torch.randn(2, 2, 3, 8, 8, generator=rng)
    )
    found = rcf_losses(output, targets, RcfLossConfig(no_object_weight=0.1), supervised=1)
    assert sorted(found) == ["0.class", "0.dice", "1.class", "1.dice"]
    for layer in range(2):
        logits, masks = output.logits_LBQK[layer], output.masks_LBQHW[layer]
        matches = match_slots(logits, masks, targets, supervised=1)
        pairs = list(zip(matches.entry_R.tolist(), matches.query_R.tolist(), matches.target_R.tolist(), strict=True))
        assert len(pairs) == 3
        classes = {(frame, slot): int(targets[frame].labels_G[place]) for frame, slot, place in pairs}
        total, weight, dice = 0.0, 0.0, 0.0
        for frame in range(2):
            for slot in range(3):
                label = classes.get((frame, slot), 4)
                share = 0.1 if label == 4 else 1.0
                log = logits[frame, slot] - logits[frame, slot].logsumexp(0)
                total, weight = total - share * float(log[label]), weight + share
        for frame, slot, place in pairs:
            truth = targets[frame].masks_GTHW[place, 0, 2::4, 2::4].numpy().astype(float)
            dice += dice_by_loop(masks[frame, slot].numpy(), truth)
        ratio = found[f"{layer}.class"]
        assert float(ratio.numerator / ratio.denominator) == pytest.approx(total / weight, rel=1e-5)
        ratio = found[f"{layer}.dice"]
        assert float(ratio.numerator / ratio.denominator) == pytest.approx(dice / 3, rel=1e-5)


def test_of_more_objects_than_slots_as_many_are_matched() -> None:
    batch = TrainingBatch(clips=(sample(tracks=7, size=(64, 128)),))
    model = tiny_model(queries=5)
    losses = model(batch)
    torch.stack(list(losses.values())).sum().backward()
    assert all(torch.isfinite(loss) for loss in losses.values())
    targets = [target_of(*[(4 * k, 0, 4 * k + 4, 32) for k in range(7)], labels=[0] * 7)]
    matches = match_slots(torch.randn(1, 5, 5), torch.randn(1, 5, 8, 8), targets, supervised=1)
    assert sorted(matches.query_R.tolist()) == [0, 1, 2, 3, 4] and len(set(matches.target_R.tolist())) == 5


def test_an_empty_frame_teaches_that_nothing_is_there() -> None:
    model = tiny_model(audio=True)
    losses = model(TrainingBatch(clips=(sample(tracks=0, audio=True),)))
    assert (
        all(float(losses[f"{layer}.dice"].detach()) == 0 for layer in range(2))
        and float(losses["1.class"].detach()) > 0
    )
    torch.stack(list(losses.values())).sum().backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not without  # every process of several has the same gradients to share
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters() if parameter.grad is not None)


def test_a_frame_with_one_object_and_one_without_train_together_with_sound_and_without() -> None:
    clips = (sample(0, tracks=1, audio=True), sample(1, tracks=0, size=(40, 100)), sample(2, tracks=3, size=(96, 64)))
    losses = tiny_model(audio=True)(TrainingBatch(clips=clips))
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_a_class_loss_counts_frames_of_other_clips_of_the_batch() -> None:
    """The class loss is a weighted mean over all slots of all frames, not a mean of means."""
    model = tiny_model().eval()
    model.train()
    clips = (sample(0, tracks=2), sample(1, tracks=0))
    one, other = (model(TrainingBatch(clips=(clip,))) for clip in clips)
    both = model(TrainingBatch(clips=clips))
    weights = [2 + 0.1 * 3, 0.1 * 5]
    mean = (weights[0] * one["1.class"] + weights[1] * other["1.class"]) / sum(weights)
    assert float(both["1.class"].detach()) == pytest.approx(float(mean), rel=1e-4)
    assert float(both["1.dice"]) == pytest.approx(float(one["1.dice"]), rel=1e-4)


def test_order_supervision_keeps_the_slots_of_the_frame_before() -> None:
    """Track 7 was in slot 2; in the next frame slot 0 fits it perfectly, but slot 2 has to learn it."""
    before = target_of((0, 0, 16, 16), labels=[1], ids=[7])
    after = target_of((0, 0, 16, 16), (16, 16, 32, 32), labels=[1, 0], ids=[7, 3])
    mask = stride4_masks(after)
    nothing = torch.full((8, 8), -12.0)
    masks = torch.stack(
        [torch.stack([nothing, nothing, perfect(mask[0])]), torch.stack([perfect(mask[0]), nothing, perfect(mask[1])])]
    )
    logits = torch.zeros(2, 3, 4)
    ordered = match_slots(logits, masks, [before, after], supervised=2)
    rows = zip(ordered.entry_R.tolist(), ordered.query_R.tolist(), ordered.target_R.tolist(), strict=True)
    found = {(frame, place): slot for frame, slot, place in rows}
    assert found[(0, 0)] == 2 and found[(1, 0)] == 2 and found[(1, 1)] in (0, 1)
    free = match_slots(logits, masks, [before, after], supervised=1)
    rows = zip(free.entry_R.tolist(), free.query_R.tolist(), free.target_R.tolist(), strict=True)
    assert {(frame, place): slot for frame, slot, place in rows} == {(0, 0): 2, (1, 0): 0, (1, 1): 2}


def test_order_supervision_learns_from_both_frames() -> None:
    model = tiny_model(references=1, order_supervision=True)
    clip = sample(frames=3, tracks=2)
    masks = clip.masks_NTHW.clone()
    masks[:, 2] = False
    both, first = (model(TrainingBatch(clips=(replace(clip, masks_NTHW=m),))) for m in (clip.masks_NTHW, masks))
    assert float(both["1.class"]) != float(first["1.class"])
    with pytest.raises(ValueError, match="2 frames, 3 are needed"):
        model(TrainingBatch(clips=(sample(frames=2),)))


def test_target_of_a_sample_is_its_last_frame() -> None:
    clip = sample(frames=2, tracks=2)
    masks = clip.masks_NTHW.clone()
    masks[1, 1] = False
    model = tiny_model(references=1)
    target = model._target(replace(clip, masks_NTHW=masks), 1, (64, 96))
    wanted = clip_target(clip.labels_N[:1], masks[:1, 1:], padded_size=(64, 96), num_classes=CLASSES)
    assert torch.equal(target.labels_G, wanted.labels_G) and torch.equal(target.masks_GTHW, wanted.masks_GTHW)


def test_audio_of_another_width_is_refused() -> None:
    from avis_data.errors import DataError

    wrong = replace(sample(), audio_TA=torch.rand(2, AUDIO + 3))
    with pytest.raises(DataError, match=rf"clip0: audio features of shape \(2, {AUDIO + 3}\), must be \(2, {AUDIO}\)"):
        tiny_model(audio=True)(TrainingBatch(clips=(wrong,)))

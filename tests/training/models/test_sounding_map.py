"""The sounding map: of two things that look alike, the maps say which one is heard, by where it is heard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from avis_data.features.logmel import NUM_BANDS
from avis_data.training.data.audio_summary import PANORAMA_PLACES
from avis_data.training.data.clips import TrainingBatch
from avis_data.training.models.avism.config import AvismLossConfig
from avis_data.training.models.avism.sounding import Panorama, SoundingMap, map_loss
from avis_data.training.models.positions import sine_position
from support.tiny_avism import learnt, tiny_model, training_clip

HEIGHT, WIDTH, CHANNELS = 4, 8, 16


def twins(seed: int, number: int = 64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Keys of maps with two things that look alike, one in each half; what is heard: a level from the left, and the
    kind of thing; and where it sounds (N, S)."""
    generator = torch.Generator().manual_seed(seed)
    maps, truth = torch.zeros(number, HEIGHT, WIDTH, CHANNELS), torch.zeros(number, HEIGHT, WIDTH)
    heard = torch.zeros(number, 4)
    for index in range(number):
        left, right, row, kind, side = (
            int(torch.randint(most, (1,), generator=generator)) for most in (WIDTH // 2, WIDTH // 2, HEIGHT, 3, 2)
        )
        columns = (left, WIDTH // 2 + right)
        for column in columns:
            maps[index, row, column, kind] = 3.0
        truth[index, row, columns[side]] = 1
        heard[index, 0] = 1.0 - 2.0 * columns[side] / (WIDTH - 1)
        heard[index, 1 + kind] = 1
    return maps.flatten(1, 2) + sine_position(HEIGHT, WIDTH, CHANNELS), heard, truth.flatten(1)


def trained(told: SoundingMap, heard_of: Callable[[torch.Tensor], torch.Tensor]) -> SoundingMap:
    """After 300 steps; `heard_of` makes what it hears of what `twins` say is heard."""
    optimiser = torch.optim.AdamW(told.parameters(), lr=1e-2)
    for step in range(300):
        keys, heard, truth = twins(step)
        _, logits = told(heard_of(heard), keys, (HEIGHT, WIDTH))
        optimiser.zero_grad()
        functional.binary_cross_entropy_with_logits(logits, truth).backward()
        optimiser.step()
    return told


def found(told: SoundingMap, keys: torch.Tensor, heard: torch.Tensor, truth: torch.Tensor) -> float:
    """In how many maps the cell that is most likely to sound is the one that does."""
    with torch.no_grad():
        _, logits = told(heard, keys, (HEIGHT, WIDTH))
    return float((logits.argmax(1) == truth.argmax(1)).float().mean())


def test_of_two_things_that_look_alike_the_one_that_is_heard_is_marked() -> None:
    torch.manual_seed(0)
    told = trained(SoundingMap(CHANNELS, 4, 4), lambda heard: heard)
    keys, heard, truth = twins(10_000, 256)
    swapped = heard * torch.tensor([-1.0, 1, 1, 1])
    assert found(told, keys, heard, truth) > 0.9
    assert found(told, keys, swapped, truth) < 0.35, "it hears from the other side"


def panorama_of(heard: torch.Tensor) -> torch.Tensor:
    """The same from a panorama: nothing else says from where it is heard."""
    vector = torch.zeros(len(heard), 6 * NUM_BANDS)
    vector[:, :3] = heard[:, 1:]
    place = ((1 - heard[:, 0]) / 2 * (PANORAMA_PLACES - 1)).round().long()
    vector[torch.arange(len(heard)), 5 * NUM_BANDS + PANORAMA_PLACES + place] = 1
    return vector


def test_a_panorama_says_which_of_them_it_is() -> None:
    torch.manual_seed(0)
    told = trained(SoundingMap(CHANNELS, 4, 6 * NUM_BANDS, panorama=True), panorama_of)
    keys, heard, truth = twins(10_000, 256)
    swapped = heard * torch.tensor([-1.0, 1, 1, 1])
    assert found(told, keys, panorama_of(heard), truth) > 0.95
    assert found(told, keys, panorama_of(swapped), truth) < 0.35, "it hears from the other side"


def test_a_panorama_of_other_sound_is_refused() -> None:
    with pytest.raises(ValueError, match=r"data\.audio=panorama.*\(found 1280\)"):
        tiny_model(sounding_map=True, panorama=True, audio_channels=1280, audio_tokens=4)


def test_a_panorama_is_for_a_map() -> None:
    with pytest.raises(ValueError, match=r"is for model\.sounding_map or model\.sounding_pixels, and there is neither"):
        tiny_model(panorama=True, audio_channels=1536, audio_tokens=4)


@pytest.mark.parametrize("shown", [1.0, 0.75])
def test_a_panorama_lies_on_the_picture_and_not_on_its_padding(shown: float) -> None:
    """Of 32 columns: place 31 is the last of the picture, and the padding is told what its edge is told."""
    torch.manual_seed(0)
    told = Panorama(CHANNELS, 6 * NUM_BANDS)
    vector = torch.rand(1, 6 * NUM_BANDS)
    with torch.no_grad():
        whole, part = told(vector, 32, 1.0)[0], told(vector, 32, shown)[0]
    last = int(32 * shown) - 1
    between = 0.5 / shown - 0.5
    torch.testing.assert_close(part[0], torch.lerp(whole[0], whole[1], between))
    torch.testing.assert_close(part[last + 1 :], whole[31:].expand(31 - last, -1))
    torch.testing.assert_close(part[last], torch.lerp(whole[30], whole[31], 1 - between))


def test_the_map_of_which_masks_are_made_is_told_where_it_sounds() -> None:
    """The same picture with another sound has another map, and the loss reaches what tells it."""
    model = tiny_model(sounding_pixels=True).train()
    clip = training_clip(3, frames=2)
    assert clip.audio_TA is not None
    with torch.no_grad():
        loud, _ = model.heard_maps(clip.frames_T3HW, clip.audio_TA)
        quiet, (logits,) = model.heard_maps(clip.frames_T3HW, torch.zeros_like(clip.audio_TA))
    torch.testing.assert_close(loud.scales[2], quiet.scales[2])
    assert float((loud.fpn_NChw - quiet.fpn_NChw).abs().max()) > 1e-3
    assert logits.shape == (2, *loud.fpn_NChw.shape[2:])
    losses = learnt(model, TrainingBatch(clips=(clip, training_clip(4, frames=2, tracks=0))), "map")
    assert losses[-1] < 0.3 * losses[0]
    assert model.sounding_pixels is not None
    gradient = model.sounding_pixels.written.weight.grad
    assert gradient is not None and float(gradient.abs().sum()) > 0


def test_the_loss_is_cross_entropy_against_the_share_of_each_cell_that_sounds() -> None:
    logits = torch.randn(2, 2, 3, generator=torch.Generator().manual_seed(0))
    sounding = torch.zeros(2, 8, 12)
    sounding[0, :2, :4] = 1  # half of the first cell
    sounding[1] = 1
    share = torch.tensor([[[0.5, 0, 0], [0, 0, 0]], [[1, 1, 1], [1, 1, 1]]])
    loss = map_loss(logits, sounding)
    wanted = functional.binary_cross_entropy_with_logits(logits, share)
    assert float(loss.numerator / loss.denominator) == pytest.approx(float(wanted), rel=1e-6)


def test_a_model_learns_where_it_sounds_and_its_queries_are_told() -> None:
    model = tiny_model(sounding_map=True, loss=AvismLossConfig(points=256)).train()
    batch = TrainingBatch(clips=(training_clip(3, frames=2), training_clip(4, frames=2, tracks=0)))
    losses = learnt(model, batch, "map")
    assert losses[-1] < 0.3 * losses[0]
    written = model.frame_decoder.sounding_map.written  # type: ignore[union-attr]  # it has one
    assert written.weight.grad is not None and float(written.weight.grad.abs().sum()) > 0
    with torch.no_grad():
        silent = tuple(replace(clip, audio_TA=torch.zeros_like(clip.audio_TA)) for clip in batch.clips)  # type: ignore[arg-type]  # they have sound
        changed = model(TrainingBatch(clips=silent))
        assert abs(float(changed["map.2.map"]) - float(model(batch)["map.2.map"])) > 1e-3


def test_a_model_that_does_not_hear_in_its_frames_has_no_map() -> None:
    model = tiny_model(sounding_map=True, sounding_pixels=True, frame_fusion=False)
    assert model.frame_decoder.sounding_map is None and model.sounding_pixels is None
    assert not [name for name in model.train()(TrainingBatch(clips=(training_clip(3),))) if "map" in name]


@pytest.mark.parametrize("tokens", [1, 4])
def test_a_panorama_does_not_ask_how_many_tokens_the_fusions_hear(tokens: int) -> None:
    model = tiny_model(sounding_pixels=True, panorama=True, audio_channels=1536, audio_tokens=tokens)
    assert model.sounding_pixels is not None and model.sounding_pixels.panorama is not None
    assert model.sounding_pixels.panorama.parts == 4

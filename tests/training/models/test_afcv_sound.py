"""Slices of a clip's sound, and how they are mixed into the maps of a frame."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from avis_data.errors import DataError
from avis_data.features.logmel import log_mel
from avis_data.training.data.audio_slices import log_mel_moments, read_slices, slice_bounds
from avis_data.training.data.audio_sound import read_sound
from avis_data.training.models.afcv.sound import SoundEncoder, SoundFusion
from support.tiny_afcv import tiny_config


@pytest.mark.parametrize(("columns", "frames"), [(500, 30), (498, 5), (7, 7), (1, 1), (97, 13)])
def test_slices_cover_all_columns_once_and_differ_by_one_at_most(columns: int, frames: int) -> None:
    bounds = slice_bounds(columns, frames)
    assert len(bounds) == frames and bounds[0][0] == 0 and bounds[-1][1] == columns
    assert all(before[1] == after[0] for before, after in pairwise(bounds))
    lengths = {last - first for first, last in bounds}
    assert max(lengths) - min(lengths) <= 1
    if (columns, frames) == (500, 30):
        assert lengths == {16, 17}


def test_more_frames_than_columns_repeat_the_one_at_their_moment() -> None:
    assert slice_bounds(2, 5) == [(0, 1), (0, 1), (0, 1), (1, 2), (1, 2)]


def write_sound(path: Path, samples: np.ndarray, rate: int = 16_000) -> Path:
    soundfile.write(path, samples, rate, subtype="FLOAT")
    return path


def test_a_slice_is_its_part_of_the_spectrogram_stretched(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).normal(scale=0.1, size=16_000 * 3).astype(np.float32)
    path = write_sound(tmp_path / "a.wav", samples)
    columns = log_mel(samples)
    assert len(columns) == 298
    got = read_slices(path, [2, 0], 3)
    assert got.shape == (2, 64, 64) and got.dtype == np.float32
    part = columns[298 * 2 // 3 :]
    at = np.clip((np.arange(64) + 0.5) * len(part) / 64 - 0.5, 0, len(part) - 1)
    want = np.stack([np.interp(at, np.arange(len(part)), band) for band in part.T])
    np.testing.assert_allclose(got[0], want, atol=1e-4)
    np.testing.assert_array_equal(got[1], read_slices(path, [0], 3)[0])


def test_a_tone_that_starts_late_is_heard_in_the_later_slices_only(tmp_path: Path) -> None:
    time = np.arange(16_000 * 4) / 16_000
    samples = (0.5 * np.sin(2 * np.pi * 1000 * time) * (time >= 2)).astype(np.float32)
    slices = read_slices(write_sound(tmp_path / "a.wav", samples), range(4), 4)
    silence = np.log(0.01)
    np.testing.assert_allclose(slices[:1], silence, atol=1e-5)
    assert np.median(slices[2:, 19]) > 0  # 1 kHz is band 19
    np.testing.assert_allclose(slices[1, :, :48], silence, atol=1e-5)


def test_other_rates_and_channels_are_brought_to_16_khz_mono(tmp_path: Path) -> None:
    time = np.arange(32_000) / 32_000
    tone = (0.5 * np.sin(2 * np.pi * 1000 * time)).astype(np.float32)
    stereo = np.stack((tone, np.zeros_like(tone)), axis=1)
    got = read_slices(write_sound(tmp_path / "a.wav", stereo, 32_000), [0], 1)
    assert int(got[0].mean(axis=1).argmax()) == 19


def test_what_cannot_be_sliced_is_said(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(DataError, match=r"text\.wav: cannot be read as sound"):
        read_slices(tmp_path / "text.wav", [0], 1)
    short = write_sound(tmp_path / "short.wav", np.zeros(399, dtype=np.float32))
    with pytest.raises(DataError, match="less than 25 ms"):
        read_slices(short, [0], 1)
    with pytest.raises(DataError, match="no clip has any sound"):
        log_mel_moments([short])


def test_the_moments_of_recordings_are_those_of_all_their_values(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sounds = [rng.normal(scale=scale, size=length).astype(np.float32) for scale, length in ((0.1, 9000), (0.01, 17000))]
    paths = [write_sound(tmp_path / f"{number}.wav", samples) for number, samples in enumerate(sounds)]
    values = np.concatenate([log_mel(samples).ravel() for samples in sounds])
    np.testing.assert_allclose(log_mel_moments(paths), (values.mean(), values.std()), rtol=1e-5)


def test_the_fusion_starts_as_if_there_were_no_sound() -> None:
    torch.manual_seed(0)
    fusion = SoundFusion(32)
    maps = [torch.randn(2, 32, 5, 7), torch.randn(2, 32, 3, 4)]
    mixed = fusion(maps, 100 * torch.randn(2, 32))
    assert all(torch.equal(a, b) for a, b in zip(mixed, maps, strict=True))
    with torch.no_grad():
        fusion.mix.weight[:, 32:] = 0.5
    heard = torch.randn(2, 32)
    mixed = fusion(maps, heard)
    np.testing.assert_allclose(
        mixed[1].detach().numpy(), (maps[1] + 0.5 * heard.sum(1)[:, None, None, None]).numpy(), atol=1e-5
    )


def test_frames_without_sound_give_zeros_whatever_is_stored_there() -> None:
    torch.manual_seed(0)
    config = tiny_config()
    encoder = SoundEncoder(config.audio_backbone, 32, mean=-2.0, deviation=1.5).eval()
    slices = torch.randn(3, 64, 64)
    slices[1] = torch.nan
    heard = encoder(slices, torch.tensor([True, False, True]))
    assert heard.shape == (3, 32)
    assert not heard[1].any() and heard[0].any() and heard[2].any()
    everything = encoder(torch.nan_to_num(slices), torch.tensor([True, True, True]))
    assert everything[1].any()  # the layers have biases: zeroed after them
    torch.testing.assert_close(everything[[0, 2]], heard[[0, 2]])


@pytest.mark.parametrize("frames", [[0], [3, 1], [6, 0]])
def test_slices_of_a_long_file_are_those_of_the_whole(frames: list[int], tmp_path: Path) -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, 16_000 * 7 + 123).astype(np.float32)
    path = write_sound(tmp_path / "a.wav", samples)
    picture_FM = log_mel(read_sound(path))
    bounds = slice_bounds(len(picture_FM), 7)
    got = read_slices(path, frames, 7)
    for place, frame in enumerate(frames):
        first, last = bounds[frame]
        whole = torch.from_numpy(np.ascontiguousarray(picture_FM[first:last].T))[None, None]
        expected = torch.nn.functional.interpolate(whole, size=(64, 64), mode="bilinear")[0, 0].numpy()
        np.testing.assert_allclose(got[place], expected, atol=1e-5)

"""The reader: what a sample is, augmentation that keeps frames and masks together, and every error of the data."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from avis_data.errors import ConfigError, DataError, ProblemsError
from avis_data.formats.ytvis import read_ytvis, ytvis_json
from avis_data.io import write_json
from avis_data.masks.rle import decode
from avis_data.training.config import load_config
from avis_data.training.data.audio_features import AudioFeatures
from avis_data.training.data.audio_summary import log_mel_summary
from avis_data.training.data.augment import AugmentConfig, change_mask, change_picture, draw_changes, resized
from avis_data.training.data.loading import DataConfig, TrainingSamples
from avis_data.training.data.sampling import AroundAFrame, ClipOrder, SampleNumbers, sample_frames
from avis_data.training.data.source import SplitClipSource
from avis_data.training.data.split import open_split
from avis_data.training.run.train import train_baseline
from support.tiny_training import TINY, in_process, one_a_second, started, tiny_config

VGGISH, LOGMEL = AudioFeatures("vggish"), AudioFeatures("logmel")


def edit_truth(export: Path, split: str, change: Any) -> None:
    path = export / f"{split}.json"
    truth = json.loads(path.read_text())
    change(truth)
    path.write_text(json.dumps(truth))


def test_a_clip_as_it_is_predicted(world_export: Path) -> None:
    split = open_split(world_export, "val", num_classes=26, audio=VGGISH)
    clip = split.clips[0]
    source = SplitClipSource(split, clip, short=64, long=1000)
    assert (source.num_frames, source.size_hw) == (4, (64, 96))
    folder = world_export / "val"
    wanted = np.stack([np.asarray(Image.open(folder / "JPEGImages" / clip.clip_id / f"{t}.jpg")) for t in (1, 2)])
    assert np.array_equal(source.frames(1, 3).numpy(), wanted.transpose(0, 3, 1, 2))
    features = np.load(folder / "FEATAudios" / f"{clip.clip_id}.npy")
    assert source.audio_TA is not None and np.array_equal(source.audio_TA.numpy(), features)


def test_a_sample_without_augmentation_is_the_files(world_export: Path) -> None:
    augment = AugmentConfig(crop_probability=0, short=(64,), long=1000, flip_probability=0)
    split = open_split(world_export, "train", num_classes=26, audio=VGGISH)
    sample = TrainingSamples(split, DataConfig(augment=augment), 0, AroundAFrame(count=3, reach=20)).sample(0)
    truth = read_ytvis(world_export / "train.json")
    video = next(video for video in truth.videos if video.name == sample.clip_id)
    frames = sorted(
        t for t in range(4) for row in sample.audio_TA.numpy()  # type: ignore[union-attr]
        if np.array_equal(row, np.load(world_export / "train" / "FEATAudios" / f"{video.name}.npy")[t])
    )  # fmt: skip
    assert len(frames) == 3
    stills = [Image.open(world_export / "train" / "JPEGImages" / video.file_names[t]) for t in frames]
    assert np.array_equal(sample.frames_T3HW.numpy(), np.stack(stills).transpose(0, 3, 1, 2))
    empty = np.zeros((64, 96), dtype=bool)
    expected = [
        (track.category_id - 1, [empty if (mask := track.masks[t]) is None else decode(mask) for t in frames])
        for track in truth.tracks
        if track.video_id == video.video_id and any(track.masks[t] for t in frames)
    ]
    assert sample.labels_N.tolist() == [label for label, _ in expected]
    assert np.array_equal(sample.masks_NTHW.numpy(), np.array([masks for _, masks in expected]))


def test_samples_depend_on_their_number_only(world_export: Path) -> None:
    split = open_split(world_export, "train", num_classes=26, audio=LOGMEL)
    one, other = (TrainingSamples(split, DataConfig(), 3, AroundAFrame(count=5, reach=20)) for _ in range(2))
    other.sample(7)
    a, b, c = one.sample(4), other.sample(4), one.sample(5)
    assert a.clip_id == b.clip_id and a.seed == b.seed != c.seed
    assert np.array_equal(a.frames_T3HW.numpy(), b.frames_T3HW.numpy())


@pytest.mark.parametrize("seed", range(6))
def test_frames_and_masks_are_changed_alike(seed: int) -> None:
    """A picture that is its own mask: after any change, bright pixels are the mask's, but for the soft border."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((180, 320), dtype=bool)
    mask[40:150, 60:230] = True
    picture = Image.fromarray(np.repeat(mask[:, :, None].astype(np.uint8) * 255, 3, axis=2))
    config = AugmentConfig(crop_size=(100, 160), crop_short=(170, 200), short=(90, 130), long=200)
    changes = draw_changes((180, 320), 5, config, rng)
    assert len({change.after for change in changes}) == len({change.flip for change in changes}) == 1
    for change in changes:
        pixels, moved = change_picture(picture, change), change_mask(mask, change)
        assert pixels.shape == (*change.after, 3) == (*moved.shape, 3)
        assert ((pixels[:, :, 0] > 127) != moved).mean() < 0.03


def test_crops_drift_within_the_picture() -> None:
    config = AugmentConfig(crop_probability=1.0, crop_short=(100,), crop_size=(40, 60))
    windows = [draw_changes((100, 200), 5, config, np.random.default_rng(seed)) for seed in range(200)]
    for changes in windows:
        tops, lefts, heights, widths = zip(*(change.window for change in changes), strict=True)
        assert len(set(heights)) == len(set(widths)) == 1 and 40 <= heights[0] <= 60 and 40 <= widths[0] <= 60
        assert all(0 <= top <= 100 - heights[0] for top in tops) and all(0 <= x <= 200 - widths[0] for x in lefts)
        assert list(tops) in (sorted(tops), sorted(tops, reverse=True))
    assert len({change.window for changes in windows for change in changes}) > 500


@pytest.mark.parametrize(
    ("size", "short", "long", "expected"),
    [
        ((720, 1280), 360, 1333, (360, 640)),
        ((720, 1280), 512, 768, (432, 768)),  # the long side limits
        ((1280, 720), 288, 768, (512, 288)),
        ((333, 500), 480, 768, (480, 721)),  # 720.7 is rounded
    ],
)
def test_sizes_follow_the_published_rounding(
    size: tuple[int, int], short: int, long: int, expected: tuple[int, int]
) -> None:
    assert resized(size, short=short, long=long) == expected


def test_frames_lie_around_their_reference() -> None:
    rng = np.random.default_rng(0)
    drawn = [sample_frames(100, 5, reach=20, rng=rng) for _ in range(3000)]
    assert all(frames == sorted(frames) and frames[-1] - frames[0] <= 40 for frames in drawn)
    counts = Counter(frame for frames in drawn for frame in frames)
    assert set(counts) == set(range(100))
    repeated = np.mean([len(set(frames)) < 5 for frames in drawn])
    assert 0.12 < repeated < 0.22  # about 18 % of clips repeat a frame (specification of AVISM, 4.1)
    assert sample_frames(1, 5, reach=20, rng=rng) == [0] * 5


def test_every_clip_comes_once_a_round() -> None:
    order = ClipOrder(7, seed=1)
    rounds = [[order.clip_of(7 * turn + place) for place in range(7)] for turn in range(4)]
    assert all(sorted(clips) == list(range(7)) for clips in rounds) and len({tuple(clips) for clips in rounds}) > 1
    assert ClipOrder(7, seed=1).clip_of(23) == rounds[3][2]


def test_processes_share_the_samples_of_one() -> None:
    def numbers(rank: int, world_size: int, per_process: int, first: int = 0) -> list[list[int]]:
        return list(
            SampleNumbers(
                first_iteration=first, iterations=3, accumulate=2, per_process=per_process, rank=rank,
                world_size=world_size,
            )
        )  # fmt: skip

    alone = numbers(0, 1, 4)
    shared = [sorted(a + b) for a, b in zip(numbers(0, 2, 2), numbers(1, 2, 2), strict=True)]
    assert alone == shared and [n for part in alone for n in part] == list(range(24))
    assert numbers(0, 1, 4, first=2) == alone[4:]


def test_log_mel_tells_a_tone_from_silence_and_from_another_tone() -> None:
    time_s = np.arange(16000, dtype=np.float32) / 16000
    low, high = (0.3 * np.sin(2 * np.pi * f * time_s).astype(np.float32) for f in (300.0, 3000.0))
    silence = log_mel_summary(np.zeros(16000, dtype=np.float32))
    assert np.abs(silence).max() < 1e-5
    assert log_mel_summary(low)[:64].argmax() < log_mel_summary(high)[:64].argmax()
    assert log_mel_summary(low).min() >= 0 and log_mel_summary(low).max() < 10


def test_log_mel_of_other_rates_and_of_short_sound(tmp_path: Path) -> None:
    """440 Hz, then 1500 Hz, in stereo at 44.1 kHz and in mono at 16 kHz."""
    for name, rate, channels in (("a", 44_100, 2), ("b", 16_000, 1)):
        time_s = np.arange(2 * rate) / rate
        tones = 0.3 * np.sin(2 * np.pi * np.where(time_s < 1, 440, 1500) * time_s)
        soundfile.write(tmp_path / f"{name}.wav", np.stack([tones] * channels, axis=1), rate, subtype="PCM_16")
    found = LOGMEL.read(tmp_path / "a.wav", [1, 0, 2], one_a_second(3))
    assert found[0, :64].argmax() > found[1, :64].argmax()
    assert not found[2].any()  # after the end
    np.testing.assert_allclose(found[:2], LOGMEL.read(tmp_path / "b.wav", [1, 0], one_a_second(2)), atol=0.1)
    assert LOGMEL.problem(tmp_path / "a.wav", one_a_second(3)) is None
    assert "2.0 s of sound for 9 frames" in str(LOGMEL.problem(tmp_path / "a.wav", one_a_second(9)))


def test_a_wrong_layout_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = in_process(capsys, "train-baseline", "--data", tmp_path, "--config", "avism_tiny", "--out", tmp_path / "run")
    assert ran.code == 3 and "there is no train.json" in ran.err and "avis-data export" in ran.err
    assert not (tmp_path / "run").exists()


def test_a_folder_without_stills_is_told(export_copy: Path) -> None:
    (export_copy / "val" / "JPEGImages").rename(export_copy / "val" / "elsewhere")
    with pytest.raises(DataError, match="no folder JPEGImages"):
        open_split(export_copy, "val", num_classes=26, audio=None)


def test_missing_stills_are_all_told(export_copy: Path) -> None:
    for path in sorted((export_copy / "train" / "JPEGImages").glob("*/2.jpg")):
        path.unlink()
    with pytest.raises(ProblemsError) as caught:
        open_split(export_copy, "train", num_classes=26, audio=None)
    assert len(caught.value.problems) == 2 and "/2.jpg" in str(caught.value)


def test_missing_features_name_the_command_that_makes_them(
    export_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (export_copy / "train" / "FEATAudios").iterdir():
        path.unlink()
    ran = in_process(
        capsys, "train-baseline", "--data", export_copy, "--out", tmp_path / "run", "--set", "data.workers=0"
    )
    assert ran.code == 3 and "no such file" in ran.err and "avis-data embed" in ran.err


def test_a_model_that_needs_sound_is_not_told_to_do_without(export_copy: Path, tmp_path: Path) -> None:
    (export_copy / "train" / "WAVAudios" / sorted(os.listdir(export_copy / "train" / "WAVAudios"))[0]).unlink()
    for name, can in (("avism_tiny", False), ("rcf_tiny", True)):
        with pytest.raises(ProblemsError, match=r"the audio of 1 clip\(s\) cannot be used") as caught:
            train_baseline(export_copy, load_config(name), tmp_path / "run", device_name="cpu")
        assert "no such file" in str(caught.value)
        assert ("data.audio_optional=true" in str(caught.value)) == can


def test_features_of_another_length_are_told(export_copy: Path) -> None:
    path = next((export_copy / "train" / "FEATAudios").iterdir())
    np.save(path, np.zeros((5, 128), dtype=np.float32))
    with pytest.raises(ProblemsError, match=r"5 rows, the clip has 4 frames"):
        open_split(export_copy, "train", num_classes=26, audio=VGGISH)
    np.save(path, np.zeros((4, 64), dtype=np.float32))
    with pytest.raises(ProblemsError, match=r"must be float \(T, 128\)"):
        open_split(export_copy, "train", num_classes=26, audio=VGGISH)


def test_category_ids_outside_of_the_config_are_told(
    export_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = in_process(
        capsys, "train-baseline", "--data", export_copy, "--config", "avism_tiny", "--out", tmp_path / "run",
        "--set", "model.num_classes=20",
    )  # fmt: skip
    assert ran.code == 3 and "21, 22, 23, 24, 25, 26 are outside" in ran.err and "model.num_classes=26" in ran.err


def test_a_torn_still_ends_training_with_its_name(export_copy: Path, tmp_path: Path) -> None:
    for path in (export_copy / "train" / "JPEGImages").rglob("*.jpg"):
        path.write_bytes(path.read_bytes()[:200])
    before = set(multiprocessing.active_children())  # of other tests
    for workers in (0, 1):
        trainer = started(tiny_config(f"data.workers={workers}"), export_copy, tmp_path / str(workers))
        with pytest.raises(DataError, match=r"\.jpg: no picture") as caught:
            trainer.run()
        assert "Traceback" not in str(caught.value)
        assert not set(multiprocessing.active_children()) - before, "Python would wait for them at its end"


def test_clips_without_masks_are_not_trained_on(export_copy: Path, tmp_path: Path) -> None:
    edit_truth(export_copy, "train", lambda truth: truth.update(annotations=[]))
    with pytest.raises(DataError, match="nothing to learn from"):
        started(tiny_config(), export_copy, tmp_path / "run")


def test_iterations_are_not_asked_for_in_vain(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"loop.rounds is 6, so loop.iterations=100 would not count") as caught:
        load_config("afcv_r50", ["loop.iterations=100"])
    assert caught.value.hint == "--set loop.rounds=null"
    assert load_config("afcv_r50", ["loop.iterations=100", "loop.rounds=null"]).loop.iterations == 100
    assert load_config("crossvis_r50", ["loop.rounds=6"]).loop.rounds == 6  # over the iterations of the file
    both = tmp_path / "both.yaml"
    both.write_text("model_name: rcf\nloop: {rounds: 2, iterations: 9}\n")
    with pytest.raises(ConfigError, match=r"loop.rounds is 2, so loop.iterations=9"):
        load_config(both)


def test_bad_keys_are_all_told(world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = ("model.windw=3", "model.backbone.depth=3", "data.batch=many", "loop.iterations=0", "optimizer.rate=1")
    options = [part for setting in [*TINY, *bad] for part in ("--set", setting)]
    ran = in_process(
        capsys, "train-baseline", "--data", world_export, "--config", "avism_tiny", "--out", tmp_path, *options
    )
    assert ran.code != 0
    assert "5 bad value(s)" in ran.err  # a bad key of a ResNet says nothing of Swin
    for key in (
        "model.backbone.depth: unknown key",
        "model.windw: unknown key",
        "data.batch",
        "loop.iterations",
        "optimizer: unknown key",
    ):
        assert key in ran.err


def test_frame_times_are_those_of_the_truth_file_else_the_middle_of_each_period(export_copy: Path) -> None:
    path = export_copy / "train.json"
    truth = read_ytvis(path)
    first, second = truth.videos
    videos = (replace(first, fps=2.0), replace(second, fps=2.0, frame_times=(0.1, 0.6, 1.1, 1.6)))
    write_json(path, ytvis_json(replace(truth, videos=videos)))
    clips = open_split(export_copy, "train", num_classes=26, audio=None).clips
    assert [clip.times.fps for clip in clips] == [2.0, 2.0]
    assert [clip.times.instants_s for clip in clips] == [(0.25, 0.75, 1.25, 1.75), (0.1, 0.6, 1.1, 1.6)]
    assert clips[0].times.duration_s == 2.0

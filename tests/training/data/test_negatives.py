"""Samples with another sound: what is heard is what was drawn, and the truth is what is known to sound then."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from avis_data.errors import ConfigError
from avis_data.formats.aviseg_folders import features_path
from avis_data.training.config import load_config
from avis_data.training.data.audio_features import AudioFeatures, AudioKind
from avis_data.training.data.loading import DataConfig, TrainingSamples
from avis_data.training.data.negatives import Negatives, OtherSound
from avis_data.training.data.sampling import AroundAFrame
from avis_data.training.data.split import DatasetClip, SplitData, open_split
from avis_data.training.run.avis_task import AvisSplit
from avis_data.training.run.train import fitted_config, resolved_config
from support import tiny_afcv, tiny_rcf
from support.stress_world import StressClip, write_stress_world
from support.tiny_training import TINY, started

CLIPS = {
    "a": StressClip(4, {1: [0, 1, 2, 3]}),  # sounds all the time: late, too
    "b": StressClip(4, {2: [1, 2]}),  # a second later it would be heard in 3, where it has no mask
    "c": StressClip(3, {1: [2]}),
}
SAMPLES = range(200)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_stress_world(tmp_path_factory.mktemp("negatives"), CLIPS)
    for number, (name, clip) in enumerate(CLIPS.items()):
        path = features_path(folder, "test", name)
        path.parent.mkdir(exist_ok=True)
        np.save(path, np.full((clip.seconds, 128), 10 * number, np.float32) + np.arange(clip.seconds)[:, None])
    return folder


def opened(root: Path, kind: AudioKind) -> SplitData:
    return open_split(root, "test", num_classes=3, audio=AudioFeatures(kind))


def drawn(split: SplitData, name: str, share: float = 1.0, seed: int = 0) -> list[tuple[DatasetClip, OtherSound]]:
    clip = next(clip for clip in split.clips if clip.clip_id == name)
    negatives = Negatives(split, share, seed)
    frames = list(range(clip.num_frames))
    found = [negatives.drawn(number, clip, frames) for number in SAMPLES]
    return [(clip, sound) for sound in found if sound is not None]


def masks_of(clip: DatasetClip, sound: OtherSound) -> list[list[bool]]:
    """Per track and frame whether it has a mask then."""
    return [
        [track.masks[t] is not None and sound.is_heard(track, t) for t in range(clip.num_frames)]
        for track in clip.tracks
    ]


@pytest.mark.parametrize("kind", ["logmel", "logmel-window", "slices"])
def test_each_sound_comes_with_its_own_truth(root: Path, kind: AudioKind) -> None:
    split = opened(root, kind)
    own = split.vectors(next(clip for clip in split.clips if clip.clip_id == "a"), [0, 1, 2, 3])
    donor = split.vectors(next(clip for clip in split.clips if clip.clip_id == "b"), [0, 1, 2, 3])
    reader = AudioFeatures(kind).reader
    assert own is not None and donor is not None and reader.silence is not None
    counted = {"silence": 0, "donor": 0, "late": 0}
    for clip, sound in drawn(split, "a"):
        if (sound.audio == reader.silence).all():
            counted["silence"] += 1
            assert not np.any(masks_of(clip, sound))
        elif (sound.audio == donor).all():
            counted["donor"] += 1
            assert not np.any(masks_of(clip, sound))
        else:
            counted["late"] += 1
            late = int((sound.audio == reader.silence).reshape(4, -1).all(axis=1).sum())
            assert late in (1, 2) and (sound.audio[late:] == own[:-late]).all(), "5 s are longer than the clip"
            assert masks_of(clip, sound) == [[False] * late + [True] * (4 - late)]
    assert sum(counted.values()) == 200 and min(counted.values()) > 40


def test_silence_is_what_a_silent_file_gives(root: Path, tmp_path: Path) -> None:
    split = opened(root, "logmel")
    soundfile.write(tmp_path / "silent.wav", np.zeros((4 * 16_000, 2)), 16_000)
    kinds: tuple[AudioKind, ...] = ("logmel", "logmel-window", "slices")
    for kind in kinds:
        reader = AudioFeatures(kind).reader
        found = reader.read(tmp_path / "silent.wav", [1, 2, 3], split.clips[0].times)
        assert reader.silence is not None and np.allclose(found, reader.silence, atol=1e-5)


def test_a_shift_whose_truth_is_not_known_is_not_taken(root: Path) -> None:
    """A second later b would be heard in frame 3, and two seconds later in 3 too: its truth has no mask there."""
    for clip, sound in drawn(opened(root, "logmel"), "b"):
        assert not np.any(masks_of(clip, sound))


def test_without_the_network_silence_is_not_made_up(root: Path) -> None:
    """Rows of VGGish are those of files: of a donor, or of the same clip."""
    split = opened(root, "vggish")
    found = drawn(split, "a")
    assert found and all((sound.audio == [[10], [11], [12], [13]]).all() for _, sound in found)
    assert AudioFeatures("vggish").reader.silence is None


def test_the_share_is_met_and_nothing_else_of_a_sample_changes(root: Path) -> None:
    split = opened(root, "logmel")
    assert abs(len(drawn(split, "a", share=0.25)) - 50) < 25 and not drawn(split, "a", share=0.0)
    one, other = (drawn(split, "a", seed=seed) for seed in (0, 1))
    assert any((x[1].audio != y[1].audio).any() for x, y in zip(one, other, strict=True))
    sampling = AroundAFrame(count=2, reach=3)
    plain, some = (
        TrainingSamples(split, DataConfig(audio="logmel", negatives=share), 0, sampling) for share in (0.0, 0.5)
    )
    changed = 0
    for number in range(30):
        before, after = plain.sample(number), some.sample(number)
        assert before.clip_id == after.clip_id and before.seed == after.seed
        assert torch.equal(before.frames_T3HW, after.frames_T3HW)
        assert before.audio_TA is not None and after.audio_TA is not None
        if torch.equal(before.audio_TA, after.audio_TA):
            assert torch.equal(before.masks_NTHW, after.masks_NTHW)
        else:
            changed += 1
            assert after.masks_NTHW.sum() <= before.masks_NTHW.sum()
    assert 5 < changed < 25


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("avism_tiny", TINY),
        ("rcf_tiny", tiny_rcf.TINY_RUN),
        ("afcv_tiny", tiny_afcv.TINY_RUN),
    ],
)
def test_every_model_learns_from_samples_in_which_nothing_sounds(
    name: str, settings: tuple[str, ...], world_export: Path, tmp_path: Path
) -> None:
    config = load_config(name, [*settings, "data.negatives=1", "loop.iterations=3"])
    assert isinstance(config.data, DataConfig)
    split = open_split(world_export, "train", num_classes=26, audio=AudioFeatures(config.data.audio))
    config = fitted_config(config, AvisSplit(split))
    samples = AvisSplit(split).samples(config)
    assert any(not len(samples.sample(number).labels_N) for number in range(6)), "some sample has no object"
    started(config, world_export, tmp_path / "run").run()
    losses = [json.loads(line)["loss"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert len(losses) == 3 and all(map(math.isfinite, losses))


def test_a_model_that_hears_nothing_is_told() -> None:
    settings = ["data.negatives=0.5", "model.frame_fusion=false", "model.video_fusion=false"]
    with pytest.raises(ConfigError, match=r"data\.negatives"):
        resolved_config(model=None, name="avism_tiny", settings=settings, precision=None, resumed=None)

"""Runs of AFCV and CrossVIS: pairs, schedules, sound, resuming, prediction, what is refused, and one clip by heart."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

from avis_data.errors import ConfigError
from avis_data.features.logmel import log_mel
from avis_data.formats.ytvis import YtvisDataset, read_ytvis, ytvis_json
from avis_data.io import write_json
from avis_data.masks.rle import encode
from avis_data.training.checkpoints.trained import config_of_weights
from avis_data.training.config import RunConfig, config_values, load_config
from avis_data.training.data.audio_features import AudioFeatures
from avis_data.training.data.sampling import FramePairs
from avis_data.training.data.split import SplitData, open_split
from avis_data.training.models.afcv.model import Afcv
from avis_data.training.predict.predict import PredictRequest, predict
from avis_data.training.predict.results import read_results
from avis_data.training.registry import build_model
from avis_data.training.run.avis_task import AvisSplit
from avis_data.training.run.optimiser import build_optimiser, rate_factor
from avis_data.training.run.train import fitted_config, train_baseline
from support.tiny_afcv import TINY_RUN
from support.tiny_training import assert_resumes, in_process

SLICES = AudioFeatures("slices")


def afcv_config(*settings: str, name: str = "afcv_tiny") -> RunConfig:
    return load_config(name, [*TINY_RUN, *settings])


def train_split(export: Path, audio: AudioFeatures | None = SLICES) -> SplitData:
    return open_split(export, "train", num_classes=26, audio=audio)


def options(*settings: str) -> list[str]:
    return [part for setting in [*TINY_RUN, *settings] for part in ("--set", setting)]


class Clip:
    """A clip of so many frames with masks in some of them."""

    def __init__(self, num_frames: int, seen: tuple[int, ...]) -> None:
        self.num_frames, self.seen_frames = num_frames, seen


def test_every_frame_with_a_mask_is_a_sample_and_its_partner_is_near_and_another() -> None:
    clip, pairs = Clip(100, tuple(range(0, 100, 2))), FramePairs(reach=20, empty_frames=False)
    assert list(pairs.anchors(clip)) == list(range(0, 100, 2))
    rng = np.random.default_rng(0)
    drawn = [pairs.frames(clip, 40, rng) for _ in range(4000)]
    assert {first for first, _ in drawn} == {40}
    counts = Counter(partner for _, partner in drawn)
    assert set(counts) == set(range(0, 81, 2)) - {40}  # twenty frames with masks on either side
    assert max(abs(count - 100) for count in counts.values()) < 50
    assert {pairs.frames(clip, 0, rng)[1] for _ in range(500)} == set(range(2, 41, 2))


def test_a_clip_of_one_frame_is_its_own_partner_and_empty_frames_are_left_out_unless_asked_for() -> None:
    rng = np.random.default_rng(0)
    pairs, all_frames = FramePairs(reach=20, empty_frames=False), FramePairs(reach=20, empty_frames=True)
    assert pairs.frames(Clip(1, (0,)), 0, rng) == [0, 0]
    assert pairs.frames(Clip(9, (4,)), 4, rng) == [4, 4]
    assert list(all_frames.anchors(Clip(3, (1,)))) == [0, 1, 2]
    assert list(all_frames.anchors(Clip(3, ()))) == list(pairs.anchors(Clip(3, ()))) == []


def test_samples_are_pairs_with_identities_and_slices(world_export: Path) -> None:
    split = train_split(world_export)
    config = afcv_config("model.empty_frames=false", "data.augment.flip_probability=0")
    samples = AvisSplit(split).samples(config)
    assert samples.per_round == sum(len(clip.seen_frames) for clip in split.clips)
    identities = {(clip.clip_id, track.label): track.identity for clip in split.clips for track in clip.tracks}
    assert sorted(identities.values()) == list(range(split.num_identities))
    for number in range(samples.per_round):
        sample = samples.sample(number)
        assert sample.frames_T3HW.shape[0] == 2 and sample.audio_TA is not None
        assert sample.audio_TA.shape == (2, 64, 64)
        found = {(sample.clip_id, label) for label in sample.labels_N.tolist()}
        assert sorted(sample.track_ids_N.tolist()) == sorted(identities[key] for key in found)


def test_what_the_training_set_says_is_in_the_config(world_export: Path) -> None:
    split = train_split(world_export)
    rounds = [setting for setting in TINY_RUN if not setting.startswith("loop.iterations")] + ["loop.rounds=6"]
    config = fitted_config(load_config("afcv_tiny", rounds), AvisSplit(split))
    assert config.model.num_identities == sum(len(clip.tracks) for clip in split.clips)
    sounds = [soundfile.read(clip.audio, dtype="float32")[0] for clip in split.clips if clip.audio]
    values = np.concatenate([log_mel(samples).ravel() for samples in sounds])
    assert config.model.audio_mean == pytest.approx(values.mean(), rel=1e-5)
    assert config.model.audio_deviation == pytest.approx(values.std(), rel=1e-5)
    frames = sum(clip.num_frames for clip in split.clips)
    assert (config.loop.iterations, config.loop.rounds) == (round(12 * frames / (2 * config.data.batch)), None)
    given = replace(config, model=replace(config.model, audio_mean=-1.0, audio_deviation=2.0))
    assert fitted_config(given, AvisSplit(split)) == given
    with pytest.raises(ConfigError, match=r"num_identities is 99.*has \d+ tracks"):
        fitted_config(afcv_config("model.num_identities=99"), AvisSplit(split))


def test_the_schedules() -> None:
    code = load_config("crossvis_r50")
    assert (code.loop.iterations, code.schedule.milestones) == (23_000, (15_000, 21_000))
    factors = {n: rate_factor(code.schedule, n, 23_000) for n in (0, 500, 1000, 14_999, 15_000, 20_999, 21_000)}
    want = {0: 0.001, 500: 0.5005, 1000: 1, 14_999: 1, 15_000: 0.1, 20_999: 0.1, 21_000: 0.01}
    assert factors == pytest.approx(want)
    epochs = load_config("afcv_r50").schedule
    at = [rate_factor(epochs, n, 23_172) for n in (17_378, 17_379, 21_240, 21_241)]  # 9/12 and 11/12
    assert at == pytest.approx([1, 0.1, 0.1, 0.01])
    assert load_config("afcv_r50").loop.rounds == 6  # 12 epochs where both frames of a pair count


def test_sgd_with_the_full_rate_and_no_decay_of_norms() -> None:
    config = load_config("afcv_r50")
    with torch.device("meta"):
        model = Afcv(replace(config.model, num_identities=9))
    optimiser = build_optimiser(model, config.optimiser)
    assert isinstance(optimiser, torch.optim.SGD) and config.optimiser.clip_norm is None
    groups = optimiser.param_groups
    assert {group["momentum"] for group in groups} == {0.9} and {group["lr"] for group in groups} == {0.005}
    decay = {name: group["weight_decay"] for group in groups for name in group["names"]}
    assert decay["head.class_tower.1.weight"] == decay["head.embed_norm.bias"] == 0
    assert decay["head.class_tower.0.weight"] == decay["head.box.bias"] == decay["fusion.mix.weight"] == 1e-4
    assert {name for name, parameter in model.named_parameters() if parameter.requires_grad} == set(decay)


@pytest.mark.parametrize("name", ["afcv_r50", "crossvis_r50", "crossvis_r101", "afcv_tiny", "crossvis_tiny"])
def test_the_shipped_configs_build(name: str) -> None:
    config = load_config(name)
    with torch.device("meta"):
        model = build_model(config)
    assert isinstance(model, Afcv) and (model.sound is not None) == name.startswith("afcv")
    assert not load_config(name, ["loss.crossover=false"]).loss.crossover


@pytest.mark.parametrize(
    ("settings", "words", "hint"),
    [
        (["data.audio=vggish"], "data.audio is vggish, afcv hears slices", "--set data.audio=slices"),
        (["data.frames=5"], "afcv trains on 2 frames of a clip", "--set data.frames=2"),
    ],
)
def test_configs_that_contradict_the_model(settings: list[str], words: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        afcv_config(*settings)
    assert caught.value.hint == hint
    with pytest.raises(ConfigError, match="avism hears vggish or logmel"):
        load_config("avism_tiny", ["data.audio=slices"])
    with pytest.raises(ConfigError, match="avism needs the sound of every clip"):
        load_config("avism_tiny", ["data.audio_optional=true"])
    assert not load_config("crossvis_tiny").model.needs_audio  # whatever data.audio says


@pytest.fixture(scope="module")
def trained_afcv(world_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("afcv") / "run"
    train_baseline(world_export, afcv_config("validation.every=2"), run, device_name="cpu")
    return run


def test_train_predict_and_evaluate_on_the_command_line(
    trained_afcv: Path, world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of_weights(trained_afcv / "best.safetensors")
    assert config is not None and config.model.num_identities == train_split(world_export).num_identities
    results = tmp_path / "results.json"
    eager = ["--set", "model.detection.least_score=0.0", "--set", "model.detection.per_frame=4"]
    ran = in_process(
        capsys, "predict", "--checkpoint", trained_afcv, "--data", world_export, "--out", results, *eager, "--json"
    )
    assert ran.code == 0, ran.err
    assert ran.json["clips"] == 2 and ran.json["tracks"] > 0
    split = open_split(world_export, "test", num_classes=26, audio=None)
    read = read_results(results, split)
    assert sum(map(len, read.values())) == ran.json["tracks"]
    ran = in_process(capsys, "evaluate", "--truth", world_export / "test.json", "--pred", results, "--json")
    assert ran.code == 0, ran.err


def test_a_stream_says_frame_by_frame_what_the_result_file_says(
    trained_afcv: Path, world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    eager = ["--set", "model.detection.least_score=0.0", "--set", "model.detection.per_frame=4"]
    arguments = ["predict", "--checkpoint", trained_afcv, "--data", world_export, "--device", "cpu", *eager]
    ran = in_process(capsys, *arguments, "--stream")
    assert ran.code == 0, ran.err
    lines = [json.loads(line) for line in ran.out.splitlines()]
    split = open_split(world_export, "test", num_classes=26, audio=None)
    assert [(line["clip"], line["frame"]) for line in lines] == [
        (clip.clip_id, frame) for clip in split.clips for frame in range(clip.num_frames)
    ]
    results = tmp_path / "results.json"
    assert in_process(capsys, *arguments, "--out", results).code == 0
    written = read_results(results, split)
    for clip in split.clips:
        empty = encode(np.zeros(clip.size_hw, dtype=bool)).counts
        tracks: dict[int, list[str]] = {}
        known: dict[int, tuple[int, float]] = {}
        for line in (line for line in lines if line["clip"] == clip.clip_id):
            for thing in line["objects"]:
                masks = tracks.setdefault(thing["track"], [empty] * clip.num_frames)
                masks[line["frame"]] = thing["segmentation"]["counts"]
                known[thing["track"]] = (thing["category_id"] - 1, thing["score"])
        streamed = sorted((*known[number], *masks) for number, masks in tracks.items())
        assert streamed and streamed == sorted(
            (track.label, track.score, *(mask.counts for mask in track.masks)) for track in written[clip.clip_id]
        )


def test_a_stream_of_avism_is_a_line_a_frame_and_nothing_else(
    trained: Path, trained_afcv: Path, world_export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = in_process(capsys, "predict", "--checkpoint", trained, "--data", world_export, "--stream")
    assert ran.code == 0, ran.err
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert [(line["clip"], line["frame"]) for line in lines] == [
        (clip.clip_id, frame)
        for clip in open_split(world_export, "test", num_classes=26, audio=None).clips
        for frame in range(clip.num_frames)
    ]
    ran = in_process(capsys, "predict", "--checkpoint", trained_afcv, "--data", world_export, "--stream", "--json")
    assert ran.code == 2 and "--stream prints lines of JSON" in ran.err


def test_crossvis_needs_no_sound_at_all(world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export = Path(shutil.copytree(world_export, tmp_path / "export", ignore=shutil.ignore_patterns("*Audios")))
    run = tmp_path / "run"
    ran = in_process(
        capsys, "train-baseline", "--model", "afcv", "--config", "crossvis_tiny", "--data", export, "--out", run,
        "--device", "cpu", "--json", *options(),
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert ran.json["finished"]
    tensors = load_file(next((run / "checkpoints").iterdir()) / "model.safetensors")
    assert not any(name.startswith(("sound.", "fusion.")) for name in tensors)


def test_clips_without_sound_are_refused_or_trained_and_predicted_as_silent(
    trained_afcv: Path, export_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "test"):
        first, *_ = sorted((export_copy / split / "WAVAudios").iterdir())
        first.unlink()
    arguments = ["train-baseline", "--config", "afcv_tiny", "--data", export_copy, "--device", "cpu", "--out"]
    ran = in_process(capsys, *arguments, tmp_path / "refused", *options())
    assert ran.code == 3 and "the audio of 1 clip(s) cannot be used" in ran.err and "no such file" in ran.err
    assert "data.audio_optional=true" in ran.err
    ran = in_process(capsys, *arguments, tmp_path / "run", *options("data.audio_optional=true", "loop.iterations=4"))
    assert ran.code == 0, ran.err
    request = PredictRequest(
        weights=trained_afcv, data=export_copy, settings=["data.audio_optional=true"], device_name="cpu"
    )
    assert predict(request, tmp_path / "results.json").clips == 2
    for wav in (export_copy / "train" / "WAVAudios").iterdir():
        wav.unlink()
    ran = in_process(capsys, *arguments, tmp_path / "none", *options("data.audio_optional=true"))
    assert ran.code == 3 and "no clip has any sound" in ran.err and "model.audio=false" in ran.err


def test_a_clip_of_one_second_trains_and_is_predicted(export_copy: Path, tmp_path: Path) -> None:
    for split in ("train", "test"):
        path = export_copy / f"{split}.json"
        truth = read_ytvis(path)
        first = {
            track.video_id: index
            for track in truth.tracks
            for index, mask in reversed(list(enumerate(track.masks)))
            if mask is not None
        }
        videos = tuple(
            replace(video, length=1, file_names=(video.file_names[first[video.video_id]],)) for video in truth.videos
        )
        tracks = tuple(replace(track, masks=(track.masks[first[track.video_id]],)) for track in truth.tracks)
        write_json(path, ytvis_json(YtvisDataset(videos=videos, tracks=tracks, categories=truth.categories)))
    run = tmp_path / "run"
    assert train_baseline(export_copy, afcv_config(), run, device_name="cpu").finished
    summary = predict(PredictRequest(weights=run, data=export_copy, device_name="cpu"), tmp_path / "results.json")
    assert summary.clips == 2


def test_a_resumed_run_has_the_losses_of_an_uninterrupted_one(world_export: Path, tmp_path: Path) -> None:
    config = fitted_config(
        afcv_config("loop.iterations=4", "loop.checkpoint_every=2"), AvisSplit(train_split(world_export))
    )
    assert_resumes(config, world_export, tmp_path)


ADELAIDET = ("proposal_generator.fcos_head.cls_tower.0.weight", "controller.weight")


@pytest.mark.parametrize("name", ADELAIDET)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_crossvis_checkpoints_of_the_authors_are_refused_with_the_reason(
    name: str, prefix: str, world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tmp_path / "CrossVIS_R_50_1x.pth"
    names = (prefix + name, prefix + "backbone.bottom_up.res2.0.conv1.weight")
    torch.save({"model": {name: torch.zeros(1) for name in names}, "iteration": 22_999}, checkpoint)
    target = tmp_path / "ours.safetensors"
    ran = in_process(capsys, "weights", "convert", checkpoint, "--out", target)
    assert ran.code == 3 and "non-commercial" in ran.err and "refused" in ran.err and not target.exists()
    ran = in_process(
        capsys, "train-baseline", "--data", world_export, "--config", "crossvis_tiny", "--init", checkpoint,
        "--out", tmp_path / "run", "--device", "cpu", *options(),
    )  # fmt: skip
    assert ran.code == 3 and "licence" in ran.err and "non-commercial" in ran.err
    assert not (tmp_path / "run").exists()


def test_afcv_starts_from_a_crossvis_of_ours(world_export: Path, tmp_path: Path) -> None:
    crossvis, run = tmp_path / "crossvis", tmp_path / "afcv"
    train_baseline(world_export, afcv_config(name="crossvis_tiny"), crossvis, device_name="cpu")
    known = load_file(next((crossvis / "checkpoints").iterdir()) / "model.safetensors")
    source = tmp_path / "known.safetensors"
    save_file(known, source)
    config = afcv_config("loop.iterations=1", "optimiser.rate=1.0e-30")
    train_baseline(world_export, config, run, init=source, device_name="cpu")
    found = load_file(next((run / "checkpoints").iterdir()) / "model.safetensors")
    for name, tensor in known.items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(found[name], tensor, msg=name)


def test_the_saved_config_goes_round(trained_afcv: Path) -> None:
    config = load_config(trained_afcv / "config.yaml")
    assert config.model.num_identities is not None and config.model.audio_mean is not None
    again = config_values(config)
    assert again["model"]["detection"]["link"] == 0.4

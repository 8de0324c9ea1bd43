"""Runs of RCF: samples, configs, audio of every kind, resuming, streams, what is refused, and clips by heart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from avis_data.errors import ConfigError, DataError, ProblemsError
from avis_data.features.logmel import EXAMPLE_SAMPLES, causal_examples, log_mel, second_examples
from avis_data.features.vggish import embed_examples, untrained_vggish
from avis_data.formats.ytvis import read_ytvis, ytvis_json
from avis_data.io import write_json
from avis_data.training.checkpoints.trained import weights_file
from avis_data.training.config import OptimiserConfig, RunConfig, load_config
from avis_data.training.data.audio_features import AudioFeatures
from avis_data.training.data.audio_summary import log_mel_summary, window_ends
from avis_data.training.data.audio_windows import write_windows
from avis_data.training.data.clips import TrainingBatch
from avis_data.training.data.frame_times import FrameTimes
from avis_data.training.data.sampling import FramesBefore
from avis_data.training.data.split import open_split
from avis_data.training.data.video_dataset import make_video_dataset
from avis_data.training.models.rcf.losses import match_slots, stride4_masks
from avis_data.training.models.rcf.model import Rcf
from avis_data.training.predict.predict import PredictRequest, predict, stream
from avis_data.training.predict.results import read_results
from avis_data.training.registry import build_model
from avis_data.training.run.avis_task import AvisSplit
from avis_data.training.run.optimiser import build_optimiser, parameter_groups
from avis_data.training.run.train import train_baseline
from avis_data.weights.files import read_tensors
from support.media_files import ffmpeg
from support.parity_cases import recorded
from support.tiny_rcf import TINY_RUN, sample, tiny_model
from support.tiny_training import assert_resumes, in_process, one_a_second

ANY = ("--set", "model.slots.least_score=0")


def rcf_config(*settings: str, name: str = "rcf_tiny") -> RunConfig:
    return load_config(name, [*TINY_RUN, *settings])


@pytest.fixture(scope="module")
def trained_rcf(world_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("rcf") / "run"
    config = rcf_config("validation.every=2", "data.audio=logmel-window")
    train_baseline(world_export, config, run, device_name="cpu")
    return run


class Clip:
    def __init__(self, num_frames: int, seen: tuple[int, ...]) -> None:
        self.num_frames, self.seen_frames = num_frames, seen


def test_a_sample_is_a_frame_and_those_right_before_it() -> None:
    rng = np.random.default_rng(0)
    before = FramesBefore(count=3)
    assert list(before.anchors(Clip(5, (2,)))) == [0, 1, 2, 3, 4] and not before.anchors(Clip(5, ()))
    assert [before.frames(Clip(5, (2,)), anchor, rng) for anchor in (0, 1, 4)] == [
        [0, 0, 0, 0],
        [0, 0, 0, 1],
        [1, 2, 3, 4],
    ]
    assert FramesBefore(count=0).frames(Clip(1, (0,)), 0, rng) == [0]


def test_samples_have_references_and_target_and_sound(world_export: Path) -> None:
    config = rcf_config("model.references=2", "data.augment.flip_probability=0")
    split = open_split(world_export, "train", num_classes=26, audio=AudioFeatures("logmel"))
    samples = AvisSplit(split).samples(config)
    assert samples.per_round == sum(clip.num_frames for clip in split.clips)
    found = [samples[number] for number in range(samples.per_round)]
    assert all(item.frames_T3HW.shape[0] == 3 and item.audio_TA.shape == (3, 128) for item in found)
    with_order = AvisSplit(split).samples(rcf_config("model.references=2", "model.order_supervision=true"))
    assert with_order[0].frames_T3HW.shape[0] == 4


@pytest.mark.parametrize(
    ("name", "delta", "classes", "depth", "rate", "factor", "decay"),
    [
        ("rcf_r101", 1, 40, 23, 6e-4, 0.1, 1e-4),
        ("rcf_r50_audio", 3, 20, 6, 6e-4, 0.1, 1e-4),
        ("rcf_swinb", 1, 40, 18, 3e-4, 1.0, 1e-2),
        ("rcf_swinl", 1, 40, 18, 3e-4, 1.0, 1e-2),
    ],
)
def test_published_rows(
    name: str, delta: int, classes: int, depth: int, rate: float, factor: float, decay: float
) -> None:
    config = load_config(name)
    assert (config.model.references, config.model.num_classes, config.model.backbone.depths[2]) == (
        delta,
        classes,
        depth,
    )
    optimiser = config.optimiser
    assert (optimiser.rate, optimiser.backbone_factor, optimiser.weight_decay) == (rate, factor, decay)
    assert (config.loop.iterations, config.data.batch, config.schedule.kind, config.optimiser.clip_norm) == (
        60_000, 16, "poly", 0.1,
    )  # fmt: skip
    assert config.model.audio == (name == "rcf_r50_audio") and config.model.queries == 10
    assert config.model.reference_tokens == 4


def test_rates_and_decays_of_parameters() -> None:
    config = load_config(
        "rcf_r101", ["model.backbone={depths: [1, 1, 1, 1], stem_channels: 8, channels: [16, 16, 32, 32]}"]
    )
    groups = parameter_groups(build_model(config), config.optimiser)
    found = {name: (group["lr"], group["weight_decay"]) for group in groups for name in group["names"]}
    assert found["network.decoder.query_position.weight"] == (6e-4, 0.0)
    assert found["network.encoder.attention.0.norm.weight"] == (6e-4, 0.0)
    assert found["network.target.weight"] == (6e-4, 1e-4)
    assert found["backbone.body.embedder.embedder.convolution.weight"] == (pytest.approx(6e-5), 1e-4)


@pytest.mark.parametrize("settings", [["model.references=5"], ["model.reference_tokens=64"], ["model.queries=25"]])
def test_rows_of_the_tables_are_settings(settings: list[str]) -> None:
    """The network of a row looks at the cells of a frame and at so many tokens of its references; so many slots."""
    config = rcf_config(*settings)
    model = build_model(config).eval()
    assert isinstance(model, Rcf)
    given = recorded({"encoder": model.network.encoder})
    maps = model.look(torch.zeros(3, 64, 64))
    said = model.decide(maps, [maps[-1]] * config.model.references, None)
    assert said.logits_LBQK.shape[2] == config.model.queries
    assert given["encoder.args"][0].shape[1] == 2 * 2 + config.model.reference_tokens


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["model.reference_tokens=3"], r"reference_tokens.*must be a square.*1, 4, 16, 64"),
        (["model.references=-1"], r"references.*greater than or equal to 0"),
        (["model.fusion=all"], r"fusion.*reference_tokens"),
        (["model.audio_channels=4096"], r"audio_channels is 4096, audio of the kind logmel has 128 values"),
        (["data.audio=vggish-window"], r"audio_channels is 128, audio of the kind vggish-window has 4096 values"),
        (["data.audio=slices"], r"data.audio is slices, rcf hears vggish-window or logmel-window"),
        (["data.frames=5"], r"data.frames is 5, this rcf trains on 2 frames"),
    ],
)
def test_configs_that_are_refused(settings: list[str], message: str) -> None:
    with pytest.raises((ConfigError, ProblemsError), match=message):
        rcf_config(*settings)


def test_a_run_is_predicted_streamed_and_evaluated(
    trained_rcf: Path, world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results.json"
    ran = in_process(
        capsys,
        "predict",
        "--checkpoint",
        trained_rcf,
        "--data",
        world_export,
        "--out",
        results,
        "--device",
        "cpu",
        *ANY,
    )
    assert ran.code == 0, ran.err
    ran = in_process(capsys, "evaluate", "--truth", world_export / "test.json", "--pred", results, "--json")
    assert ran.code == 0 and ran.json["meta"]["num_predicted_tracks"] > 0
    ran = in_process(
        capsys, "predict", "--model", "rcf", "--stream", "--checkpoint", trained_rcf, "--data", world_export,
        "--device", "cpu", *ANY,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert [line["frame"] for line in lines] == [0, 1, 2, 3] * 2
    split = open_split(world_export, "test", num_classes=26, audio=None)
    for clip, tracks in read_results(results, split).items():
        streamed = {thing["track"] for line in lines if line["clip"] == clip for thing in line["objects"]}
        assert len(streamed) == len(tracks)


def test_frames_that_come_later_change_nothing_before(trained_rcf: Path, export_copy: Path) -> None:
    """Causal: the last still and, with windows, the sound after the third frame may be anything."""
    settings = ["model.slots.least_score=0"]
    request = PredictRequest(weights=trained_rcf, data=export_copy, device_name="cpu", settings=settings)
    before = list(stream(request))
    for video in read_ytvis(export_copy / "test.json").videos:
        stills = export_copy / "test" / "JPEGImages"
        (stills / video.file_names[3]).write_bytes((stills / video.file_names[0]).read_bytes())
        path = export_copy / "test" / "WAVAudios" / f"{video.name}.wav"
        samples, rate = soundfile.read(path)
        samples[int(2.5 * rate) :] = np.random.default_rng(0).normal(scale=0.2, size=len(samples) - int(2.5 * rate))
        soundfile.write(path, samples, rate)
    after = list(stream(request))
    assert [seen.objects for seen in before if seen.frame < 3] == [seen.objects for seen in after if seen.frame < 3]
    assert [seen.objects for seen in before if seen.frame == 3] != [seen.objects for seen in after if seen.frame == 3]


@pytest.mark.parametrize(("name", "value"), [("references", "3"), ("fusion", "full_encoder"), ("audio", "false")])
def test_weights_are_tied_to_what_they_were_trained_with(
    name: str, value: str, trained_rcf: Path, world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = {"references": "1", "fusion": "reference_tokens", "audio": "True"}[name]
    ran = in_process(
        capsys, "predict", "--checkpoint", trained_rcf, "--data", world_export, "--out", tmp_path / "results.json",
        "--set", f"model.{name}={value}",
    )  # fmt: skip
    shown = {"false": "False"}.get(value, value)
    assert ran.code == 2
    assert f"was trained with model.{name}={trained}; it cannot be used with {shown}" in ran.err
    assert f"--set model.{name}={trained}" in ran.err and "train-baseline" in ran.err


def without_sound(export: Path) -> None:
    for split in ("train", "val", "test"):
        sorted((export / split / "WAVAudios").iterdir())[0].unlink()


def test_a_clip_without_sound(export_copy: Path, tmp_path: Path) -> None:
    """Refused with all its names, unless the config says that there may be such clips."""
    without_sound(export_copy)
    with pytest.raises(ProblemsError, match=r"1 clip\(s\) cannot be used") as caught:
        train_baseline(export_copy, rcf_config(), tmp_path / "no", device_name="cpu")
    assert "no such file" in str(caught.value) and "data.audio_optional=true" in str(caught.value)
    config = rcf_config("data.audio_optional=true", "loop.iterations=5", "validation.every=5")
    assert train_baseline(export_copy, config, tmp_path / "yes", device_name="cpu").finished
    request = PredictRequest(weights=tmp_path / "yes", data=export_copy, device_name="cpu")
    assert predict(request, tmp_path / "results.json").clips == 2


def test_clips_of_one_frame_train_and_are_predicted(export_copy: Path, tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        path = export_copy / f"{split}.json"
        truth = read_ytvis(path)
        tracks = {video.video_id: [t for t in truth.tracks if t.video_id == video.video_id] for video in truth.videos}
        first = {
            number: next(index for index in range(4) if any(track.masks[index] for track in rows))
            for number, rows in tracks.items()
        }
        videos = [replace(v, length=1, file_names=(v.file_names[first[v.video_id]],)) for v in truth.videos]
        kept = [replace(t, masks=(t.masks[first[t.video_id]],)) for t in truth.tracks]
        write_json(path, ytvis_json(replace(truth, videos=tuple(videos), tracks=tuple(kept))))
    run = tmp_path / "run"
    assert train_baseline(export_copy, rcf_config("model.references=3"), run, device_name="cpu").finished
    request = PredictRequest(weights=run, data=export_copy, device_name="cpu")
    assert predict(request, tmp_path / "results.json").clips == 2


def test_a_resumed_run_has_the_losses_of_an_uninterrupted_one(world_export: Path, tmp_path: Path) -> None:
    config = rcf_config("loop.iterations=4", "loop.checkpoint_every=2", "model.dropout=0.3")
    assert_resumes(config, world_export, tmp_path)


def test_a_model_that_hears_starts_from_one_that_does_not(world_export: Path, tmp_path: Path) -> None:
    deaf, run = tmp_path / "deaf", tmp_path / "hears"
    train_baseline(world_export, rcf_config("model.audio=false", "validation.every=2"), deaf, device_name="cpu")
    still = ("optimiser.rate=1e-12", "optimiser.weight_decay=0")
    train_baseline(world_export, rcf_config("loop.iterations=1", *still), run, init=deaf, device_name="cpu")
    given, found = (read_tensors(weights_file(folder)) for folder in (deaf, run))
    torch.testing.assert_close({name: found[name] for name in given}, given)
    assert any("recurrent" in name for name in found.keys() - given.keys()), "what hears is new"


def test_windows_hear_what_came_before_each_frame(tmp_path: Path) -> None:
    """Six frames a second: the window of a frame is the 0.975 s before its instant, zeros before the recording."""
    rng = np.random.default_rng(0)
    samples = rng.normal(scale=0.1, size=32_000).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    times = FrameTimes(fps=6.0, instants_s=tuple((index + 0.5) / 6 for index in range(12)))
    assert window_ends(times)[:3] == [1333, 4000, 6667]
    found = AudioFeatures("logmel-window").read(tmp_path / "a.wav", [1, 11], times)
    padded = np.concatenate([np.zeros(EXAMPLE_SAMPLES, dtype=np.float32), samples])
    for row, end in zip(found, (4000, 30_667), strict=True):
        window = padded[end : end + EXAMPLE_SAMPLES]
        assert log_mel(window).shape == (96, 64)
        np.testing.assert_allclose(row, log_mel_summary(np.pad(window, (0, 16_000 - len(window)))), atol=2e-3)
    silence = second_examples(np.zeros(16_000, dtype=np.float32), 1)
    np.testing.assert_allclose(silence, -4.60517, atol=1e-4)
    tone = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000).astype(np.float32)
    assert set(second_examples(tone, 1)[0].argmax(1)) == {19}


def test_windows_of_vggish_are_made_once_and_read(
    export_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = in_process(capsys, "embed", "--windows", export_copy, "--untrained")
    assert ran.code == 0 and "6 file(s)" in ran.out, ran.err
    split = open_split(export_copy, "train", num_classes=26, audio=AudioFeatures("vggish-window"))
    vectors = split.vectors(split.clips[0], [0, 3])
    assert vectors is not None and vectors.shape == (2, 4096) and vectors.min() >= 0 and vectors.std() > 0
    assert write_windows(export_copy, (None, "untrained-0")) == 0
    torn = next((export_copy / "val" / "FEATWindows").iterdir())
    np.save(torn, np.zeros((4, 128), dtype=np.float32))
    with pytest.raises(ProblemsError, match=r"holds float32 \(4, 128\), must be float \(T, 4096\)"):
        open_split(export_copy, "val", num_classes=26, audio=AudioFeatures("vggish-window"))
    assert write_windows(export_copy, (None, "untrained-0")) == 1
    config = rcf_config("data.audio=vggish-window", "model.audio_channels=4096", "model.audio_hidden=4")
    assert train_baseline(export_copy, config, tmp_path / "run", device_name="cpu").finished


def test_windows_need_a_dataset_and_are_missed_by_name(world_export: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is none of train\.json"):
        write_windows(tmp_path, (None, "untrained-0"))
    with pytest.raises(ProblemsError, match="embed --windows"):
        open_split(world_export, "train", num_classes=26, audio=AudioFeatures("vggish-window"))


def test_sound_of_frames_at_other_rates(tmp_path: Path) -> None:
    """At two frames a second `logmel` is the second that begins with a frame's period."""
    samples = np.random.default_rng(0).normal(scale=0.1, size=48_000).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    reader = AudioFeatures("logmel")
    times = FrameTimes(fps=2.0, instants_s=tuple((index + 0.5) / 2 for index in range(6)))
    found = reader.read(tmp_path / "a.wav", [2, 3], times)
    np.testing.assert_array_equal(found[0], reader.read(tmp_path / "a.wav", [1], one_a_second(3))[0])
    np.testing.assert_allclose(found[1], log_mel_summary(samples[24_000:40_000]), atol=1e-6)


@pytest.mark.slow
def test_four_clips_are_learnt_by_heart() -> None:
    """Specification of RCF, section 13: dice above 0.9 on four tiny clips."""
    model = tiny_model(references=1)
    batch = TrainingBatch(clips=tuple(sample(seed, tracks=1 + seed % 2) for seed in range(4)))
    optimiser = build_optimiser(model, OptimiserConfig(rate=2e-3, backbone_factor=1.0, weight_decay=1e-4))
    for _ in range(170):
        optimiser.zero_grad()
        losses = model(batch)
        torch.stack(list(losses.values())).sum().backward()
        optimiser.step()
    assert float(losses["1.dice"].detach()) < 0.1
    for clip in batch.clips:
        with torch.no_grad():
            images = model.normalise(clip.frames_T3HW)[None]
            output = model.eval().outputs(images, torch.ones(1, 2, 3, dtype=torch.bool), None)
        target = model._target(clip, 1, (64, 96))
        matches = match_slots(output.logits_LBQK[0], output.masks_LBQHW[0], [target], supervised=1)
        truth = stride4_masks(target)
        for slot, place in zip(matches.query_R.tolist(), matches.target_R.tolist(), strict=True):
            found = output.masks_LBQHW[0, 0, slot] > 0
            dice = 2 * (found & (truth[place] > 0)).sum() / (found.sum() + truth[place].sum())
            assert float(dice) > 0.9
            assert int(output.logits_LBQK[0, 0, slot].argmax()) == int(target.labels_G[place])


def test_the_model_is_the_one_of_the_registry() -> None:
    assert isinstance(build_model(rcf_config()), Rcf)


def test_bf16_and_several_sizes_train(world_export: Path, tmp_path: Path) -> None:
    config = rcf_config("loop.precision=bf16", "data.augment.short=[32, 64]", "model.checkpointing=true")
    assert train_baseline(world_export, config, tmp_path / "run", device_name="cpu").finished


def test_a_video_is_predicted_frame_by_frame(
    trained_rcf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a stream would have heard by then is taken from its sound."""
    ffmpeg(
        tmp_path, "-f", "lavfi", "-i", "testsrc=size=96x64:rate=8:duration=3",
        "-f", "lavfi", "-i", "sine=frequency=440:duration=3", "-shortest", "a.mp4",
    )  # fmt: skip
    ran = in_process(
        capsys, "predict", "--checkpoint", trained_rcf, "--video", tmp_path / "a.mp4", "--stream", "--device", "cpu",
        *ANY,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert [json.loads(line)["frame"] for line in ran.out.splitlines()] == [0, 1, 2]


def test_a_video_is_looked_at_as_often_as_asked(
    trained_rcf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ffmpeg(
        tmp_path, "-f", "lavfi", "-i", "testsrc=size=96x64:rate=12:duration=2",
        "-f", "lavfi", "-i", "sine=frequency=440:duration=2", "-shortest", "a.mp4",
    )  # fmt: skip
    arguments = ["predict", "--checkpoint", trained_rcf, "--device", "cpu"]
    kept = tmp_path / "kept"
    ran = in_process(
        capsys, *arguments, "--video", tmp_path / "a.mp4", "--fps", 6, "--keep", kept, "--out", tmp_path / "r.json"
    )
    assert ran.code == 0, ran.err
    (video,) = read_ytvis(kept / "test.json").videos
    assert (video.length, video.fps) == (12, 6.0)
    assert video.frame_times == pytest.approx([(number + 0.5) / 6 for number in range(12)], abs=1e-6)
    assert len(list((kept / "test" / "JPEGImages" / "a").iterdir())) == 12
    ran = in_process(capsys, *arguments, "--data", kept, "--fps", 6)
    assert ran.code == 2 and "--fps go with --video" in ran.err


def test_vggish_of_a_video_follows_its_stills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At other rates than one a second: the sound before each still."""
    rate, seconds = 4.0, 3
    ffmpeg(
        tmp_path, "-f", "lavfi", "-i", f"testsrc=size=96x64:rate=8:duration={seconds}",
        "-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}", "-shortest", "a.mp4",
    )  # fmt: skip
    monkeypatch.setattr("avis_data.training.data.video_dataset.resolve_vggish", lambda *_, **__: (None, "untrained-0"))
    make_video_dataset(
        tmp_path / "a.mp4", tmp_path / "d", "test", categories={1: "a"}, audio=AudioFeatures("vggish"), vggish=None,
        fps=rate,
    )  # fmt: skip
    found = np.load(tmp_path / "d" / "test" / "FEATAudios" / "a.npy")
    samples, _ = soundfile.read(tmp_path / "d" / "test" / "WAVAudios" / "a.wav", dtype="float32")
    ends = [round((number + 0.5) / rate * 16_000) for number in range(round(rate * seconds))]
    wanted = embed_examples(untrained_vggish(0), causal_examples(samples, ends))
    np.testing.assert_allclose(found, wanted, atol=1e-5)

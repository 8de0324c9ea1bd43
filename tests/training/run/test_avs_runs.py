"""AVS-BG from a folder to figures: reading AVSBench's layouts, training, prediction, and what goes wrong."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from avis_data.errors import ConfigError, DataError, ProblemsError
from avis_data.features.logmel import log_mel
from avis_data.training.checkpoints.trained import load_trained
from avis_data.training.config import RunConfig, load_config
from avis_data.training.data.avsbench import AvsClipSource, AvsDataConfig, AvsSplit, open_avs_split
from avis_data.training.data.avsbench_sound import read_examples
from avis_data.training.predict.results import mask_picture
from avis_data.training.registry import new_model
from avis_data.training.run.avs_task import AvsSamples, OpenedAvsSplit
from avis_data.training.run.distributed import Processes
from avis_data.training.run.train import train_baseline
from support.avsbench_world import SIDE, write_avss, write_ms3, write_s4, write_wav
from support.tiny_training import in_process

HEAR = AvsDataConfig(audio="logmel", side=64, workers=0)
SMALL = (
    "data.side=32",
    "data.workers=0",
    "data.batch=2",
    "loop.iterations=2",
    "loop.log_every=1",
    "validation.every=2",
    "validation.draw_every=0",
    "model.backbone={depths: [1, 1, 1, 1], stem_channels: 8, channels: [16, 16, 32, 32], frozen_norms: false}",
)
S4 = ("loss.generation_mask=logits", "loss.kl_weight=0")
AVSS = ("model.num_classes=3", "model.fusion_frames=5", "model.audio_bias=false", "model.channels=16")


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("avsbench")
    write_s4(root / "s4" / "Single-source")
    write_ms3(root / "ms3")
    write_avss(root / "avss")
    return root


def opened(root: Path, split: str = "train", *, num_classes: int = 1, data: AvsDataConfig = HEAR) -> AvsSplit:
    return open_avs_split(root, split, data, num_classes=num_classes, needs_audio=True)


def small(name: str, *settings: str) -> RunConfig:
    return load_config(name, [*SMALL, *settings])


def test_s4_labels_first_frames_only_in_training(worlds: Path) -> None:
    train, val = opened(worlds / "s4"), opened(worlds / "s4" / "Single-source", "val")
    assert train.layout == "s4" and [clip.clip_id for clip in train.clips] == ["lawn_mowing/clip00_0", "NA/clip01_0"]
    assert [[mask is not None for mask in clip.masks] for clip in train.clips] == [[True] + [False] * 4] * 2
    assert all(mask is not None for clip in val.clips for mask in clip.masks)
    sample = AvsSamples(train, small("avs_bg_tiny", "data.side=64")).sample(train.clips[0])
    assert sample.labelled_T.tolist() == [True, False, False, False, False] and bool(sample.exists_T.all())
    folder = worlds / "s4" / "Single-source" / "s4_data" / "gt_masks" / "train" / "lawn_mowing" / "clip00_0"
    stored = np.asarray(Image.open(folder / "clip00_0_1.png")) > 0
    assert np.array_equal(sample.labels_THW[0].numpy(), stored.astype(int)) and not sample.labels_THW[1:].any()
    frame = worlds / "s4/Single-source/s4_data/visual_frames/train/lawn_mowing/clip00_0/clip00_0_2.png"
    assert np.array_equal(sample.frames_T3HW[1].numpy().transpose(1, 2, 0), np.asarray(Image.open(frame)))


def test_ms3_labels_every_frame(worlds: Path) -> None:
    train = opened(worlds / "ms3")
    assert train.layout == "ms3" and all(mask is not None for clip in train.clips for mask in clip.masks)
    sample = AvsSamples(train, small("avs_bg_tiny")).sample(train.clips[1])
    assert bool(sample.labelled_T.all()) and sample.frames_T3HW.shape == (5, 3, 32, 32)
    assert sample.audio_TA is not None and sample.audio_TA.shape == (5, 128)


def test_avss_fills_clips_up_and_knows_which_labels_count(worlds: Path) -> None:
    train = opened(worlds / "avss", num_classes=3)
    samples = AvsSamples(train, small("tpavi_tiny", "data.side=64", *AVSS))
    rows = {clip.clip_id: samples.sample(clip) for clip in train.clips}
    assert {name: int(row.labelled_T.sum()) for name, row in rows.items()} == {
        "v1s/v1s_0": 1,
        "v1m/v1m_0": 5,
        "v2/v2_0": 10,
    }
    assert {name: int(row.exists_T.sum()) for name, row in rows.items()} == {
        "v1s/v1s_0": 5,
        "v1m/v1m_0": 5,
        "v2/v2_0": 10,
    }
    short = rows["v1m/v1m_0"]
    assert short.audio_TA is not None and len(short.frames_T3HW) == len(short.audio_TA) == 10
    assert not short.frames_T3HW[5:].any() and not short.audio_TA[5:].any() and not short.labels_THW[5:].any()
    assert set(short.labels_THW[:5].unique().tolist()) <= {0, 1, 2} and short.labels_THW[:5].any()


def test_avss_crops_in_training_and_squeezes_at_test(worlds: Path, tmp_path: Path) -> None:
    root = shutil.copytree(worlds / "avss", tmp_path / "avss")
    for kind, what in (("frames", "jpg"), ("labels_rgb", "png")):
        for path in (root / "v2" / "v2_0" / kind).glob(f"*.{what}"):
            wide = Image.new("RGB", (3 * SIDE, SIDE))
            wide.paste(Image.open(path), (SIDE, 0))
            wide.save(path, quality=95)
    train = opened(root, num_classes=3)
    (clip,) = [clip for clip in train.clips if clip.clip_id == "v2/v2_0"]
    before = AvsSamples(opened(worlds / "avss", num_classes=3), small("tpavi_tiny", "data.side=64", *AVSS))
    cropped = AvsSamples(train, small("tpavi_tiny", "data.side=64", *AVSS)).sample(clip)
    assert torch.equal(cropped.labels_THW, before.sample(before._split.clips[2]).labels_THW)
    squeezed = AvsClipSource(train, clip, 64).frames(0, 1)[0].float()
    assert squeezed[:, :, :20].mean() < 20 and squeezed[:, :, 23:40].mean() > 60


def test_examples_follow_each_other_without_a_gap(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", [0, 1, 0, 1, 1])
    samples, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
    examples = read_examples([tmp_path / "none.npy", tmp_path / "a.wav"], pickles=False)
    assert examples.shape == (5, 96, 64)
    assert np.array_equal(examples.reshape(480, 64), log_mel(samples)[:480])
    np.save(tmp_path / "none.npy", examples[:, None] + 1)
    assert np.array_equal(read_examples([tmp_path / "none.npy", tmp_path / "a.wav"], pickles=False), examples + 1)


def test_short_sounds_repeat_their_last_example(worlds: Path, tmp_path: Path) -> None:
    root = shutil.copytree(worlds / "ms3", tmp_path / "ms3")
    path = root / "ms3_data" / "audio_wav" / "train" / "multi00.wav"
    samples, rate = soundfile.read(path)
    soundfile.write(path, samples[: 3 * rate], rate)
    heard, whole = (opened(folder).heard["multi00"] for folder in (root, worlds / "ms3"))
    assert np.array_equal(heard[:3], whole[:3]) and np.array_equal(heard[3:], np.stack([whole[2]] * 2))


def test_pickles_are_read_only_if_asked_and_only_as_tensors(worlds: Path, tmp_path: Path) -> None:
    root = shutil.copytree(worlds / "ms3", tmp_path / "ms3")
    data = root / "ms3_data"
    examples = read_examples([data / "audio_wav" / "train" / "multi00.wav"], pickles=False)
    shutil.rmtree(data / "audio_wav" / "train")
    folder = data / "audio_log_mel" / "train"
    folder.mkdir(parents=True)
    for name in ("multi00", "multi01"):
        tensor = torch.from_numpy(examples[:, None]).requires_grad_()
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(tensor))
    with pytest.raises(ProblemsError, match=r"clip multi00.*only a pickle.*data.pickles=true") as caught:
        opened(root)
    assert len(caught.value.problems) == 2
    allowed = AvsDataConfig(audio="logmel", pickles=True)
    assert np.array_equal(opened(root, data=allowed).heard["multi00"], opened(worlds / "ms3").heard["multi00"])
    (folder / "multi01.pkl").write_bytes(pickle.dumps(_Touch(tmp_path / "touched")))
    with pytest.raises(ProblemsError, match="which no tensor needs"):
        opened(root, data=allowed)
    assert not (tmp_path / "touched").exists()


class _Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_every_missing_file_is_named(worlds: Path, tmp_path: Path) -> None:
    root = shutil.copytree(worlds / "s4", tmp_path / "s4")
    data = root / "Single-source" / "s4_data"
    for split, number in (("train", 1), ("val", 4)):
        clip = {"train": "clip00_0", "val": "clip10_0"}[split]
        (data / "gt_masks" / split / "lawn_mowing" / clip / f"{clip}_{number}.png").unlink()
    shutil.rmtree(data / "visual_frames" / "train" / "NA" / "clip01_0")
    with pytest.raises(ProblemsError) as caught:
        opened(root)
    said = [str(problem) for problem in caught.value.problems]
    assert len(said) == 6
    assert "clip lawn_mowing/clip00_0: no mask s4_data/gt_masks/train/lawn_mowing/clip00_0/clip00_0_1.png" in said[0]
    assert "no frame s4_data/visual_frames/train/NA/clip01_0/clip01_0_5.png" in said[-1]
    with pytest.raises(ProblemsError, match=r"no mask .*clip10_0_4\.png"):
        opened(root, "val")


def test_clips_without_sound_are_named_unless_the_model_is_deaf(worlds: Path, tmp_path: Path) -> None:
    root = shutil.copytree(worlds / "ms3", tmp_path / "ms3")
    wavs = root / "ms3_data" / "audio_wav" / "train"
    (wavs / "multi00.wav").unlink()
    soundfile.write(wavs / "multi01.wav", np.zeros(8000), 16000)
    with pytest.raises(ProblemsError) as caught:
        opened(root)
    first, second = (str(problem) for problem in caught.value.problems)
    assert "clip multi00" in first and "no sound" in first
    assert "clip multi01" in second and "less than 0.975 s" in second
    deaf = open_avs_split(root, "train", HEAR, num_classes=1, needs_audio=False)
    assert len(deaf.clips) == 2 and deaf.audio(deaf.clips[0]) is None


def test_log_mels_of_the_wrong_width_are_refused(worlds: Path, tmp_path: Path) -> None:
    root = shutil.copytree(worlds / "ms3", tmp_path / "ms3")
    path = root / "ms3_data" / "audio_log_mel" / "train" / "multi00.npy"
    path.parent.mkdir(parents=True)
    np.save(path, np.zeros((5, 96, 40), dtype=np.float32))
    with pytest.raises(ProblemsError, match=r"float32 \(5, 96, 40\), must be float \(n, 96, 64\)"):
        opened(root)


def test_folders_that_are_no_such_dataset(worlds: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no AVSBench dataset"):
        opened(tmp_path)
    both = tmp_path / "both"
    shutil.copytree(worlds / "s4", both)
    shutil.copytree(worlds / "ms3", both / "Multi-sources")
    with pytest.raises(DataError, match="holds several datasets"):
        opened(both)
    with pytest.raises(DataError, match="has no clip of the split 'dev'"):
        opened(worlds / "s4", "dev")
    with pytest.raises(DataError, match=r"masks of 3 class\(es\), the model makes 1"):
        opened(worlds / "avss")
    (tmp_path / "ms3_meta_data.csv").write_text("video_id,split\n../../etc,train\n")
    with pytest.raises(DataError, match="cannot be the name of a clip"):
        opened(tmp_path)
    (tmp_path / "ms3_meta_data.csv").write_text("video_id,split\na,train,more\n")
    with pytest.raises(DataError, match=r"ms3_meta_data.csv:2: has 3 values"):
        opened(tmp_path)


def test_configs_must_measure_masks(worlds: Path) -> None:
    with pytest.raises(ConfigError, match=r"validation.metric is mAP"):
        small("avs_bg_tiny", "validation.metric=mAP")
    with pytest.raises(ProblemsError, match="side"):
        small("avs_bg_tiny", "data.side=50")


@pytest.mark.parametrize(
    ("name", "world", "settings"),
    [
        ("avs_bg_tiny", "ms3", ()),
        ("avs_bg_tiny", "s4", S4),
        ("tpavi_tiny", "ms3", ("model.channels=16",)),
        ("tpavi_tiny", "avss", AVSS),
    ],
)
def test_runs_and_their_masks_measure_alike(
    worlds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, world: str, settings: tuple[str, ...]
) -> None:
    """What validation says is what `evaluate --task avs` says of the masks that `predict` writes."""
    config = small(name, *settings)
    result = train_baseline(worlds / world, config, tmp_path / "run", device_name="cpu")
    assert result.finished and result.best_score is not None
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    figures = next(line["validation"] for line in lines if "validation" in line)
    out = tmp_path / "masks"
    ran = in_process(
        capsys,
        "predict",
        "--checkpoint",
        tmp_path / "run",
        "--data",
        worlds / world,
        "--on",
        "val",
        "--out",
        out,
        "--device",
        "cpu",
        "--json",
    )
    assert ran.code == 0, ran.err
    clips, frames = {"ms3": (2, 10), "s4": (2, 10), "avss": (3, 20)}[world]
    said = json.loads(ran.out)
    assert (said["out"], said["clips"], said["frames"]) == (str(out), clips, frames)
    truth = {"ms3": "ms3_data/gt_masks/val", "s4": "Single-source/s4_data/gt_masks/val", "avss": ""}[world]
    classes = ["--classes", "3", "--lenient"] if world == "avss" else ["--clips-per-group", "1"]
    ran = in_process(
        capsys,
        "evaluate",
        "--task",
        "avs",
        "--truth",
        worlds / world / truth,
        "--pred",
        out,
        *classes,
        "--out",
        tmp_path / "figures.json",
    )
    assert ran.code == 0, ran.err
    ran = in_process(capsys, "predict", "--stream", "--checkpoint", tmp_path / "run", "--data", worlds / world)
    assert ran.code == 2 and "avs-bg predicts whole clips; frame by frame predict: avism, afcv, rcf" in ran.err
    measured = json.loads((tmp_path / "figures.json").read_text())["avss" if classes[0] == "--classes" else "avs"]
    assert measured["miou"] == pytest.approx(figures["strict"]["mIoU"], abs=1e-9)
    assert measured["fscore"] == pytest.approx(figures["strict"]["F"], abs=0.01)  # pictures have 8 bits
    assert measured["reference"]["miou"] == pytest.approx(figures["reference"]["mIoU"], abs=1e-6) or world == "avss"


def test_a_run_on_ms3_starts_from_one_on_s4(worlds: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train_baseline(worlds / "s4", small("avs_bg_tiny", *S4), tmp_path / "s4", device_name="cpu")
    config = small(
        "avs_bg_tiny", "optimiser.rate=1e-9", "loop.iterations=1", "validation.split=test", "validation.every=1"
    )
    train_baseline(worlds / "ms3", config, tmp_path / "ms3", init=tmp_path / "s4", device_name="cpu")
    assert "init=" not in caplog.text  # nothing was missing, nothing left over
    before, after = (dict(load_trained(tmp_path / name, None)[0].named_parameters()) for name in ("s4", "ms3"))
    assert all(torch.allclose(after[name], value, atol=1e-6) for name, value in before.items())


def test_shared_validation_gives_the_same_figures(worlds: Path) -> None:
    config = small("avs_bg_tiny")
    model = new_model(config, torch.device("cpu"))
    split = OpenedAvsSplit(opened(worlds / "ms3", "val"))
    alone = split.validate(model, config, Processes(), torch.device("cpu"))
    parts: list[Any] = []

    class Half(Processes):
        def gathered(self, value: Any) -> list[Any]:
            parts.append(value)
            return parts

    for rank in (0, 1):
        try:
            shared = split.validate(model, config, Half(rank=rank, world_size=2), torch.device("cpu"))
        except KeyError:
            assert rank == 0  # the other half is not there yet
    assert shared == alone and len(parts) == 2


def test_prediction_does_not_touch_what_is_there(
    worlds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_baseline(worlds / "ms3", small("avs_bg_tiny", "validation.every=0"), tmp_path / "run", device_name="cpu")
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "mine.txt").write_text("mine")
    arguments = ["predict", "--checkpoint", tmp_path / "run", "--device", "cpu"]
    ran = in_process(capsys, *arguments, "--data", worlds / "ms3", "--out", tmp_path / "masks")
    assert ran.code == 3 and "exists already" in ran.err
    ran = in_process(capsys, *arguments, "--video", tmp_path / "masks" / "mine.txt")
    assert ran.code == 2 and "AVSBench datasets" in ran.err


def test_pictures_keep_which_pixels_are_above_one_half() -> None:
    logits = np.array([[-30.0, -1e-3, 0.0, 1e-3, 30.0]], dtype=np.float32)
    values = np.asarray(mask_picture(logits, 1)).tolist()[0]
    assert values[0] == 0 and values[-1] == 255 and values[1:3] == [127, 127] and values[3] == 128
    classes = mask_picture(np.array([[0, 2, 70]], dtype=np.uint8), 71)
    assert np.asarray(classes).tolist() == [[0, 2, 70]] and classes.convert("RGB").getpixel((1, 0)) == (0, 128, 0)


def test_drawings_show_frames_truth_and_prediction(worlds: Path, tmp_path: Path) -> None:
    config = small("avs_bg_tiny", "validation.draw_clips=1")
    model = new_model(config, torch.device("cpu"))
    split = opened(worlds / "ms3", "val")
    (path,) = OpenedAvsSplit(split).draw(model, config, torch.device("cpu"), tmp_path, 7)
    page = np.asarray(Image.open(path))
    assert path.name == "0000007-multi10.png" and page.shape == (96, 160, 3)
    mask = np.asarray(Image.open(split.clips[0].masks[0]).resize((32, 32)))  # type: ignore[arg-type]
    assert (np.abs(page[32:64, :32, 0].astype(int) - mask) < 130).mean() > 0.95


@pytest.mark.slow
@pytest.mark.parametrize(("name", "iterations"), [("avs_bg_tiny", 40), ("tpavi_tiny", 75)])
def test_one_clip_is_learnt_by_heart(tmp_path: Path, name: str, iterations: int) -> None:
    """Seconds differ in what sounds, so that a picture alone does not tell the mask."""
    root = write_ms3(tmp_path / "ms3", 1)
    (root / "ms3_meta_data.csv").write_text("video_id,split\nmulti00,train\nmulti00,val\n")
    for kind in ("gt_masks", "audio_wav"):
        shutil.rmtree(root / "ms3_data" / kind / "val")
        shutil.copytree(root / "ms3_data" / kind / "train", root / "ms3_data" / kind / "val")
    settings = [f"loop.iterations={iterations}", f"validation.every={iterations}", "data.batch=1", "data.workers=0"]
    config = load_config(name, [*settings, "validation.draw_every=0"])
    result = train_baseline(root, config, tmp_path / "run", device_name="cpu")
    assert result.best_score is not None and result.best_score >= 0.95

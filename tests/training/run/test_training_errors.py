"""What stops a run: numbers that are none, bad files, full memory. What was learnt is kept, the cause is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from avis_data.errors import DataError, ToolError
from avis_data.report.sheet import write_sheet
from avis_data.training.data.split import open_split
from avis_data.training.predict.predict import PredictRequest, predict
from avis_data.training.predict.visualize import true_view
from avis_data.training.run.train import train_baseline
from avis_data.weights.files import read_tensors
from support.tiny_training import TINY, in_process, started, tiny_config


def test_a_loss_that_is_no_number_stops_saves_and_names_the_clip(world_export: Path, tmp_path: Path) -> None:
    trainer = started(tiny_config("loop.iterations=5"), world_export, tmp_path / "run")
    guilty = trainer.samples.sample(4).clip_id  # one of the two clips of the third iteration
    before = trainer.samples.sample

    def spoilt(number: int) -> Any:
        clip = before(number)
        if number >= 4 and clip.clip_id == guilty:
            clip.audio_TA[0, 0] = float("nan")  # type: ignore[index]
        return clip

    trainer.samples.sample = spoilt  # type: ignore[method-assign]
    with pytest.raises(DataError, match=rf"iteration 3: the loss is not a number.*at clip {guilty};"):
        trainer.run()
    saved = trainer.folder.read_last()
    assert saved.state.iteration == 2
    assert all(torch.isfinite(tensor).all() for tensor in saved.model.values())


def test_a_gradient_that_is_no_number_does_not_reach_the_weights(world_export: Path, tmp_path: Path) -> None:
    trainer = started(tiny_config("loop.iterations=5"), world_export, tmp_path / "run")
    spoilt = trainer.model.frame_decoder.class_head.weight

    def hook(gradient: torch.Tensor) -> torch.Tensor:
        return gradient * (float("inf") if trainer.state.iteration == 2 else 1.0)

    spoilt.register_hook(hook)
    names = " or ".join(sorted(trainer.samples.sample(number).clip_id for number in (4, 5)))
    with pytest.raises(DataError, match=rf"iteration 3: the gradient is not a number, at clip {names};"):
        trainer.run()
    saved = trainer.folder.read_last()
    assert saved.state.iteration == 2
    assert all(torch.isfinite(tensor).all() for tensor in saved.model.values())


def test_a_bad_file_stops_saves_and_the_run_goes_on_when_it_is_mended(export_copy: Path, tmp_path: Path) -> None:
    config = tiny_config("loop.iterations=4")
    trainer = started(config, export_copy, tmp_path / "run")
    bad = export_copy / "train" / "JPEGImages" / trainer.samples.sample(5).clip_id
    before = trainer.samples.sample

    def until_it_is_read(number: int) -> Any:
        if number == 5:
            for still in bad.iterdir():
                still.rename(still.with_suffix(".away"))
        return before(number)

    trainer.samples.sample = until_it_is_read  # type: ignore[method-assign]
    with pytest.raises(DataError, match="no picture"):
        trainer.run()
    assert trainer.folder.read_last().state.iteration == 2
    for still in bad.iterdir():
        still.rename(still.with_suffix(".jpg"))
    assert started(config, export_copy, tmp_path / "run", resume=True).run().iteration == 4


@pytest.mark.parametrize("where", ["training", "step", "validation", "prediction"])
def test_out_of_memory_says_what_to_lower(
    where: str, trained: Path, world_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    if where in ("training", "step"):
        trainer = started(tiny_config(), world_export, tmp_path / "run")
        if where == "training":
            monkeypatch.setattr(trainer.model, "forward", full)
        else:
            monkeypatch.setattr(trainer.optimiser, "step", full)
        with pytest.raises(ToolError, match=r"data\.batch.*data\.frames") as caught:
            trainer.run()
        assert trainer.folder.read_last().state.iteration == 0
    elif where == "validation":
        trainer = started(tiny_config("loop.iterations=1", "validation.every=1"), world_export, tmp_path / "run")
        monkeypatch.setattr(trainer.model, "predict", full)
        with pytest.raises(ToolError, match="frames_per_pass") as caught:
            trainer.run()
        assert trainer.folder.read_last().state.iteration == 1  # what was learnt is not lost
    else:
        monkeypatch.setattr("avis_data.training.models.avism.model.Avism.predict", full)
        request = PredictRequest(weights=trained, data=world_export, device_name="cpu")
        with pytest.raises(ToolError, match="frames_per_pass") as caught:
            predict(request, tmp_path / "results.json")
        assert not (tmp_path / "results.json").exists()
    assert "out of memory" in str(caught.value)


def test_a_run_can_be_gone_on_with_from_the_first_moment(
    export_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its start weights are kept: the run that goes on is the run that was begun."""
    stills = list((export_copy / "train" / "JPEGImages").rglob("*.jpg"))
    whole = {still: still.read_bytes() for still in stills}
    for still in stills:
        still.write_bytes(b"no picture")
    settings = [*TINY, "loop.iterations=1", "optimiser.rate=1e-12", "optimiser.weight_decay=0"]
    options = [part for setting in settings for part in ("--set", setting)]
    common = ["train-baseline", "--data", export_copy, "--out", tmp_path / "run", "--device", "cpu"]
    new = [*common, "--config", "avism_tiny", *options]
    ran = in_process(capsys, *new)
    assert ran.code == 3 and "no picture" in ran.err
    begun = started(tiny_config(*settings), export_copy, tmp_path / "other").model.state_dict()
    for still, content in whole.items():
        still.write_bytes(content)
    ran = in_process(capsys, *common, "--resume")
    assert ran.code == 0, ran.err
    found = read_tensors(tmp_path / "run" / "checkpoints" / "0000001" / "model.safetensors")
    assert all(torch.allclose(found[name], tensor, atol=1e-6) for name, tensor in begun.items())


def test_a_folder_without_any_checkpoint_is_free(
    trained: Path, world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that was killed while it began."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_bytes((trained / "config.yaml").read_bytes())
    options = [part for setting in [*TINY, "loop.iterations=1"] for part in ("--set", setting)]
    ran = in_process(
        capsys, "train-baseline", "--data", world_export, "--config", "avism_tiny", "--out", tmp_path / "run", *options
    )
    assert ran.code == 0, ran.err


def test_weights_that_learnt_one_kind_of_audio_are_not_given_another(
    trained: Path, world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """VGGish vectors are as wide as the log-mel summary: they would fit, and mean nothing."""
    arguments = ["predict", "--checkpoint", trained, "--data", world_export, "--out", tmp_path / "r.json"]
    ran = in_process(capsys, *arguments, "--set", "data.audio=vggish")
    assert ran.code == 2 and "was trained with data.audio=logmel" in ran.err


@pytest.mark.parametrize(("factor", "told"), [(0.1, True), (1.0, False)])
def test_a_published_recipe_from_random_weights_is_told(
    factor: float, told: bool, world_export: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = tiny_config("loop.iterations=1", f"optimiser.backbone_factor={factor}")
    train_baseline(world_export, config, tmp_path / "run", device_name="cpu")
    assert ("--init" in caplog.text) == told
    caplog.clear()
    train_baseline(world_export, config, tmp_path / "more", init=tmp_path / "run", device_name="cpu")
    assert "init=random" not in caplog.text


def test_drawn_samples_say_which_is_the_truth(trained: Path, world_export: Path, tmp_path: Path) -> None:
    """The gutter left of the stills holds nothing but the titles."""
    split = open_split(world_export, "val", num_classes=26, audio=None)
    path = next((trained / "samples").glob("*.png"))
    clip = next(clip for clip in split.clips if clip.clip_id in path.name)
    write_sheet(tmp_path / "truth.png", [true_view(split, clip)])
    height = Image.open(tmp_path / "truth.png").height
    drawn = np.asarray(Image.open(path).convert("L"))[:, :100]
    untitled = np.asarray(Image.open(tmp_path / "truth.png").convert("L"))[:30, :100]
    assert untitled.min() == 255 and drawn[:30].min() < 100 and drawn[height : height + 30].min() < 100


def test_a_start_that_failed_gives_its_place_to_the_corrected_command(
    export_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    stills = {path: path.read_bytes() for path in (export_copy / "train" / "JPEGImages").rglob("*.jpg")}
    for path, data in stills.items():
        path.write_bytes(data[: len(data) // 2])
    options = [part for setting in (*TINY, "loop.iterations=1", "validation.every=0") for part in ("--set", setting)]
    command = ("train-baseline", "--data", export_copy, "--config", "avism_tiny", "--out", run, *options)
    failed = in_process(capsys, *command)
    assert failed.code == 3 and (run / "checkpoints" / "0000000").is_dir()
    for path, data in stills.items():
        path.write_bytes(data)
    corrected = in_process(capsys, *command, "--set", "loop.seed=1")
    assert corrected.code == 0, "another config, as nothing was learnt with the first"
    refused = in_process(capsys, *command)
    assert refused.code == 2 and "holds a run already" in refused.err


@pytest.mark.parametrize("split", ["train", "val"])
def test_withheld_labels_are_nothing_to_learn_from_or_to_measure_with(
    split: str, export_copy: Path, tmp_path: Path
) -> None:
    truth = export_copy / f"{split}.json"
    content = json.loads(truth.read_text())
    del content["annotations"]
    truth.write_text(json.dumps(content))
    options = ("loop.iterations=1", "validation.every=1")
    with pytest.raises(DataError, match=rf"{split}\.json: annotations: .*the labels of this set are withheld"):
        train_baseline(export_copy, tiny_config(*options), tmp_path / "run", device_name="cpu")
    assert not (tmp_path / "run" / "checkpoints").exists()

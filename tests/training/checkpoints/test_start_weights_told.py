"""What start weights lack, and what of them is not taken, is told by name; those of another model are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from avis_data.errors import ConfigError, DataError
from avis_data.training.checkpoints.load_report import listed
from avis_data.training.checkpoints.start_weights import load_initial
from avis_data.training.models.avism.model import Avism
from avis_data.training.run.train import train_baseline
from support.tiny_training import TINY, in_process, tiny_config

Tensors = dict[str, Tensor]
CLASS_HEAD = "frame_decoder.class_head.weight"


def model(seed: int = 0) -> Avism:
    torch.manual_seed(seed)
    return Avism(tiny_config().model)


def weights(target: Path, change: Callable[[Tensors], Tensors] = lambda tensors: tensors) -> Path:
    """A file of our names, from a model with other values."""
    save_file(change({name: tensor.contiguous() for name, tensor in model(1).state_dict().items()}), target)
    return target


def backbone_share(share: float) -> Callable[[Tensors], Tensors]:
    def change(tensors: Tensors) -> Tensors:
        own = [name for name in tensors if name.startswith("backbone.")]
        kept = own[: round(len(own) * share)]
        return {name: tensors[name] for name in kept}

    return change


def backbone_of_another_shape(tensors: Tensors) -> Tensors:
    """The other parts all fit, and are more than half of everything."""
    other = {name: torch.zeros(3, 3, 3) for name in tensors if name.startswith("backbone.")}
    return tensors | other


def odd(tensors: Tensors) -> Tensors:
    del tensors["frame_decoder.query_features.weight"]
    return tensors | {CLASS_HEAD: torch.zeros(3, 3), "tracker.mystery.weight": torch.zeros(1)}


def test_a_whole_file_leaves_nothing_to_tell(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    report = load_initial(model(), weights(tmp_path / "w.safetensors"))
    assert not list(report.lines()) and not caplog.records
    assert report.loaded == sum(taken for taken, _ in report.parts.values()) == len(model().state_dict())


def test_every_name_that_does_not_fit_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    load_initial(model(), weights(tmp_path / "w.safetensors", odd))
    told = caplog.text
    assert "1 not in the file, so they start at random: frame_decoder.query_features.weight" in told
    assert f"1 of another shape in the file, so they start at random: {CLASS_HEAD}" in told
    assert "1 in the file, but not in the model: tracker.mystery.weight" in told


def test_names_that_no_rule_knows_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of a published classifier, and of a folder of transformers."""
    body = {"bn1.running_mean": torch.zeros(8), "mystery.weight": torch.zeros(1), "odd\x1b[2J\ud800": torch.zeros(1)}
    torch.save(body, tmp_path / "r.pth")
    report = load_initial(model(), tmp_path / "r.pth", allow_partial=True)
    assert report.unknown == tuple(body)[1:]
    assert r"2 in the file, under names that are not known: mystery.weight, 'odd\x1b[2J\ud800'" in caplog.text
    json.dumps(report.values("r\udc80.pth"), ensure_ascii=False).encode()
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(embedding_size=8, hidden_sizes=[16, 16, 32, 32], depths=[1, 1, 1, 1])
    ResNetForImageClassification(config).save_pretrained(tmp_path / "folder")
    unknown = [name for name in load_initial(model(), tmp_path / "folder").unknown if "batches_tracked" not in name]
    assert unknown == ["classifier.1.bias", "classifier.1.weight"]


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        (backbone_share(1), False),
        (backbone_share(0.6), False),
        (backbone_share(0.4), True),
        (backbone_share(85 / 334), True),
        (backbone_of_another_shape, True),
    ],
)
def test_weights_of_a_stranger_are_refused(change: Callable[[Tensors], Tensors], refused: bool, tmp_path: Path) -> None:
    path, started = weights(tmp_path / "w.safetensors", change), model()
    before = {name: tensor.clone() for name, tensor in started.state_dict().items()}
    if not refused:
        assert load_initial(started, path).loaded
        return
    with pytest.raises(DataError, match=r"too little of the model \(backbone \d+ of \d+") as caught:
        load_initial(started, path)
    assert "start at random: " in str(caught.value) and "--allow-partial" in (caught.value.hint or "")
    assert all(torch.equal(before[name], tensor) for name, tensor in started.state_dict().items())
    assert load_initial(started, path, allow_partial=True).is_stranger


def test_many_names_are_told_by_module() -> None:
    names = [f"backbone.body.{stage}.{number}.weight" for stage in "ab" for number in range(30)]
    assert listed([*names, "head.scale", "head"]) == "backbone.body.a (30), backbone.body.b (30), head, head.scale"
    assert listed(names[:20]) == ", ".join(names[:20])
    assert listed([str(number) for number in range(1000)]).endswith(", 115, and 980 more")


def test_a_run_keeps_the_names_and_a_stranger_begins_none(
    world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part, run = weights(tmp_path / "part.safetensors", backbone_share(0.4)), tmp_path / "run"
    command = ["train-baseline", "--data", world_export, "--out", run, "--device", "cpu", "--init", part]
    command += ["--config", "avism_tiny", "--set", "loop.iterations=1"]
    command += [word for setting in TINY for word in ("--set", setting)]
    ran = in_process(capsys, *command)
    assert ran.code == 3 and "backbone.body.encoder" in ran.err and "--allow-partial" in ran.err
    assert not run.exists()
    ran = in_process(capsys, *command, "--allow-partial")
    assert ran.code == 0
    kept = json.loads((run / "start_weights.json").read_text(encoding="utf-8"))
    own = set(model().state_dict())
    assert kept["loaded"] + len(kept["missing"]) == len(own) and set(kept["missing"]) < own
    assert kept["parts"]["backbone"]["taken"] == kept["loaded"]


def test_the_option_needs_weights(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--init"):
        train_baseline(tmp_path, tiny_config(), tmp_path / "run", allow_partial=True)

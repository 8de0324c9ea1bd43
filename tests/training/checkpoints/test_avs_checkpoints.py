"""Official AVS-BG and AVSBench checkpoints: names, conversion, and as start weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from avis_data.cli.main import main
from avis_data.errors import DataError
from avis_data.training.checkpoints.conversion import convert_checkpoint
from avis_data.training.checkpoints.start_weights import load_initial, read_start_weights
from avis_data.training.checkpoints.trained import load_trained
from avis_data.training.config import load_config
from avis_data.training.data.clips import TensorClip
from avis_data.training.models.avs_bg.config import AvsBgConfig
from avis_data.training.models.avs_bg.model import AvsBg
from avis_data.training.models.avs_bg.official_names import from_official_avs
from avis_data.training.models.backbones import PvtSpec
from avis_data.training.registry import build_model
from avis_data.weights.files import read_tensors
from support.tiny_avs import avs_clip, tiny_avs

TINY_PVT = PvtSpec(channels=(8, 16, 20, 32), depths=(1, 2, 1, 1))
FAMILIES = {
    "avs_bg_pvt": AvsBgConfig(backbone=TINY_PVT),
    "avsbench_tpavi_pvt": AvsBgConfig(
        backbone=TINY_PVT,
        neck="dilated",
        channels=16,
        fusion="tpavi",
        motion=False,
        generation=False,
        decoder="preact_bilinear",
        head_channels=(12, 6),
    ),
}


def official_shapes(shared_dir: Path, name: str) -> dict[str, list[int]]:
    """Name -> shape of every tensor of a published checkpoint."""
    keys: dict[str, Any] = json.loads((shared_dir / "parity" / "checkpoint_keys" / f"{name}.json").read_text())["keys"]
    return {key: value[0] if value and isinstance(value[-1], str) else value for key, value in keys.items()}


def as_official(shared_dir: Path, name: str, model: nn.Module) -> dict[str, Tensor]:
    """A small model's tensors under the published names, in the published number of dimensions."""
    own, official = model.state_dict(), {}
    for key, shape in official_shapes(shared_dir, name).items():
        ours = list(from_official_avs({key: torch.zeros([2, *shape[1:]] if shape else [])} | _kind(name)).tensors)
        if all(place in own for place in ours):
            parts = [own[place] for place in ours]
            joined = torch.cat(parts) if len(parts) > 1 else parts[0]
            official[key] = joined[(...,) + (None,) * (len(shape) - joined.ndim)]
    return official


def _kind(name: str) -> dict[str, Tensor]:
    """A name of no meaning that tells a PVT."""
    return {"encoder.patch_embed1.none": torch.zeros(())} if name.endswith("pvt") else {}


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("avs_bg_pvt", "avs_bg_pvt_s4"),
        ("avs_bg_resnet", "avs_bg_r50_ms3"),
        ("avsbench_tpavi_pvt", "avsbench_pvt_s4"),
        ("avsbench_tpavi_resnet", "avsbench_r50_ms3"),
    ],
)
def test_every_official_tensor_has_its_place(shared_dir: Path, name: str, config: str) -> None:
    shapes = official_shapes(shared_dir, name)
    renamed = from_official_avs({key: torch.empty(shape, device="meta") for key, shape in shapes.items()})
    with torch.device("meta"):
        own = build_model(load_config(config)).state_dict()
    assert not renamed.unknown
    found = {key: tuple(value.shape) for key, value in renamed.tensors.items()}
    assert found == {key: tuple(value.shape) for key, value in own.items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_converted_checkpoint_predicts_as_its_model(shared_dir: Path, tmp_path: Path, family: str) -> None:
    torch.manual_seed(0)
    model = AvsBg(FAMILIES[family]).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    torch.save(as_official(shared_dir, family, model), tmp_path / "official.pth")
    report = convert_checkpoint(tmp_path / "official.pth", tmp_path / "ours.safetensors")
    assert report.complete and report.config == model.config
    assert report.parameters == sum(value.numel() for value in model.parameters())
    converted, config = load_trained(tmp_path / "ours.safetensors", None)
    assert config.model_name == "avs-bg"
    clip = avs_clip(0)
    source = TensorClip(clip_id="c", frames_T3HW=clip.frames_T3HW, audio_TA=clip.audio_TA, size_hw=(64, 64))
    assert torch.equal(torch.from_numpy(converted.predict(source)), torch.from_numpy(model.predict(source)))
    started = AvsBg(model.config)
    load_initial(started, tmp_path / "official.pth")
    assert all(torch.equal(started.state_dict()[name], value) for name, value in model.state_dict().items())


def test_what_is_missing_and_what_is_unknown_is_told(
    shared_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    official = as_official(shared_dir, "avs_bg_pvt", AvsBg(FAMILIES["avs_bg_pvt"]))
    del official["corr_atten.2.bias"]
    torch.save(official | {"mystery.weight": torch.zeros(1)}, tmp_path / "official.pth")
    code = main(["weights", "convert", str(tmp_path / "official.pth"), "--out", str(tmp_path / "ours.safetensors")])
    said = capsys.readouterr()
    assert code == 4
    assert "missing: head.motion.2.scale.bias" in said.err and "unexpected: mystery.weight" in said.err
    assert "head.motion.2.scale.weight" in read_tensors(tmp_path / "ours.safetensors")


def test_a_window_is_no_matter_of_this_model(
    shared_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(as_official(shared_dir, "avs_bg_pvt", AvsBg(FAMILIES["avs_bg_pvt"])), tmp_path / "official.pth")
    ours = tmp_path / "o.safetensors"
    options = ["--out", str(ours), "--set", "model.window=3"]
    assert main(["weights", "convert", str(tmp_path / "official.pth"), *options]) == 3
    assert "model.window: unknown key" in capsys.readouterr().err and not ours.exists()


def test_a_part_of_a_model_cannot_be_converted(tmp_path: Path) -> None:
    torch.save({"fusion_modules.0.conv1.conv.weight": torch.zeros(32, 128, 1, 1)}, tmp_path / "official.pth")
    with pytest.raises(DataError, match="no whole decoder"):
        convert_checkpoint(tmp_path / "official.pth", tmp_path / "o.safetensors")


def test_published_encoders_start_a_model(tmp_path: Path) -> None:
    """The classifier's head is left out; a ResNet's norms start with the published statistics."""
    pvt = AvsBg(FAMILIES["avs_bg_pvt"])
    key = torch.arange(128.0).reshape(16, 8)
    torch.save(
        {"patch_embed1.norm.weight": torch.full((8,), 7.0), "block1.0.attn.kv.weight": key, "head.bias": key},
        tmp_path / "pvt.pth",
    )
    load_initial(pvt, tmp_path / "pvt.pth", allow_partial=True)
    first = pvt.backbone.body.encoder.layers[0]
    assert (first.patch_embedding.layer_norm.weight == 7).all()
    assert torch.equal(first.blocks[0].attention.value.weight, key[8:])
    resnet = tiny_avs("av_corr")
    torch.save({"bn1.running_mean": torch.full((8,), 3.0)}, tmp_path / "resnet.pth")
    assert list(read_start_weights(tmp_path / "resnet.pth").tensors) == [
        "backbone.body.embedder.embedder.normalization.running_mean"
    ]
    load_initial(resnet, tmp_path / "resnet.pth", allow_partial=True)
    assert (resnet.backbone.body.embedder.embedder.normalization.running_mean == 3).all()

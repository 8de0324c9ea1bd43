"""Official checkpoints: every name of the published files, conversion on the command line, start weights."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from avis_data.cli.main import main
from avis_data.errors import DataError
from avis_data.training.checkpoints.start_weights import load_into, read_start_weights
from avis_data.training.checkpoints.trained import config_of_weights, load_exactly
from avis_data.training.models.avism.config import AvismConfig
from avis_data.training.models.avism.model import Avism
from avis_data.training.models.avism.official_names import from_official_avism
from avis_data.training.models.avism.official_shapes import avism_config_of
from avis_data.training.models.backbones import ResNetSpec, SwinSpec
from support.tiny_avism import tiny_config, tiny_model, training_clip, whole_clip

FULL_SIZE = ["avism_r50_in", "avism_r50_coco", "avism_swinl_in"]


def key_list(shared_dir: Path, name: str) -> dict[str, Any]:
    return json.loads((shared_dir / "parity" / "checkpoint_keys" / f"{name}.json").read_text())


def shapes_in(listed: dict[str, Any]) -> dict[str, list[int]]:
    """Shape of every key; a buffer is written as [shape, "buffer"]."""
    return {key: value[0] if value[-1:] == ["buffer"] else value for key, value in listed["keys"].items()}


@pytest.mark.parametrize("name", FULL_SIZE)
def test_every_published_name_is_ours(name: str, shared_dir: Path) -> None:
    listed = key_list(shared_dir, name)
    official = {
        key: torch.tensor([1.0] * 26 + [0.1]) if key.endswith("empty_weight") else torch.empty(shape, device="meta")
        for key, shape in shapes_in(listed).items()
    }
    renamed = from_official_avism(official)
    assert renamed.unknown == () and renamed.odd_class_weights == ()
    config = avism_config_of(renamed.tensors, AvismConfig())
    expected = AvismConfig(backbone=SwinSpec(), frame_queries=200) if "swinl" in name else AvismConfig()
    assert config == expected
    with torch.device("meta"):
        own = Avism(config).state_dict()
    assert {key: tuple(tensor.shape) for key, tensor in renamed.tensors.items()} == {
        key: tuple(tensor.shape) for key, tensor in own.items()
    }


def test_r101_is_told_by_its_blocks() -> None:
    wanted = AvismConfig(backbone=ResNetSpec(depths=(3, 4, 23, 3)))
    with torch.device("meta"):
        assert avism_config_of(Avism(wanted).state_dict(), AvismConfig()) == wanted


def official_names(shared_dir: Path) -> dict[str, str]:
    """Ours to official, from the published key list (R-50 names only)."""
    ours = {}
    for key, shape in shapes_in(key_list(shared_dir, "avism_r50_coco")).items():
        if not key.endswith("empty_weight"):
            (name,) = from_official_avism({key: torch.empty(shape, device="meta")}).tensors
            ours[name] = key
    return ours


@pytest.fixture
def official_file(tmp_path: Path, shared_dir: Path) -> Path:
    """A tiny model as the official training would save it: half precision, wrapped, with class weights."""
    names = official_names(shared_dir)
    state = {names[name]: tensor.half() for name, tensor in tiny_model().state_dict().items()}
    state["criterion.empty_weight"] = state["vita_criterion.empty_weight"] = torch.tensor([1.0, 1, 1, 1, 0.1])
    path = tmp_path / "official.pth"
    torch.save({"model": state, "iteration": 48_000}, path)
    return path


def convert(path: Path, to: Path, *options: str) -> int:
    return main(["weights", "convert", str(path), "--out", str(to), *options])


def test_converted_weights_give_the_same_tracks(
    official_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "ours.safetensors"
    assert convert(official_file, target, "--json", "--set", "model.window=3") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["complete"] and report["missing"] == report["unexpected"] == report["odd_class_weights"] == []
    original = tiny_model().eval()
    original.load_state_dict({name: tensor.half().float() for name, tensor in original.state_dict().items()})
    assert report["parameters"] == sum(parameter.numel() for parameter in original.parameters())
    config = config_of_weights(target)
    assert config is not None and config.model == tiny_config()
    model = Avism(config.model)
    load_exactly(model, load_file(target), where=target)
    clip = whole_clip(1, 4)
    options = replace(config.predict, score_threshold=0.05)
    assert model.eval().predict(clip, options) == original.predict(clip, options) != []


@pytest.mark.slow
def test_a_full_size_checkpoint_converts(tmp_path: Path, shared_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = torch.Generator().manual_seed(0)
    state = {
        key: torch.randn(shape, generator=rng, dtype=torch.float32).half()
        for key, shape in shapes_in(key_list(shared_dir, "avism_r50_coco")).items()
    }
    state["criterion.empty_weight"] = state["vita_criterion.empty_weight"] = torch.tensor([1.0] * 26 + [0.1])
    torch.save({"model": state}, tmp_path / "avism_R50_COCO.pth")
    target = tmp_path / "avism.safetensors"
    assert convert(tmp_path / "avism_R50_COCO.pth", target) == 0
    assert "66,072,246 parameters" in capsys.readouterr().out
    ours = load_file(target)
    for key, tensor in from_official_avism(state).tensors.items():
        assert torch.equal(ours[key], tensor.float())


def test_a_zoo_pickle_of_mask2former_fills_backbone_pixel_and_frame_decoder(tmp_path: Path, shared_dir: Path) -> None:
    names, state = official_names(shared_dir), tiny_model().state_dict()
    parts = ("backbone.", "pixel_decoder.", "frame_decoder.")
    expected = {ours: tensor for ours, tensor in state.items() if ours.startswith(parts) and ".fusion." not in ours}
    zoo = {names[ours].replace("query_feat", "static_query"): tensor.numpy() for ours, tensor in expected.items()}
    path = tmp_path / "model_final_3c8ec9.pkl"
    path.write_bytes(pickle.dumps({"model": zoo, "__author__": "third_party"}))
    found = read_start_weights(path).tensors
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[ours], tensor) for ours, tensor in expected.items())


def test_mask2former_vis_and_acvis_give_the_modules_that_they_share(tmp_path: Path, shared_dir: Path) -> None:
    names, state = official_names(shared_dir), tiny_model().state_dict()
    official = {names[ours]: tensor for ours, tensor in state.items()}
    fusion = ("frame_decoder.fusion.",)
    parts = ("backbone.", "pixel_decoder.", "frame_decoder.")
    of_parts = {ours for ours in state if ours.startswith(parts) and not ours.startswith(fusion)}
    vis = {names[ours]: state[ours] for ours in of_parts}
    torch.save({"model": {**vis, "criterion.empty_weight": torch.ones(41)}}, tmp_path / "vis.pth")
    assert read_start_weights(tmp_path / "vis.pth").tensors.keys() == of_parts

    acvis = {name.replace(".av_sf.", ".audio_centric_query_generator."): tensor for name, tensor in official.items()}
    own = {f"sem_seg_head.predictor.{name}": torch.zeros(1) for name in ("cls_token.weight", "cnt_proj.weight")}
    torch.save({"model": {**acvis, **own}}, tmp_path / "acvis.pth")
    found = read_start_weights(tmp_path / "acvis.pth")
    assert found.tensors.keys() == {ours for ours in state if not ours.startswith(fusion)}
    assert all(torch.equal(found.tensors[ours], state[ours]) for ours in found.tensors)
    assert set(own) < set(found.unknown) and all("sem_seg_head.predictor." in name for name in found.unknown)


def changed(path: Path, change: Any) -> Path:
    content = torch.load(path, weights_only=True)
    change(content["model"])
    torch.save(content, path)
    return path


def test_missing_and_unknown_names_are_told(
    official_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def damage(state: dict[str, Tensor]) -> None:
        del state["vita_module.fq_pos.weight"]
        state["vita_module.something.weight"] = torch.zeros(3)
        state["criterion.empty_weight"] = torch.ones(5)

    target = tmp_path / "ours.safetensors"
    assert convert(changed(official_file, damage), target) == 4
    told = capsys.readouterr().err
    assert "missing: tracker.decoder.key_position.weight" in told
    assert "unexpected: vita_module.something.weight" in told
    assert "class weights" in told and "criterion.empty_weight" in told
    assert "tracker.decoder.key_position.weight" not in load_file(target)


def test_a_vita_file_is_a_model_without_audio(official_file: Path, tmp_path: Path) -> None:
    def without_audio(state: dict[str, Tensor]) -> None:
        for name in [name for name in state if ".av_" in name or "enc_av_" in name]:
            del state[name]

    target = tmp_path / "vita.safetensors"
    assert convert(changed(official_file, without_audio), target) == 0
    config = config_of_weights(target)
    assert config is not None and not config.model.needs_audio
    report = load_into(tiny_model(seed=1), read_start_weights(target).tensors)
    assert report.loaded and not report.unexpected and not report.misshapen
    assert report.missing and all(".fusion." in name for name in report.missing)


def test_code_in_a_checkpoint_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "avism.pth"
    torch.save({"model": {"sem_seg_head.predictor.x": torch.zeros(1)}, "trainer": Path("x")}, path)
    target = tmp_path / "ours.safetensors"
    assert convert(path, target) == 3
    assert "refused" in capsys.readouterr().err
    assert not target.exists()


@pytest.mark.parametrize(
    ("tensors", "target", "code", "said"),
    [
        ({"features.0.weight": torch.zeros(2)}, "x.safetensors", 3, "no checkpoint of AVISM, VITA"),
        ({"vita_module.fq_pos.weight": torch.zeros(2, 2)}, "x.pth", 2, "must end in .safetensors"),
        ({"vita_module.fq_pos.weight": torch.zeros(2, 2)}, "x.safetensors", 3, "do not fit each other"),
        (
            {"backbone.res2.0.conv1.weight": torch.zeros(1), "vita_module.fq_pos.weight": torch.zeros(5, 256)},
            "x.safetensors",
            3,
            "a part of its backbone",
        ),
    ],
)
def test_what_is_no_avism_is_refused(
    tensors: dict[str, Tensor], target: str, code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(tensors, tmp_path / "in.pth")
    assert convert(tmp_path / "in.pth", tmp_path / target) == code
    assert said in capsys.readouterr().err
    assert not (tmp_path / target).exists()


def torchvision_names(body: dict[str, Tensor]) -> dict[str, Tensor]:
    """A ResNet of transformers as torchvision would name it: written here the other way round, part by part."""
    renamed = {}
    for name, tensor in body.items():
        parts = name.split(".")
        leaf, norm = parts[-1], parts[-2] == "normalization"
        if parts[0] == "embedder":
            renamed[f"{'bn1' if norm else 'conv1'}.{leaf}"] = tensor
            continue
        stage, block = f"layer{int(parts[2]) + 1}", parts[4]
        if parts[5] == "shortcut":
            renamed[f"{stage}.{block}.downsample.{int(norm)}.{leaf}"] = tensor
        else:
            renamed[f"{stage}.{block}.{'bn' if norm else 'conv'}{int(parts[6]) + 1}.{leaf}"] = tensor
    return renamed


def test_a_torchvision_resnet_starts_the_backbone(tmp_path: Path) -> None:
    donor, model = tiny_model(seed=1), tiny_model(seed=2)
    state = torchvision_names(donor.backbone.body.state_dict())
    torch.save(
        state | {"fc.weight": torch.zeros(10, 32), "bn1.num_batches_tracked": torch.tensor(3)}, tmp_path / "r.pth"
    )
    report = load_into(model, read_start_weights(tmp_path / "r.pth").tensors)
    assert report.unexpected == report.misshapen == ()
    assert report.loaded == len(donor.backbone.state_dict())
    frames = training_clip(1).frames_T3HW
    with torch.no_grad():
        ours, theirs = (one.backbone(one.normalise(frames)) for one in (model, donor))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_weights_of_nothing_we_know(tmp_path: Path) -> None:
    torch.save({"alpha": torch.zeros(1)}, tmp_path / "x.pth")
    with pytest.raises(DataError, match=r"alpha"):
        read_start_weights(tmp_path / "x.pth")
    with pytest.raises(DataError, match="another one"):
        load_into(tiny_model(), {"alpha": torch.zeros(1)})

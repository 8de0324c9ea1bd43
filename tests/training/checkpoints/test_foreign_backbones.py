"""Swin and PVT v2 under the names of torchvision and timm are what they are under their authors' names."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from avis_data.errors import DataError
from avis_data.training.checkpoints.start_weights import read_start_weights
from avis_data.training.models.backbone_weights import from_published_backbone

Tensors = dict[str, Tensor]
DEPTHS = (1, 2, 3, 1)


def swin() -> Tensors:
    """The tensors of a small Swin as its authors name them, each with a value of its own."""
    names = [f"patch_embed.{part}.{leaf}" for part in ("proj", "norm") for leaf in ("weight", "bias")]
    for stage, depth in enumerate(DEPTHS):
        for block in range(depth):
            parts = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
            names += [f"layers.{stage}.blocks.{block}.{part}.{leaf}" for part in parts for leaf in ("weight", "bias")]
            names.append(f"layers.{stage}.blocks.{block}.attn.relative_position_bias_table")
        if stage < 3:
            names += [f"layers.{stage}.downsample.{leaf}" for leaf in ("reduction.weight", "norm.weight", "norm.bias")]
    return numbered([*names, "norm.weight", "norm.bias", "head.weight", "head.bias"])


def pvt() -> Tensors:
    names = []
    for stage, depth in enumerate(DEPTHS, start=1):
        ends = [f"patch_embed{stage}.proj", f"patch_embed{stage}.norm", f"norm{stage}"]
        parts = ("norm1", "attn.q", "attn.kv", "attn.proj", "norm2", "mlp.fc1", "mlp.dwconv.dwconv", "mlp.fc2")
        reduced = ("attn.sr", "attn.norm") if stage < 4 else ()
        ends += [f"block{stage}.{block}.{part}" for block in range(depth) for part in (*parts, *reduced)]
        names += [f"{end}.{leaf}" for end in ends for leaf in ("weight", "bias")]
    return numbered([*names, "head.weight", "head.bias"])


def numbered(names: list[str]) -> Tensors:
    return {name: torch.arange(6.0).reshape(6, 1) + 10 * place for place, name in enumerate(names)}


def torchvision_swin(name: str) -> str:
    """Blocks of the four stages are features 1, 3, 5, 7; what lies between them is 2, 4, 6."""
    name = name.replace("patch_embed.proj", "features.0.0").replace("patch_embed.norm", "features.0.2")
    name = name.replace("mlp.fc1", "mlp.0").replace("mlp.fc2", "mlp.3")
    name = re.sub(r"layers\.(\d)\.blocks", lambda match: f"features.{2 * int(match[1]) + 1}", name)
    return re.sub(r"layers\.(\d)\.downsample", lambda match: f"features.{2 * int(match[1]) + 2}", name)


def timm_swin(name: str) -> str:
    name = name.replace("head.", "head.fc.")
    return re.sub(r"layers\.(\d)\.downsample", lambda match: f"layers.{int(match[1]) + 1}.downsample", name)


def timm_pvt(name: str) -> str:
    name = name.replace("dwconv.dwconv", "dwconv").replace("patch_embed1", "patch_embed")
    name = re.sub(r"patch_embed(\d)", lambda match: f"stages.{int(match[1]) - 1}.downsample", name)
    name = re.sub(r"^block(\d)\.(\d+)", lambda match: f"stages.{int(match[1]) - 1}.blocks.{match[2]}", name)
    return re.sub(r"^norm(\d)", lambda match: f"stages.{int(match[1]) - 1}.norm", name)


@pytest.mark.parametrize(
    ("authors", "foreign"),
    [(swin, torchvision_swin), (swin, timm_swin), (pvt, timm_pvt)],
    ids=lambda made: made.__name__,
)
def test_foreign_names_give_the_same_tensors(
    authors: Callable[[], Tensors], foreign: Callable[[str], str], tmp_path: Path
) -> None:
    given = authors()
    renamed = {foreign(name): tensor for name, tensor in given.items()}
    assert renamed.keys() != given.keys() and len(renamed) == len(given)
    want, found = from_published_backbone(given), from_published_backbone(renamed)
    assert want.tensors and found.tensors.keys() == want.tensors.keys()
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in want.tensors.items())
    assert set(found.unknown) == {foreign(name) for name in want.unknown}, "the head, told under its own name"
    torch.save(renamed, tmp_path / "w.pth")
    assert read_start_weights(tmp_path / "w.pth").tensors.keys() == {f"backbone.body.{name}" for name in want.tensors}


def test_a_swin_of_the_second_version_is_refused(tmp_path: Path) -> None:
    for extra in ("layers.0.blocks.0.attn.logit_scale", "features.1.0.attn.cpb_mlp.0.weight"):
        torch.save({**swin(), extra: torch.zeros(1)}, tmp_path / "v2.pth")
        with pytest.raises(DataError, match=r"v2\.pth: these are weights of a Swin V2"):
            read_start_weights(tmp_path / "v2.pth")


def test_a_file_out_of_a_folder_of_transformers_is_told_to_be_given_with_it(tmp_path: Path) -> None:
    torch.save({"swin.embeddings.norm.weight": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(DataError, match="none of what we know") as caught:
        read_start_weights(tmp_path / "w.pth")
    assert "config.json" in (caught.value.hint or "")

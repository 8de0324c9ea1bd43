"""How often an iteration makes the host wait for the device: a few times, however many heads and objects there are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from avis_data.training.config import RunConfig, load_config
from avis_data.training.registry import MODELS
from support.avsbench_world import write_s4
from support.host_waits import HostWaits
from support.tiny_training import started

TRACKS = ("data.workers=0", "data.batch=2", "validation.every=0", "validation.draw_every=0", "loop.log_every=1")
MASKS = (*TRACKS, "data.side=32", "data.audio=logmel")
MORE = {
    "avism_tiny": ["data.audio=logmel"],
    "afcv_tiny": ["model.num_identities=9"],
    "crossvis_tiny": ["model.num_identities=9"],
    "avs_bg_tiny": ["loss.generation_mask=logits"],
}


def waits(config: RunConfig, data: Path, run: Path) -> HostWaits:
    """Of the second iteration: tables that are kept are made in the first."""
    trainer = started(config, data, run)
    ready = trainer._batches()
    trainer.iterate(ready)
    batch = next(ready)
    with HostWaits() as found:
        trainer.iterate(iter([batch]))
    return found


@pytest.mark.parametrize("config", ["avism_tiny", "rcf_tiny", "afcv_tiny", "crossvis_tiny"])
def test_models_of_tracks(config: str, world_export: Path, tmp_path: Path) -> None:
    found = waits(load_config(config, [*TRACKS, *MORE.get(config, [])]), world_export, tmp_path / "run")
    assert found.count <= 10, found.found


@pytest.mark.parametrize("config", ["avs_bg_tiny", "tpavi_tiny"])
def test_models_of_masks(config: str, tmp_path: Path) -> None:
    data = write_s4(tmp_path / "s4")
    found = waits(load_config(config, [*MASKS, *MORE.get(config, [])]), data, tmp_path / "run")
    assert found.count <= 10, found.found


def test_every_model_is_counted() -> None:
    counted = {load_config(name).model_name for name in ("avism_tiny", "rcf_tiny", "afcv_tiny", "avs_bg_tiny")}
    assert counted == {spec.name for spec in MODELS}


def test_waits_are_seen() -> None:
    x = torch.arange(4.0)
    with HostWaits() as found:
        float(x.sum())
        x[x > 1], x.nonzero(), x.tolist(), x.cpu(), torch.tensor([1.0], device="cpu"), bool(x[0] > 0)
        x[torch.tensor([1, 2])], x.sum()
    assert found.count == 7, found.found

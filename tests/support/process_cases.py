"""Every model with a tiny config, as one process and as several that share its batch; run as a program.

All processes are forked from one that has imported everything, so that four cost hardly more than one. They compute in
float64: in float32 the order of sums alone moves a gradient by thousandths, more on some processors than on others.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from avis_data.platforms import become_worker
from avis_data.training.config import RunConfig, load_config
from avis_data.training.data.clips import TrainingBatch
from avis_data.training.registry import new_model
from avis_data.training.run.distributed import Processes, joined_processes
from avis_data.training.run.loop import Trainer
from avis_data.training.run.run_folder import RunFolder
from avis_data.training.run.train import fitted_config
from avis_data.training.task import task_of
from support.tiny_afcv import TINY_RUN as AFCV
from support.tiny_rcf import TINY_RUN as RCF
from support.tiny_training import TINY

SWIN = "model.backbone={embed_channels: 16, depths: [1, 1, 1, 1], heads: [1, 1, 2, 2], window: 4, drop_path: 0.5}"
LEARNING = "{depths: [1, 1, 1, 1], stem_channels: 8, channels: [16, 16, 32, 32], frozen_norms: false}"
PVT = "{channels: [8, 8, 16, 16], depths: [1, 1, 1, 1], heads: [1, 1, 1, 1], drop_path: 0.5}"
AVS = ("data.side=64", "data.workers=0", "loop.log_every=1", "validation.every=0", "validation.draw_every=0")
SHAPES = "data.augment={crop_probability: 0.7, crop_short: [64], crop_size: [24, 60], short: [32, 64], long: 128}"
"""Clips of many sizes, some of them portraits."""

CASES = {
    "avism": ("avism_tiny", "export", (*TINY, SWIN, SHAPES, "model.checkpointing=true")),
    "rcf": ("rcf_tiny", "export", (*RCF, f"model.backbone={LEARNING}", SHAPES, "model.dropout=0.3")),
    "afcv": ("afcv_tiny", "export", (*AFCV, f"model.backbone={LEARNING}", SHAPES, "loss.masks=3")),
    "avs-bg": ("avs_bg_tiny", "ms3", (*AVS, f"model.backbone={PVT}")),
    "tpavi": (
        "tpavi_tiny",
        "avss",
        (*AVS, f"model.backbone={LEARNING}", "model.num_classes=3", "model.fusion_frames=5", "model.channels=16"),
    ),
}
"""Name -> config, data, settings. Whatever depends on the batch as a whole is on: batch norms of the backbone, sizes
that the batch is padded to, a limit of its masks, frames without a label, dropouts of every kind."""


def case_config(name: str) -> RunConfig:
    config, _, settings = CASES[name]
    return load_config(config, [*settings, "data.batch=4", "loop.iterations=2"])


def compute(root: Path, name: str, processes: Processes) -> None:
    """What a case gives: gradients of its first batch, statistics of norms after it, losses of two steps."""
    device = torch.device("cpu")
    config, data = case_config(name), root / CASES[name][1]
    config = fitted_config(config, task_of(config).open(data, "train", config))
    model = new_model(config, device).double()
    trainer = Trainer(config, data, model, RunFolder(root / "run"), device=device, processes=processes)
    found = {f"gradient/{key}": value for key, value in trainer.gradients(in_float64(trainer._batches())).items()}
    found |= {f"statistic/{key}": value.clone() for key, value in model.named_buffers() if "running" in key}
    ready = in_float64(trainer._batches())
    for step in range(2):
        losses = trainer.iterate(ready).losses
        found |= {f"loss/{step}.{key}": processes.averaged(value) for key, value in losses.items()}
    if processes.is_first:
        save_file(
            {key: value.contiguous() for key, value in found.items()},
            root / f"{name}-{processes.world_size}.safetensors",
        )


def in_float64(ready: Iterator[TrainingBatch[Any]]) -> Iterator[TrainingBatch[Any]]:
    """The batches for a model in float64, which makes its own numbers of frames, but takes sound as it is."""
    for batch in ready:
        yield TrainingBatch(clips=tuple(replace(clip, audio_TA=clip.audio_TA.double()) for clip in batch.clips))


def in_groups(root: Path, names: list[str], rank: int, ports: list[int]) -> None:
    """The cases by two processes, while a third one does them alone, then by all four."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "4", "MASTER_ADDR": "127.0.0.1"}
    for count, port in zip((2, 4), ports, strict=True):
        os.environ["MASTER_PORT"] = str(port)
        alone = rank == 2 and count == 2
        if rank < count or alone:
            with joined_processes(torch.device("cpu"), 1 if alone else count) as processes:
                for name in names:
                    compute(root, name, Processes() if alone else processes)


def main(root: Path, names: list[str]) -> int:
    """0, or 1 as soon as one of the processes failed: the others would wait for it."""
    torch.set_num_threads(1)
    ports, me = [_free_port() for _ in range(2)], os.getpid()
    children = set()
    for rank in range(4):
        child = os.fork()
        if child == 0:
            become_worker(me)
            failed = True
            try:
                in_groups(root, names, rank, ports)
                failed = False
            finally:
                if failed:
                    traceback.print_exc()
                os._exit(failed)
        children.add(child)
    while children:
        child, status = os.wait()
        children.remove(child)
        if status:
            for other in children:
                os.kill(other, signal.SIGKILL)
            return 1
    return 0


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:] or list(CASES)))

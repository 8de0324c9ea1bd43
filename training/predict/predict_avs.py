"""Predict masks of a split of an AVSBench dataset: a folder of pictures, named as the truth is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from avis_data.errors import DataError, ToolError
from avis_data.io import atomic_dir
from avis_data.training.config import RunConfig
from avis_data.training.predict.avs_masks import mask_picture
from avis_data.training.run.avs_task import AvsTask, predict_avs_clip

__all__ = ["MaskSummary", "predict_masks"]


@dataclass(frozen=True, kw_only=True)
class MaskSummary:
    """What was written."""

    out: str
    """The folder."""
    clips: int
    frames: int
    empty_frames: int
    """Frames in which nothing sounds."""

    def __str__(self) -> str:
        return f"{self.out}: {self.frames} masks of {self.clips} clips, {self.empty_frames} empty"


def predict_masks(
    model: nn.Module,
    config: RunConfig,
    data: Path,
    split_name: str,
    out: Path,
    device: torch.device,
    *,
    on_clip: Callable[[int], None] = lambda of: None,
) -> MaskSummary:
    """Write a picture for every frame of a split: `<out>/<clip>/<as the truth's mask>.png`.

    Args:
        model: in evaluation mode, on the device.
        out: the folder, which must not exist or be empty; it appears when all is there.
        on_clip: called after each clip with the number of all clips.

    Raises:
        DataError: if the dataset is not in order, or the folder holds something.
        ToolError: if memory runs out.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out}: exists already", hint="--out ANOTHER_FOLDER")
    split = AvsTask().open(data, split_name, config)
    frames = empty = 0
    with atomic_dir(out) as part:
        for clip in split.clips:
            try:
                predicted = predict_avs_clip(model, split, clip, config, device)
            except torch.OutOfMemoryError as error:
                raise ToolError(
                    f"clip {clip.clip_id}: out of memory ({str(error).splitlines()[0]})",
                    hint="--precision bf16, or --device cpu",
                ) from None
            folder = part / clip.result
            folder.mkdir(parents=True)
            for name, values in zip(clip.result_names, predicted, strict=True):
                frames += 1
                empty += not (values > 0).any()
                mask_picture(values, config.model.num_classes).save(folder / name)
            on_clip(len(split.clips))
    return MaskSummary(out=str(out), clips=len(split.clips), frames=frames, empty_frames=empty)

"""Draw where a model looked in the clips of a split, and count which of its slots gave objects of which category."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from avis_data.errors import ConfigError, DataError
from avis_data.io import csv_text, write_text
from avis_data.report.maps import MapCell, MapRow, write_map_sheet
from avis_data.report.render import told_together
from avis_data.training.checkpoints.trained import load_trained, weights_file
from avis_data.training.config import RunConfig, load_config
from avis_data.training.data.clips import ClipSource
from avis_data.training.device import choose_device, telling_memory
from avis_data.training.models.attention_maps import FrameAttention
from avis_data.training.registry import MODELS, new_model
from avis_data.training.task import Split, task_of

__all__ = ["AttentionRequest", "AttentionSummary", "draw_attention"]

_MOST_ROWS = 12
"""Frames on a sheet, spread over the clip."""
_TABLE = "fired_slots.csv"


@dataclass(frozen=True, kw_only=True)
class AttentionRequest:
    """Of which model and which clips."""

    data: Path
    """A dataset in the layout of the model's task."""
    weights: Path | None = None
    """A weight file, or the folder of a run; None: random weights of the config."""
    config_name: str | None = None
    """A shipped config or a YAML file, for weights that do not say theirs, or for random ones."""
    settings: Sequence[str] = ()
    """Changes of the config, `key.sub=value`."""
    split: str = "test"
    clip_ids: Sequence[str] = ()
    """Only these; empty: all."""
    device_name: str = "auto"


@dataclass(kw_only=True)
class AttentionSummary:
    """What was drawn and counted."""

    out: Path
    is_trained: bool
    """False: the weights are random, and the maps say nothing but where the network's structure looks."""
    files: list[Path] = field(default_factory=list)
    num_frames: int = 0
    fired: dict[str, list[int]] | None = None
    """Category -> in how many frames each slot fired as one; None for a model without slots."""

    def as_dict(self) -> dict[str, object]:
        """The same as plain values."""
        return {
            "out": str(self.out),
            "files": [str(file) for file in self.files],
            "trained": self.is_trained,
            "num_frames": self.num_frames,
            "fired_slots": self.fired,
        }


def draw_attention(
    request: AttentionRequest, out: Path, *, on_clip: Callable[[int], None] = lambda of: None
) -> AttentionSummary:
    """Write `<clip>-attention.png` for each clip, `<clip>-heads.png` where there are several heads, and a table.

    The table `fired_slots.csv` is of models with slots: a slot fires in a frame if its highest class probability is at
    least `model.slots.least_score` and its mask is not empty; it counts for its most probable category of that frame.

    Args:
        on_clip: called after each clip with the number of all.

    Raises:
        ConfigError: if neither weights nor a config are given, or the model has no such maps.
        DataError: if weights, dataset or clip ids are not in order; if a file of a clip is bad, after the others were
            drawn.
        ToolError: if the device is missing, or memory runs out.
    """
    device = choose_device(request.device_name)
    model, config, is_trained = _loaded(request, device)
    split = task_of(config).open(request.data, request.split, config)
    unknown = sorted(set(request.clip_ids) - set(split.clip_ids))
    if unknown:
        raise DataError(f"{split.truth}: has no clip {', '.join(unknown)} in {request.split!r}")
    chosen = [clip_id for clip_id in split.clip_ids if not request.clip_ids or clip_id in request.clip_ids]
    summary, bad = AttentionSummary(out=out, is_trained=is_trained), list[DataError]()
    for clip_id in chosen:
        heading = f"{clip_id} - {config.model_name}" + ("" if is_trained else ", UNTRAINED weights")
        try:
            _draw_clip(model, config, split, clip_id, heading, summary)
        except DataError as error:
            bad.append(error)
        on_clip(len(chosen))
    if summary.fired is not None:
        summary.files.append(_write_table(summary.fired, out / _TABLE))
    if bad:
        raise told_together(bad, num_written=len(chosen) - len(bad), of=len(chosen), out=out)
    return summary


def _loaded(request: AttentionRequest, device: torch.device) -> tuple[nn.Module, RunConfig, bool]:
    """The model in evaluation mode, its config, and whether it has learnt anything."""
    if request.weights is None:
        if request.config_name is None:
            raise ConfigError("--attention needs a model: --checkpoint RUN|FILE, or --config NAME for random weights")
        config = load_config(request.config_name, request.settings)
        _check_has_maps(config)
        return new_model(config, device).eval(), config, False
    model, config = load_trained(request.weights, request.config_name, request.settings)
    _check_has_maps(config)
    folder = weights_file(request.weights).parent
    is_beginning = folder.parent.name == "checkpoints" and folder.name.isdigit() and int(folder.name) == 0
    has_start = (folder.parent.parent / "start_weights.json").is_file()
    return model.to(device), config, has_start or not is_beginning


def _check_has_maps(config: RunConfig) -> None:
    if MODELS[config.model_name].attention is None:
        able = ", ".join(spec.name for spec in MODELS if spec.attention is not None)
        raise ConfigError(f"{config.model_name} has no maps of where it looks; those that have: {able}")


def _draw_clip(
    model: nn.Module, config: RunConfig, split: Split, clip_id: str, heading: str, summary: AttentionSummary
) -> None:
    look = MODELS[config.model_name].attention
    assert look is not None  # it was asked
    source = next(iter(split.sources(config, only={clip_id})))
    with telling_memory(source, task_of(config).prediction_hint(config)):
        frames = list(look(model, source))
    name = clip_id.replace("/", "-")
    path = summary.out / f"{name}-attention.png"
    _write_frames(path, heading, source, frames)
    summary.files.append(path)
    most = max(range(len(frames)), key=lambda place: len(frames[place].maps))
    if any(len(one.values_Mhw) > 1 for one in frames[most].maps):
        path = summary.out / f"{name}-heads.png"
        _write_heads(path, f"{heading}, frame {most}", source, most, frames[most])
        summary.files.append(path)
    summary.num_frames += len(frames)
    for frame in frames:
        if not frame.num_slots:
            continue
        summary.fired = {} if summary.fired is None else summary.fired
        for fired in frame.fired:
            category = split.categories.get(fired.label + 1, f"class {fired.label + 1}")
            summary.fired.setdefault(category, [0] * frame.num_slots)[fired.slot] += 1


def _write_frames(path: Path, heading: str, source: ClipSource, frames: Sequence[FrameAttention]) -> None:
    """A row for each frame, a column for each thing that looked anywhere in the clip; the mean of all heads."""
    titles = list(dict.fromkeys(one.title for frame in frames for one in frame.maps))
    titles.sort(key=_slot_number)
    spans: dict[str, list[float]] = defaultdict(list)
    for frame in frames:
        for one in frame.maps:
            mean = one.values_Mhw.mean(0)
            spans[one.title] += [float(mean.min()), float(mean.max())]
    columns = [(title, f"black {min(spans[title]):.4f}, yellow {max(spans[title]):.4f}") for title in titles]
    shown = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), _MOST_ROWS)).round().astype(int)).tolist()
    rows = []
    for place in shown:
        by_title = {one.title: one for one in frames[place].maps}
        cells = [
            _cell(frames[place], by_title[title].values_Mhw.mean(0), spans[title], by_title[title].note)
            if title in by_title
            else None
            for title in titles
        ]
        rows.append(MapRow(label=f"frame {place}", picture_HW3=_picture(source, place), cells=tuple(cells)))
    if len(shown) < len(frames):
        heading = f"{heading}, {len(shown)} of {len(frames)} frames"
    write_map_sheet(path, heading, columns, rows)


def _write_heads(path: Path, heading: str, source: ClipSource, place: int, frame: FrameAttention) -> None:
    """Every head by itself, of one frame: a row for each thing that looked, scaled by itself."""
    heads = max(len(one.values_Mhw) for one in frame.maps)
    picture, rows = _picture(source, place), []
    for one in frame.maps:
        span = [float(one.values_Mhw.min()), float(one.values_Mhw.max())]
        cells = [_cell(frame, values_hw, span) for values_hw in one.values_Mhw]
        rows.append(MapRow(label=one.title, picture_HW3=picture, cells=(*cells, *[None] * (heads - len(cells)))))
    write_map_sheet(path, heading, [(f"head {number}", "") for number in range(heads)], rows)


def _cell(frame: FrameAttention, values_hw: NDArray[np.float32], span: Sequence[float], note: str = "") -> MapCell:
    low, high = min(span), max(span)
    scaled = (values_hw - low) / (high - low) if high > low else np.zeros_like(values_hw)
    return MapCell(values_HW=frame.on_frame(scaled), note=note)


def _picture(source: ClipSource, place: int) -> NDArray[np.uint8]:
    return np.ascontiguousarray(source.frames(place, place + 1)[0].permute(1, 2, 0).numpy())


def _slot_number(title: str) -> tuple[bool, int]:
    """Slots last, by their number; all others stay in their order."""
    kind, _, number = title.rpartition(" ")
    return (True, int(number)) if kind == "slot" else (False, 0)


def _write_table(fired: Mapping[str, Sequence[int]], path: Path) -> Path:
    slots = len(next(iter(fired.values()), ()))
    header = ["category", *(f"slot_{number}" for number in range(slots))]
    write_text(path, csv_text([header, *([category, *counts] for category, counts in sorted(fired.items()))]))
    return path

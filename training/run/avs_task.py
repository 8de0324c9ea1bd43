"""Audio-visual segmentation as a task: AVSBench datasets, whole clips, mIoU and F, pictures of masks.

Shapes: T frames, H, W pixels at network size, h, w pixels of the files.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torch.utils.data import Dataset

from avis_data.errors import AvisError, ConfigError, DataError
from avis_data.formats.avsbench_clips import AvsFiles
from avis_data.formats.avsbench_masks import label_of
from avis_data.io import atomic_dir, atomic_path
from avis_data.metrics.avs import AvsClip, AvsFrames, measure_avs, summarise_avs
from avis_data.metrics.avss import AvssClip, AvssSums, measure_avss, summarise_avss
from avis_data.metrics.counting import Rank
from avis_data.metrics.table import headlines_of_masks, mask_values
from avis_data.training.config import RunConfig
from avis_data.training.data.avsbench import (
    AvsClipSource,
    AvsDataConfig,
    AvsSplit,
    open_avs_split,
    read_frame,
    square_label,
)
from avis_data.training.data.avsbench_sound import VECTOR_WIDTH
from avis_data.training.data.clips import AvsTrainingClip
from avis_data.training.data.sampling import ClipOrder
from avis_data.training.device import evaluating, telling_memory
from avis_data.training.models.spec import MaskModel, ModelConfig, audio_width
from avis_data.training.predict.results import mask_picture
from avis_data.training.predict.visualize_avs import visualize_masks
from avis_data.training.task import Figures, Sharing, VideoRequest

__all__ = ["TASK", "AvsSamples", "AvsTask", "MaskSummary", "OpenedAvsSplit"]

_CLIPS_PER_GROUP = 1
"""Clips in a group of the reference's F; AVS-BG measures so."""


class AvsSamples(Dataset[AvsTrainingClip | AvisError]):
    """Training sample n of a split, for any n >= 0: every clip once per round, in an order of the seed."""

    def __init__(self, split: AvsSplit, config: RunConfig) -> None:
        self._split, self._config = split, config
        self._order = ClipOrder(len(split.clips), config.loop.seed)

    @property
    def per_round(self) -> int:
        """The number of samples after which all clips were seen once."""
        return len(self._split.clips)

    def __getitem__(self, number: int) -> AvsTrainingClip | AvisError:
        """An error of the data is given, not raised: on its way out of a worker it would lose its form."""
        try:
            return self.sample(self._split.clips[self._order.clip_of(number)])
        except AvisError as error:
            return error

    def sample(self, clip: AvsFiles) -> AvsTrainingClip:
        """A whole clip, filled up to its slots. Raises DataError if a file of it is bad."""
        side, crop = _options(self._config).side, self._split.layout == "avss"
        frames = np.zeros((clip.slots, side, side, 3), dtype=np.uint8)
        labels = np.zeros((clip.slots, side, side), dtype=np.int64)
        exists, labelled = np.zeros(clip.slots, dtype=bool), np.zeros(clip.slots, dtype=bool)
        for place, (path, mask) in enumerate(zip(clip.frames, clip.masks, strict=True)):
            frames[place], exists[place] = read_frame(path, side, crop=crop), True
            if mask is not None:
                stored = label_of(mask, self._split.layout, self._config.model.num_classes)
                labels[place], labelled[place] = square_label(stored, side, crop=crop), True
        audio_TA = self._split.audio(clip)
        if audio_TA is not None:
            audio_TA = nn.functional.pad(audio_TA, (0, 0, 0, clip.slots - len(audio_TA)))
        return AvsTrainingClip(
            clip_id=clip.clip_id,
            frames_T3HW=torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2))),
            audio_TA=audio_TA,
            labels_THW=torch.from_numpy(labels),
            labelled_T=torch.from_numpy(labelled),
            exists_T=torch.from_numpy(exists),
        )


@dataclass(frozen=True, kw_only=True)
class MaskSummary:
    """What a prediction wrote."""

    out: str
    """The folder."""
    clips: int
    frames: int
    empty_frames: int
    """Frames in which nothing sounds."""

    def __str__(self) -> str:
        return f"{self.out}: {self.frames} masks of {self.clips} clips, {self.empty_frames} empty"

    def as_dict(self) -> dict[str, object]:
        """The same as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class OpenedAvsSplit:
    """A split of an AVSBench dataset."""

    data: AvsSplit

    @property
    def truth(self) -> Path:
        """The table of the dataset's clips."""
        return self.data.truth

    @property
    def categories(self) -> dict[int, str]:
        """Value in a mask -> what is there."""
        return self.data.categories

    def __len__(self) -> int:
        return len(self.data.clips)

    def need_labels(self) -> None:
        """A clip without masks is refused when it is opened."""

    def fitted(self, config: RunConfig) -> ModelConfig:
        """The architecture as it is."""
        return config.model

    def samples(self, config: RunConfig) -> AvsSamples:
        """Whole clips."""
        return AvsSamples(self.data, config)

    @property
    def clip_ids(self) -> list[str]:
        """Of all clips, in order."""
        return [clip.clip_id for clip in self.data.clips]

    def sources(self, config: RunConfig, *, only: Container[str] | None = None) -> Iterator[AvsClipSource]:
        """Every clip, its frames decoded when they are asked for."""
        for clip in self.data.clips:
            if only is None or clip.clip_id in only:
                yield self._source(clip, config)

    def validate(self, model: nn.Module, config: RunConfig, sharing: Sharing, device: torch.device) -> Figures:
        """`strict`: mIoU and F that depend on neither order nor grouping; `reference`: as the published code has them.

        Masks are measured at the size of their files, which for S4 and MS3 is the network's.
        """
        clips = self.data.clips[: config.validation.clips]

        def measured(number: int) -> AvsFrames | AvssSums:
            clip = clips[number]
            return _measured(self.data, clip, self._predicted(model, clip, config, device), config)

        with evaluating(model):
            return _figures(sharing.spread(len(clips), measured))

    def draw(
        self, model: nn.Module, config: RunConfig, device: torch.device, folder: Path, iteration: int
    ) -> Sequence[Path]:
        """The first clips: frames, true masks and predicted ones below each other, `<iteration>-<clip>.png`."""
        paths = []
        for clip in self.data.clips[: config.validation.draw_clips]:
            with evaluating(model):
                predicted = self._predicted(model, clip, config, device)
            path = folder / f"{iteration:07d}-{clip.clip_id.replace('/', '-')}.png"
            with atomic_path(path) as part:
                _sheet(self.data, clip, predicted, config).save(part, format="PNG")
            paths.append(path)
        return paths

    def predict(
        self, model: nn.Module, config: RunConfig, device: torch.device, out: Path, *, on_clip: Callable[[int], None]
    ) -> MaskSummary:
        """Write a picture for every frame: `<out>/<clip>/<as the truth's mask>.png`."""
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise DataError(f"{out}: exists already", hint="--out ANOTHER_FOLDER")
        frames = empty = 0
        with atomic_dir(out) as part:
            for clip in self.data.clips:
                predicted = self._predicted(model, clip, config, device)
                folder = part / clip.result
                folder.mkdir(parents=True)
                for name, values in zip(clip.result_names, predicted, strict=True):
                    frames += 1
                    empty += not (values > 0).any()
                    mask_picture(values, config.model.num_classes).save(folder / name)
                on_clip(len(self))
        return MaskSummary(out=str(out), clips=len(self), frames=frames, empty_frames=empty)

    def _source(self, clip: AvsFiles, config: RunConfig) -> AvsClipSource:
        return AvsClipSource(self.data, clip, _options(config).side)

    def _predicted(
        self, model: nn.Module, clip: AvsFiles, config: RunConfig, device: torch.device
    ) -> NDArray[np.generic]:
        """What a model in evaluation mode sees sounding, at the size of the clip's frames, (T, h, w): float32 logits,
        or uint8 classes."""
        source = self._source(clip, config)
        autocast = torch.autocast(device.type, torch.bfloat16, enabled=config.loop.precision == "bf16")
        with telling_memory(source, TASK.prediction_hint(config)), autocast:
            return cast(MaskModel, model).predict(source, config.predict)


@dataclass(frozen=True)
class AvsTask:
    """One mask per frame, or one class per pixel."""

    name: str = "avs"
    data: type[AvsDataConfig] = AvsDataConfig
    default_out: str = "predictions"

    @property
    def metrics(self) -> list[str]:
        """The headlines of the table of figures."""
        return headlines_of_masks()

    def check(self, config: RunConfig, where: str) -> None:
        """Any model of this task goes with any data of it."""

    def open(self, data: Path, split: str, config: RunConfig) -> OpenedAvsSplit:
        """A split of an AVSBench dataset."""
        model = config.model
        return OpenedAvsSplit(
            open_avs_split(data, split, _options(config), num_classes=model.num_classes, needs_audio=model.needs_audio)
        )

    def make_dataset(self, request: VideoRequest, root: Path, config: RunConfig, categories: Mapping[int, str]) -> None:
        """Raises ConfigError: AVSBench datasets are not made of videos."""
        raise ConfigError(f"{config.model_name} predicts AVSBench datasets: give --data instead of --video")

    def network_size(self, config: RunConfig, size_hw: tuple[int, int]) -> tuple[int, int]:
        """A square, whatever the frames are."""
        return _options(config).side, _options(config).side

    def sound_shape(self, config: RunConfig) -> tuple[int, ...]:
        """The shape of the sound that the model has."""
        return (audio_width(config.model) or VECTOR_WIDTH,)

    def reads(self, predictions: Path) -> bool:
        """A folder."""
        return predictions.is_dir()

    def visualize(
        self,
        data: Path,
        predictions: Mapping[str, Path],
        out: Path,
        *,
        split_name: str,
        clip_ids: Sequence[str],
        on_clip: Callable[[int], None],
    ) -> list[Path]:
        """Masks in the colour of their class."""
        return visualize_masks(data, predictions, out, split_name=split_name, clip_ids=clip_ids, on_clip=on_clip)

    def training_hint(self, config: RunConfig) -> str:
        """Clips in memory now, and the settings that need less."""
        clips = config.data.batch // config.loop.accumulate
        return (
            f"now data.batch={config.data.batch}, loop.accumulate={config.loop.accumulate} ({clips} clip(s) a pass): "
            "raise --set loop.accumulate, or lower data.batch or data.side; --precision bf16 needs less too"
        )

    def prediction_hint(self, config: RunConfig) -> str:
        """What needs less memory."""
        return "--precision bf16, or --device cpu"


TASK = AvsTask()


def _options(config: RunConfig) -> AvsDataConfig:
    if not isinstance(config.data, AvsDataConfig):
        raise TypeError(f"data of a config of the task avs are an AvsDataConfig, not a {type(config.data).__name__}")
    return config.data


def _measured(
    split: AvsSplit, clip: AvsFiles, predicted: NDArray[np.generic], config: RunConfig
) -> AvsFrames | AvssSums:
    num_classes = config.model.num_classes
    known = [place for place, mask in enumerate(clip.masks) if mask is not None]
    truth = np.stack([label_of(mask, split.layout, num_classes) for mask in clip.masks if mask is not None])
    if truth.shape[1:] != predicted.shape[1:]:
        raise DataError(f"clip {clip.clip_id}: masks of {truth.shape[1:]} pixels, frames of {predicted.shape[1:]}")
    if num_classes == 1:
        return measure_avs(AvsClip(name=clip.clip_id, truth_THW=truth, score_THW=predicted[known]))
    filling = ((0, clip.slots - len(known)), (0, 0), (0, 0))  # the published code measures it too, as right background
    label, classes = (np.pad(values.astype(int), filling) for values in (truth, predicted[known]))
    exists = np.arange(clip.slots) < len(known)
    return measure_avss(
        AvssClip(name=clip.clip_id, label_THW=label, predicted_THW=classes, exists_T=exists), num_classes
    )


def _figures(measured: Sequence[AvsFrames | AvssSums]) -> Figures:
    classes = [sums for sums in measured if isinstance(sums, AvssSums)]
    if classes:
        result = summarise_avss(classes)
        return _by_mode(result.figures, result.reference)
    frames = [part for part in measured if isinstance(part, AvsFrames)]
    binary = summarise_avs(frames, clips_per_group=_CLIPS_PER_GROUP)
    return _by_mode(binary, binary.reference)


def _by_mode(own: object, reference: object) -> Figures:
    return {"strict": mask_values(own, Rank.OVERVIEW), "reference": mask_values(reference, Rank.HEADLINE)}


def _sheet(split: AvsSplit, clip: AvsFiles, predicted: NDArray[np.generic], config: RunConfig) -> Image.Image:
    side, num_classes = _options(config).side, config.model.num_classes
    page = Image.new("RGB", (side * len(clip.frames), side * 3))
    for place, (path, mask) in enumerate(zip(clip.frames, clip.masks, strict=True)):
        rows = [Image.fromarray(read_frame(path, side, crop=False))]
        truth = None if mask is None else label_of(mask, split.layout, num_classes)
        rows += [mask_picture(values, num_classes) for values in (truth, predicted[place]) if values is not None]
        for row, picture in zip((0, 1, 2) if truth is not None else (0, 2), rows, strict=True):
            page.paste(picture.convert("RGB").resize((side, side)), (place * side, row * side))
    return page

"""What Label Studio sends when a person clicks: parsed once, and only what is needed of it.

The request holds all drafts, annotations and predictions of the task; a person's prompts are in `params.context`.
Source: specs of Label Studio, §5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from avis_data.annotation.labels.states import heard_seconds
from avis_data.annotation.labelstudio.regions import read_result, region_id
from avis_data.annotation.segmenters.segmenter import Prompt
from avis_data.errors import DataError
from avis_data.masks.brush_rle import decode_brush
from avis_data.records import SafeId

__all__ = ["Click", "PredictBody", "Task", "click_of"]

_POINTS, _BOXES = ("keypoint", "keypointlabels"), ("rectangle", "rectanglelabels")


class _Loose(BaseModel):
    """Fields that we do not use are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _TaskData(_Loose):
    clip_id: SafeId
    num_seconds: int = Field(gt=0, le=100_000)
    width: int = Field(gt=0, le=16_384)
    height: int = Field(gt=0, le=16_384)


class _Saved(_Loose):
    result: list[dict[str, object]] | None = None


class Task(_Loose):
    """One task of a request."""

    id: int
    data: _TaskData
    drafts: list[_Saved] = []
    annotations: list[_Saved] = []
    predictions: list[_Saved | int] = []

    def newest_result(self) -> list[dict[str, object]]:
        """What the person sees, as far as the server has it: the last draft, else annotation, else prediction."""
        for saved in (self.drafts, self.annotations, self.predictions):
            known = [item.result for item in saved if isinstance(item, _Saved) and item.result]
            if known:
                return known[-1]
        return []


class _Context(_Loose):
    result: list[dict[str, object]] = []


class _Params(_Loose):
    context: _Context | None = None


class PredictBody(_Loose):
    """The body of `/predict`."""

    tasks: list[Task] = Field(min_length=1, max_length=1000)
    params: _Params | None = None

    @property
    def prompts(self) -> list[dict[str, object]]:
        """Regions of the context; empty when nobody clicked."""
        context = self.params.context if self.params is not None else None
        return context.result if context is not None else []


class Click:
    """What a person pointed at on one still, and what is known of that object."""

    def __init__(self, task: Task, identity: str, frame: int, prompt: Prompt) -> None:
        self.task, self.identity, self.frame, self.prompt = task, identity, frame, prompt

    @property
    def clip_id(self) -> str:
        """The clip; safe as a part of a path."""
        return self.task.data.clip_id

    def seconds(self) -> list[int]:
        """The seconds that one answer fills: with a box, all in which the draft marks the object as heard; the clicked
        one always. A point mends one still."""
        if self.prompt.box is None:
            return [self.frame]
        data = self.task.data
        spans = [region for region in self.task.newest_result() if region.get("type") == "timelinelabels"]
        read = read_result(spans, num_seconds=data.num_seconds, height=data.height, width=data.width)
        heard = heard_seconds(read.intervals.get(self.identity, ()), data.num_seconds)
        return sorted({self.frame, *(frame for frame in range(data.num_seconds) if heard[frame])})


def click_of(body: PredictBody) -> Click | None:
    """The newest prompt with those that belong to it; None if nobody clicked.

    Prompts of other labels and of other pages may be pending too; they are another question.

    Raises:
        DataError: if the prompts cannot be understood.
    """
    task = body.tasks[0]
    regions = {str(region.get("id")): region for region in body.prompts if region.get("type") in (*_POINTS, *_BOXES)}
    if not regions:
        return None
    labels = {str(region.get("id")): label for region in body.prompts if (label := _label(region)) is not None}
    last = list(regions.values())[-1]
    identity, frame = labels.get(str(last.get("id"))), last.get("item_index", 0)
    if identity is None:
        raise DataError("a prompt without a label: choose one before you click")
    if not isinstance(frame, int) or not 0 <= frame < task.data.num_seconds:
        raise DataError(f"a prompt on page {frame!r} of a clip of {task.data.num_seconds} seconds")
    mine = [
        region
        for key, region in regions.items()
        if labels.get(key) == identity and region.get("item_index", 0) == frame
    ]
    return Click(task, identity, frame, _prompt(mine, task, identity, frame))


def _label(region: Mapping[str, object]) -> str | None:
    value = region.get("value")
    if not isinstance(value, dict):
        return None
    for key in ("labels", "keypointlabels", "rectanglelabels"):
        names = value.get(key)
        if isinstance(names, list) and names and isinstance(names[0], str):
            return names[0]
    return None


def _prompt(regions: Sequence[Mapping[str, object]], task: Task, identity: str, frame: int) -> Prompt:
    inside, outside, box = [], [], None
    for region in regions:
        x, y, width, height = _percent(region, task)
        if region["type"] in _BOXES:
            box = (x, y, x + width, y + height)
        elif region.get("is_positive", True):
            inside.append((x, y))
        else:
            outside.append((x, y))
    mask = None if box is not None else _mask_so_far(task, identity, frame)
    if not inside and box is None and mask is None:
        raise DataError(f"only points beside {identity}, and there is no mask of it yet: click on it first")
    return Prompt(inside=tuple(inside), outside=tuple(outside), box=box, mask_HW=mask)


def _percent(region: Mapping[str, object], task: Task) -> tuple[float, float, float, float]:
    """x, y, width, height in pixels."""
    value = region.get("value")
    if not isinstance(value, dict):
        raise DataError(f"a prompt whose place is no numbers: {value!r:.200}")
    try:
        x, y, width, height = (float(value.get(key, 0.0)) for key in ("x", "y", "width", "height"))
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"a prompt whose place is no numbers: {value!r:.200}") from None
    if not all(-1000 <= part <= 1000 for part in (x, y, width, height)):
        raise DataError(f"a prompt far outside of the still: {value!r:.200}")
    wide, high = task.data.width / 100, task.data.height / 100
    return x * wide, y * high, width * wide, height * high


def _mask_so_far(task: Task, identity: str, frame: int) -> NDArray[np.bool_] | None:
    """The mask of the same object on the same still, which points make better; None where there is none."""
    wanted = region_id(identity, frame)
    for region in task.newest_result():
        if region.get("id") == wanted and region.get("type") == "brush":
            value = region.get("value")
            rle = value.get("rle") if isinstance(value, dict) else None
            mask = decode_brush(rle, height=task.data.height, width=task.data.width) if isinstance(rle, list) else None
            return mask if mask is not None and mask.any() else None
    return None

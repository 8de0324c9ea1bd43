"""What Label Studio sends when a person clicks: parsed once, and only what is needed of it.

The request holds all drafts, annotations and predictions of the task; a person's prompts are in `params.context`.
Source: specs of Label Studio, §5.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from avis_data.annotation.labels.states import heard_seconds
from avis_data.annotation.labelstudio.regions import read_result, region_id
from avis_data.annotation.segmenters.segmenter import Prompt
from avis_data.annotation.serve.page_state import Drafts, PageNow, PageRegions, knows, owner_name
from avis_data.errors import DataError
from avis_data.masks.rle import Rle, decode
from avis_data.records import SafeId

__all__ = ["Click", "FillingAsked", "OnPage", "PredictBody", "Task", "click_of"]

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
    user: object = None


class Task(_Loose):
    """One task of a request."""

    id: int
    data: _TaskData
    drafts: list[_Saved] = []
    annotations: list[_Saved] = []
    predictions: list[_Saved | int] = []

    def page_of(self, owner: str) -> PageRegions:
        """What somebody's page holds, as far as the server has it: the last draft, else annotation, else prediction."""
        return self._newest([draft for draft in self.drafts if owner_name(draft.user) == owner])

    def newest_result(self) -> list[dict[str, object]]:
        """The same where nobody knows whose page it is."""
        return self._newest(self.drafts)

    def _newest(self, drafts: list[_Saved]) -> list[dict[str, object]]:
        for saved in (drafts, self.annotations, self.predictions):
            known = [item.result for item in saved if isinstance(item, _Saved) and item.result]
            if known:
                return known[-1]
        return []


class FillingAsked(_Loose):
    """What a page gives back of the last answer that it got of a box."""

    key: str = Field(max_length=64)
    part: int = 0


class _Context(_Loose):
    result: list[dict[str, object]] = []
    filling: FillingAsked | None = None


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

    @property
    def filling(self) -> FillingAsked | None:
        """The box whose other stills the page asks for; None when it does not."""
        context = self.params.context if self.params is not None else None
        return context.filling if context is not None else None


class OnPage:
    """What a page holds of one object. A label is who somebody is, never an id of a region: labels can be changed."""

    def __init__(self, identity: str, page: PageRegions, data: _TaskData) -> None:
        ids = {region.get("id") for region in page if _label(region) == identity}
        mine = [region for region in page if region.get("id") in ids]
        read = read_result(mine, num_seconds=data.num_seconds, height=data.height, width=data.width)
        self._identity = identity
        self._masks = {frame: drawn.rle for (_, frame), drawn in read.masks.items()}
        self._regions = [(str(region.get("id")), region.get("item_index")) for region in mine if _is_drawn(region)]
        self._taken = {str(region.get("id")) for region in page}
        heard = heard_seconds(read.intervals.get(identity, ()), data.num_seconds)
        self.heard = {frame for frame, is_heard in enumerate(heard) if is_heard}
        """Seconds that are marked as heard."""

    def mask(self, frame: int) -> Rle | None:
        """Its mask on a still, whoever made it; of several regions, their union."""
        return self._masks.get(frame)

    def regions(self, frame: int) -> list[str]:
        """Ids of the regions that an answer on a still replaces; a new one where there is none."""
        found = list(dict.fromkeys(key for key, on in self._regions if on == frame))
        number, new = 2, region_id(self._identity, frame)
        while not found and new in self._taken:
            number, new = number + 1, f"{region_id(self._identity, frame)}.{number}"
        return found or [new]


@dataclass(frozen=True, kw_only=True)
class Click:
    """What a person pointed at on one still, and what the page holds of that object."""

    task: Task
    identity: str
    frame: int
    prompt: Prompt
    page: OnPage
    on: PageRegions
    """All that the page holds."""
    owner: str
    """Whose page it is, as the server names people; empty: not known."""

    @property
    def clip_id(self) -> str:
        """The clip; safe as a part of a path."""
        return self.task.data.clip_id

    def seconds(self) -> list[int]:
        """The seconds that one answer fills: with a box, all in which the page marks the object as heard; the clicked
        one always. A point mends one still."""
        return sorted({self.frame} if self.prompt.box is None else {self.frame} | self.page.heard)


def click_of(body: PredictBody, drafts: Drafts) -> Click | None:
    """The newest prompt with those that belong to it; None if nobody clicked.

    Prompts of other labels and of other pages may be pending too; they are another question.

    Args:
        body: the request, which holds the drafts that were saved before it was sent.
        drafts: where newer ones are asked for.

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
    regions_now, owner = _page(task, {str(region.get("id")) for region in mine}, drafts)
    page = OnPage(identity, regions_now, task.data)
    prompt = _prompt(mine, task, identity, page.mask(frame))
    return Click(task=task, identity=identity, frame=frame, prompt=prompt, page=page, on=regions_now, owner=owner)


def _page(task: Task, ids: Collection[str], drafts: Drafts) -> PageNow:
    """The page as it was at the click, or what is known that comes nearest to it."""
    for draft in task.drafts:
        if draft.result and knows(draft.result, ids):
            return PageNow(draft.result, owner_name(draft.user))
    return drafts(task.id, ids) or PageNow(task.newest_result(), "")


def _label(region: Mapping[str, object]) -> str | None:
    value = region.get("value")
    if not isinstance(value, dict):
        return None
    for key in ("labels", "keypointlabels", "rectanglelabels", "brushlabels", "timelinelabels"):
        names = value.get(key)
        if isinstance(names, list) and names and isinstance(names[0], str):
            return names[0]
    return None


def _is_drawn(region: Mapping[str, object]) -> bool:
    """Whether a region is a mask: runs, or strokes that are none yet."""
    value = region.get("value")
    held = set(value) if isinstance(value, dict) else set()
    return region.get("type") in ("brush", "labels") and not held.isdisjoint({"rle", "touches"})


def _prompt(regions: Sequence[Mapping[str, object]], task: Task, identity: str, so_far: Rle | None) -> Prompt:
    inside, outside, box = [], [], None
    for region in regions:
        x, y, width, height = _percent(region, task)
        if region["type"] in _BOXES:
            box = (x, y, x + width, y + height)
        elif region.get("is_positive", True):
            inside.append((x, y))
        else:
            outside.append((x, y))
    mask_HW = None if box is not None or so_far is None else decode(so_far).astype(np.bool_)
    if not inside and box is None and mask_HW is None:
        raise DataError(f"only points beside {identity}, and there is no mask of it yet: click on it first")
    return Prompt(inside=tuple(inside), outside=tuple(outside), box=box, mask_HW=mask_HW)


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

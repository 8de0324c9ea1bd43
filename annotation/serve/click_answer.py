"""From a click to the regions that Label Studio shows. Everything that a question needs comes with it: nothing that one
annotator asks changes what another one gets."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from avis_data.annotation.labels.made_masks import MadeMask, mask_sha256, read_made, record_made
from avis_data.annotation.labels.records import MaskOrigin
from avis_data.annotation.labelstudio.regions import Region, mask_regions
from avis_data.annotation.segmenters.segmenter import Embedding, Found, Prompt, Segmenter
from avis_data.annotation.serve.box_tracking import moved_box
from avis_data.annotation.serve.click_request import Click
from avis_data.annotation.serve.embedding_cache import EmbeddingCache
from avis_data.annotation.serve.hand_edits import ByHand, by_hand, changed_near_points
from avis_data.annotation.serve.through_video import Footages, boxes_through_video
from avis_data.annotation.serve.workspace_stills import Still, Stills
from avis_data.errors import DataError
from avis_data.masks.rle import Rle, decode, encode
from avis_data.paths import Workspace

__all__ = ["Answerer", "Prediction"]

logger = logging.getLogger(__name__)

_REACH_S = 20
"""Seconds before and after a click that are followed through the video; farther ones from still to still, which is
quicker."""


@dataclass(frozen=True, kw_only=True)
class _Answered:
    """One mask of an answer."""

    frame: int
    rle: Rle
    confidence: float
    origin: MaskOrigin
    hand: ByHand | None = None
    """What of it a hand had set before."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a click gets: the masks as regions of the page."""

    score: float
    model_version: str
    result: list[Region]

    def as_dict(self) -> dict[str, object]:
        """One entry of `results`, as Label Studio wants it."""
        return dict(self.__dict__)


class Answerer:
    """One segmenter over the stills of one workspace."""

    def __init__(self, workspace: Workspace, segmenter: Segmenter, cache: EmbeddingCache) -> None:
        self._workspace, self._segmenter, self._cache = workspace, segmenter, cache
        self._stills = Stills(workspace)
        self._footages = Footages(workspace)

    @property
    def version(self) -> str:
        """What answers: the engine, and the beginning of its weights' hash."""
        weights = self._segmenter.weights_sha256
        return self._segmenter.name if weights is None else f"{self._segmenter.name}-{weights[:8]}"

    def prepare(self, clip_id: str, frame: int) -> None:
        """Work out what prompts on a still will need, unless it is there. Raises DataError if there is no still."""
        if self._segmenter.embeds:
            self._embedding(self._stills.read(clip_id, frame))

    def answer(self, click: Click) -> Prediction | None:
        """The masks that a click asks for; None if nothing was found.

        Raises:
            DataError: if a still is missing, or of another size than the task says.
        """
        found = self._masks(click)
        if not found:
            return None
        now = datetime.now(UTC).isoformat(timespec="seconds")
        record_made(self._workspace, click.clip_id, [self._made(mask, click.identity, now) for mask in found])
        regions = [region for mask in found for region in _regions(click, mask)]
        score = min(mask.confidence for mask in found)
        return Prediction(score=score, model_version=self.version, result=regions)

    def _masks(self, click: Click) -> list[_Answered]:
        still = self._stills.read(click.clip_id, click.frame)
        if still.picture_HW3.shape[:2] != (click.task.data.height, click.task.data.width):
            height, width = still.picture_HW3.shape[:2]
            raise DataError(f"the still of {click.clip_id} has {width} x {height} pixels, the task says otherwise")
        made = read_made(self._workspace, click.clip_id)
        first, hand = _with_what_was_set(click, self._segment(still, click.prompt), made)
        if not first.mask_HW.any():
            return []
        wanted = [frame for frame in click.seconds() if frame == click.frame or not _is_by_hand(click, frame, made)]
        near, (begin, end) = self._through_video(click, first, wanted)
        known = {click.frame: first} | {mask.frame: found for mask, found in near}
        near_click = [frame for frame in wanted if begin <= frame <= end]
        later = self._followed(click, known, near_click[-1], [frame for frame in wanted if frame > end])
        earlier = self._followed(click, known, near_click[0], [frame for frame in wanted if frame < begin][::-1])
        clicked = replace(_answered(click.frame, first, MaskOrigin.CLICKED), hand=hand)
        return sorted([clicked, *(mask for mask, _ in near), *later, *earlier], key=lambda mask: mask.frame)

    def _through_video(
        self, click: Click, first: Found, wanted: Sequence[int]
    ) -> tuple[list[tuple[_Answered, Found]], tuple[int, int]]:
        """The object on stills near the click, and the seconds that were looked at, both ends included."""
        begin, end = max(wanted[0], click.frame - _REACH_S), min(wanted[-1], click.frame + _REACH_S)
        footage = self._footages.of(click.clip_id) if begin < end else None
        boxes = (
            boxes_through_video(footage, click.frame, first.mask_HW, first=begin, last=end)
            if footage is not None
            else None
        )
        if boxes is None:
            return [], (click.frame, click.frame)
        answered = []
        for frame in sorted(boxes.keys() & set(wanted)):
            box, confidence = boxes[frame]
            found = self._segment(self._stills.read(click.clip_id, frame), Prompt(box=box))
            if found.mask_HW.any():
                found = replace(found, confidence=min(found.confidence, confidence))
                answered.append((_answered(frame, found, MaskOrigin.PROPAGATED), found))
        return answered, (begin, end)

    def _followed(
        self, click: Click, known: Mapping[int, Found], at: int, seconds: Sequence[int]
    ) -> Iterable[_Answered]:
        """The object on these stills, each from the one before, beginning `at` one; ends where it is lost, or was."""
        if at not in known:
            return []
        answered, found, still = [], known[at], self._stills.read(click.clip_id, at)
        for frame in seconds:
            after = self._stills.read(click.clip_id, frame)
            moved = moved_box(still.picture_HW3, found.mask_HW, after.picture_HW3, seconds=abs(frame - at))
            if moved is None:
                break
            box, match = moved
            next_found = self._segment(after, Prompt(box=box))
            if not next_found.mask_HW.any():
                break
            found = replace(next_found, confidence=min(next_found.confidence, match))
            still, at = after, frame
            answered.append(_answered(frame, found, MaskOrigin.PROPAGATED))
        return answered

    def _segment(self, still: Still, prompt: Prompt) -> Found:
        embedding = self._embedding(still) if self._segmenter.embeds else {}
        return self._segmenter.segment(still.picture_HW3, embedding, prompt)

    def _embedding(self, still: Still) -> Embedding:
        found = self._cache.get(still.sha256)
        if found is None:
            found = self._segmenter.embed(still.picture_HW3)
            self._cache.put(still.sha256, found)
        return found

    def _made(self, mask: _Answered, identity: str, now: str) -> MadeMask:
        return MadeMask.of(
            mask.rle,
            identity=identity,
            frame=mask.frame,
            origin=mask.origin,
            engine=self._segmenter.name,
            weights_sha256=self._segmenter.weights_sha256,
            confidence=mask.confidence,
            at=now,
            **({} if mask.hand is None else mask.hand.as_counts()),
        )


def _with_what_was_set(click: Click, found: Found, made: Sequence[MadeMask]) -> tuple[Found, ByHand | None]:
    """An answer on the clicked still that keeps what a hand set there, and what that is."""
    current = click.page.mask(click.frame)
    if current is None or not found.mask_HW.any():
        return found, None
    hand = by_hand(current, click.identity, [mask for mask in made if mask.frame == click.frame])
    if click.prompt.box is not None:
        return replace(found, mask_HW=hand.kept_in(found.mask_HW)), hand
    current_HW = np.asarray(decode(current)).astype(np.bool_)
    mask_HW, hand = changed_near_points(found.mask_HW, current_HW, click.prompt, hand)
    return replace(found, mask_HW=mask_HW), hand


def _is_by_hand(click: Click, frame: int, made: Sequence[MadeMask]) -> bool:
    """Whether a person clicked or drew the mask on another still: then no box far from it replaces it."""
    current = click.page.mask(frame)
    if current is None:
        return False
    sha256 = mask_sha256(current)
    same = [mask.origin for mask in made if mask.frame == frame and mask.sha256 == sha256]
    return not same or same[-1] is not MaskOrigin.PROPAGATED


def _regions(click: Click, mask: _Answered) -> list[Region]:
    """A mask in the place of what the page holds of the object on that still: the first region gets all of it, others
    (strokes of their own) only lose what is not in it, since an answer cannot delete them."""
    first, *others = click.page.regions(mask.frame)
    regions = mask_regions(click.identity, mask.frame, mask.rle, score=mask.confidence, key=first)
    for key in others:
        regions += mask_regions(click.identity, mask.frame, mask.rle, score=mask.confidence, key=key)
    return regions


def _answered(frame: int, found: Found, origin: MaskOrigin) -> _Answered:
    mask_HW: NDArray[np.bool_] = found.mask_HW
    return _Answered(frame=frame, rle=encode(mask_HW), confidence=round(found.confidence, 4), origin=origin)

"""From a click to the regions that Label Studio shows. Everything that a question needs comes with it: nothing that one
annotator asks changes what another one gets."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from avis_data.annotation.labels.made_masks import MadeMask, mask_sha256, read_made, record_made
from avis_data.annotation.labels.records import MaskOrigin
from avis_data.annotation.labelstudio.regions import Region, mask_regions
from avis_data.annotation.segmenters.segmenter import Embedding, Found, Prompt, Segmenter
from avis_data.annotation.serve.click_request import Click, OnPage
from avis_data.annotation.serve.embedding_cache import EmbeddingCache
from avis_data.annotation.serve.following import Follower, Footages
from avis_data.annotation.serve.hand_edits import ByHand, by_hand, changed_near_points
from avis_data.annotation.serve.workspace_stills import Still, Stills
from avis_data.errors import DataError
from avis_data.masks.rle import Rle, decode, encode
from avis_data.paths import Workspace

__all__ = ["Answer", "Answerer", "Prediction", "StillMask", "is_by_hand"]


@dataclass(frozen=True, kw_only=True)
class StillMask:
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
    filling: dict[str, object] | None = None
    """How far the other stills of a box are, for a page that asks again."""
    told: str | None = None
    """Why there is no mask, for the person at the page."""

    def as_dict(self) -> dict[str, object]:
        """One entry of `results`, as Label Studio wants it."""
        return {name: value for name, value in self.__dict__.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer on the clicked still, and what is still to be done."""

    prediction: Prediction
    first: Found
    others: tuple[int, ...]
    """Stills that the same answer fills later."""


class Answerer:
    """One segmenter over the stills of one workspace."""

    def __init__(self, workspace: Workspace, segmenter: Segmenter, cache: EmbeddingCache) -> None:
        self.workspace, self.segmenter, self.cache = workspace, segmenter, cache
        self._stills = Stills(workspace)
        self._follower = Follower(self._stills, Footages(workspace), self._segment)

    @property
    def version(self) -> str:
        """What answers: the engine, and the beginning of its weights' hash."""
        weights = self.segmenter.weights_sha256
        return self.segmenter.name if weights is None else f"{self.segmenter.name}-{weights[:8]}"

    def prepare(self, clip_id: str, frame: int) -> None:
        """Work out what prompts on a still will need, unless it is there. Raises DataError if there is no still."""
        if self.segmenter.embeds:
            self._embedding(self._stills.read(clip_id, frame))

    def answer(self, click: Click) -> Answer | None:
        """The mask on the clicked still; None if nothing was found.

        Raises:
            DataError: if the still is missing, or of another size than the task says.
        """
        still = self._stills.read(click.clip_id, click.frame)
        if still.picture_HW3.shape[:2] != (click.task.data.height, click.task.data.width):
            height, width = still.picture_HW3.shape[:2]
            raise DataError(f"the still of {click.clip_id} has {width} x {height} pixels, the task says otherwise")
        made = read_made(self.workspace, click.clip_id)
        first, hand = _with_what_was_set(click, self._segment(still, click.prompt), made)
        if not first.mask_HW.any():
            return None
        mask = replace(_answered(click.frame, first, MaskOrigin.CLICKED), hand=hand)
        self._record(click.clip_id, click.identity, mask)
        others = tuple(
            frame
            for frame in click.seconds()
            if frame != click.frame and not is_by_hand(click.page.mask(frame), frame, made)
        )
        return Answer(prediction=self.prediction(click.page, click.identity, [mask]), first=first, others=others)

    def others(
        self, clip_id: str, identity: str, frame: int, first: Found, wanted: Collection[int]
    ) -> Iterator[tuple[int, StillMask | None]]:
        """The same object on other stills, one after the other, near ones first; None where it is not found.

        Raises:
            DataError: if a still is missing.
        """
        for at, found in self._follower.follow(clip_id, frame, first, wanted):
            mask = None if found is None else _answered(at, found, MaskOrigin.PROPAGATED)
            if mask is not None:
                self._record(clip_id, identity, mask)
            yield at, mask

    def prediction(self, page: OnPage, identity: str, masks: Sequence[StillMask]) -> Prediction:
        """Masks of an object, in the place of what a page holds of it."""
        regions = [region for mask in masks for region in _regions(page, identity, mask)]
        score = min((mask.confidence for mask in masks), default=0.0)
        return Prediction(score=score, model_version=self.version, result=regions)

    def _segment(self, still: Still, prompt: Prompt) -> Found:
        embedding = self._embedding(still) if self.segmenter.embeds else {}
        return self.segmenter.segment(still.picture_HW3, embedding, prompt)

    def _embedding(self, still: Still) -> Embedding:
        found = self.cache.get(still.sha256)
        if found is None:
            found = self.segmenter.embed(still.picture_HW3)
            self.cache.put(still.sha256, found)
        return found

    def _record(self, clip_id: str, identity: str, mask: StillMask) -> None:
        made = MadeMask.of(
            mask.rle,
            identity=identity,
            frame=mask.frame,
            origin=mask.origin,
            engine=self.segmenter.name,
            weights_sha256=self.segmenter.weights_sha256,
            confidence=mask.confidence,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            **({} if mask.hand is None else mask.hand.as_counts()),
        )
        record_made(self.workspace, clip_id, [made])


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


def is_by_hand(current: Rle | None, frame: int, made: Sequence[MadeMask]) -> bool:
    """Whether a person clicked or drew the mask that is on another still: then no box far from it replaces it."""
    if current is None:
        return False
    sha256 = mask_sha256(current)
    same = [mask.origin for mask in made if mask.frame == frame and mask.sha256 == sha256]
    return not same or same[-1] is not MaskOrigin.PROPAGATED


def _regions(page: OnPage, identity: str, mask: StillMask) -> list[Region]:
    """A mask in the place of what the page holds of the object on that still: the first region gets all of it, others
    (strokes of their own) only lose what is not in it, since an answer cannot delete them."""
    keys = page.regions(mask.frame)
    return [
        region
        for key in keys
        for region in mask_regions(identity, mask.frame, mask.rle, score=mask.confidence, key=key)
    ]


def _answered(frame: int, found: Found, origin: MaskOrigin) -> StillMask:
    mask_HW: NDArray[np.bool_] = found.mask_HW
    return StillMask(frame=frame, rle=encode(mask_HW), confidence=round(found.confidence, 4), origin=origin)

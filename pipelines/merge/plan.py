"""What a merge is to do with every video and clip of both sides, and what keeps it from being done."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from avis_data.errors import Problem
from avis_data.pipelines.merge.alike import category_problems, recipe_problems
from avis_data.pipelines.merge.side import Side, SideClip, SideVideo
from avis_data.video_list import ClipRow, clip_id_of

__all__ = ["MergeChoices", "MergePlan", "Preferred", "TakenClip", "TakenVideo", "plan_merge"]

Preferred = Literal["A", "B"]
_LONGEST_ID = 64
_RANK = {"none": 0, "draft": 1, "imported": 2, "accepted": 3, "dropped": 3}
"""Whose labels of a clip win: what a reviewer decided before what a file says, before what nobody accepted yet."""
_OF_A_ROW = ("license", "split", "uploader", "channel", "upload_date")


@dataclass(frozen=True, kw_only=True)
class MergeChoices:
    """What a person says of it."""

    categories: Mapping[str, str] = field(default_factory=dict)
    """Categories of B by their names in A."""
    suffix: str | None = None
    """What ids of B get that A uses for another video; None: such ids are refused."""
    prefer: Preferred | None = None
    """Whose word counts where both say something else; None: that is refused."""


@dataclass(frozen=True, kw_only=True)
class TakenVideo:
    """A video of the new workspace."""

    video_id: str
    owner: Preferred
    """Whose source it has."""
    old_ids: Mapping[Preferred, str]
    """What each side that has it calls it."""
    url: str | None
    same_source: bool = True
    """Whether both sides made their clips from the very same file."""


@dataclass(frozen=True, kw_only=True)
class TakenClip:
    """A clip of the new workspace; all of it comes from one side."""

    clip_id: str
    video_id: str
    owner: Preferred
    old_ids: Mapping[Preferred, str]
    row: ClipRow | None


@dataclass(kw_only=True)
class MergePlan:
    """What will be done."""

    sides: Mapping[Preferred, Side]
    choices: MergeChoices
    videos: dict[str, TakenVideo] = field(default_factory=dict)
    clips: dict[str, TakenClip] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    """Nothing is done while there are any."""
    removed: dict[str, str] = field(default_factory=dict)
    """Videos that are left out as the other side had removed them, with what its tombstone says."""
    renamed: dict[str, str] = field(default_factory=dict)
    """Videos of B by their ids there: what they are called now."""
    decided: list[str] = field(default_factory=list)
    """What was decided where both sides had something, for people."""
    weights: str | None = None
    """Of the embeddings that are kept; None: there are none."""
    num_without_embeddings: int = 0
    """Clips whose embeddings are left behind, as they were made with other weights."""

    @property
    def joined(self) -> list[str]:
        """Clips that both sides had."""
        return sorted(clip.clip_id for clip in self.clips.values() if len(clip.old_ids) == 2)

    def clip_ids(self, side: Preferred, *, owned: bool = True) -> dict[str, str]:
        """Old id to new one of the clips of a side: of those that come from it, or of all that it had."""
        return {
            clip.old_ids[side]: clip.clip_id
            for clip in self.clips.values()
            if side in clip.old_ids and (clip.owner == side or not owned)
        }

    def video_ids(self, side: Preferred) -> dict[str, str]:
        """Old id to new one of all videos of a side."""
        return {video.old_ids[side]: video.video_id for video in self.videos.values() if side in video.old_ids}

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return {
            "sides": {name: {"path": str(side.source), **side.counts()} for name, side in self.sides.items()},
            "videos": len(self.videos),
            "clips": len(self.clips),
            "joined_clips": self.joined,
            "renamed": self.renamed,
            "removed": self.removed,
            "decided": self.decided,
            "left_to_embed": self.num_without_embeddings,
            "problems": [problem.as_dict() for problem in self.problems],
        }


def plan_merge(a: Side, b: Side, choices: MergeChoices) -> MergePlan:
    """Decide what becomes of everything; all that keeps it from being done is among the problems of the plan."""
    plan = MergePlan(sides={"A": a, "B": b}, choices=choices)
    plan.problems += recipe_problems(a.recipe, b.recipe)
    plan.problems += category_problems(a, b, choices.categories)
    _Decider(plan).all()
    _weights(plan)
    return plan


def _weights(plan: MergePlan) -> None:
    """Embeddings of one dataset are of one network."""
    by_side = {
        name: {side.weights_of[old] for old in plan.clip_ids(name) if old in side.weights_of}
        for name, side in plan.sides.items()
    }
    found = by_side["A"] | by_side["B"]
    if len(found) > 1 and plan.choices.prefer is None:
        shown = ", ".join(f"{name} has {' and '.join(sorted(each))}" for name, each in by_side.items())
        message = f"made with other weights: {shown}; --prefer says whose stay, the others are made again by embed"
        plan.problems.append(Problem("embeddings", "", message))
        return
    first = by_side[plan.choices.prefer or "A"] or found
    plan.weights = min(first, default=None)
    plan.num_without_embeddings = sum(
        old in side.weights_of and side.weights_of[old] != plan.weights
        for name, side in plan.sides.items()
        for old in plan.clip_ids(name)
    )


class _Decider:
    """Goes through the videos of both sides and fills the plan."""

    def __init__(self, plan: MergePlan) -> None:
        self._plan, self._choices = plan, plan.choices
        self._a, self._b = plan.sides["A"], plan.sides["B"]
        self._both: list[tuple[TakenVideo, SideVideo, SideVideo]] = []
        self._taken: set[str] = set()
        """Videos of A that one of B was joined with."""

    def all(self) -> None:
        of_a = self._left(self._a, self._b)
        of_b = self._left(self._b, self._a)
        for video in of_a.values():
            self._take(video, video.video_id, "A")
        by_url = {video.url: video.video_id for video in of_a.values() if video.url is not None}
        for video in of_b.values():
            there = of_a.get(by_url.get(video.url or "", video.video_id))
            if there is None or there.video_id in self._taken:
                self._alone(video, of_a, of_b)
            elif self._is_same(there, video):
                self._join(there, video)
            else:
                self._clash(video, of_a, of_b)
        self._join_clips()

    def _left(self, side: Side, other: Side) -> dict[str, SideVideo]:
        """Videos that neither side has removed."""
        found = {}
        for video in side.videos.values():
            stone = next((hit for item in (video.video_id, *video.clips) if (hit := other.stones.find(item))), None)
            stone = stone or (other.stones.find_url(video.url) if video.url is not None else None)
            if stone is not None:
                self._plan.removed[video.video_id] = f"of {side.name} is left out: in {other.name} it {stone.said()}"
            elif video.sha256 is not None and video.sha256 in other.stones.files:
                self._plan.removed[video.video_id] = f"of {side.name} is left out: {other.name} removed the same file"
            else:
                found[video.video_id] = video
        return found

    def _is_same(self, a: SideVideo, b: SideVideo) -> bool:
        if (a.adopted is None) != (b.adopted is None):
            return False
        if a.url is not None and a.url == b.url:
            return True
        known = a.sha256 is not None and b.sha256 is not None
        return a.sha256 == b.sha256 if known else a.url is None or b.url is None

    def _take(self, video: SideVideo, video_id: str, side: Preferred) -> None:
        self._plan.videos[video_id] = TakenVideo(
            video_id=video_id, owner=side, old_ids={side: video.video_id}, url=video.url
        )
        for clip in video.clips.values():
            self._take_clip(clip, self._clip_id(clip, video, video_id), video_id, side)

    def _take_clip(self, clip: SideClip, clip_id: str, video_id: str, side: Preferred) -> None:
        row = clip.row
        if row is not None:
            span = row.span.model_copy(update={"clip_id": clip_id, "video_id": video_id})
            row = replace(row, span=span, categories=self._mapped(row.categories, side))
        self._plan.clips[clip_id] = TakenClip(
            clip_id=clip_id, video_id=video_id, owner=side, old_ids={side: clip.clip_id}, row=row
        )

    def _mapped(self, names: tuple[str, ...], side: Preferred) -> tuple[str, ...]:
        said = self._choices.categories if side == "B" else {}
        return tuple(dict.fromkeys(said.get(name, name) for name in names))

    @staticmethod
    def _clip_id(clip: SideClip, video: SideVideo, video_id: str) -> str:
        if video_id == video.video_id:
            return clip.clip_id
        if clip.row is None:
            return video_id
        return clip_id_of(video_id, clip.row.span.start_s, clip.row.span.end_s)

    def _alone(self, video: SideVideo, of_a: Mapping[str, SideVideo], of_b: Mapping[str, SideVideo]) -> None:
        """A video that A has not; its ids may still be those of something else there."""
        clips = self._plan.clips
        if video.video_id in self._plan.videos or any(clip_id in clips for clip_id in video.clips):
            self._clash(video, of_a, of_b)
        else:
            self._take(video, video.video_id, "B")

    def _clash(self, video: SideVideo, of_a: Mapping[str, SideVideo], of_b: Mapping[str, SideVideo]) -> None:
        suffix = self._choices.suffix
        if suffix is None:
            there = of_a.get(video.video_id)
            what = "another video" if there is None or there.url is None else f"another video, {there.url:.80}"
            message = f"is {what} in A ({video.url or 'no link'} in B); --rename-clashes SUFFIX renames that of B"
            self._plan.problems.append(Problem("video_id", video.video_id, message))
            return
        new = f"{video.video_id[: _LONGEST_ID - len(suffix) - 1]}-{suffix}"
        clips = [self._clip_id(clip, video, new) for clip in video.clips.values()]
        if new in of_b or new in self._plan.videos or any(clip_id in self._plan.clips for clip_id in clips):
            message = f"cannot be renamed to {new!r}, which is there too; choose another suffix"
            self._plan.problems.append(Problem("video_id", video.video_id, message))
            return
        self._plan.renamed[video.video_id] = new
        self._take(video, new, "B")

    def _join(self, a: SideVideo, b: SideVideo) -> None:
        same = a.sha256 == b.sha256 or None in (a.sha256, b.sha256)
        owner: Preferred = "B" if a.sha256 is None and b.sha256 is not None else "A"
        if not same:
            if self._choices.prefer is None:
                message = "the same link, but another file was downloaded; --prefer A or B says whose stays"
                self._plan.problems.append(Problem("video_id", a.video_id, message))
            owner = self._choices.prefer or "A"
            self._plan.decided.append(f"{a.video_id}: the file of {owner}; clips of the other are made again from it")
        taken = TakenVideo(
            video_id=a.video_id,
            owner=owner,
            old_ids={"A": a.video_id, "B": b.video_id},
            url=a.url or b.url,
            same_source=same,
        )
        self._plan.videos[a.video_id] = taken
        if a.video_id != b.video_id:
            self._plan.renamed[b.video_id] = a.video_id
        self._both.append((taken, a, b))
        self._taken.add(a.video_id)

    def _join_clips(self) -> None:
        pairs = []
        for taken, a, b in self._both:
            for clip in b.clips.values():
                clip_id = self._clip_id(clip, b, taken.video_id)
                mine = self._plan.clips.get(clip_id)
                if mine is not None and mine.video_id == taken.video_id:
                    pairs.append((mine, clip))
                elif mine is not None:
                    message = f"{clip.clip_id!r} of B would be called so, which A has of {mine.video_id!r}"
                    self._plan.problems.append(Problem("clip_id", clip_id, message))
                elif not self._overlaps(clip, a):
                    self._take_clip(clip, clip_id, taken.video_id, "B")
        self._label_pairs(pairs)

    def _overlaps(self, clip: SideClip, a: SideVideo) -> bool:
        """Whether seconds of a clip of B are in another clip of A. Where B is preferred it takes the place of those."""
        for other in a.clips.values():
            if (
                clip.row is None
                or other.row is None
                or not _meet(clip.row, other.row)
                or other.clip_id not in self._plan.clips
            ):
                continue
            if self._choices.prefer is None:
                message = f"the same seconds are in {other.clip_id} of A; --prefer A or B says which clip stays"
                self._plan.problems.append(Problem("clip", clip.clip_id, message))
                return True
            if self._choices.prefer == "A":
                self._plan.decided.append(f"{clip.clip_id} of B is left out: the same seconds are in {other.clip_id}")
                return True
            del self._plan.clips[other.clip_id]
            self._plan.decided.append(f"{other.clip_id} of A is left out: the same seconds are in {clip.clip_id}")
        return False

    def _label_pairs(self, pairs: list[tuple[TakenClip, SideClip]]) -> None:
        said = {
            "A": self._a.said_of((mine.old_ids["A"] for mine, _ in pairs), {}),
            "B": self._b.said_of((clip.clip_id for _, clip in pairs), dict(self._choices.categories)),
        }
        for mine, clip in pairs:
            old, clip_id = mine.old_ids["A"], mine.clip_id
            states = {"A": self._a.state(old), "B": self._b.state(clip.clip_id)}
            ranks = {side: _RANK[state] for side, state in states.items()}
            owner = self._made_side(old, clip.clip_id)
            if ranks["A"] != ranks["B"]:
                owner = "A" if ranks["A"] > ranks["B"] else "B"
                if min(ranks.values()):
                    how = f"{states[owner]} before {_other(states, owner)}"
                    self._plan.decided.append(f"{clip_id}: the labels of {owner} ({how})")
            elif ranks["A"] and (said["A"][old] != said["B"][clip.clip_id] or states["A"] != states["B"]):
                if self._choices.prefer is None:
                    message = (
                        f"{states['A']} in A and {states['B']} in B, with other labels; --prefer A or B says whose"
                    )
                    self._plan.problems.append(Problem("labels", clip_id, message))
                owner = self._choices.prefer or "A"
                self._plan.decided.append(f"{clip_id}: the labels of {owner}, which are others than those beside them")
            row = self._joined_row(clip_id, mine.row, clip.row)
            self._plan.clips[clip_id] = replace(mine, owner=owner, old_ids={"A": old, "B": clip.clip_id}, row=row)

    def _made_side(self, a: str, b: str) -> Preferred:
        """The side that made more of a clip that nobody labelled."""
        return "B" if self._b.made[b] > self._a.made[a] else "A"

    def _joined_row(self, clip_id: str, a: ClipRow | None, b: ClipRow | None) -> ClipRow | None:
        """What either list says of a clip; where both say something else, the preferred one."""
        if a is None or b is None:
            return a
        values = {}
        for name in _OF_A_ROW:
            mine, theirs = getattr(a, name), getattr(b, name)
            if mine is not None and theirs is not None and mine != theirs:
                if self._choices.prefer is None:
                    message = f"{name} is {mine!r} in A and {theirs!r} in B; --prefer A or B says which"
                    self._plan.problems.append(Problem("list", clip_id, message))
                values[name] = theirs if self._choices.prefer == "B" else mine
            else:
                values[name] = mine if mine is not None else theirs
        categories = tuple(dict.fromkeys((*a.categories, *self._mapped(b.categories, "B"))))
        scenarios = tuple(dict.fromkeys((*a.scenarios, *b.scenarios)))
        return replace(a, categories=categories, scenarios=scenarios, **values)


def _other(states: Mapping[str, str], owner: str) -> str:
    return states["B" if owner == "A" else "A"]


def _meet(a: ClipRow, b: ClipRow) -> bool:
    end_a, end_b = a.span.end_s, b.span.end_s
    return a.span.start_s < (math.inf if end_b is None else end_b) and b.span.start_s < (
        math.inf if end_a is None else end_a
    )

"""The manifest of a stress test: which clip is given which sound, with the hash of each. The sounds are made anew from
it wherever the clips are, bit for bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from avis_data.config import record_from_json
from avis_data.errors import ConfigError, DataError, Problem, ProblemsError
from avis_data.format_numbers import STRESS
from avis_data.io import canonical_json, read_json, sha256_file, sha256_text, write_json
from avis_data.records import Record, SafeId, Sha256, SplitName
from avis_data.stress.clips import HeardClip, World, open_world
from avis_data.stress.conditions import CONDITIONS, TRUE_SOUND, Changed, Condition, LeftOut
from avis_data.stress.waves import wave_sha256

__all__ = [
    "Given",
    "PlannedClip",
    "PlannedCondition",
    "StressPlan",
    "changed_clip",
    "chosen",
    "make_plan",
    "read_plan",
    "write_plan",
]


class PlannedClip(Record):
    """One clip under one condition."""

    sound_sha256: Sha256 = Field(description="Of what is heard: rate, channels and 16 bit samples.")
    no_sound_frames: list[Annotated[int, Field(ge=0)]] = Field(
        description="Frames in which nothing that is seen sounds then: any mask is wrong."
    )
    donor: str | None = Field(default=None, description="The clip whose sound it is; null: its own, or none.")
    muted: str | None = Field(default=None, description="The track that is not heard any more.")


class PlannedCondition(Record):
    """One condition."""

    name: SafeId
    says: str = Field(description="What is heard.")
    counts: bool = Field(description="Whether it is part of a model's reliance: what made the truth is not heard.")
    clips: dict[str, PlannedClip] = Field(description="By name of the clip.")
    left_out: dict[str, str] = Field(description="Clips that it does not apply to, and why.")


class StressPlan(Record):
    """The manifest: `stress.json`."""

    format: Literal[1] = 1
    seed: int
    split: SplitName
    truth_sha256: Sha256 = Field(description="Of the truth file of the split.")
    scenes_sha256: Sha256 | None = Field(description="Of the scenes.json of the synthetic world, where it was given.")
    sounds: dict[str, Sha256] = Field(description="By clip, of its own sound: rate, channels and 16 bit samples.")
    conditions: list[PlannedCondition]

    @property
    def sha256(self) -> str:
        """Of all that it says."""
        return sha256_text(canonical_json(self.model_dump(mode="json")))

    @property
    def by_name(self) -> dict[str, PlannedCondition]:
        """Its conditions."""
        return {condition.name: condition for condition in self.conditions}


@dataclass(frozen=True, kw_only=True)
class Given:
    """A dataset that a plan is made for, or carried out on."""

    data: Path
    split: str = "test"
    scenes: Path | None = None
    """`scenes.json`, where the dataset is of the synthetic world."""

    def opened(self) -> World:
        """Its clips. Raises as `open_world`."""
        return open_world(self.data, self.split, scenes=self.scenes)


def make_plan(
    given: Given, *, conditions: Sequence[str] = (), seed: int = 0, on_clip: Callable[[int], None] = lambda of: None
) -> StressPlan:
    """Choose for each clip of a split what it hears under each condition.

    Args:
        given: the dataset.
        conditions: their names; none: all.
        seed: of donors and noise.
        on_clip: called after each clip and condition with the number of all of them.

    Raises:
        ConfigError: if there is no such condition.
        DataError: if the dataset is not in order, or a sound cannot be read.

    Example:
        >>> plan = make_plan(Given(data=Path("example/exports/ytvis")), conditions=["silence"])
        >>> len(plan.by_name["silence"].clips)
        2
    """
    wanted = [CONDITIONS[name] for name in dict.fromkeys(conditions or CONDITIONS.names())]
    world = given.opened()
    of = len(wanted) * len(world.clips)
    sounds = _sounds_of(world)
    planned = []
    for condition in wanted:
        clips, left_out = {}, {}
        for name, clip in world.clips.items():
            try:
                clips[name] = _planned(changed_clip(condition, clip, world, seed=seed))
            except LeftOut as why:
                left_out[name] = str(why)
            on_clip(of)
        planned.append(
            PlannedCondition(
                name=condition.name, says=condition.says, counts=condition.counts, clips=clips, left_out=left_out
            )
        )
    return StressPlan.model_validate(
        {
            "seed": seed,
            "split": given.split,
            "truth_sha256": sha256_file(world.truth),
            "scenes_sha256": None if given.scenes is None else sha256_file(given.scenes),
            "sounds": sounds,
            "conditions": planned,
        }
    )


def _sounds_of(world: World) -> dict[str, str]:
    """The hash of the sound of each clip. Raises ProblemsError with every sound that cannot be read."""
    found, problems = {}, []
    for name in world.clips:
        try:
            found[name] = wave_sha256(world.wave(name))
        except DataError as error:
            problems.append(Problem(f"clip {name}", "", str(error.args[0])))
    if problems:
        raise ProblemsError(
            f"{world.truth}: the sound of {len(problems)} clip(s) cannot be used",
            problems,
            hint=f"avis-data validate {world.truth.parent}",
        )
    return found


def changed_clip(condition: Condition, clip: HeardClip, world: World, *, seed: int) -> Changed:
    """A clip under a condition: the same for the same seed, whatever else is asked for.

    Raises:
        LeftOut: if the condition does not apply to it.
        DataError: if a sound cannot be read.
    """
    digest = hashlib.sha256(f"{condition.name}/{clip.name}".encode()).digest()
    return condition.change(clip, world, np.random.default_rng([seed, int.from_bytes(digest[:8], "big")]))


def _planned(changed: Changed) -> PlannedClip:
    return PlannedClip(
        sound_sha256=wave_sha256(changed.wave),
        no_sound_frames=[frame for frame, may in enumerate(changed.may_sound_T) if not may],
        donor=changed.donor,
        muted=changed.muted,
    )


def write_plan(path: Path, plan: StressPlan) -> None:
    """Write the manifest."""
    write_json(path, plan.model_dump(mode="json"), indent=None)


def read_plan(path: Path) -> StressPlan:
    """A manifest.

    Raises:
        DataError: if it is missing, damaged, or of another format.
    """
    found = read_json(path)
    if not isinstance(found, dict):
        raise DataError(f"{path}: is no plan of a stress test", hint="avis-data stress plan --data EXPORT --out FILE")
    STRESS.check(found.get("format"), path)
    plan = record_from_json(path, StressPlan, hint="avis-data stress plan --data EXPORT --out FILE")
    names = [condition.name for condition in plan.conditions]
    if TRUE_SOUND in names or len(set(names)) < len(names):
        raise DataError(f"{path}: conditions: a name is there twice, or is {TRUE_SOUND!r}, that of the true sound")
    return plan


def chosen(plan: StressPlan, names: Sequence[str]) -> Mapping[str, PlannedCondition]:
    """Some conditions of a plan; no names: all.

    Raises:
        ConfigError: if the plan has no such condition.
    """
    there = plan.by_name
    for name in names:
        if name not in there:
            raise ConfigError(f"the plan has no condition {name!r}; it has: {', '.join(there)}")
    return {name: there[name] for name in names} if names else there

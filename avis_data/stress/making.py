"""The media of a condition: the split of a dataset with other sounds, made from a plan and checked against it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from avis_data.errors import ConfigError, DataError, Problem, ProblemsError
from avis_data.format_numbers import CERTIFICATE
from avis_data.formats.aviseg_folders import STILLS, features_path, sound_path, truth_path
from avis_data.io import atomic_dir, link_or_copy, read_json, sha256_file, write_json
from avis_data.media.clock import frame_instants
from avis_data.media.sound import SAMPLE_RATE_HZ
from avis_data.recipe import front_end_of
from avis_data.stress.clips import HeardClip, World
from avis_data.stress.conditions import CONDITIONS, LeftOut
from avis_data.stress.plan import Given, PlannedCondition, StressPlan, changed_clip
from avis_data.stress.waves import Wave, wave_sha256, write_wave

__all__ = ["Embed", "check_vggish", "embedding_of", "is_made", "make_dataset", "opened_for"]

_NOTE = "stress.json"
"""In the folder of a condition: what it is."""


@dataclass(frozen=True, kw_only=True)
class Embed:
    """A network that makes embeddings."""

    weights_sha256: str
    """Of its weights, or `untrained-<seed>`."""
    rows: Callable[[Wave, HeardClip], NDArray[np.float32]]
    """Gives the embeddings of a clip with a sound, float32 (T, 128)."""


def opened_for(plan: StressPlan, given: Given) -> World:
    """The clips that a plan was made for.

    Raises:
        ConfigError: if scenes are given, and the plan was made without.
        DataError: if the dataset, or the scenes, are others.
        ProblemsError: with every clip that has another sound.
    """
    known = plan.scenes_sha256
    if known is not None and given.scenes is None:
        raise DataError("the plan was made with a scenes.json", hint="--scenes FILE, the same one")
    if given.scenes is not None and known is None:
        raise ConfigError("the plan was made without a scenes.json", hint="leave --scenes out, or make a plan with it")
    if given.scenes is not None and known is not None and (found := sha256_file(given.scenes)) != known:
        raise DataError(f"{given.scenes}: is not that of the plan (sha256 {found[:12]}, not {known[:12]})")
    world = given.opened()
    if (found := sha256_file(world.truth)) != plan.truth_sha256:
        raise DataError(
            f"{world.truth}: is not the truth that the plan was made for (sha256 {found[:12]}, not "
            f"{plan.truth_sha256[:12]})",
            hint=f"avis-data stress plan --data {given.data} --on {plan.split} --out FILE makes one for it",
        )
    planned = {*plan.sounds, *(name for condition in plan.conditions for name in condition.clips)}
    problems = [Problem(f"clip {name}", "", "is not in the dataset") for name in sorted(planned - world.clips.keys())]
    problems += [
        Problem(f"clip {name}", "", "its sound is not that of the plan")
        for name in world.clips
        if wave_sha256(world.wave(name)) != plan.sounds.get(name)
    ]
    if problems:
        raise ProblemsError(f"{given.data}: {len(problems)} clip(s) differ from the plan", problems)
    return world


def make_dataset(
    target: Path, condition: PlannedCondition, plan: StressPlan, world: World, *, embed: Embed | None = None
) -> None:
    """Write the split under a condition as a dataset of its own: the whole folder or nothing.

    It holds the clips that the condition applies to, with their stills (hard links, or copies), their truth as it is
    with the true sound, and their ids; so results of it can be measured by either file.

    Args:
        target: the folder; it takes the place of one that is there.
        condition: of the plan.
        plan: what is to be made.
        world: the clips, of `opened_for`.
        embed: makes the embeddings of a sound; None: none are written.

    Raises:
        DataError: if what comes out is not what the plan says.
    """
    with atomic_dir(target) as folder:
        for name, planned in condition.clips.items():
            clip = world.clips[name]
            try:
                changed = changed_clip(CONDITIONS[condition.name], clip, world, seed=plan.seed)
            except LeftOut as why:
                raise _other_sound(name, condition, str(why)) from None
            if (found := wave_sha256(changed.wave)) != planned.sound_sha256:
                raise _other_sound(name, condition, f"sha256 {found[:12]}, not {planned.sound_sha256[:12]}")
            write_wave(sound_path(folder, plan.split, name), changed.wave)
            if embed is not None:
                rows = features_path(folder, plan.split, name)
                rows.parent.mkdir(parents=True, exist_ok=True)
                np.save(rows, embed.rows(changed.wave, clip), allow_pickle=False)
            _link_stills(clip, world.truth.with_suffix(""), folder / plan.split)
        write_json(truth_path(folder, plan.split), _truth_of(world, set(condition.clips)), indent=None)
        write_json(folder / _NOTE, _note(condition, plan, embed))


def is_made(target: Path, condition: PlannedCondition, plan: StressPlan, *, embed: Embed | None = None) -> bool:
    """Whether a folder is what `make_dataset` makes of the same. Raises DataError if it is something else."""
    if not target.exists() or not any(target.iterdir()):
        return False
    try:
        found = read_json(target / _NOTE)
    except DataError:
        found = None
    if not isinstance(found, dict) or found.get("condition") != condition.name:
        raise DataError(f"{target}: holds something else", hint="--out ANOTHER_FOLDER")
    return bool(found == _note(condition, plan, embed))


def embedding_of(weights: tuple[Path | None, str]) -> Embed:
    """What makes the embeddings of a sound as the stage `embed` does, one for each frame; the network is read once.

    Args:
        weights: VGGish's file and its hash, of `resolve_vggish`.

    Raises:
        DataError: if the weights are not those that were meant.
    """
    from avis_data.features.vggish import embed_examples, load_vggish, untrained_vggish

    path, sha256 = weights
    if path is None:
        network = untrained_vggish(int(sha256.removeprefix("untrained-")))
    else:
        network = load_vggish(path, sha256=sha256)
    return Embed(weights_sha256=sha256, rows=lambda wave, clip: embed_examples(network, _examples(wave, clip)))


def check_vggish(data: Path, sha256: str) -> None:
    """Refuse weights of VGGish that an export's own embeddings are not of: to a model they are another sound.

    Args:
        data: the export; a set from elsewhere says nothing of its embeddings, and passes.
        sha256: of the weights, or `untrained-<seed>`.

    Raises:
        DataError: with both hashes.
    """
    try:
        said = read_json(data / CERTIFICATE)
    except DataError:
        return
    known = said.get("embeddings") if isinstance(said, dict) else None
    found = known.get("weights_sha256") if isinstance(known, dict) else None
    if found is not None and found != sha256:
        raise DataError(
            f"{data}: its embeddings are of other VGGish weights ({found!s:.12}, not {sha256[:12]})",
            hint="--weights FILE, the same; --untrained where the export was made so",
        )


def _examples(wave: Wave, clip: HeardClip) -> NDArray[np.float32]:
    """The VGGish inputs of the frames of a clip with a sound, float32 (T, 96, 64)."""
    from avis_data.features.logmel import causal_examples, second_examples

    mono_N = wave.samples_NC.mean(axis=1).astype(np.float32)
    if wave.rate_hz != SAMPLE_RATE_HZ:
        mono_N = soxr.resample(mono_N, wave.rate_hz, SAMPLE_RATE_HZ)
    if front_end_of(clip.video.fps) == "official":
        return second_examples(mono_N, clip.num_frames)
    instants = clip.video.frame_times or frame_instants(clip.num_frames, fps=clip.video.fps, frame_at=None)
    return causal_examples(mono_N, [math.floor(instant * SAMPLE_RATE_HZ + 0.5) for instant in instants])


def _truth_of(world: World, names: set[str]) -> Mapping[str, object]:
    """The truth file with some of its clips; what it says of them stays as it is."""
    found: dict[str, list[dict[str, object]]] = read_json(world.truth)
    ids = {world.clips[name].video.video_id for name in names}
    return {
        **found,
        "videos": [video for video in found["videos"] if video["id"] in ids],
        "annotations": [entry for entry in found["annotations"] if entry["video_id"] in ids],
    }


def _link_stills(clip: HeardClip, source: Path, target: Path) -> None:
    for name in clip.video.file_names:
        still = target / STILLS / name
        still.parent.mkdir(parents=True, exist_ok=True)
        if not (source / STILLS / name).is_file():
            raise DataError(f"{source / STILLS / name}: no such still", hint=f"avis-data validate {source.parent}")
        link_or_copy(source / STILLS / name, still)


def _note(condition: PlannedCondition, plan: StressPlan, embed: Embed | None) -> dict[str, object]:
    return {
        "condition": condition.name,
        "says": condition.says,
        "plan_sha256": plan.sha256,
        "vggish_sha256": None if embed is None else embed.weights_sha256,
    }


def _other_sound(name: str, condition: PlannedCondition, why: str) -> DataError:
    return DataError(
        f"clip {name}, {condition.name}: another sound comes out than the plan says ({why}): it was made by a version "
        "of avis-data that does otherwise",
        hint="that version, or a new plan: avis-data stress plan",
    )

"""A look at every file of a workspace; nothing is changed."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from avis_data.config import config_from_yaml
from avis_data.errors import AvisError, ConfigError, fault_of
from avis_data.format_numbers import what_is
from avis_data.io import TEMPORARY_PREFIX, sha256_tree
from avis_data.ledger import DamagedLedger, Ledger, Output
from avis_data.ledger.text import KeptItem, read_text
from avis_data.paths import Workspace
from avis_data.pipelines.doctor.files import FileKind, kind_of
from avis_data.pipelines.engine.bucket import bucket_of
from avis_data.pipelines.manifests import existing_clips, existing_videos, stages_in_text
from avis_data.pipelines.stages import STAGES
from avis_data.recipe import Recipe

__all__ = ["ASIDE", "MADE_FROM_LEDGER", "FoundFile", "Health", "examine_workspace", "left_overs", "read_recipe"]

ASIDE = ".damaged-"
"""In the name of a file that was kept aside; a number follows."""
_PASSED_OVER = (".lock", ".tmp")
MADE_FROM_LEDGER = ("manifest/videos.jsonl", "manifest/clips.jsonl", "manifest/ledger.jsonl")


class Health(StrEnum):
    """How a file is."""

    FINE = "fine"
    DAMAGED = "damaged"
    MISSING = "missing"
    LEFT_OVER = "left over"
    """Of a command that was killed; nobody reads it."""
    ASIDE = "aside"
    """A damaged file that a repair kept."""
    NOT_OURS = "not ours"


@dataclass(frozen=True, kw_only=True)
class FoundFile:
    """One file, or folder that is one thing."""

    path: str
    """From the workspace's folder."""
    kind: str
    health: Health
    problem: str | None = None
    """What is wrong, with line, row or field."""
    rebuild: str | None = None
    """What `--repair` makes it from; None where it cannot, or need not."""
    advice: str | None = None
    """What a person can do where `--repair` cannot."""

    @property
    def is_bad(self) -> bool:
        """True if something of it is lost, or must be made anew."""
        return self.health in (Health.DAMAGED, Health.MISSING)

    def as_dict(self) -> dict[str, str | None]:
        """What `--json` prints."""
        return {
            "path": self.path,
            "kind": self.kind,
            "health": self.health.value,
            "problem": self.problem,
            "rebuilt_from": self.rebuild,
            "advice": self.advice,
        }


def examine_workspace(workspace: Workspace, *, verify: bool = False) -> list[FoundFile]:
    """Every file of a workspace, and those that should be there and are not, by path.

    Args:
        workspace: it may be damaged in any way.
        verify: hash every finished output instead of trusting its time of change.

    Raises:
        ConfigError: if the folder is no workspace.
        DataError: if the workspace is of another format than this version's.
        OSError: where the machine does not let us read: that is no damage.
    """
    if not workspace.root.is_dir() or not (workspace.recipe.exists() or workspace.ledger_text.exists()):
        hint = "avis-data -C DIR doctor --workspace"
        raise ConfigError(f"{workspace.root}: no workspace (no recipe.yaml); {what_is(workspace.root)}", hint=hint)
    with suppress(DamagedLedger):
        Ledger(workspace.ledger, read_only=True).close()  # refuses another format: nothing is damaged there
    outputs = _outputs(workspace)
    found: dict[str, FoundFile] = {}
    for path, kind in _walk(workspace):
        name = workspace.relative(path)
        found[name] = _seen(workspace, path, kind, outputs.get(name), verify=verify)
    if "ledger.sqlite" in found and found["ledger.sqlite"].health is Health.FINE:
        _compare_with_ledger(workspace, found)
    for name in [*_expected(workspace), *outputs]:
        if name not in found and not (name in outputs and _is_in_bucket(workspace, outputs[name])):
            found[name] = _missing(workspace, name)
    return [found[name] for name in sorted(found)]


def left_overs(workspace: Workspace) -> Iterator[Path]:
    """What killed commands left half written where nobody writes without the workspace's lock."""
    for folder in (workspace.root, workspace.manifest, workspace.masks, workspace.features, workspace.exports):
        yield from folder.glob(f"{TEMPORARY_PREFIX}*")
    yield from (workspace.root / "clips").glob(f"*/{TEMPORARY_PREFIX}*")
    yield from workspace.annotations.glob(f"**/{TEMPORARY_PREFIX}*")
    if not workspace.tmp.is_symlink():
        yield from workspace.tmp.glob("*/*/out-*")


def _outputs(workspace: Workspace) -> dict[str, Output]:
    """What the finished items left, by path, as the ledger says or, where it is damaged, its text."""
    stages = [part.name for spec in STAGES for part in spec.parts]
    try:
        with Ledger(workspace.ledger, read_only=True) as ledger:
            kept = [output for stage in stages for left in ledger.outputs(stage).values() for output in left]
    except AvisError:
        lines = [line for _, line in read_text(workspace.ledger_text) if isinstance(line, KeptItem)]
        kept = [Output(*output) for line in lines if line.state == "done" for output in line.outputs]
    return {output.path: output for output in kept}


def _is_in_bucket(workspace: Workspace, output: Output) -> bool:
    """Whether it needs no local copy. Raises StorageError where the bucket cannot be asked: that is no damage."""
    bucket = bucket_of(workspace) if output.key else None
    return bucket is not None and bucket.has(output)


def _expected(workspace: Workspace) -> list[str]:
    """Files without which something is lost, whatever the other files say."""
    names = ["recipe.yaml"]
    if workspace.ledger_text.exists():
        names.append("ledger.sqlite")
    if workspace.ledger.exists():
        names += MADE_FROM_LEDGER
    if workspace.masks.is_dir() and any(workspace.masks.iterdir()):
        names.append("manifest/tracks.jsonl")
    return names


def _walk(workspace: Workspace) -> Iterator[tuple[Path, FileKind | None]]:
    waiting = [workspace.root]
    while waiting:
        folder = waiting.pop()
        for entry in os.scandir(folder):
            path = Path(entry.path)
            parts = path.relative_to(workspace.root).parts
            if parts[0] in _PASSED_OVER or parts[0].startswith("ledger.sqlite-"):
                continue
            kind = kind_of(parts)
            # A whole folder may lie on another disk; links further in are not followed.
            is_folder = entry.is_dir(follow_symlinks=len(parts) == 1)
            if is_folder and (kind is None or _is_just_a_folder(kind, parts)):
                waiting.append(path)
            else:
                yield path, kind


def _is_just_a_folder(kind: FileKind, parts: tuple[str, ...]) -> bool:
    """True for a folder on the way to files of a kind that takes all below."""
    return not kind.is_folder and any(place.endswith("**") for place in kind.places) and len(parts) > 1


def _seen(workspace: Workspace, path: Path, kind: FileKind | None, output: Output | None, *, verify: bool) -> FoundFile:
    name = workspace.relative(path)
    if path.name.startswith(TEMPORARY_PREFIX):
        return FoundFile(path=name, kind="temporary", health=Health.LEFT_OVER, rebuild="nothing: it is removed")
    if ASIDE in path.name:
        return FoundFile(path=name, kind="kept aside", health=Health.ASIDE, advice="remove it when all is well")
    if kind is None:
        return FoundFile(path=name, kind="not ours", health=Health.NOT_OURS)
    problem = _problem(workspace, path, kind, output, verify=verify)
    if problem is None:
        return FoundFile(path=name, kind=kind.name, health=Health.FINE)
    return _bad(name, kind, Health.DAMAGED, problem)


def _problem(workspace: Workspace, path: Path, kind: FileKind, output: Output | None, *, verify: bool) -> str | None:
    if path.is_symlink() and not path.exists():
        return f"{path}: a link that leads nowhere"
    if path.is_dir() != kind.is_folder:
        return f"{path}: {'a folder' if path.is_dir() else 'a file'} stands in its place"
    try:
        is_in_doubt = output is not None and (verify or path.stat().st_mtime_ns != output.mtime_ns)
        if output is not None and is_in_doubt and sha256_tree(path) != output.sha256:
            return f"{path}: is not what it was when it was made (the ledger has its hash)"
        kind.read(workspace, path)
    except AvisError as error:
        return str(error.args[0])
    except OSError as error:
        if fault_of(error) is not None:
            raise
        return f"{path}: cannot be read ({error})"
    return None


def _compare_with_ledger(workspace: Workspace, found: dict[str, FoundFile]) -> None:
    """Files that can be read, and are not what the ledger makes of them: lines are missing, or were edited."""
    with Ledger(workspace.ledger, read_only=True) as ledger:
        wanted: dict[str, Iterator[str]] = {
            "manifest/videos.jsonl": (video.model_dump_json() for video in existing_videos(ledger)),
            "manifest/clips.jsonl": (clip.model_dump_json() for clip in existing_clips(ledger)),
        }
        if ledger.has_text:  # else a command was killed, and the next one writes it
            wanted["manifest/ledger.jsonl"] = ledger.as_text(stages_in_text())
        for name, lines in wanted.items():
            if name in found and found[name].health is Health.FINE:
                number = _first_difference(workspace.root / name, lines)
                what = "is not what the ledger says; a command was killed, or it was edited"
                problem = f"{workspace.root / name}:{number}: {what}"
                kind = kind_of(name.split("/"))
                if number is not None and kind is not None:
                    found[name] = _bad(name, kind, Health.DAMAGED, problem)


def _first_difference(path: Path, wanted: Iterator[str]) -> int | None:
    """The number of the first line that is another one; None where all are the same."""
    with path.open(encoding="utf-8", newline="\n") as lines:
        pairs = itertools.zip_longest((line.rstrip("\n") for line in lines), wanted)
        return next((number for number, (mine, said) in enumerate(pairs, start=1) if mine != said), None)


def _missing(workspace: Workspace, name: str) -> FoundFile:
    kind = kind_of(name.split("/"))
    problem = f"{workspace.root / name}: no such file"
    if kind is None:  # of a stage that somebody added
        advice = "run the stage again that made it: it finds what is missing"
        return FoundFile(path=name, kind="output", health=Health.MISSING, problem=problem, advice=advice)
    return _bad(name, kind, Health.MISSING, problem)


def _bad(name: str, kind: FileKind, health: Health, problem: str) -> FoundFile:
    return FoundFile(
        path=name, kind=kind.name, health=health, problem=problem, rebuild=kind.rebuild, advice=kind.advice or None
    )


def read_recipe(workspace: Workspace) -> Recipe:
    """The recipe, without a look at the ledger. Raises ConfigError or ProblemsError where it is damaged."""
    return config_from_yaml(workspace.recipe, Recipe)

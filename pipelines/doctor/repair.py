"""Make anew what can be made from other files of a workspace, without doing work again.

What is replaced is kept aside under its name with `.damaged-1`. Each step ends in a rename, so a kill at any moment
leaves the old file or the new one, and the same command goes on from there.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from filecmp import cmp
from glob import escape
from pathlib import Path

from avis_data.errors import AvisError, DataError
from avis_data.io import atomic_path, remove
from avis_data.ledger import Ledger
from avis_data.manifest import write_manifest
from avis_data.masks.table import read_masks
from avis_data.paths import Workspace
from avis_data.pipelines.doctor.examination import (
    ASIDE,
    MADE_FROM_LEDGER,
    FoundFile,
    examine_workspace,
    left_overs,
    read_recipe,
)
from avis_data.pipelines.doctor.files import OWN_FILES, FileKind, kind_of
from avis_data.pipelines.doctor.rebuilt_ledger import ledger_problem, put_in_place, rebuild_ledger
from avis_data.pipelines.engine.lock import REPAIR, locked
from avis_data.pipelines.manifests import write_manifests
from avis_data.pipelines.truth_records import IMPORTED, imported_clips, labelled_truth
from avis_data.records import MaskRow, State, Track

__all__ = ["Repair", "repair_workspace"]

_TRACKS = "manifest/tracks.jsonl"


@dataclass(kw_only=True)
class Repair:
    """What a repair did."""

    done: list[str] = field(default_factory=list)
    """Sentences, in order."""
    told: list[str] = field(default_factory=list)
    """What could not be brought back."""
    files: list[FoundFile] = field(default_factory=list)
    """How the files are after it."""


def repair_workspace(workspace: Workspace, *, verify: bool = False) -> Repair:
    """Rebuild what can be rebuilt; all else stays as it is.

    Raises:
        BusyError: if another command is at work in the workspace.
        AvisError: as `examine_workspace`; if the recipe is damaged and the ledger must be made anew.
    """
    repair = Repair()
    examine_workspace(workspace)  # refuses what is no workspace, before the lock leaves a file in it
    with locked(workspace, REPAIR):
        for path in list(left_overs(workspace)):
            remove(path)
            repair.done.append(f"removed {workspace.relative(path)}, which a killed command left")
        _mend_ledger(workspace, repair)
        bad = {found.path: found for found in examine_workspace(workspace) if found.is_bad}
        _mend_manifests(workspace, bad, repair)
        for name in bad:
            kind = kind_of(name.split("/"))
            if kind is not None and kind.again is not None:
                repair.done.append(f"kept {name} aside as {_put_aside(workspace, name, take_away=True)}")
    for kind in (kind for table in OWN_FILES for kind in table.kinds):
        for name in kind.places if kind.again is not None else ():
            if not (workspace.root / name).exists() and _asides(workspace, name):
                _do_again(workspace, name, kind, repair)
    repair.files = examine_workspace(workspace, verify=verify)
    return repair


def _mend_ledger(workspace: Workspace, repair: Repair) -> None:
    if ledger_problem(workspace) is None:
        return
    new = rebuild_ledger(workspace, read_recipe(workspace))
    for name in ("ledger.sqlite", "ledger.sqlite-wal"):
        if os.path.lexists(workspace.root / name):
            repair.done.append(f"kept {name} aside as {_put_aside(workspace, name)}")
    # The manifests are written anew from the new ledger, which may hold less than they said.
    names = [name for name in MADE_FROM_LEDGER if os.path.lexists(workspace.root / name)]
    kept = {name: workspace.root / _put_aside(workspace, name) for name in names}
    put_in_place(workspace, new.path)
    with Ledger(workspace.ledger) as ledger:
        write_manifests(workspace, ledger)
    for name, aside in kept.items():
        if aside.is_file() and aside.read_bytes() == (workspace.root / name).read_bytes():
            aside.unlink()
        else:
            repair.done.append(f"rebuilt {name}, and kept the one before as {workspace.relative(aside)}")
    repair.done.append(f"rebuilt ledger.sqlite: {new.num_items} items; no work was done again")
    repair.told += new.told


def _mend_manifests(workspace: Workspace, bad: Mapping[str, FoundFile], repair: Repair) -> None:
    of_ledger = [name for name in bad if name in MADE_FROM_LEDGER]
    for name in [*of_ledger, *([_TRACKS] if _TRACKS in bad else [])]:
        if os.path.lexists(workspace.root / name):
            repair.done.append(f"kept {name} aside as {_put_aside(workspace, name)}")
    if of_ledger:
        if "manifest/ledger.jsonl" in of_ledger:
            remove(workspace.ledger_text)
        with Ledger(workspace.ledger) as ledger:
            write_manifests(workspace, ledger)
        repair.done += [f"rebuilt {name}" for name in of_ledger]
    if _TRACKS in bad:
        try:
            write_manifest(workspace.root / _TRACKS, _tracks_of_masks(workspace))
            repair.done.append(f"rebuilt {_TRACKS}")
        except AvisError as error:
            repair.told.append(f"{_TRACKS} could not be made anew: {error.args[0]}")


def _tracks_of_masks(workspace: Workspace) -> list[Track]:
    """The tracks, by the rows that each has. Raises DataError if a track has none, or the table is damaged."""
    found, labelled = [], labelled_truth(workspace)
    for clip_id, rows in read_masks(workspace.masks):
        for _, group in itertools.groupby(rows, key=lambda row: (row.track_id, row.round)):
            of_track = list(group)
            track = _track(of_track)
            if track.round != IMPORTED and clip_id in labelled:
                drawn = [row.origin for row in of_track if row.counts is not None]
                by_machines = drawn and all(origin.startswith("prelabelled") for origin in drawn)
                kind = "prelabelled" if by_machines else "labelled"
                track = track.model_copy(update={"origin": f"{kind}:{labelled[clip_id].round}"})
            found.append(track)
    counts = Counter((track.clip_id, track.round == IMPORTED) for track in found)
    said = {(clip_id, True): record.num_tracks for clip_id, record in imported_clips(workspace).items()}
    said |= {(clip_id, False): entry.num_tracks for clip_id, entry in labelled.items()}
    for (clip_id, imported), number in said.items():
        if counts[clip_id, imported] != number:
            raise DataError(f"{number} tracks of {clip_id} are known, masks of {counts[clip_id, imported]}")
    return sorted(found, key=lambda track: (track.clip_id, track.track_id))


def _track(rows: list[MaskRow]) -> Track:
    return Track(
        track_id=rows[0].track_id,
        clip_id=rows[0].clip_id,
        category=rows[0].category,
        num_sounding=sum(row.state is State.SOUNDING for row in rows),
        origin=rows[0].origin,
        round=rows[0].round,
    )


def _do_again(workspace: Workspace, name: str, kind: FileKind, repair: Repair) -> None:
    assert kind.again is not None
    try:
        kind.again(workspace)
        repair.done.append(f"rebuilt {name} from {kind.rebuild}")
    except AvisError as error:
        repair.told.append(f"{name} could not be made anew: {error.args[0]}")


def _put_aside(workspace: Workspace, name: str, *, take_away: bool = False) -> str:
    """Give what lies there a second name, and (a folder always, a file if asked) take the first one away.

    A file that a killed repair kept already is not kept twice. It is a copy: no command writes into a file that has a
    second name.
    """
    path = workspace.root / name
    known = _asides(workspace, name)
    aside = next((other for other in known if path.is_file() and other.is_file() and cmp(path, other, False)), None)
    if aside is None:
        numbers = (path.with_name(f"{path.name}{ASIDE}{number}") for number in itertools.count(1))
        aside = next(other for other in numbers if not os.path.lexists(other))
        if path.is_symlink() or not path.is_file():
            os.replace(path, aside)
        else:
            with atomic_path(aside) as part:
                shutil.copyfile(path, part)
    if take_away and os.path.lexists(path):
        path.unlink()
    return workspace.relative(aside)


def _asides(workspace: Workspace, name: str) -> list[Path]:
    path = workspace.root / name
    return sorted(path.parent.glob(f"{escape(path.name)}{ASIDE}*"))

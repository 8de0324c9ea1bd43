"""Labels of another tool or benchmark enter a workspace: a LabelledClip becomes rows of the masks table and tracks.

Each clip of the set belongs to the clip of the workspace whose id is its name. A clip with a fault is left out, whole;
the others are taken. A mask of which nobody said whether it sounds is `visible`.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from avis_data.categories import category_set
from avis_data.errors import DataError, Problem, ProblemsError
from avis_data.formats.sets.adjust import (
    Adjustment,
    adjusted,
    category_problems,
    sounding_problems,
    sounding_said,
)
from avis_data.formats.sets.clips import LabelledClip, LabelledTrack, Still, UnreadClip
from avis_data.formats.sets.files import named_as_given
from avis_data.formats.sets.spec import SetReader
from avis_data.io import atomic_dir, sha256_file, sha256_text
from avis_data.ledger import Ledger
from avis_data.manifest import read_manifest
from avis_data.masks.rle import area
from avis_data.paths import Workspace
from avis_data.pipelines.engine.progress import Progress
from avis_data.pipelines.imports.matching import Matching, match_stills, shown_otherwise
from avis_data.pipelines.imports.removed import redaction_of
from avis_data.pipelines.imports.truth import (
    ImportReport,
    commit_import,
    imported_of,
    mask_row,
    replace_truth,
)
from avis_data.pipelines.stages.adopt import clip_id_of
from avis_data.pipelines.truth_records import IMPORTED, write_imported
from avis_data.pipelines.upkeep.clean import redact_received
from avis_data.pipelines.upkeep.redaction import Redaction
from avis_data.recipe import load_recipe
from avis_data.records import Clip, MaskRow, State, Track, is_safe_id

__all__ = ["SetImport", "import_labelled_set"]

_STATES = {True: State.SOUNDING, False: State.SILENT, None: State.VISIBLE}


@dataclass(frozen=True, kw_only=True)
class SetImport:
    """What is imported, and what people say of it."""

    path: Path
    format_name: str
    reader: SetReader
    adjustment: Adjustment = field(default_factory=Adjustment)
    matching: Matching = field(default_factory=Matching)


@dataclass(kw_only=True)
class _Taken:
    """What was found so far."""

    rows: dict[str, list[MaskRow]] = field(default_factory=dict)
    tracks: list[Track] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    files: set[Path] = field(default_factory=set)
    num_removed: int = 0


def import_labelled_set(workspace: Workspace, wanted: SetImport, *, ledger: Ledger | None) -> ImportReport:
    """Bring the labels of a set into the workspace; the caller holds the workspace's lock.

    The files that labels were read from are kept as received in `annotations/import-<first 8 of their hash>/`; what
    the masks table and `manifest/tracks.jsonl` held of the same clips is replaced. The same set again changes nothing.

    Args:
        workspace: with a recipe and extracted clips.
        wanted: the set.
        ledger: of the workspace, to record what was imported; None: check and count only, change nothing.

    Raises:
        ConfigError: if the folder is no workspace.
        DataError: if the workspace has no clips, or the path is no set of this format.
        ProblemsError: if no clip of the set can be taken, with everything that is wrong.
    """
    recipe = load_recipe(workspace)
    clips = {clip.clip_id: clip for clip in read_manifest(workspace.manifest / "clips.jsonl", Clip)}
    if not clips:
        raise DataError(f"{workspace.root}: there are no clips to give these labels to", hint="avis-data extract")
    known = [category.name for category in category_set(recipe.categories).categories]
    taken, redaction = _Taken(), redaction_of(workspace, recipe)
    with Progress(f"import: {wanted.format_name}", total=None) as progress:
        given = named_as_given(wanted.reader.read(wanted.path), wanted.path)
        for found in adjusted(given, wanted.adjustment, with_sounding=False):
            if redaction is not None and redaction.names_gone(clip_id_of(found.name)):
                taken.num_removed += 1
            else:
                _take(taken, found, clips.get(clip_id_of(found.name)), known, workspace, wanted)
            progress.step()
    if not taken.rows:
        gone = f"{taken.num_removed} clip(s) of it were removed from this workspace"
        nothing = gone if taken.num_removed else "holds no clip"
        problems = taken.problems or [Problem(str(wanted.path), "", nothing)]
        raise ProblemsError(f"{wanted.path}: {len(problems)} problem(s), nothing imported", problems)
    files = [wanted.path] if wanted.path.is_file() else taken.files or _files_of(wanted.path)
    names = {path: _name_in(path, wanted.path) for path in files}
    sha256 = sha256_text("".join(f"{sha256_file(path)}  {name}\n" for path, name in sorted(names.items())))
    report = ImportReport(
        file=wanted.path.name,
        sha256=sha256,
        num_clips=len(taken.rows),
        num_tracks=len(taken.tracks),
        num_masks=sum(map(len, taken.rows.values())),
        num_silent_clips=sum(not rows for rows in taken.rows.values()),
        num_maskless_tracks=_num_maskless(taken),
        num_clips_without=len(clips.keys() - taken.rows.keys()),
        num_unsaid_masks=sum(row.state is State.VISIBLE for rows in taken.rows.values() for row in rows),
        skipped_clips=sorted(taken.skipped),
        problems=taken.problems,
        remarks=taken.remarks,
        num_removed=taken.num_removed,
    )
    if ledger is not None:
        kept = workspace.annotations / f"import-{sha256[:8]}"
        _keep(names, kept / "received", redaction)
        replace_truth(workspace, taken.rows, taken.tracks)
        write_imported(
            workspace, wanted.format_name, wanted.path.name, sha256, imported_of(clips, taken.rows, taken.tracks)
        )
        commit_import(workspace, report, kept / "received", ledger)
    return report


def _take(
    taken: _Taken,
    found: LabelledClip | UnreadClip,
    clip: Clip | None,
    known: Sequence[str],
    workspace: Workspace,
    wanted: SetImport,
) -> None:
    """Add one clip of the set, or what is wrong with it."""
    if isinstance(found, UnreadClip):
        problems, laid = list(found.problems), None
    else:
        taken.files.update(found.label_files)
        taken.remarks += [f"clip {found.name}: {remark}" for remark in found.remarks]
        problems, laid = _laid(found, clip, known, workspace, wanted)
    if not problems and clip is not None and clip.clip_id in taken.rows:
        problems = [Problem(f"clip {found.name}", "", "is in the set twice")]
    if problems or clip is None or laid is None:
        taken.problems += problems
        taken.skipped.append(found.name)
        return
    missing = sum(not still.is_labelled for still in laid.stills)
    if missing:
        told = f"{missing} of {clip.num_frames} stills are not in the set: nothing is in them"
        taken.remarks.append(f"clip {found.name}: {told}")
    taken.rows[clip.clip_id] = []
    for track, source in _tracks(laid, clip, f"import:{wanted.format_name}"):
        rows = list(_rows(track, source))
        heard = sum(row.state is State.SOUNDING for row in rows)
        taken.tracks.append(track.model_copy(update={"num_sounding": heard}))
        taken.rows[clip.clip_id] += rows


def _laid(
    found: LabelledClip, clip: Clip | None, known: Sequence[str], workspace: Workspace, wanted: SetImport
) -> tuple[list[Problem], LabelledClip | None]:
    """All that is wrong with a clip of a set; and its labels on the stills of the workspace's clip."""
    where = f"clip {found.name}"
    problems = list(category_problems(found, known))
    if clip is None:
        message = f"this workspace has no clip {found.name!r:.60}; {_which(workspace)}"
        return [*problems, *sounding_problems(found, wanted.adjustment), Problem(where, "", message)], None
    if not found.has_truth:
        problems.append(Problem(where, "", "the set says nothing of it (hidden labels)"))
    if (found.width, found.height) != (clip.width, clip.height):
        message = f"is {found.width} x {found.height} pixels, the clip here {clip.width} x {clip.height}"
        problems.append(Problem(where, "size", message))
    try:
        matched = match_stills(found, clip, wanted.matching)
    except DataError as error:
        hint = f"; {error.hint}" if error.hint else ""
        problems.append(Problem(where, "stills", f"{error.args[0]}{hint}"))
        return [*problems, *sounding_problems(found, wanted.adjustment)], None
    used = [found.stills[place] for place in matched if place is not None]
    if unlabelled := sum(not still.is_labelled for still in used):
        message = f"{unlabelled} of {len(used)} stills are not labelled: this is no truth for the clip"
        problems.append(Problem(where, "", message))
    try:
        if not problems and (other := shown_otherwise(found, clip, matched, workspace)) is not None:
            problems.append(Problem(where, "stills", f"{other}; {_SHIFTED}"))
    except DataError as error:
        problems.append(Problem(where, "stills", str(error.args[0])))
    laid = sounding_said(_on_stills(found, clip, matched), wanted.adjustment)
    return [*problems, *sounding_problems(laid, wanted.adjustment)], laid


def _on_stills(found: LabelledClip, clip: Clip, matched: Sequence[int | None]) -> LabelledClip:
    """The labels of a set on the T stills of a clip; a still that the set has not counts as not labelled."""
    tracks = (
        replace(
            track,
            masks=tuple(None if place is None else track.masks[place] for place in matched),
            sounding=tuple(None if place is None else track.sounding[place] for place in matched),
        )
        for track in found.tracks
    )
    stills = (
        Still(name=f"{number:05d}", number=number, time_s=number / clip.fps, is_labelled=place is not None)
        for number, place in enumerate(matched)
    )
    return replace(found, stills=tuple(stills), tracks=tuple(tracks), fps=clip.fps)


_SHIFTED = "was it labelled on stills of another rate or instant? --match time --set-fps RATE"


def _which(workspace: Workspace) -> str:
    clips = [clip.clip_id for clip in read_manifest(workspace.manifest / "clips.jsonl", Clip)]
    shown = ", ".join(clips[:3]) + (" ..." if len(clips) > 3 else "")
    return f"it has {shown}; a set of one clip: --clip NAME"


def _tracks(found: LabelledClip, clip: Clip, origin: str) -> Iterator[tuple[Track, LabelledTrack]]:
    """The tracks of a clip under names that may form file names, each used once."""
    used: set[str] = set()
    for number, track in enumerate(found.tracks, start=1):
        name = track.track_id if is_safe_id(track.track_id) else re.sub(r"[^A-Za-z0-9_-]", "_", track.track_id)[:50]
        if not name or name in used:
            name = f"{name}-{number}"
        used.add(name)
        yield (
            Track(
                track_id=name,
                clip_id=clip.clip_id,
                category=track.category or "",
                num_sounding=0,
                origin=origin,
                round=IMPORTED,
            ),
            track,
        )


def _rows(track: Track, source: LabelledTrack) -> Iterator[MaskRow]:
    for frame, (mask, flag) in enumerate(zip(source.masks, source.sounding, strict=True)):
        if mask is not None and area(mask):
            yield mask_row(track, frame, mask, _STATES[flag])


def _num_maskless(taken: _Taken) -> int:
    with_masks = {(row.clip_id, row.track_id) for rows in taken.rows.values() for row in rows}
    return sum((track.clip_id, track.track_id) not in with_masks for track in taken.tracks)


def _files_of(folder: Path) -> Iterable[Path]:
    """What labels were read from, where the reader does not say it: all that are no media."""
    return [file for file in folder.rglob("*") if file.is_file() and file.suffix.lower() not in _MEDIA]


_MEDIA = {".jpg", ".jpeg", ".webp", ".wav", ".mp3", ".flac", ".mp4", ".mkv", ".webm", ".avi", ".mov"}


def _name_in(file: Path, root: Path) -> str:
    """Of a file, as it is kept: relative to the set; of one beside the set, its last folders."""
    if file == root:
        return file.name
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else "/".join(file.parts[-2:])


def _keep(names: Mapping[Path, str], folder: Path, redaction: Redaction | None) -> None:
    if folder.exists():
        return
    with atomic_dir(folder) as part:
        for file, name in names.items():
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, part / name)
            if redaction is not None:
                redact_received(part / name, Path(name), redaction)

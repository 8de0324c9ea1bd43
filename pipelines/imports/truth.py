"""Existing truth enters a workspace: a YouTube-VIS / AVISeg file becomes rows of the masks table and tracks.

The file says nothing of what an object does while it does not sound: silent and hidden look the same in it. So only the
sounding seconds become rows; for the others there is no row, which means "not known", and not a guess.

In a file of all that is seen (recipe: `truth: visible`, or a track with flags `sounding`), a mask is `sounding` or
`silent` as its flag says, and `visible` where no flag says it.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from avis_data.categories import category_set
from avis_data.errors import DataError, Problem, ProblemsError
from avis_data.format_numbers import CERTIFICATE
from avis_data.formats.ytvis import ParsedYtvis, YtvisDataset, YtvisTrack, YtvisVideo, parse_ytvis
from avis_data.formats.ytvis_records import withheld_error
from avis_data.io import atomic_path, sha256_file
from avis_data.ledger import Done, Ledger, Output
from avis_data.manifest import read_manifest, write_manifest
from avis_data.masks.rle import Rle, area, box
from avis_data.masks.table import replace_clips
from avis_data.paths import Workspace
from avis_data.pipelines.imports.removed import Received, read_received, redaction_of
from avis_data.pipelines.stages.adopt import clip_id_of
from avis_data.pipelines.truth_records import IMPORTED, ImportedClip, write_imported
from avis_data.recipe import Recipe, Truth, load_recipe
from avis_data.records import Clip, MaskRow, State, Track

__all__ = [
    "ImportReport",
    "Prepared",
    "check_annotated",
    "commit_import",
    "import_ytvis",
    "imported_of",
    "mask_row",
    "replace_truth",
]

_TRUTH = "truth.json"


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """What an import took and what it left."""

    file: str
    sha256: str
    num_clips: int
    """Clips that now have the truth of this file, silent ones counted too."""
    num_tracks: int
    num_masks: int
    num_silent_clips: int
    """Clips among them in which nothing sounds."""
    num_maskless_tracks: int
    """Tracks that never sound; they are kept, with no mask."""
    num_clips_without: int
    """Clips of the workspace of which this file says nothing; they stay as they are."""
    skipped_clips: list[str] = field(default_factory=list)
    """Videos of the file that were left out, whole, for their problems (`skip_bad`)."""
    problems: list[Problem] = field(default_factory=list)
    num_removed: int = 0
    """Videos or clips that are left out because they were removed from this workspace."""
    num_unsaid_masks: int = 0
    """Masks of which nobody said whether they sound."""
    remarks: list[str] = field(default_factory=list)
    """What was read in one of several ways, or left out, clip by clip."""
    dropped_polygons: int = 0
    """Outlines of fewer than 3 points or with an odd number of values, which the official loader drops too."""

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {**self.__dict__, "problems": [problem.as_dict() for problem in self.problems]}


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What is known already where the file's stills and sound were adopted just before its truth is imported."""

    recipe: Recipe
    parsed: ParsedYtvis
    """What the file holds."""
    received: Received
    """The same as JSON, without videos that were removed from this workspace."""
    coming: frozenset[str] = frozenset()
    """Clips that adopting would make, in a dry run: of the size and length that the file says."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Clips that could not be adopted, and why."""


def import_ytvis(
    workspace: Workspace,
    truth: Path,
    *,
    ledger: Ledger | None,
    skip_bad: bool = False,
    prepared: Prepared | None = None,
) -> ImportReport:
    """Bring the truth of a file into the workspace, all or nothing; the caller holds the workspace's lock.

    A video of the file belongs to the clip whose id is its name (the folder in `file_names`) or, where that cannot be
    an id, was made from it. Categories are matched by name against the recipe's set. The file is kept as received in
    `annotations/import-<first 8 of its sha256>/`; what the masks table and `manifest/tracks.jsonl` held of the same
    clips is replaced. The same file again changes nothing.

    Args:
        workspace: with a recipe and extracted clips.
        truth: the JSON file.
        ledger: of the workspace, to record what was imported; None: check and count only, change nothing.
        skip_bad: leave out every video with a problem, whole (a clip with half of its truth would be wrong silently).
        prepared: where the clips of this very file come from; None: from the list.

    Raises:
        ConfigError: if the folder is no workspace or its recipe names no known category set.
        DataError: if the workspace has no clips, or the file is missing, no JSON, or holds no annotations.
        ProblemsError: with all problems, each with entry and field, unless `skip_bad`.
    """
    if truth.is_dir():
        files = ", then ".join(path.name for path in sorted(truth.glob("*.json"))[:3] if path.name != CERTIFICATE)
        raise DataError(f"{truth}: is a folder; a ytvis set has a file for each split", hint=files or "name the file")
    clips = {clip.clip_id: clip for clip in read_manifest(workspace.manifest / "clips.jsonl", Clip)}
    if prepared is None:
        prepared = _prepared(workspace, truth, clips)
    parsed = prepared.parsed
    good = _good_part(prepared, clips)
    if parsed.problems and not skip_bad:
        hint = f"correct the file, or leave its bad videos out: avis-data import --format ytvis {truth} --skip-bad"
        raise ProblemsError(f"{truth}: {len(parsed.problems)} problem(s), nothing imported", parsed.problems, hint=hint)
    sha256 = sha256_file(truth)
    rows, tracks = _records(good, f"import:{sha256[:8]}", prepared.recipe.truth)
    good_names = {video.name for video in good.videos}
    good_ids = {clip_id_of(name) for name in good_names}
    report = ImportReport(
        file=truth.name,
        sha256=sha256,
        num_clips=len(good.videos),
        num_tracks=len(tracks),
        num_masks=sum(len(clip_rows) for clip_rows in rows.values()),
        num_silent_clips=sum(not clip_rows for clip_rows in rows.values()),
        num_maskless_tracks=sum(track.num_sounding == 0 for track in tracks),
        num_clips_without=len(clips.keys() - good_ids),
        skipped_clips=sorted({video.name for video in parsed.dataset.videos} - good_names),
        problems=parsed.problems,
        dropped_polygons=len(parsed.remarks),
        num_removed=prepared.received.num_removed,
    )
    if ledger is not None:
        _store(workspace, truth, sha256, rows, tracks, prepared.received)
        write_imported(
            workspace,
            "ytvis",
            truth.name,
            sha256,
            imported_of(clips, rows, tracks),
            kept_sha256=prepared.received.sha256,
        )
        commit_import(workspace, report, workspace.annotations / f"import-{sha256[:8]}" / _TRUTH, ledger)
    return report


def check_annotated(parsed: ParsedYtvis, truth: Path) -> None:
    """Raise DataError for a file whose labels are withheld: it says nothing of sound."""
    if not parsed.dataset.has_annotations:
        raise withheld_error(truth)


def _prepared(workspace: Workspace, truth: Path, clips: Mapping[str, Clip]) -> Prepared:
    recipe = load_recipe(workspace)
    if not clips:
        hint = "avis-data extract; or, where the file's stills and sound lie in DIR, add --media DIR"
        raise DataError(f"{workspace.root}: there are no clips to give this truth to", hint=hint)
    received = read_received(truth, redaction_of(workspace, recipe))
    parsed = parse_ytvis(received.value)
    check_annotated(parsed, truth)
    return Prepared(recipe=recipe, parsed=parsed, received=received)


def _good_part(prepared: Prepared, clips: Mapping[str, Clip]) -> YtvisDataset:
    """The videos and tracks that fit the workspace; problems are added to those of the file."""
    parsed = prepared.parsed
    category_names = {category.name for category in category_set(prepared.recipe.categories).categories}
    for video in parsed.dataset.videos:
        for name, fault in _video_faults(video, prepared, clips):
            parsed.problem(parsed.places["videos", video.video_id], name, fault)
            parsed.bad_video_ids.add(video.video_id)
    categories = {category.id: category.name for category in parsed.dataset.categories}
    for track in parsed.dataset.tracks:
        for name, fault in _track_faults(track, categories[track.category_id], category_names):
            parsed.problem(parsed.places["annotations", track.track_id], name, fault)
            parsed.bad_video_ids.add(track.video_id)
    return YtvisDataset(
        videos=tuple(video for video in parsed.dataset.videos if video.video_id not in parsed.bad_video_ids),
        tracks=tuple(track for track in parsed.dataset.tracks if track.video_id not in parsed.bad_video_ids),
        categories=parsed.dataset.categories,
    )


def _video_faults(video: YtvisVideo, prepared: Prepared, clips: Mapping[str, Clip]) -> Iterable[tuple[str, str]]:
    clip_id = clip_id_of(video.name)
    if clip_id in prepared.missing:
        yield "file_names", f"{video.name!r:.80} could not be adopted: {prepared.missing[clip_id]}"
    elif clip_id in clips and clip_id not in prepared.coming:
        yield from _misfits(video, clips[clip_id])
    elif clip_id not in prepared.coming:
        yield "file_names", f"this workspace has no clip {video.name!r:.80}"
    numbers = [re.fullmatch(r"\d+", PurePosixPath(name).stem) for name in video.file_names]
    values = [int(number.group()) for number in numbers if number]
    if values != sorted(set(values)):
        yield "file_names", "the frames are not in ascending order of their numbers"


def _misfits(video: YtvisVideo, clip: Clip) -> Iterable[tuple[str, str]]:
    if (video.width, video.height) != (clip.width, clip.height):
        found = f"{video.width} x {video.height}, the clip {clip.width} x {clip.height}"
        yield "width", f"the video is {found} (width x height)"
    if video.fps != clip.fps:
        yield "fps", f"the video has {video.fps:g} frames a second, the clip {clip.fps:g}"
    elif video.length != clip.num_frames:
        yield "file_names", f"the video has {video.length} frames, the clip {clip.num_frames}"


def _track_faults(track: YtvisTrack, category: str, category_names: set[str]) -> Iterable[tuple[str, str]]:
    if category not in category_names:
        yield "category_id", f"the recipe's category set has no {category!r:.60}"
    if track.iscrowd:
        yield "iscrowd", "crowd regions are not one object and cannot be kept as a track"
    for frame, mask in enumerate(track.masks):
        if mask is not None and area(mask) == 0:
            yield f"segmentations[{frame}]", "the mask is empty; a frame in which the object does not sound has null"


def _records(dataset: YtvisDataset, origin: str, truth: Truth) -> tuple[dict[str, list[MaskRow]], list[Track]]:
    clip_ids = {video.video_id: clip_id_of(video.name) for video in dataset.videos}
    categories = {category.id: category.name for category in dataset.categories}
    rows: dict[str, list[MaskRow]] = {clip_id: [] for clip_id in clip_ids.values()}
    tracks = []
    for found in dataset.tracks:
        seen = [
            (number, mask, _state(found, number, truth)) for number, mask in enumerate(found.masks) if mask is not None
        ]
        track = Track(
            track_id=f"{found.track_id:06d}",
            clip_id=clip_ids[found.video_id],
            category=categories[found.category_id],
            num_sounding=sum(state is State.SOUNDING for _, _, state in seen),
            origin=origin,
            round=IMPORTED,
        )
        tracks.append(track)
        rows[track.clip_id] += [mask_row(track, number, mask, state) for number, mask, state in seen]
    return rows, tracks


def _state(track: YtvisTrack, number: int, truth: Truth) -> State:
    """What a mask in the file says that the object does."""
    if track.sounding is None:
        return State.SOUNDING if truth == "sounding" else State.VISIBLE
    flag = track.sounding[number]
    return State.VISIBLE if flag is None else State.SOUNDING if flag else State.SILENT


def mask_row(track: Track, frame: int, mask: Rle, state: State) -> MaskRow:
    """The row of one mask of a track that comes from a file."""
    return MaskRow(
        clip_id=track.clip_id,
        track_id=track.track_id,
        category=track.category,
        frame=frame,
        state=state,
        height=mask.height,
        width=mask.width,
        counts=mask.counts,
        area_px=area(mask),
        box_xywh=box(mask),
        origin=track.origin,
        round=track.round,
    )


def _store(
    workspace: Workspace,
    truth: Path,
    sha256: str,
    rows: Mapping[str, list[MaskRow]],
    tracks: list[Track],
    received: Received,
) -> None:
    """The file as received first, the manifest last: what is killed in between is completed by the same command."""
    folder = workspace.annotations / f"import-{sha256[:8]}"
    kept = folder / _TRUTH
    if not kept.exists():
        with atomic_path(kept) as part:
            if received.text is None:
                shutil.copyfile(truth, part)
            else:
                part.write_text(received.text, encoding="utf-8", newline="\n")
    if sha256_file(kept) != (received.sha256 or sha256):
        raise DataError(f"{kept} is not the file that it was when it was imported", hint=f"move {folder} away")
    replace_truth(workspace, rows, tracks)


def replace_truth(workspace: Workspace, rows: Mapping[str, list[MaskRow]], tracks: Sequence[Track]) -> None:
    """Put rows and tracks in place of all that the tables hold of these clips; the manifest last."""
    replace_clips(workspace.masks, rows)
    others = read_manifest(workspace.manifest / "tracks.jsonl", Track)
    merged = [track for track in others if track.clip_id not in rows] + [*tracks]
    merged.sort(key=lambda track: (track.clip_id, track.track_id))
    write_manifest(workspace.manifest / "tracks.jsonl", merged)


def commit_import(workspace: Workspace, report: ImportReport, kept: Path, ledger: Ledger) -> None:
    """Record an import: what was received and kept, and the tables as they are since."""
    tables = [*sorted(workspace.masks.glob("part-*.parquet")), workspace.manifest / "tracks.jsonl"]
    received = [kept] if kept.is_file() else sorted(path for path in kept.rglob("*") if path.is_file())
    outputs = [Output.of_file(path, root=workspace.root) for path in (*received, *tables)]
    done = Done(
        item_id=f"import-{report.sha256[:8]}",
        key=report.sha256,
        facts=report.as_dict(),
        inputs={report.file: report.sha256},
        outputs=outputs,
        wall_s=0.0,
        cpu_s=0.0,
    )
    ledger.commit_done("import", done)


def imported_of(clips: Mapping[str, Clip], clip_ids: Iterable[str], tracks: Iterable[Track]) -> dict[str, ImportedClip]:
    """What is recorded of each clip that has its truth from a file now."""
    num_tracks = Counter(track.clip_id for track in tracks)
    return {
        clip_id: ImportedClip(
            frames_sha256=clips[clip_id].frames_sha256,
            audio_sha256=clips[clip_id].audio_sha256,
            num_tracks=num_tracks[clip_id],
        )
        for clip_id in clip_ids
    }

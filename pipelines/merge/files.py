"""The files of the new workspace that no ledger and no round is about: media, lists, truth of files, tombstones."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from avis_data.errors import ProblemsError
from avis_data.features.store import bucket
from avis_data.io import csv_text, link_or_copy, read_json, write_json, write_text
from avis_data.manifest import write_manifest
from avis_data.masks.table import read_masks, replace_clips
from avis_data.paths import Workspace
from avis_data.pipelines.merge.plan import MergePlan, Preferred
from avis_data.pipelines.merge.rows import new_path
from avis_data.pipelines.truth_records import IMPORTED, ImportedClip, ImportRecord, read_import
from avis_data.pipelines.upkeep.places import Found, Holds, files_of
from avis_data.records import MaskRow, Track
from avis_data.video_list import read_video_list
from avis_data.video_list.rows import COLUMNS
from avis_data.video_list.signed import write_signed

__all__ = ["bring_imports", "bring_media", "write_list"]

_MADE = {"sources", "stills", "sound", "previews", "embeddings", "fingerprints"}


def bring_media(plan: MergePlan, workspace: Workspace) -> None:
    """Sources, clips and arrays under a second name (a hard link, else a copy); lists and splits beside the list."""
    for name, side in plan.sides.items():
        videos = {video.old_ids[name]: video.video_id for video in plan.videos.values() if video.owner == name}
        clips = plan.clip_ids(name)
        for found in files_of(side.workspace):
            holds = found.place.holds if found.place is not None else Holds.NOTHING
            if holds is Holds.ONE and found.place is not None and found.place.group in _MADE:
                new = (videos if found.place.group == "sources" else clips).get(found.item_id or "")
                if new is not None and _is_taken(plan, name, found):
                    _bring(plan, found, new, workspace)
            elif holds in (Holds.LIST, Holds.SPLIT) and found.path != side.workspace.video_list:
                _bring_beside(plan, name, found, workspace)


def _is_taken(plan: MergePlan, name: Preferred, found: Found) -> bool:
    """Not what a kill left half done, and no embeddings of other weights."""
    weights = plan.sides[name].weights_of.get(found.item_id or "", plan.weights)
    is_embedding = found.place is not None and found.place.group == "embeddings"
    return not found.relative.startswith(".tmp/") and not (is_embedding and weights != plan.weights)


def _bring(plan: MergePlan, found: Found, new: str, workspace: Workspace) -> None:
    old = found.item_id or ""
    target = workspace.root / new_path(found.relative, old, new)
    target.parent.mkdir(parents=True, exist_ok=True)
    source = Path(os.path.realpath(found.path))  # a link to another file of the workspace: what it leads to
    if target.name == "times.json":
        times = read_json(source)
        if isinstance(times, dict) and {"clip_id", "video_id"} <= times.keys():
            now = {**times, "clip_id": new, "video_id": plan.clips[new].video_id}
            if now != times:
                write_json(target, now)
                return
    link_or_copy(source, target)


def _bring_beside(plan: MergePlan, name: Preferred, found: Found, workspace: Workspace) -> None:
    data = found.path.read_bytes()
    if name == "B" and (ids := _changed_ids(plan)):
        data = _with_ids(data, found.path, ids)
    target = workspace.root / found.relative
    if target.exists() and target.read_bytes() != data:
        target = target.with_name(f"{target.stem}-{name}{target.suffix}")
    if not target.exists():
        target.write_bytes(data)


def _changed_ids(plan: MergePlan) -> dict[str, str]:
    both = {**plan.video_ids("B"), **plan.clip_ids("B", owned=False)}
    return {old: new for old, new in both.items() if old != new}


def _with_ids(data: bytes, path: Path, ids: Mapping[str, str]) -> bytes:
    """A list or a split under the new ids; what is no text of that kind stays as it is."""
    try:
        text = data.decode("utf-8")
        if path.suffix == ".json":
            value = json.loads(text)
            renamed = _renamed(value, ids)
            return data if renamed == value else (json.dumps(renamed, ensure_ascii=False, indent=2) + "\n").encode()
        rows = list(csv.reader(io.StringIO(text, newline="")))
        renamed_rows = [[ids.get(cell, cell) for cell in row] for row in rows]
        return data if renamed_rows == rows else csv_text(renamed_rows, as_given=True).encode()
    except (ValueError, csv.Error, RecursionError):
        return data


def _renamed(value: object, ids: Mapping[str, str]) -> object:
    if isinstance(value, str):
        return ids.get(value, value)
    if isinstance(value, list):
        return [_renamed(entry, ids) for entry in value]
    if isinstance(value, dict):
        return {ids.get(key, key): _renamed(entry, ids) for key, entry in value.items()}
    return value


def write_list(plan: MergePlan, workspace: Workspace) -> None:
    """The list of the new workspace, with the rows of both, and the whole addresses of those that are cut in it.

    Raises:
        ProblemsError: if it does not say what the ledgers of both say, which a list that was changed by hand may not.
    """
    if not any(side.has_list for side in plan.sides.values()):
        return
    rows: list[tuple[object, ...]] = []
    for clip in sorted(plan.clips.values(), key=lambda clip: clip.clip_id):
        url = plan.videos[clip.video_id].url
        if clip.row is None or url is None:
            continue
        row, span = clip.row, clip.row.span
        end = "" if span.end_s is None else _seconds(span.end_s)
        who = (row.license, row.split, row.uploader, row.channel, row.upload_date)
        said = (";".join(row.categories), *("" if cell is None else cell for cell in who), ";".join(row.scenarios))
        rows.append((url, clip.video_id, _seconds(span.start_s), end, *said))
    columns = COLUMNS if any(row[-1] for row in rows) else COLUMNS[: COLUMNS.index("scenario")]
    urls = {video.url for video in plan.videos.values()}
    signed = {url: whole for name in ("B", "A") for url, whole in plan.sides[name].signed.items() if url in urls}
    write_text(workspace.video_list, csv_text([columns, *(row[: len(columns)] for row in rows)], as_given=True))
    write_signed(workspace.signed_urls, signed)
    if rows:
        found = read_video_list(workspace.video_list, allow_local=True, folder=workspace.root, signed=signed)
        if found.problems:
            hint = "avis-data fetch in both, so that each list is read as it is now"
            raise ProblemsError("the two lists do not go together", found.problems, hint=hint)


def _seconds(seconds: float) -> str:
    return f"{seconds:.9f}".rstrip("0").rstrip(".")


def bring_imports(plan: MergePlan, workspace: Workspace) -> None:
    """Truth of files: what was received, the records of it, and its rows in the tables."""
    records: dict[str, ImportRecord] = {}
    tracks: list[Track] = []
    for name, side in plan.sides.items():
        clips = plan.clip_ids(name)
        for path in sorted(side.workspace.annotations.glob("import-*/import.json")):
            record = read_import(path)
            taken = {clips[clip_id]: of for clip_id, of in record.clips.items() if clip_id in clips}
            before: dict[str, ImportedClip] = records[path.parent.name].clips if path.parent.name in records else {}
            joined = dict(sorted({**before, **taken}.items()))
            records[path.parent.name] = record.model_copy(update={"clips": joined})
            _bring_received(path.parent, workspace.annotations / path.parent.name)
        said = plan.choices.categories if name == "B" else {}
        for track in side.tracks:
            if track.round == IMPORTED and track.clip_id in clips:
                here = {"clip_id": clips[track.clip_id], "category": said.get(track.category, track.category)}
                tracks.append(track.model_copy(update=here))
    for folder, record in records.items():
        write_json(workspace.annotations / folder / "import.json", record.model_dump(exclude_none=True))
    _bring_rows(plan, workspace)
    tracks.sort(key=lambda track: (track.clip_id, track.track_id))
    write_manifest(workspace.manifest / "tracks.jsonl", tracks)


def _bring_received(folder: Path, target: Path) -> None:
    """A file that both sides imported is there once."""
    for path in sorted(folder.rglob("*")):
        copy = target / path.relative_to(folder)
        if path.is_file() and path.name != "import.json" and not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def _bring_rows(plan: MergePlan, workspace: Workspace) -> None:
    """Part by part: those of people are made anew from what they said."""
    by_part: dict[str, dict[Preferred, dict[str, str]]] = defaultdict(lambda: {"A": {}, "B": {}})
    for name in plan.sides:
        for old, new in plan.clip_ids(name).items():
            by_part[bucket(new)][name][old] = new
    for _, of_part in sorted(by_part.items()):
        rows: dict[str, list[MaskRow]] = {}
        for name, clips in of_part.items():
            said = plan.choices.categories if name == "B" else {}
            for old, of_clip in read_masks(plan.sides[name].workspace.masks, set(clips)) if clips else ():
                rows[clips[old]] = [
                    row.model_copy(update={"clip_id": clips[old], "category": said.get(row.category, row.category)})
                    for row in of_clip
                    if row.round == IMPORTED
                ]
        replace_clips(workspace.masks, {clip_id: found for clip_id, found in rows.items() if found})

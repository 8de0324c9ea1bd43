"""The ledger made anew: from its text, from what can still be read of the damaged file, and from the files there are.

No work is done again for it. An item counts as done where its outputs are on the disk with the hashes that they had;
what was changed since keeps its row, so that the next run finds it torn and makes it again.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from avis_data.errors import AvisError, DataError
from avis_data.io import flush, remove, sha256_tree
from avis_data.ledger import DamagedLedger, Ledger, Output
from avis_data.ledger.text import KeptItem, KeptLine, KeptRecord, KeptSetting, read_text, rows_left, write_ledger
from avis_data.paths import Workspace
from avis_data.pipelines.engine.spec import Setting
from avis_data.pipelines.engine.stage import item_key, stage_key
from avis_data.pipelines.kept_video_list import CLIP_ROW, ORIGINAL
from avis_data.pipelines.stages import STAGES
from avis_data.pipelines.stages.adopt import AdoptedVideo
from avis_data.pipelines.stages.fetch import SPEC as FETCH
from avis_data.pipelines.upkeep.tombstones import read_tombstones
from avis_data.recipe import Recipe
from avis_data.records import Record, Video

__all__ = ["Rebuilt", "ledger_problem", "put_in_place", "rebuild_ledger"]

_BESIDE = ("-wal", "-shm")
"""What SQLite keeps beside its file."""


@dataclass(frozen=True, kw_only=True)
class Rebuilt:
    """A new ledger, not yet in place."""

    path: Path
    num_items: int
    told: tuple[str, ...]
    """What could not be brought back, as sentences."""


def ledger_problem(workspace: Workspace) -> DataError | None:
    """What is wrong with the ledger so that it must be made anew; None where it is well, or there never was one.

    Raises:
        DataError: for a ledger of another format, which nothing is wrong with.
        ToolError: where the machine does not let us read it.
    """
    try:
        with Ledger(workspace.ledger, read_only=True) as ledger:
            ledger.check()
            for spec in (part for stage in STAGES for part in stage.parts):
                for _ in ledger.read_facts(spec.name, spec.facts) if spec.facts is not Record else ():
                    pass
            for _ in ledger.read_wanted(CLIP_ROW.validate_json):
                pass
            for _ in ledger.read_adopted(AdoptedVideo):
                pass
    except DamagedLedger as error:
        return error
    return None


def rebuild_ledger(workspace: Workspace, recipe: Recipe) -> Rebuilt:
    """Make a new ledger in `.tmp`; the caller holds the lock, and puts it in place.

    Args:
        workspace: whose ledger is damaged or gone.
        recipe: of the workspace, by which the keys of downloads are known again.
    """
    folder = workspace.tmp / "ledger"
    remove(folder)
    folder.mkdir(parents=True)
    told: list[str] = []
    lines = _merged(workspace, list(_text(workspace, told)), _left(workspace, folder))
    path = folder / "ledger.sqlite"
    write_ledger(path, lines)
    downloads = [line for line in lines if isinstance(line, KeptItem) and line.stage == FETCH.name and not line.key]
    if downloads:
        write_ledger(path, _with_keys(workspace, path, recipe, downloads, told))
    return Rebuilt(path=path, num_items=sum(isinstance(line, KeptItem) for line in lines), told=tuple(told))


def put_in_place(workspace: Workspace, new: Path) -> None:
    """Give the new ledger its name. What SQLite kept beside the old one must go first: it is not about the new one."""
    for suffix in _BESIDE:
        remove(Path(f"{workspace.ledger}{suffix}"))
    flush(new)
    os.replace(new, workspace.ledger)
    flush(workspace.root)
    remove(new.parent)


def _text(workspace: Workspace, told: list[str]) -> Iterator[KeptLine]:
    for number, line in read_text(workspace.ledger_text):
        if line is None:
            told.append(
                f"{workspace.ledger_text}:{number}: damaged, what it said is taken from elsewhere or done again"
            )
        else:
            yield line


def _left(workspace: Workspace, folder: Path) -> list[KeptLine]:
    """What a copy of the damaged file still says, rows that no reader of ours would take left out."""
    if not workspace.ledger.is_file():
        return []
    copy = folder / "left.sqlite"
    for suffix in ("", "-wal"):
        if Path(f"{workspace.ledger}{suffix}").is_file():
            shutil.copyfile(f"{workspace.ledger}{suffix}", f"{copy}{suffix}")
    return [line for line in rows_left(copy) if _is_good(line)]


def _is_good(line: KeptLine) -> bool:
    try:
        if isinstance(line, KeptItem) and line.state == "done":
            kinds = {part.name: part.facts for stage in STAGES for part in stage.parts}
            kind = kinds.get(line.stage, Record)
            if kind is not Record:
                kind.model_validate_json(json.dumps(line.facts))
        elif isinstance(line, KeptRecord) and line.table == "adopted":
            AdoptedVideo.model_validate_json(line.record)
        elif isinstance(line, KeptRecord) and line.kind == "clip":
            CLIP_ROW.validate_json(line.record)
    except ValidationError:
        return False
    return True


def _merged(workspace: Workspace, text: list[KeptLine], left: list[KeptLine]) -> list[KeptLine]:
    """A row for each thing: of the text where that fits the files, else of what was left of the ledger."""
    videos, stones = _videos(workspace), read_tombstones(workspace)
    first = {_identity(line): line for line in text if _is_good(line) or _is_download(line)}
    second = {_identity(line): line for line in left}
    for said in (first, second):  # what was removed stays away
        for identity in [identity for identity in said if identity[0] != "settings" and stones.is_gone(identity[-1])]:
            del said[identity]
    if any(identity[0] == "wanted" for identity in first):
        second = {identity: line for identity, line in second.items() if identity[0] != "wanted"}
    found = []
    for identity in first.keys() | second.keys():
        lines = [lines[identity] for lines in (first, second) if identity in lines]
        line: KeptLine | None = lines[0]
        if identity[0] == "items":
            line = _chosen(workspace, lines, videos, is_said=identity in first or not first)
        if line is not None:
            found.append(line)
    return sorted(found, key=_identity)


def _chosen(
    workspace: Workspace, lines: list[KeptLine], videos: Mapping[str, Video], *, is_said: bool
) -> KeptLine | None:
    """Of what is said of one item that which fits the files; None where there is nothing to go by.

    `is_said`: by the text, or there is none. What only a damaged ledger says counts if the files are there.
    """
    items = [line for line in lines if isinstance(line, KeptItem)]
    if _is_download(items[0]):
        items.reverse()  # what the ledger says of downloads is more
    seen = [_seen(workspace, item) for item in items]
    chosen = next((item for item, is_whole in seen if is_whole), seen[0][0] if is_said else None)
    if chosen is None:
        return None
    if _is_download(chosen) and chosen.state == "done" and chosen.facts is None:
        if chosen.item_id not in videos:
            return None
        chosen = chosen.model_copy(update={"facts": videos[chosen.item_id].model_dump(mode="json")})
    return chosen


def _seen(workspace: Workspace, item: KeptItem) -> tuple[KeptItem, bool]:
    """The item with the times of change of its outputs as they are, and whether all of them are what they were."""
    outputs: list[Output] = []
    is_whole = True
    for path, sha256, size_bytes, mtime_ns, *stored in item.outputs:
        try:
            found = (workspace.root / path).stat().st_mtime_ns
            same = (mtime_ns and mtime_ns == found) or sha256_tree(workspace.root / path) == sha256
        except OSError:
            found, same = 0, bool(stored)  # whether the bucket has it is seen by the next run, without downloading
        outputs.append(Output(path, sha256, size_bytes, found if same else mtime_ns, *stored))
        is_whole = is_whole and bool(same)
    return item.model_copy(update={"outputs": tuple(tuple(output.values()) for output in outputs)}), is_whole


def _videos(workspace: Workspace) -> dict[str, Video]:
    """The records of the manifest, as far as they can be read."""
    found = {}
    path = workspace.manifest / "videos.jsonl"
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            video = Video.model_validate_json(line)
        except ValidationError:
            continue
        found[video.video_id] = video
    return found


def _with_keys(
    workspace: Workspace, path: Path, recipe: Recipe, downloads: Iterable[KeptItem], told: list[str]
) -> list[KeptLine]:
    """Downloads with the keys that they would have now; a file of this machine that changed since has none."""
    with Ledger(path, read_only=True) as ledger:
        setting = Setting(workspace=workspace, ledger=ledger, recipe=recipe, dry_run=True)
        try:
            assert FETCH.items is not None
            items = {item.item_id: item for item in FETCH.items(setting).items}
        except AvisError as error:
            told.append(f"the list of videos cannot be read, so all are fetched again: {error.args[0]}")
            return []
        stage_hash = stage_key(FETCH.make(recipe, setting.choices))
    found: list[KeptLine] = []
    for line in downloads:
        item = items.get(line.item_id)
        if item is None:
            continue
        original = item.inputs.get(ORIGINAL)
        size = original.sha256.partition("-")[0] if original is not None else ""
        if line.state == "done" and size.isdigit() and int(size) != sum(output[2] for output in line.outputs):
            told.append(f"{line.item_id}: its file was changed since, so it is fetched again")
            continue
        inputs = {name: found.sha256 for name, found in item.inputs.items()}
        found.append(line.model_copy(update={"key": item_key(stage_hash, item), "inputs": inputs}))
    return found


def _identity(line: KeptLine) -> tuple[str, str, str]:
    if isinstance(line, KeptItem):
        return (line.table, line.stage, line.item_id)
    if isinstance(line, KeptSetting):
        return (line.table, "", line.name)
    return (line.table, line.kind or "", line.item_id)


def _is_download(line: KeptLine) -> bool:
    return isinstance(line, KeptItem) and line.stage == FETCH.name

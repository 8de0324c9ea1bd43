"""Taking removed videos out of the files of a workspace, file by file; each is whole before and after."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from avis_data.errors import DataError
from avis_data.features.store import clips_in_part, drop_clips
from avis_data.fingerprints.store import drop_fingerprints
from avis_data.io import flush, read_json, remove, sha256_text, write_json, write_text
from avis_data.ledger import Ledger
from avis_data.masks.table import replace_clips
from avis_data.paths import Workspace
from avis_data.pipelines.stages.embed import PackStage
from avis_data.pipelines.stages.fingerprint import PackFingerprintsStage
from avis_data.pipelines.truth_records import read_import
from avis_data.pipelines.upkeep.places import Found, Holds, files_of
from avis_data.pipelines.upkeep.redaction import Redaction
from avis_data.pipelines.upkeep.tombstones import Tombstones
from avis_data.video_list.signed import read_signed, write_signed

__all__ = ["Cleaner", "redact_received", "remove_empty_folders"]

_LINES = {".csv", ".tsv", ".txt", ".jsonl", ".rttm", ".srt", ".vtt", ".md"}


class Cleaner:
    """Makes the files of a workspace agree with its tombstones; running it again changes nothing."""

    def __init__(
        self, workspace: Workspace, stones: Tombstones, redaction: Redaction, *, ledger: Ledger | None = None
    ) -> None:
        """Go by tombstones; where there is a ledger, it is told which of its files get another content."""
        self._workspace, self._stones, self._redaction, self._ledger = workspace, stones, redaction, ledger
        self._ways: dict[Holds, Callable[[Found], bool]] = {
            Holds.UNFINISHED: self._unfinished,
            Holds.ONE: self._one,
            Holds.STILL: self._still,
            Holds.LIST: self._text(self._redaction.rows),
            Holds.ADDRESSES: self._addresses,
            Holds.LINES: self._text(self._redaction.records),
            Holds.ENTRIES: self._entries,
            Holds.RECEIVED: self._received,
            Holds.SPLIT: self._split,
            Holds.MASKS: self._masks,
            Holds.EMBEDDINGS: self._rows(drop_clips, PackStage.name),
            Holds.FINGERPRINTS: self._rows(drop_fingerprints, PackFingerprintsStage.name),
            Holds.LOG: self._log,
        }

    def all(self, tell: Callable[[Found, int], object], *, only: Callable[[Found], bool] = lambda _: True) -> None:
        """Go through all files, or some.

        Args:
            tell: called with each that was removed or rewritten, and the bytes that this freed.
            only: which files are looked at.
        """
        for found in filter(only, files_of(self._workspace)):
            way = self._ways.get(found.place.holds) if found.place is not None else None
            size_bytes = found.path.lstat().st_size
            if way is not None and way(found):
                tell(found, size_bytes - found.path.lstat().st_size if found.path.exists() else size_bytes)
        for folder in ("clips", "sources", ".tmp", "annotations", "exports"):
            remove_empty_folders(self._workspace.root / folder)

    def _unfinished(self, found: Found) -> bool:
        """Whosever it is: nobody writes into the workspace without the lock but the servers, in their own folder."""
        if found.relative.startswith("label-studio/"):
            return False
        remove(found.path)
        return True

    def _one(self, found: Found) -> bool:
        if found.item_id is None or not self._stones.is_gone(found.item_id):
            return False
        remove(found.path)
        return True

    def _still(self, found: Found) -> bool:
        if found.path.name.partition("-")[0] not in self._stones.files:
            return False
        remove(found.path)
        return True

    def _text(self, change: Callable[[str], str]) -> Callable[[Found], bool]:
        def way(found: Found) -> bool:
            text = _decoded(found.path)
            changed = change(text)
            if changed == text:
                return False
            write_text(found.path, changed)
            return True

        return way

    def _addresses(self, found: Found) -> bool:
        urls = read_signed(found.path)
        kept = {cut: whole for cut, whole in urls.items() if not self._redaction.is_cell_of_gone(cut)}
        if kept != urls:
            write_signed(found.path, kept)
        return kept != urls

    def _entries(self, found: Found) -> bool:
        value = read_json(found.path)
        changed = self._redaction.value(value)
        if changed != value:
            write_json(found.path, changed, indent=1)
        return bool(changed != value)

    def _received(self, found: Found) -> bool:
        below = Path(*found.relative.split("/")[2:])
        record = found.path.parent / "import.json"

        def say(text: str) -> None:
            """First in the record: a kill in between leaves a file that the next call makes what the record says."""
            if record.is_file():
                changed = read_import(record).model_copy(update={"kept_sha256": sha256_text(text)})
                write_json(record, changed.model_dump(exclude_none=True), indent=1)

        return redact_received(found.path, below, self._redaction, before=say)

    def _split(self, found: Found) -> bool:
        """Somebody's own file: what is no JSON is left alone."""
        try:
            value = read_json(found.path)
        except DataError:
            return False
        changed = self._redaction.received_json(value)
        if changed != value:
            write_json(found.path, changed)
        return bool(changed != value)

    def _masks(self, found: Found) -> bool:
        gone = [clip_id for clip_id in clips_in_part(found.path) if self._stones.is_gone(clip_id)]
        if gone:
            replace_clips(self._workspace.masks, {clip_id: [] for clip_id in gone})
        return bool(gone)

    def _rows(self, drop: Callable[[Path, set[str]], None], stage: str) -> Callable[[Found], bool]:
        def way(found: Found) -> bool:
            gone = {clip_id for clip_id in clips_in_part(found.path) if self._stones.is_gone(clip_id)}
            if gone:
                if self._ledger is not None:
                    self._ledger.begin_replacing(stage, found.path.stem)
                drop(found.path, gone)
            return bool(gone)

        return way

    def _log(self, found: Found) -> bool:
        """In its place: a server that runs goes on writing to the end of this very file."""
        with found.path.open("r+b") as file:
            text = file.read().decode("utf-8", "surrogateescape")
            changed = self._redaction.lines(text)
            if changed == text:
                return False
            file.seek(0)
            file.write(changed.encode("utf-8", "surrogateescape"))
            file.truncate()
        flush(found.path)
        return True


def redact_received(
    path: Path, name: Path, redaction: Redaction, *, before: Callable[[str], object] = lambda _: None
) -> bool:
    """Take removed videos out of a copy of what somebody gave; gives whether anything was.

    A text that cannot be rewritten goes whole: the labels of its other clips are in the tables.

    Args:
        path: of the file.
        name: where it lay in what was given; parts of it may name a video.
        redaction: knows what was removed.
        before: called with the new text of JSON before it is written.
    """
    if redaction.names_gone(name.as_posix()):
        remove(path)
        return True
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError:
        return False  # pictures, sound, packed files: their names say whose they are
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _redact_json(path, text, redaction, before)
    changed = redaction.rows(text) if suffix == ".csv" else redaction.lines(text)
    if changed == text:
        return False
    if suffix in _LINES:
        write_text(path, changed)
    else:
        remove(path)
    return True


def _redact_json(path: Path, text: str, redaction: Redaction, before: Callable[[str], object]) -> bool:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        if redaction.lines(text) == text:
            return False
        remove(path)
        return True
    changed = redaction.received_json(value)
    if changed != value:
        new = json.dumps(changed, ensure_ascii=False, allow_nan=False) + "\n"
        before(new)
        write_text(path, new)
    return bool(changed != value)


def remove_empty_folders(top: Path) -> None:
    """Remove the folders below a folder that hold nothing."""
    for path in top.iterdir() if top.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            remove_empty_folders(path)
            if not any(path.iterdir()):
                path.rmdir()


def _decoded(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None

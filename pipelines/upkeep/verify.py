"""Looking for removed videos in every file of a workspace, whatever it is: names, text, tables, packed files, hashes.

It shares nothing with `clean` but the tombstones: what a place is said to hold is not believed.
"""

from __future__ import annotations

import gzip
import re
import sqlite3
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.parquet as pq

from avis_data.categories import category_set
from avis_data.io import sha256_file
from avis_data.ledger import Ledger
from avis_data.manifest import read_manifest
from avis_data.paths import Workspace
from avis_data.pipelines.upkeep.places import Found, Holds, files_of
from avis_data.pipelines.upkeep.tombstones import Tombstones, read_tombstones
from avis_data.recipe import load_recipe
from avis_data.records import Clip

__all__ = ["Trace", "traces_of"]

_BLOCK = 1 << 20
_OVERLAP = 128
_SHORTEST = 6
"""Ids that are shorter are looked for in text and tables, not among any bytes."""
_PACKED = (OSError, EOFError, zlib.error)


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Something of a removed video that is there."""

    path: str
    """Relative to the workspace."""
    what: str
    """What was found, for people."""
    kind: str
    """The kind of the file; `not ours` for one that somebody put there."""

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return dict(self.__dict__)


def traces_of(workspace: Workspace, video_ids: Sequence[str] = ()) -> tuple[int, list[Trace]]:
    """Search every file for what was removed.

    Args:
        workspace: to be searched; nothing is changed.
        video_ids: removed videos whose ids are also looked for among the bytes of files of unknown kinds; without them
            ids are found as words, by their hashes.

    Returns:
        The number of files that were read, and what was found.

    Raises:
        ConfigError: if the folder is no workspace.
    """
    recipe = load_recipe(workspace)
    names = {category.name for category in category_set(recipe.categories).categories}
    search = _Search(read_tombstones(workspace), names, video_ids, _living(workspace))
    number, traces = 0, []
    for found in files_of(workspace, also_empty=True):
        if found.relative.startswith("removed/"):
            continue  # the hashes themselves
        number += not found.path.is_dir()
        kind = "not ours" if found.place is None else found.place.name
        traces += [Trace(path=found.relative, what=what, kind=kind) for what in search.of(found)]
    return number, traces


def _living(workspace: Workspace) -> set[str]:
    """The ids of all videos and clips that are there."""
    with Ledger(workspace.ledger, read_only=True) as ledger:
        rows = (ledger.wanted("video"), ledger.wanted("clip"), ledger.adopted())
        found = {item_id for some in rows for item_id, _ in some} | set(ledger.entries("fetch"))
    clips = read_manifest(workspace.manifest / "clips.jsonl", Clip)
    return found | {item_id for clip in clips for item_id in (clip.clip_id, clip.video_id)}


class _Search:
    def __init__(
        self, stones: Tombstones, categories: Collection[str], video_ids: Sequence[str], living: Collection[str]
    ) -> None:
        self._stones, self._categories = stones, categories
        plain = [name for name in video_ids if len(name) >= _SHORTEST]
        longer = [other for other in living if any(name in other for name in plain)]
        # An id that holds a removed one is found first, so what is left is no part of it.
        ways = [*sorted(longer, key=len, reverse=True), *(f"(?P<gone{i}>{name})" for i, name in enumerate(plain))]
        self._plain = re.compile("|".join(ways).encode()) if plain else None

    def of(self, found: Found) -> list[str]:
        """What is found in the name and in the content of one file, each once."""
        path = found.path
        if path.is_symlink() or path.is_dir():
            return self._said(found.relative)
        numbered = found.place is not None and found.place.holds is Holds.EXPORT
        traces = self._said(found.relative, numbered=numbered)
        try:
            if sha256_file(path) in self._stones.files:
                traces.append("the very bytes of a file that was removed")
            for text, shortest in self._texts(path):
                traces += self._said(text, numbered=numbered, shortest=shortest)
                traces += [f"the hash {digest[:12]}… of a file that was removed" for digest in self._hashes(text)]
            traces += self._bytes(path)
        except OSError as error:
            traces.append(f"cannot be read: {error.strerror}")
        return list(dict.fromkeys(traces))

    def _said(self, text: str, *, numbered: bool = False, shortest: int = 1) -> list[str]:
        words = self._stones.words(text, numbered=numbered) - set(self._categories)
        return [f"the id {word}" for word in sorted(words) if len(word) >= shortest]

    def _hashes(self, text: str) -> list[str]:
        return sorted({word for word in _hex_words(text) if word in self._stones.files})

    def _bytes(self, path: Path) -> list[str]:
        if self._plain is None or self._is_text(path):
            return []
        before = b""
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                for match in self._plain.finditer(before + block):
                    if match.lastgroup is not None:
                        return [f"the bytes of the id {match[0].decode()}"]
                before = block[-_OVERLAP:]
        return []

    def _is_text(self, path: Path) -> bool:
        """Text is searched by words: there an id that is a part of another one is not found by mistake."""
        with path.open("rb") as file:
            return b"\0" not in file.read(_BLOCK)

    def _texts(self, path: Path) -> Iterator[tuple[str, int]]:
        """What there is to read, and how short a word may be in it: two letters say nothing among pixels."""
        with path.open("rb") as file:
            head = file.read(16)
        try:
            if head.startswith(b"PAR1"):
                yield from ((text, 1) for text in _parquet_texts(path))
            elif head.startswith(b"SQLite format 3"):
                yield from ((text, 1) for text in _sqlite_texts(path))
            elif head.startswith(b"\x1f\x8b"):
                with gzip.open(path) as packed:
                    yield from ((text, 1) for text in _blocks(packed.read))
                return
        except (pa.ArrowException, sqlite3.Error, *_PACKED):
            pass  # damaged: then its bytes are searched as they are
        shortest = 1 if self._is_text(path) else _SHORTEST
        with path.open("rb") as file:
            yield from ((text, shortest) for text in _blocks(file.read))


def _blocks(read: Callable[[int], bytes]) -> Iterator[str]:
    before = ""
    while block := read(_BLOCK):
        text = before + block.decode("latin-1")
        yield text
        if "%" in text:
            yield unquote(text)
        before = text[-_OVERLAP:]


def _hex_words(text: str) -> Iterator[str]:
    for word in text.replace('"', " ").replace(",", " ").replace("'", " ").split():
        if len(word) == 64:
            yield word


def _parquet_texts(path: Path) -> Iterator[str]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=1024):
            for column in batch.columns:
                kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
                if pa.types.is_string(kind) or pa.types.is_large_string(kind):
                    yield "\n".join(str(value) for value in column.cast(pa.string()).unique().to_pylist() if value)


def _sqlite_texts(path: Path) -> Iterator[str]:
    in_use = path.with_name(f"{path.name}-wal").exists()
    mode = "mode=ro" if in_use else "immutable=1"
    db = sqlite3.connect(f"file:{quote(str(path.resolve()))}?{mode}", uri=True, timeout=30.0)
    try:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            quoted = table.replace('"', '""')
            for row in db.execute(f'SELECT * FROM "{quoted}"'):
                yield "\n".join(value for value in row if isinstance(value, str))
    finally:
        db.close()

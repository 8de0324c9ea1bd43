"""Exports that hold removed videos: found by what they say of themselves, and written anew without them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from avis_data.errors import AvisError
from avis_data.format_numbers import CERTIFICATE
from avis_data.io import flush, read_json, remove
from avis_data.ledger import Ledger
from avis_data.paths import Workspace
from avis_data.pipelines.exports import FORMATS
from avis_data.pipelines.exports.division import KeptDivision
from avis_data.pipelines.exports.plan import AskedExport, ExportOptions
from avis_data.pipelines.exports.publish import publish
from avis_data.pipelines.upkeep.tombstones import Tombstones
from avis_data.quality.published import FILE_LIST
from avis_data.records import Record
from avis_data.versions.exported import CHANGES_PAGE, folder_of, next_number

__all__ = ["Rewritten", "exports_that_hold", "rewrite_export"]


@dataclass(frozen=True, kw_only=True)
class Rewritten:
    """What became of an export that held removed videos."""

    name: str
    now: str | None
    """The name of the export that took its place; None: no clip was left, or it stands as it was."""
    problem: str | None = None
    """Why it could not be written anew."""

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return dict(self.__dict__)


class _Facts(Record, extra="ignore"):
    """What the ledger keeps of an export."""

    files_sha256: str
    asked: AskedExport


def exports_that_hold(workspace: Workspace, stones: Tombstones) -> list[str]:
    """The names of the exports that hold a removed video: by the names and hashes of their files, or by what they say.

    An export that was not made here is asked too; what no export lists, `remove --verify` finds.
    """
    if not stones or not workspace.exports.is_dir():
        return []
    folders = sorted(path for path in workspace.exports.iterdir() if path.is_dir())
    return [folder.name for folder in folders if any(_holds(folder, stones))]


def _holds(folder: Path, stones: Tombstones) -> Iterator[bool]:
    for name in (FILE_LIST, CERTIFICATE, CHANGES_PAGE):
        path = folder / name
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        yield bool(stones.words(text, numbered=True))
        if name == FILE_LIST:
            yield any(line.partition("  ")[0] in stones.files for line in text.splitlines())


def rewrite_export(workspace: Workspace, ledger: Ledger, name: str) -> Rewritten:
    """Write an export once more with the same options and the same division, without what was removed since.

    It takes the place of the one before. One with a version gets the next number, and the one before is removed; where
    later versions are there it keeps its own. Where no clip of it is left it is removed.
    """
    found = dict(ledger.read_facts("export", _Facts)).get(name)
    if found is None:
        return Rewritten(name=name, now=None, problem="it was not made here: remove it, or export again")
    asked = found.asked
    if not asked.pieces:
        _drop(workspace, ledger, name)
        return Rewritten(name=name, now=None)
    number = None if asked.version is None else next_number(workspace.exports, asked.base, asked.version)
    now = folder_of(asked.base, number)
    if not _takes_place(workspace.exports / now, found.files_sha256):
        try:
            spec = FORMATS[asked.format].with_options(**asked.own)
            publish(workspace, ledger, spec, _options(asked, number, found.files_sha256))
        except AvisError as error:
            return Rewritten(name=name, now=None, problem=str(error))
    if now != name:
        _drop(workspace, ledger, name)
    return Rewritten(name=name, now=now)


def _options(asked: AskedExport, number: str | None, replaces: str) -> ExportOptions:
    kept = KeptDivision(
        split_of={name: split for pieces in asked.pieces.values() for name, split in pieces.items()},
        request=asked.request,
        seed=asked.seed,
        replaces=replaces,
        changes=f"In place of {asked.version}: clips were removed, nothing else was changed.",
    )
    return ExportOptions(
        name=asked.base,
        version=number,
        select=asked.select,
        include=asked.include,
        objects=asked.objects,
        kept=kept,
        force=True,
    )


def _takes_place(folder: Path, files_sha256: str) -> bool:
    """Whether an export was written to take the place of that one already; a kill may have come after it."""
    if not (folder / CERTIFICATE).is_file():
        return False
    said = read_json(folder / CERTIFICATE)
    return isinstance(said, dict) and said.get("replaces") == files_sha256


def _drop(workspace: Workspace, ledger: Ledger, name: str) -> None:
    remove(workspace.exports / name)
    flush(workspace.exports)
    ledger.drop("export", name)

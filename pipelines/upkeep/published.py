"""Exports that hold removed videos: found by what they say of themselves, and written anew without them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from avis_data.errors import AvisError
from avis_data.format_numbers import CERTIFICATE
from avis_data.io import flush, read_json, remove
from avis_data.ledger import Ledger
from avis_data.paths import Workspace
from avis_data.pipelines.engine.bucket import bucket_of
from avis_data.pipelines.exports import FORMATS
from avis_data.pipelines.exports.division import KeptDivision
from avis_data.pipelines.exports.plan import AskedExport, ExportOptions
from avis_data.pipelines.exports.publish import publish
from avis_data.pipelines.upkeep.tombstones import Tombstones
from avis_data.quality.published import FILE_LIST
from avis_data.records import Record
from avis_data.storage.exports import delete_export
from avis_data.versions.exported import CHANGES_PAGE, folder_of, next_number

__all__ = ["Rewritten", "exports_that_hold", "rewrite_exports"]


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
    folders = sorted(path for path in workspace.exports.glob("[!.]*") if path.is_dir())
    return [folder.name for folder in folders if any(_holds(folder, stones))]


def _holds(folder: Path, stones: Tombstones) -> Iterator[bool]:
    for name in (FILE_LIST, CERTIFICATE, CHANGES_PAGE):
        path = folder / name
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        yield bool(stones.words(text, numbered=True))
        if name == FILE_LIST:
            yield any(line.partition("  ")[0] in stones.files for line in text.splitlines())


def rewrite_exports(
    workspace: Workspace, ledger: Ledger, stones: Tombstones, *, begun: Iterable[str] = ()
) -> list[Rewritten]:
    """Write every export that holds a removed video once more without it, with the same options and the same division.

    It takes the place of the one before. One with a version gets the next number, and the one before is removed; where
    later versions are there it keeps its own. Where no clip of it is left it is removed.

    Args:
        workspace: that the caller has locked.
        ledger: of the workspace; knows what was asked for.
        stones: of the removed videos.
        begun: exports that a removal which was broken off was to write: one may be missing at the moment.
    """
    holding, known = exports_that_hold(workspace, stones), dict(ledger.read_facts("export", _Facts))
    missing = [name for name in begun if not (workspace.exports / name).exists() and name in known]
    found = []
    for name in sorted({*holding, *missing}):
        facts = known.get(name)
        if facts is None:
            problem = "it was not made here: remove it, or export again"
            found.append(Rewritten(name=name, now=None, problem=problem))
        else:
            found.append(_rewritten(workspace, ledger, name, facts, _successor(workspace, facts, holding)))
    return found


def _rewritten(workspace: Workspace, ledger: Ledger, name: str, facts: _Facts, now: str | None) -> Rewritten:
    """`now`: what took its place already, before a kill."""
    asked = facts.asked
    if not asked.pieces:
        _drop(workspace, ledger, name)
        return Rewritten(name=name, now=None)
    if now is None:
        number = None if asked.version is None else next_number(workspace.exports, asked.base, asked.version)
        now = folder_of(asked.base, number)
        try:
            spec = FORMATS[asked.format].with_options(**asked.own)
            publish(workspace, ledger, spec, _options(asked, number, facts.files_sha256))
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


def _successor(workspace: Workspace, facts: _Facts, holding: Collection[str]) -> str | None:
    """The export that took the place of another one already, by its certificate."""
    for path in sorted(workspace.exports.glob(f"[!.]*/{CERTIFICATE}")):
        said = read_json(path) if path.parent.name not in holding else None
        if isinstance(said, dict) and said.get("replaces") == facts.files_sha256:
            return path.parent.name
    return None


def _drop(workspace: Workspace, ledger: Ledger, name: str) -> None:
    remove(workspace.exports / name)
    flush(workspace.exports)
    if (bucket := bucket_of(workspace)) is not None:
        delete_export(bucket.store, f"exports/{name}/")
    ledger.drop("export", name)

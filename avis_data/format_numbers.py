"""The format numbers of what is kept on disk: workspaces, exports, changes, runs, plans. There is no migration.

A workspace has its number in `ledger.sqlite` (`PRAGMA user_version`), an export in `certificate.json` (`certificate`),
a file of changes in itself (`changes`), a training run in `run.json` (`format`), a plan of a stress test in itself
(`format`). Raise a number here when what is written under it changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avis_data.errors import DataError
from avis_data.io import read_json

__all__ = [
    "CERTIFICATE",
    "CHANGES",
    "EXPORT",
    "RUN",
    "RUN_FILE",
    "STRESS",
    "WORKSPACE",
    "KeptFormat",
    "check_export",
    "check_run",
    "read_certificate",
    "what_is",
]

CERTIFICATE = "certificate.json"
"""In the folder of an export."""
RUN_FILE = "run.json"
"""In the folder of a training run."""


@dataclass(frozen=True, kw_only=True)
class KeptFormat:
    """One kind of folder that we write, and the number of its format in this version."""

    what: str
    number: int
    again: str
    """What to run to have it in this version's format."""

    def check(self, found: object, where: Path) -> None:
        """Refuse another format than this version's.

        Args:
            found: the number that the folder says; anything but a whole number counts as none.
            where: the folder, or the file in it that has the number.

        Raises:
            DataError: for an older one, or one without a number, with what makes it anew; for a newer one, with the
                advice to update.
        """
        if type(found) is int and found == self.number:
            return
        reads = f"this version of avis-data reads format {self.number}"
        if type(found) is int and found > self.number:
            hint = "take that version: pip install --upgrade avis-data"
            raise DataError(f"{where}: {self.what} of format {found}, written by a newer version; {reads}", hint=hint)
        said = f"of format {found}" if type(found) is int else "without a format number"
        hint = f"there is no conversion; {self.again}"
        raise DataError(f"{where}: {self.what} {said}, written by an older version; {reads}", hint=hint)


WORKSPACE = KeptFormat(
    what="a workspace", number=2, again="make it anew in another folder: avis-data -C NEW fetch --list videos.csv"
)
EXPORT = KeptFormat(
    what="an export", number=1, again="write it anew from its workspace: avis-data export --format ytvis --force"
)
RUN = KeptFormat(
    what="a training run", number=1, again="train into another folder: avis-data train-baseline --data DIR --out NEW"
)

CHANGES = KeptFormat(
    what="a file of changes", number=1, again="write it anew from both versions: avis-data diff OLD NEW --save FILE"
)

STRESS = KeptFormat(
    what="a plan of a stress test", number=1, again="make it anew: avis-data stress plan --data EXPORT --out FILE"
)


def read_certificate(root: Path) -> object:
    """What the certificate of an export says, but for the list of its clips, which may be long.

    Raises:
        DataError: if there is none, or it is no JSON.
    """
    from avis_data.formats.sets.json_tables import json_tables

    with json_tables(root / CERTIFICATE) as tables:
        return tables.scan({"clips": lambda *_: None})


def check_export(root: Path) -> None:
    """Refuse a dataset of ours of another format; a set from elsewhere, which has no certificate of ours, passes.

    Raises:
        DataError: with what to run.
    """
    try:
        said = read_certificate(root)
    except DataError:
        return  # from elsewhere, or torn: then `validate` tells
    if not isinstance(said, dict):
        return
    tool = said.get("tool")
    if isinstance(tool, dict) and tool.get("name") == "avis-data":
        EXPORT.check(said.get("certificate"), root)


def check_run(root: Path) -> None:
    """Refuse a folder that is no training run, or one of another format.

    Raises:
        DataError: with what to run.
    """
    if not _is_run(root):
        hint = "give the --out of an avis-data train-baseline; to begin a run, leave --resume out"
        raise DataError(f"{root}: holds no run; {what_is(root)}", hint=hint)
    said = read_json(root / RUN_FILE) if (root / RUN_FILE).is_file() else {}
    RUN.check(said.get("format") if isinstance(said, dict) else None, root)


def what_is(folder: Path) -> str:
    """What a folder that is not what was asked for is instead, as a sentence without a full stop."""
    if not folder.is_dir():
        return "it is a file" if folder.exists() else "there is no such folder"
    if (folder / "recipe.yaml").is_file():
        return "it is a workspace, whose exports lie in exports/"
    if (folder / CERTIFICATE).is_file():
        return "it is an export"
    if _is_run(folder):
        return "it is a training run"
    if not any(folder.iterdir()):
        return "it is empty"
    return "it is neither a workspace nor an export nor a training run"


def _is_run(folder: Path) -> bool:
    named = (RUN_FILE, "config.yaml", "best.safetensors")
    return any((folder / name).is_file() for name in named) or (folder / "checkpoints").is_dir()

"""Every place in a workspace that a video can be in, written down once: what lies there, and how it holds a video."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from avis_data.io import TEMPORARY_PREFIX
from avis_data.links.put_folders import put_folders
from avis_data.paths import STEREO_WAV, Workspace

__all__ = ["PLACES", "Found", "Holds", "Place", "files_of", "place_of"]


class Holds(StrEnum):
    """How a file holds what is known of a video, and so how that is taken out of it."""

    NOTHING = "nothing"
    """It says nothing of single videos."""
    UNFINISHED = "unfinished"
    """What a kill left half written."""
    ONE = "one"
    """It is of one video or clip, whose id its path has: the file is removed."""
    LIST = "list"
    """Rows of a list of videos."""
    ADDRESSES = "addresses"
    """The whole addresses of those that are cut in the list."""
    LINES = "lines"
    """A JSON value a line, which names its video or clip."""
    ENTRIES = "entries"
    """JSON with an entry for each clip."""
    RECEIVED = "received"
    """A copy of what somebody gave: entries of JSON, lines of text, else the whole file."""
    SPLIT = "split"
    """JSON that names videos or clips, as a file for `export --split-file`."""
    MASKS = "masks"
    """Rows of a Parquet table of masks."""
    EMBEDDINGS = "embeddings"
    """Rows of a Parquet table of embeddings."""
    FINGERPRINTS = "fingerprints"
    """Rows of a Parquet table of fingerprints."""
    LEDGER = "ledger"
    """Rows of the ledger."""
    STILL = "still"
    """Worked out of one still, whose hash its name has."""
    LOG = "log"
    """Lines of a log that a server may be writing."""
    SERVER = "server"
    """The labelling server's own files: its tasks are removed through the server."""
    EXPORT = "export"
    """Published: named, and written anew where that is asked for."""
    RUN = "run"
    """Trained with a published set, or made from it: named."""


@dataclass(frozen=True)
class Place:
    """One kind of file in a workspace."""

    name: str
    """For people."""
    pattern: str
    """Path in the workspace: `*` is anything but a slash, `**` anything, `{id}` the id of a video or clip."""
    holds: Holds
    group: str
    """What it is counted under by `du`."""
    remade: bool = False
    """Whether it is made again when it is missing."""

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        parts = re.split(r"(\*\*|\*|\{id\})", self.pattern)
        kinds = {"**": ".*", "*": "[^/]*", "{id}": "(?P<id>[A-Za-z0-9_-]{1,64})"}
        return re.compile("".join(kinds.get(part) or re.escape(part) for part in parts))

    def match(self, path: str) -> re.Match[str] | None:
        """Whether a path, relative to the workspace, is of this kind."""
        return self._regex.fullmatch(path)


PLACES: tuple[Place, ...] = (
    Place("unfinished files", f"{TEMPORARY_PREFIX}**", Holds.UNFINISHED, "unfinished", remade=True),
    Place("unfinished files", f"**/{TEMPORARY_PREFIX}**", Holds.UNFINISHED, "unfinished", remade=True),
    Place("damaged files that a repair kept", "*.damaged-*", Holds.UNFINISHED, "unfinished"),
    Place("damaged files that a repair kept", "**/*.damaged-*", Holds.UNFINISHED, "unfinished"),
    Place("unfinished items", ".tmp/*/{id}/**", Holds.ONE, "unfinished", remade=True),
    Place("unfinished items", ".tmp/**", Holds.NOTHING, "unfinished", remade=True),
    Place("recipe", "recipe.yaml", Holds.NOTHING, "records"),
    Place("storage", "storage.yaml", Holds.NOTHING, "records"),
    Place("list of videos", "videos.csv", Holds.LIST, "records"),
    Place("lists and splits beside it", "*.csv", Holds.LIST, "records"),
    Place("addresses with secrets", "signed_urls.json", Holds.ADDRESSES, "records"),
    Place("splits beside the list", "*.json", Holds.SPLIT, "records"),
    Place("ledger", "ledger.sqlite*", Holds.LEDGER, "records"),
    Place("locks", ".lock", Holds.NOTHING, "records"),
    Place("locks", "annotations/**/.lock", Holds.NOTHING, "annotations"),
    Place("removed videos", "removed/*", Holds.NOTHING, "records"),
    Place("manifests", "manifest/*.jsonl", Holds.LINES, "records"),
    Place("source videos", "sources/{id}.*", Holds.ONE, "sources"),
    Place("stills", "clips/{id}/frames/**", Holds.ONE, "stills"),
    Place("previews", "clips/{id}/preview.mp4", Holds.ONE, "previews", remade=True),
    Place("sound", "clips/{id}/audio.wav", Holds.ONE, "sound"),
    Place("two channels of sound", f"clips/{{id}}/{STEREO_WAV}", Holds.ONE, "sound"),
    Place("times and other files of clips", "clips/{id}/**", Holds.ONE, "stills"),
    Place("embeddings of clips", "features/vggish/clips/{id}.npy", Holds.ONE, "embeddings"),
    Place("table of embeddings", "features/vggish/part-*.parquet", Holds.EMBEDDINGS, "embeddings"),
    Place("fingerprints of clips", "fingerprints/clips/{id}.npz", Holds.ONE, "fingerprints"),
    Place("table of fingerprints", "fingerprints/part-*.parquet", Holds.FINGERPRINTS, "fingerprints"),
    Place("table of masks", "masks/part-*.parquet", Holds.MASKS, "masks"),
    Place("name of the workspace", "annotations/workspace-id", Holds.NOTHING, "annotations"),
    Place("current labels", "annotations/current.json", Holds.ENTRIES, "annotations"),
    Place("records of imports", "annotations/import-*/import.json", Holds.ENTRIES, "annotations"),
    Place("imported files as received", "annotations/import-*/**", Holds.RECEIVED, "annotations"),
    Place("pre-labels", "annotations/prelabels/{id}.json", Holds.ONE, "annotations"),
    Place("machine labels", "annotations/machine/{id}.json", Holds.ONE, "annotations"),
    Place("masks that engines made", "annotations/made/{id}.jsonl", Holds.ONE, "annotations"),
    Place("boxes that are being filled", "annotations/filling/{id}.*.json", Holds.ONE, "annotations"),
    Place("rounds", "annotations/*/round.json", Holds.NOTHING, "annotations"),
    Place("who was given what", "annotations/*/assignments.json", Holds.ENTRIES, "annotations"),
    Place("tasks that were pulled", "annotations/*/pulled.jsonl", Holds.LINES, "annotations"),
    Place("pages as they were filled", "annotations/*/pushed/{id}/**", Holds.ONE, "annotations"),
    Place("annotations as received", "annotations/*/received/{id}/**", Holds.ONE, "annotations"),
    Place("labels of people", "annotations/*/labelled/{id}/**", Holds.ONE, "annotations"),
    Place("repairs of labels", "annotations/*/repairs/{id}/**", Holds.ONE, "annotations"),
    Place("cache of the segmenter", "label-studio/embeddings/*.npz", Holds.STILL, "segmenter cache", remade=True),
    Place("logs of servers", "label-studio/*.log", Holds.LOG, "labelling server"),
    Place("database and files of the server", "label-studio/data/**", Holds.SERVER, "labelling server"),
    Place("settings of the server", "label-studio/*", Holds.NOTHING, "labelling server"),
    Place("exports", "exports/*/**", Holds.EXPORT, "exports"),
    Place("runs", "runs/**", Holds.RUN, "runs"),
)
"""The first that matches counts."""


@dataclass(frozen=True)
class Found:
    """One file of a workspace."""

    path: Path
    relative: str
    place: Place | None
    """None: none of ours, somebody put it there."""
    item_id: str | None
    """Of the video or clip that its path names."""


def place_of(relative: str) -> tuple[Place | None, str | None]:
    """The kind of a file by its path in the workspace, and the id that the path names."""
    for place in PLACES:
        match = place.match(relative)
        if match is not None:
            return place, match.groupdict().get("id")
    return None, None


def files_of(workspace: Workspace, *, also_empty: bool = False) -> Iterator[Found]:
    """Every file and link of a workspace, sorted by folder; `also_empty`: and every folder that holds nothing.

    No link is followed but those of whole folders that the owner put elsewhere.
    """
    put = {workspace.root / name: str(folder) for name, folder in put_folders(workspace.root).items()}
    elsewhere = {link for link, folder in put.items() if link.is_symlink() and os.path.realpath(link) == folder}
    for top in (workspace.root, *sorted(elsewhere)):
        yield from (found for found in _below(workspace, top, also_empty=also_empty) if found.path not in elsewhere)


def _below(workspace: Workspace, top: Path, *, also_empty: bool) -> Iterator[Found]:
    for folder, folders, names in os.walk(top):
        folders.sort()
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        nothing = [""] if also_empty and not folders and not names else []
        for name in sorted([*names, *links, *nothing]):
            path = Path(folder, name)
            relative = workspace.relative(path)
            yield Found(path, relative, *place_of(relative))

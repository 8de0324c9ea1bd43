"""Where everything lies in a workspace (the folder of one dataset under construction)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from avis_data.errors import DataError
from avis_data.records import ID_PATTERN, is_safe_id

__all__ = ["STEREO_WAV", "Workspace", "checked_id", "data_home"]

STEREO_WAV = "audio_stereo.wav"
"""Beside `audio.wav` of a clip whose sound has two channels that differ."""


def checked_id(text: str) -> str:
    """The id itself, if it may be part of a path.

    Raises:
        DataError: if it holds anything but letters, digits, `_` and `-`, or is longer than 64.
    """
    if not is_safe_id(text):
        raise DataError(f"{text!r} is no id: ids match {ID_PATTERN}")
    return text


def data_home() -> Path:
    """The user's data folder: AVIS_DATA_HOME, else avis-data in XDG_DATA_HOME, else ~/.local/share/avis-data."""
    if own := os.environ.get("AVIS_DATA_HOME"):
        return Path(own)
    if xdg := os.environ.get("XDG_DATA_HOME"):
        return Path(xdg) / "avis-data"
    return Path.home() / ".local" / "share" / "avis-data"


@dataclass(frozen=True)
class Workspace:
    """The paths of one workspace. Holding one does not mean that the folder exists."""

    root: Path

    @property
    def recipe(self) -> Path:
        """`recipe.yaml`: what this dataset is."""
        return self.root / "recipe.yaml"

    @property
    def storage(self) -> Path:
        """`storage.yaml`: which bucket is the home of the large files; most workspaces have none."""
        return self.root / "storage.yaml"

    @property
    def video_list(self) -> Path:
        """`videos.csv`: the list that was asked for, as given."""
        return self.root / "videos.csv"

    @property
    def signed_urls(self) -> Path:
        """`signed_urls.json`: the whole addresses of those that are cut in the list; readable for its owner only."""
        return self.root / "signed_urls.json"

    @property
    def ledger(self) -> Path:
        """`ledger.sqlite`: what was done, to what, with which result."""
        return self.root / "ledger.sqlite"

    @property
    def ledger_text(self) -> Path:
        """`manifest/ledger.jsonl`: the ledger as text, from which it can be rebuilt."""
        return self.manifest / "ledger.jsonl"

    @property
    def lock(self) -> Path:
        """Held by the one command that may change the workspace."""
        return self.root / ".lock"

    @property
    def tmp(self) -> Path:
        """Unfinished work; on the same file system, so that finishing is a rename."""
        return self.root / ".tmp"

    @property
    def manifest(self) -> Path:
        """Folder of `videos.jsonl`, `clips.jsonl`, `tracks.jsonl`, and of `ledger_text`."""
        return self.root / "manifest"

    @property
    def features(self) -> Path:
        """Folder of the VGGish embeddings, `part-*.parquet`."""
        return self.root / "features" / "vggish"

    @property
    def fingerprints(self) -> Path:
        """Folder of the fingerprints, `part-*.parquet`."""
        return self.root / "fingerprints"

    @property
    def annotations(self) -> Path:
        """Folder of what was received from people and files, one folder for each time; never overwritten."""
        return self.root / "annotations"

    @property
    def masks(self) -> Path:
        """Folder of the masks, `part-*.parquet`."""
        return self.root / "masks"

    @property
    def exports(self) -> Path:
        """Folder of what is published."""
        return self.root / "exports"

    @property
    def removed(self) -> Path:
        """Folder of what is known of removed videos: hashes, dates and reasons, no id."""
        return self.root / "removed"

    @property
    def removal(self) -> Path:
        """There while videos are being removed; what a kill broke off is completed by it."""
        return self.removed / "unfinished.json"

    def source_dir(self) -> Path:
        """Folder of the source videos."""
        return self.root / "sources"

    def clip_dir(self, clip_id: str) -> Path:
        """Folder of one clip: `frames/`, `audio.wav`, perhaps `audio_stereo.wav`, `times.json`, `preview.mp4`."""
        return self.root / "clips" / checked_id(clip_id)

    def frame(self, clip_id: str, frame: int) -> Path:
        """One still, by its number from 0."""
        return self.clip_dir(clip_id) / "frames" / f"{frame:05d}.jpg"

    def relative(self, path: Path) -> str:
        """The path as it is written into files: relative, with slashes."""
        return path.relative_to(self.root).as_posix()

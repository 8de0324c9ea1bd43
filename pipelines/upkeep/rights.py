"""What may be used: the licence of every video against the recipe's rule, who it is from, and when it was fetched."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from avis_data.io import csv_text
from avis_data.ledger import Ledger
from avis_data.manifest import read_manifest
from avis_data.paths import Workspace
from avis_data.pipelines.kept_video_list import wanted_clips
from avis_data.pipelines.upkeep.licenses import allowed
from avis_data.recipe import Recipe, RightsOptions
from avis_data.records import Clip, Video
from avis_data.video_list import ClipRow

__all__ = ["RightsRow", "rights_csv", "rights_of"]


@dataclass(frozen=True, kw_only=True)
class RightsRow:
    """One video."""

    video_id: str
    license: str | None
    """As it was found; null: nobody says."""
    state: str
    """`allowed`, `held`, or where its clips have several licences `some clips held`; by the recipe."""
    uploader: str | None
    channel: str | None
    upload_date: str | None
    accessed_on: str | None
    """null: not fetched."""
    url: str | None
    clips: int

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return dict(self.__dict__)


def rights_of(workspace: Workspace, ledger: Ledger, recipe: Recipe) -> list[RightsRow]:
    """Every video of the list and of imported sets, by licence, then by id; also those that are not fetched (yet)."""
    videos = {video.video_id: video for video in read_manifest(workspace.manifest / "videos.jsonl", Video)}
    licenses: dict[str, dict[str, str | None]] = defaultdict(dict)
    listed: dict[str, list[ClipRow]] = defaultdict(list)
    for clip_id, row in wanted_clips(ledger):
        licenses[row.span.video_id][clip_id] = row.license
        listed[row.span.video_id].append(row)
    for clip in read_manifest(workspace.manifest / "clips.jsonl", Clip):
        licenses[clip.video_id].setdefault(clip.clip_id, clip.license)
    rows = [
        _row(video_id, videos.get(video_id), licenses[video_id], listed[video_id], recipe.rights)
        for video_id in sorted({*videos, *licenses})
    ]
    return sorted(rows, key=lambda row: (row.license or "", row.video_id))


def rights_csv(rows: Iterable[RightsRow]) -> str:
    """The same as CSV; no cell of it starts a formula."""
    names = list(RightsRow.__dataclass_fields__)
    values = ([value if (value := getattr(row, name)) is not None else "" for name in names] for row in rows)
    return csv_text([names, *values])


def _row(
    video_id: str,
    video: Video | None,
    licenses: Mapping[str, str | None],
    listed: Iterable[ClipRow],
    rights: RightsOptions,
) -> RightsRow:
    """Clips of one video may have licences of their own."""
    said = {license for license in licenses.values() if license}
    own = video.license if video is not None else None
    found = sorted(said) or ([own] if own else [])
    rows = list(listed)
    first = {name: next((v for row in rows if (v := getattr(row, name))), None) for name in ("uploader", "channel")}
    states = {allowed(license or own, rights) for license in licenses.values()} or {allowed(own, rights)}
    return RightsRow(
        video_id=video_id,
        license="; ".join(found) or None,
        state="allowed" if states == {True} else "held" if states == {False} else "some clips held",
        uploader=video.uploader if video is not None else first["uploader"],
        channel=video.channel if video is not None else first["channel"],
        upload_date=video.upload_date if video is not None else None,
        accessed_on=video.accessed_on if video is not None else None,
        url=video.url if video is not None else None,
        clips=len(licenses),
    )

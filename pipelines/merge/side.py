"""One of the two that are merged: what its ledger, its list and its records say, read once; nothing is changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from avis_data.errors import DataError
from avis_data.io import sha256_text
from avis_data.ledger import Ledger
from avis_data.ledger.text import KeptItem, KeptSetting
from avis_data.manifest import read_manifest
from avis_data.masks.table import read_masks
from avis_data.paths import Workspace
from avis_data.pipelines.kept_video_list import list_folder, wanted_clips
from avis_data.pipelines.manifests import stages_in_text
from avis_data.pipelines.stages.adopt import AdoptedVideo, AdoptFacts
from avis_data.pipelines.stages.embed import EmbedFacts
from avis_data.pipelines.stages.fetch import fetched_videos
from avis_data.pipelines.truth_records import ImportedClip, LabelledTruth, imported_clips, labelled_truth
from avis_data.pipelines.upkeep.tombstones import Tombstones, read_tombstones
from avis_data.recipe import Recipe, load_recipe
from avis_data.records import Track, Video
from avis_data.video_list import ClipRow, read_video_list
from avis_data.video_list.signed import read_signed

__all__ = ["Side", "SideClip", "SideVideo", "read_side"]


@dataclass(frozen=True, kw_only=True)
class SideClip:
    """A clip that one side wants."""

    clip_id: str
    row: ClipRow | None
    """As the list has it; None: it comes from an existing set."""


@dataclass(frozen=True, kw_only=True)
class SideVideo:
    """A video that one side wants, or one of an existing set."""

    video_id: str
    url: str | None
    """As the list has it, secrets cut; None: not known, or of an existing set."""
    sha256: str | None
    """Of the source; None: it was not fetched."""
    adopted: AdoptedVideo | None = None
    clips: dict[str, SideClip] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Side:
    """All that a merge asks of one side but for its files."""

    name: str
    """`A` or `B`."""
    workspace: Workspace
    recipe: Recipe
    videos: dict[str, SideVideo]
    items: list[KeptItem]
    settings: dict[str, str]
    signed: dict[str, str]
    stones: Tombstones
    weights_of: dict[str, str]
    """Of each clip with embeddings, the hash of the weights."""
    fetched: dict[str, Video]
    labelled: dict[str, LabelledTruth]
    imported: dict[str, ImportedClip]
    state_sha256: str
    """Of its ledger as text."""
    has_list: bool
    source: Path
    """What the person named: the workspace, or the set that was taken into it."""

    @cached_property
    def video_of(self) -> dict[str, str]:
        """The video of each clip."""
        return {clip_id: video.video_id for video in self.videos.values() for clip_id in video.clips}

    @cached_property
    def made(self) -> Counter[str]:
        """How many stages have finished each clip or video."""
        return Counter(item.item_id for item in self.items if item.state == "done")

    @cached_property
    def tracks(self) -> list[Track]:
        """All that the manifest lists."""
        return list(read_manifest(self.workspace.manifest / "tracks.jsonl", Track))

    def state(self, clip_id: str) -> str:
        """Whose labels a clip has: `accepted`, `dropped`, `imported`, `draft`, or `none`."""
        entry = self.labelled.get(clip_id)
        if entry is not None and entry.state != "draft":
            return entry.state
        return "imported" if clip_id in self.imported else "none" if entry is None else "draft"

    def said_of(self, clip_ids: Iterable[str], categories: dict[str, str]) -> dict[str, frozenset[object]]:
        """What the labels of some clips say, whoever made them: sets of tracks, each a category and its masks."""
        found: dict[str, frozenset[object]] = {clip_id: frozenset() for clip_id in clip_ids}
        for clip_id, rows in read_masks(self.workspace.masks, set(found)):
            tracks: dict[tuple[str, str], set[object]] = {}
            for row in rows:
                key = (row.track_id, categories.get(row.category, row.category))
                tracks.setdefault(key, set()).add((row.frame, row.state.value, row.counts))
            found[clip_id] = frozenset((category, frozenset(said)) for (_, category), said in tracks.items())
        return found

    def counts(self) -> dict[str, int]:
        """How much there is, for people."""
        states = Counter(self.state(clip_id) for clip_id in self.video_of)
        return {
            "videos": len(self.videos),
            "clips": len(self.video_of),
            **{state: states[state] for state in ("accepted", "dropped", "draft", "imported")},
            "rounds": len(list(self.workspace.annotations.glob("*/round.json"))),
            "removed": len(self.stones.all),
        }


def read_side(name: str, workspace: Workspace, *, source: Path | None = None) -> Side:
    """Read one side.

    Args:
        name: `A` or `B`.
        workspace: whose files are read; nothing is changed.
        source: what the person named, where that is another folder.

    Raises:
        ConfigError: if the folder is no workspace.
        DataError: if its ledger, its list or a record is damaged, or of another format than this version's.
    """
    recipe = load_recipe(workspace)
    with Ledger(workspace.ledger, read_only=True) as ledger:
        ledger.check()
        items, settings = [], {}
        for row in ledger.rows():
            if isinstance(row, KeptItem):
                items.append(row)
            elif isinstance(row, KeptSetting):
                settings[row.name] = row.value
        signed = read_signed(workspace.signed_urls)
        return Side(
            name=name,
            workspace=workspace,
            recipe=recipe,
            videos={video.video_id: video for video in _videos(workspace, ledger, recipe, signed)},
            items=items,
            settings=settings,
            signed=signed,
            stones=read_tombstones(workspace),
            weights_of={clip_id: facts.weights_sha256 for clip_id, facts in ledger.read_facts("embed", EmbedFacts)},
            fetched=fetched_videos(ledger),
            labelled=labelled_truth(workspace),
            imported=imported_clips(workspace),
            state_sha256=sha256_text("".join(f"{line}\n" for line in ledger.as_text(stages_in_text()))),
            has_list=workspace.video_list.is_file(),
            source=source or workspace.root,
        )


def _videos(workspace: Workspace, ledger: Ledger, recipe: Recipe, signed: dict[str, str]) -> Iterator[SideVideo]:
    urls = _urls(workspace, ledger, recipe, signed)
    hashes = {video_id: output.sha256 for video_id, output in ledger.only_output("fetch").items()}
    clips: dict[str, dict[str, SideClip]] = {video_id: {} for video_id, _ in ledger.wanted("video")}
    for clip_id, row in wanted_clips(ledger):
        clips.setdefault(row.span.video_id, {})[clip_id] = SideClip(clip_id=clip_id, row=row)
    for video_id, of_video in clips.items():
        yield SideVideo(video_id=video_id, url=urls.get(video_id), sha256=hashes.get(video_id), clips=of_video)
    adopted = {clip_id: facts.source_sha256 for clip_id, facts in ledger.read_facts("adopt", AdoptFacts)}
    for clip_id, said in ledger.read_adopted(AdoptedVideo):
        own = {clip_id: SideClip(clip_id=clip_id, row=None)}
        yield SideVideo(video_id=clip_id, url=None, sha256=adopted.get(clip_id), adopted=said, clips=own)


def _urls(workspace: Workspace, ledger: Ledger, recipe: Recipe, signed: dict[str, str]) -> dict[str, str]:
    if not workspace.video_list.is_file():
        return {}
    found = read_video_list(
        workspace.video_list,
        allow_local=ledger.get("allow_local") == "yes",
        default_duration_s=recipe.clips.default_duration_s,
        folder=list_folder(workspace, ledger),
        signed=signed,
    )
    urls = {download.video_id: download.url for download in found.downloads}
    missing = [video_id for video_id, _ in ledger.wanted("video") if video_id not in urls]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        message = f"{workspace.video_list}: is not the list that was fetched: {missing[0]}{more} is not in it"
        raise DataError(message, hint="avis-data fetch takes the list as it is now; then merge")
    return urls

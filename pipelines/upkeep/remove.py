"""Removing videos: all that a workspace holds of them goes, a tombstone stays. Killed, the next call completes it.

What is to be done is written down first. Each step after that makes the workspace agree with the tombstones, so it can
be done again, whole or in part, and changes nothing where it is done already.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from avis_data.categories import category_set
from avis_data.errors import AvisError, ConfigError, DataError, ExitCode
from avis_data.io import read_json, sha256_file, sha256_text, write_text
from avis_data.ledger import Ledger
from avis_data.manifest import read_manifest
from avis_data.paths import Workspace
from avis_data.pipelines.kept_video_list import list_folder, wanted_clips
from avis_data.pipelines.manifests import write_manifests
from avis_data.pipelines.stages.adopt import AdoptedVideo
from avis_data.pipelines.stages.fetch import SPEC as FETCH
from avis_data.pipelines.stages.fetch import fetched_videos
from avis_data.pipelines.stages.tables import finish_tables
from avis_data.pipelines.upkeep.clean import Cleaner
from avis_data.pipelines.upkeep.places import Found, Holds, files_of
from avis_data.pipelines.upkeep.published import Rewritten, exports_that_hold, rewrite_exports
from avis_data.pipelines.upkeep.redaction import Redaction
from avis_data.pipelines.upkeep.stored import remove_from_bucket
from avis_data.pipelines.upkeep.tombstones import (
    Removal,
    RemovalReason,
    Tombstone,
    Tombstones,
    read_removal,
    read_tombstones,
    tasks_left,
    write_removal,
    write_tombstones,
)
from avis_data.recipe import Recipe, load_recipe
from avis_data.records import Clip, is_safe_id
from avis_data.video_list import read_video_list
from avis_data.video_list.urls import source_from_text, youtube_id

__all__ = ["RemovalReport", "RemovalRequest", "plan_removal", "remove_videos"]

_MEDIA = ("sources", "stills", "sound", "previews")
"""Groups of places whose files are a video's own, bit by bit."""


@dataclass(frozen=True, kw_only=True)
class RemovalRequest:
    """What a person asks for."""

    video_ids: Sequence[str]
    """Empty: what was broken off, and exports that hold what was removed before."""
    reason: RemovalReason | None
    by: str
    today: str
    """YYYY-MM-DD, UTC."""
    exports: bool = False


@dataclass(kw_only=True)
class RemovalReport:
    """What a removal did."""

    videos: int = 0
    """Removed now."""
    clips: int = 0
    completed: int = 0
    """Videos of a removal that was broken off before."""
    known: list[str] = field(default_factory=list)
    """Videos that were asked for and had been removed before."""
    files: Counter[str] = field(default_factory=Counter)
    """Removed or rewritten, by kind."""
    bytes_freed: int = 0
    tasks: int = 0
    """Removed from the labelling server."""
    tasks_left: str | None = None
    """Why that could not be done yet."""
    exports: list[str] = field(default_factory=list)
    """That hold what was removed, still."""
    rewritten: list[Rewritten] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return {**self.__dict__, "files": dict(self.files), "rewritten": [entry.as_dict() for entry in self.rewritten]}

    @property
    def exit_code(self) -> ExitCode:
        """PARTIAL where an export that was to be written anew could not be."""
        return ExitCode.PARTIAL if any(entry.problem for entry in self.rewritten) else ExitCode.OK


@dataclass(kw_only=True)
class _Target:
    """One video that is there."""

    video_id: str
    clip_ids: set[str]
    urls: set[str] = field(default_factory=set)
    files: list[Found] = field(default_factory=list)
    stored: set[str] = field(default_factory=set)
    """The hash of its source, which may be in the bucket alone."""


def plan_removal(workspace: Workspace, ledger: Ledger, request: RemovalRequest) -> RemovalReport:
    """What `remove_videos` would remove; touches nothing.

    Raises:
        ConfigError: as `remove_videos`.
    """
    report, targets = _targets(workspace, ledger, request)
    for target in targets:
        report.files.update(found.place.name for found in target.files if found.place is not None)
        report.bytes_freed += sum(found.path.lstat().st_size for found in target.files)
    stones = _stones(targets, request, shared=set())
    report.exports = exports_that_hold(workspace, Tombstones([*read_tombstones(workspace).all, *stones]))
    return report


def remove_videos(
    workspace: Workspace, ledger: Ledger, request: RemovalRequest, *, on_server: Callable[[Tombstones], int]
) -> RemovalReport:
    """Remove videos with all that was made of them, and complete a removal that was broken off.

    Args:
        workspace: that the caller has locked.
        ledger: of the workspace.
        request: which, and why.
        on_server: removes the tasks of removed clips from the labelling server and gives their number; raises
            AvisError where the server cannot be asked, and is called again by the next removal or push.

    Raises:
        ConfigError: if there is no such video, or no reason is given; nothing was changed then.
        DataError: if a file that names videos cannot be read; run it again when that is mended.
    """
    recipe = load_recipe(workspace)
    report, targets = _targets(workspace, ledger, request)
    broken_off = read_removal(workspace)
    before = () if broken_off is None else broken_off.new
    report.completed = len(before)
    known = read_tombstones(workspace)
    begun = None if broken_off is None else broken_off.exports
    exports = request.exports or begun is not None
    if targets or exports or broken_off is not None:
        shared = _shared_hashes(workspace, targets)
        new = [*before, *_stones(targets, request, shared=shared)]
        holding = exports_that_hold(workspace, Tombstones([*known.all, *new])) if exports else ()
        begun = tuple(sorted({*(begun or ()), *holding}))
        write_removal(workspace, Removal(new=tuple(new), exports=begun if exports else None))
        write_tombstones(workspace, [*known.all, *new])
        known = read_tombstones(workspace)
        _clean(workspace, ledger, recipe, known, report)
        if new:
            write_text(tasks_left(workspace), "")
    if exports:
        report.rewritten = rewrite_exports(workspace, ledger, known, begun=begun or ())
    report.exports = exports_that_hold(workspace, known)
    _ask_server(workspace, known, report, on_server)
    workspace.removal.unlink(missing_ok=True)
    return report


def _clean(workspace: Workspace, ledger: Ledger, recipe: Recipe, stones: Tombstones, report: RemovalReport) -> None:
    categories = {category.name for category in category_set(recipe.categories).categories}
    folder = str(list_folder(workspace, ledger).resolve())
    redaction = Redaction(stones, categories=categories, list_folder=folder)
    cleaner = Cleaner(workspace, stones, redaction, ledger=ledger)
    ledger.forget(stones.is_gone, redaction.value)  # first: from here on nothing asks for these videos any more

    def tell(found: Found, size_bytes: int) -> None:
        assert found.place is not None
        report.files[found.place.name] += 1
        report.bytes_freed += size_bytes

    cleaner.all(tell)
    for one in remove_from_bucket(workspace, stones.is_gone):
        report.files["objects in the bucket"] += 1
        report.bytes_freed += one.size_bytes
    finish_tables(workspace, recipe, ledger)
    write_manifests(workspace, ledger)


def _ask_server(
    workspace: Workspace, stones: Tombstones, report: RemovalReport, on_server: Callable[[Tombstones], int]
) -> None:
    if not tasks_left(workspace).exists():
        return
    try:
        report.tasks = on_server(stones)
    except AvisError as error:
        report.tasks_left = error.args[0]
    else:
        tasks_left(workspace).unlink()


def _targets(workspace: Workspace, ledger: Ledger, request: RemovalRequest) -> tuple[RemovalReport, list[_Target]]:
    """The videos that are there to be removed, each with all its clips and files."""
    stones, report = read_tombstones(workspace), RemovalReport()
    clips_of = _clips_of_videos(workspace, ledger)
    wanted, unknown = [], []
    for video_id in dict.fromkeys(request.video_ids):
        if video_id in clips_of:
            wanted.append(_Target(video_id=video_id, clip_ids=clips_of[video_id]))
        elif is_safe_id(video_id) and stones.find(video_id) is not None:
            report.known.append(video_id)
        else:
            unknown.append(video_id)
    if unknown:
        raise _unknown(workspace, unknown, clips_of)
    if wanted and request.reason is None:
        raise ConfigError("--reason says why: takedown, rights, quality or duplicate")
    _add_urls(workspace, ledger, wanted)
    owner = {item_id: target for target in wanted for item_id in (target.video_id, *target.clip_ids)}
    for found in files_of(workspace) if owner else ():
        if found.place is not None and found.place.holds is Holds.ONE and found.item_id in owner:
            owner[found.item_id].files.append(found)
    if owner:
        _add_stored(ledger, owner)
    report.videos, report.clips = len(wanted), sum(len(target.clip_ids) for target in wanted)
    return report, wanted


def _add_stored(ledger: Ledger, owner: Mapping[str, _Target]) -> None:
    """The hashes of sources that the bucket has, and maybe not the folder; not of those that other videos have too."""
    sources = {video_id: {output.sha256 for output in left} for video_id, left in ledger.outputs(FETCH.name).items()}
    others = {digest for video_id, found in sources.items() if video_id not in owner for digest in found}
    for video_id in sources.keys() & owner.keys():
        owner[video_id].stored |= sources[video_id] - others


def _clips_of_videos(workspace: Workspace, ledger: Ledger) -> dict[str, set[str]]:
    """Every video that the workspace knows or has files of, with its clips; also those that no list wants any more."""
    found: dict[str, set[str]] = {video_id: set() for video_id, _ in ledger.wanted("video")}
    for video_id in (
        *ledger.entries("fetch"),
        *(path.name.partition(".")[0] for path in _files(workspace.source_dir())),
    ):
        found.setdefault(video_id, set())
    for clip_id, row in wanted_clips(ledger):
        found.setdefault(row.span.video_id, set()).add(clip_id)
    for clip_id, adopted in ledger.read_adopted(AdoptedVideo):
        found.setdefault(clip_id, set()).update((clip_id, adopted.name))
    for clip in read_manifest(workspace.manifest / "clips.jsonl", Clip):
        found.setdefault(clip.video_id, set()).add(clip.clip_id)
    for clip_id, video_id in _clips_on_disk(workspace):
        found.setdefault(video_id, set()).add(clip_id)
    return found


def _clips_on_disk(workspace: Workspace) -> Iterator[tuple[str, str]]:
    for path in sorted((workspace.root / "clips").glob("*/times.json")):
        said = read_json(path)
        video_id = said.get("video_id") if isinstance(said, dict) else None
        if isinstance(video_id, str) and is_safe_id(video_id):
            yield path.parent.name, video_id


def _files(folder: Path) -> Iterable[Path]:
    return (path for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else ()


def _unknown(workspace: Workspace, unknown: Sequence[str], clips_of: dict[str, set[str]]) -> ConfigError:
    first = unknown[0]
    owner = next((video_id for video_id, clips in clips_of.items() if first in clips), None)
    near = difflib.get_close_matches(first, clips_of, n=1)
    hint = f"did you mean {near[0]}?" if near else "manifest/videos.jsonl and videos.csv name those that there are"
    if owner is not None:
        hint = f"{first} is a clip: its video is {owner}, which goes with all its clips"
    names = ", ".join(repr(name)[:80] for name in unknown[:5])
    return ConfigError(f"{workspace.root}: no video {names} ({len(unknown)} not found); nothing was removed", hint=hint)


def _add_urls(workspace: Workspace, ledger: Ledger, targets: Sequence[_Target]) -> None:
    """The addresses of the videos, as listed and as fetched, and of YouTube the id that other lists may use."""
    listed: dict[str, str] = {}
    if targets and workspace.video_list.is_file():
        with suppress(DataError):  # a list that cannot be read says so when it is fetched
            found = read_video_list(workspace.video_list, allow_local=True, folder=list_folder(workspace, ledger))
            listed = {download.video_id: download.url for download in found.downloads}
    videos = fetched_videos(ledger)
    for target in targets:
        video = videos.get(target.video_id)
        urls = {listed.get(target.video_id, ""), "" if video is None else video.url}
        for url in urls:
            if url.startswith(("http://", "https://", "file://")):
                target.urls.add(url)
            if (name := youtube_id(url)) is not None:
                target.urls.add(source_from_text(name, folder=None).url)
                target.clip_ids.add(name)


def _stones(targets: Sequence[_Target], request: RemovalRequest, *, shared: set[str]) -> list[Tombstone]:
    return [
        Tombstone(
            video_sha256=sha256_text(target.video_id),
            clips_sha256=tuple(sorted(map(sha256_text, target.clip_ids))),
            urls_sha256=tuple(sorted(map(sha256_text, target.urls))),
            files_sha256=tuple(
                sorted(({sha256_file(found.path) for found in _media(target)} | target.stored) - shared)
            ),
            reason=request.reason or "takedown",
            removed_on=request.today,
            removed_by=request.by,
        )
        for target in targets
    ]


def _media(target: _Target) -> Iterator[Found]:
    for found in target.files:
        if found.place is not None and found.place.group in _MEDIA and found.path.is_file():
            yield found


def _shared_hashes(workspace: Workspace, targets: Sequence[_Target]) -> set[str]:
    """Hashes of media that other videos have too, as digital silence: they would not tell what was removed."""
    own = {found.path for target in targets for found in target.files}
    sizes = {found.path.stat().st_size for target in targets for found in _media(target)}
    return {
        sha256_file(found.path)
        for found in (files_of(workspace) if sizes else ())
        if found.place is not None
        and found.place.group in _MEDIA
        and found.path not in own
        and found.path.is_file()
        and found.path.stat().st_size in sizes
    }

"""Fetch: one source video, from the web or from this machine, as it is, with what is known about it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from avis_data.errors import ItemError, Reason
from avis_data.io import remove, sha256_file
from avis_data.ledger import Ledger
from avis_data.log import redact_url
from avis_data.pipelines.download.cookies import read_cookies
from avis_data.pipelines.engine.spec import Candidates, Choices, Setting, StageSpec
from avis_data.pipelines.engine.stage import Item, Workbench
from avis_data.pipelines.kept_video_list import (
    ORIGINAL,
    ListOptions,
    adopt_list,
    originals,
    read_wanted,
    tell_left_out,
)
from avis_data.pipelines.upkeep.licenses import allowed
from avis_data.recipe import FetchOptions, Recipe
from avis_data.records import Record, Video
from avis_data.video_list import DownloadRequest, VideoList
from avis_data.video_list.signed import is_cut
from avis_data.video_list.urls import local_path

__all__ = ["SPEC", "DownloadRequest", "FetchChoices", "FetchParams", "FetchStage", "fetched_videos"]

_SUFFIXES = frozenset("3gp avi flv m2ts m4v mkv mov mp4 mpeg mpg mts ogg ogv ts webm wmv".split())
_SIGNATURES = ((4, b"ftyp", "mp4"), (0, b"\x1aE\xdf\xa3", "mkv"), (0, b"RIFF", "avi"), (0, b"OggS", "ogv"))
_WORK_S = 1800.0


def _today_utc() -> date:
    return datetime.now(UTC).date()


@dataclass(frozen=True, kw_only=True)
class FetchChoices:
    """What a person may say of a download beyond the recipe; none of it changes what is downloaded."""

    list: ListOptions = field(default_factory=ListOptions)
    cookies: Path | None = None
    sleep_s: float | None = None
    allow_private_hosts: bool = False


class FetchParams(Record):
    """What of the recipe decides which bytes arrive; how politely they are fetched does not re-key downloads."""

    max_height_px: int


class FetchStage:
    """Bring one source video into the workspace, unchanged."""

    name = "fetch"
    version = 1

    def __init__(
        self,
        options: FetchOptions,
        *,
        cookies: Path | None = None,
        allow_private_hosts: bool = False,
        today: Callable[[], date] = _today_utc,
    ) -> None:
        """Prepare the stage.

        Args:
            options: the recipe's part.
            cookies: a Netscape cookies file, for videos that need an account. Not part of the key, and never
                recorded: it changes who may see a video, not what is in it.
            allow_private_hosts: let links lead to this machine and to private networks.
            today: the date of access, UTC.

        Raises:
            ConfigError: if the cookies file cannot be read or is no such file.
        """
        self.params = FetchParams(max_height_px=options.max_height_px)
        self._options = options
        self._cookies = None if cookies is None else read_cookies(cookies)
        self._allow_private_hosts = allow_private_hosts
        self._today = today

    def run(self, bench: Workbench) -> Video:
        """Write `out/<video_id>.<suffix>`.

        Returns:
            A record whose `path` is where the file comes to lie in the workspace.

        Raises:
            ItemError: with the reason why there is no such video. After a failure that trying again may cure,
                what was received stays in `scratch`, and the next try goes on from there.
        """
        request = bench.record
        if not isinstance(request, DownloadRequest):
            raise TypeError(f"fetch takes DownloadRequest, got {type(request).__name__}")
        try:
            return self._fetch(request, bench)
        except ItemError as error:
            if not error.reason.retryable:
                _empty(bench.scratch)
            raise ItemError(f"{_shown(request.url)}: {error.message}", reason=error.reason) from None

    def timeout_s(self, record: Record) -> float:
        """Of work on this machine, as joining and repairing; the transfer has limits of its own, in the recipe."""
        return _WORK_S

    def prepare(self) -> None:
        """Import what downloads: it takes most of a second."""
        import avis_data.media.probe
        import avis_data.pipelines.download.source  # noqa: F401

    def _fetch(self, request: DownloadRequest, bench: Workbench) -> Video:
        # Here, not above: every command and every worker imports this module, and few of them download.
        from yt_dlp.version import __version__ as yt_dlp_version

        from avis_data.media.probe import probe
        from avis_data.pipelines.download.description import VideoDescription
        from avis_data.pipelines.download.source import Downloaded, check_content, download_video

        file, whole = local_path(request.url), bench.secret or request.url
        if file is None:
            if is_cut(whole):
                message = "the secret part of its address is not in this workspace: give the list again, with --list"
                raise ItemError(message, reason=Reason.SOURCE_MISSING)
            found = download_video(
                whole,
                bench.scratch,
                name=request.video_id,
                options=self._options,
                cookies=self._cookies,
                allow_private_hosts=self._allow_private_hosts,
            )
        else:
            copied = _copy(file, bench.scratch, self._options.max_size_mb)
            found = Downloaded(path=copied, said=VideoDescription(extractor="file"))
        check_content(found.path)
        named = found.path.rename(bench.scratch / f"{request.video_id}.{_suffix(found.path)}")
        media = probe(named)
        target = Path(shutil.move(named, bench.out / named.name))
        video = Video(
            video_id=request.video_id,
            url=_shown(request.url),
            path=f"sources/{target.name}",
            size_bytes=target.stat().st_size,
            sha256=sha256_file(target),
            title=found.said.title,
            uploader=found.said.uploader,
            channel=found.said.channel,
            license=found.said.license,
            upload_date=found.said.upload_date,
            extractor=found.said.extractor,
            downloader=f"yt-dlp {yt_dlp_version}" if file is None else "copy",
            accessed_on=self._today().isoformat(),
            media=media,
        )
        _empty(bench.scratch)
        return video


def _shown(url: str) -> str:
    """The address without secrets. Where a file lay on this machine is nobody's business either; its name may be."""
    file = local_path(url)
    return redact_url(url) if file is None else f"file:{file.name}"


def _copy(file: Path, folder: Path, max_size_mb: int | None) -> Path:
    """A copy, not a link: a program that writes into the original must not change what the ledger vouches for."""
    try:
        if file.exists() and not file.is_file():
            raise ItemError(f"{file.name}: not a file", reason=Reason.SOURCE_MISSING)
        size = file.stat().st_size
        if max_size_mb is not None and size > max_size_mb * 1_000_000:
            message = f"{file.name}: larger than fetch.max_size_mb ({size / 1e6:.1f} MB, {max_size_mb} allowed)"
            raise ItemError(message, reason=Reason.TOO_LARGE)
        return Path(shutil.copyfile(file, folder / file.name))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise ItemError(f"{file.name}: cannot be read ({error.strerror})", reason=Reason.SOURCE_MISSING) from None


def _suffix(path: Path) -> str:
    """The file's own suffix if it is one of a video, else the one that its first bytes speak for."""
    suffix = path.suffix.lower().removeprefix(".")
    if suffix in _SUFFIXES:
        return suffix
    with path.open("rb") as file:
        head = file.read(16)
    return next((name for place, mark, name in _SIGNATURES if head[place:].startswith(mark)), "bin")


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        remove(path)


def fetched_videos(ledger: Ledger) -> dict[str, Video]:
    """The source videos that are there, by id."""
    return dict(ledger.read_facts("fetch", Video))


def _stage(recipe: Recipe, choices: Choices) -> FetchStage:
    chosen, options = choices.of(FetchChoices), recipe.fetch
    if chosen.sleep_s is not None:
        options = options.model_copy(update={"sleep_s": chosen.sleep_s})
    return FetchStage(options, cookies=chosen.cookies, allow_private_hosts=chosen.allow_private_hosts)


def _items(setting: Setting) -> Candidates:
    """One item per source video of the list, which becomes the workspace's; a file of this machine is its input."""
    chosen = setting.choices.of(FetchChoices).list
    video_list = read_wanted(setting.workspace, setting.ledger, setting.recipe, chosen)
    tell_left_out(video_list)
    if not setting.dry_run:
        adopt_list(setting.workspace, setting.ledger, video_list, chosen)
    files = originals(video_list, setting.ledger)
    held = _held(video_list, setting.recipe)
    return Candidates(
        nothing_to_do=held,
        items=[
            Item(
                item_id=download.video_id,
                record=download,
                inputs={ORIGINAL: files[download.video_id]} if download.video_id in files else {},
                home="sources",
                secret=video_list.signed.get(download.url),
            )
            for download in video_list.downloads
            if download.video_id not in held
        ],
    )


def _held(video_list: VideoList, recipe: Recipe) -> dict[str, str]:
    """Videos that the recipe does not download, as the list gives all their clips a licence that it holds back."""
    if recipe.rights.held == "download":
        return {}
    licenses: dict[str, list[str | None]] = {}
    for row in video_list.clips:
        licenses.setdefault(row.span.video_id, []).append(row.license)
    return {
        video_id: "held by its licence (recipe: rights)"
        for video_id, found in licenses.items()
        if all(license and not allowed(license, recipe.rights) for license in found)
    }


def _check(setting: Setting) -> None:
    read_wanted(setting.workspace, setting.ledger, setting.recipe, setting.choices.of(FetchChoices).list)


SPEC = StageSpec(
    name=FetchStage.name,
    summary="Download the source videos of a list.",
    make=_stage,
    facts=Video,
    items=_items,
    covers=("video",),
    usual=True,
    check=_check,
    workers=4,
)

"""What sites say when they refuse, as reasons; and which of several formats is taken. With extractors made up here."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from yt_dlp.extractor.common import InfoExtractor
from yt_dlp.utils import ExtractorError, GeoRestrictedError, UserNotLive

from avis_data import extras
from avis_data.errors import ItemError, Reason
from avis_data.media.probe import probe
from avis_data.pipelines.download.source import Downloaded, download_video
from avis_data.recipe import FetchOptions
from support.media_files import ffmpeg
from support.server import MediaServer

URL = "https://site.test/watch"
LOGIN = "Use --cookies-from-browser or --cookies for the authentication."

MESSAGES = [
    ("Private video. Sign in if you've been granted access to this video. " + LOGIN, Reason.PRIVATE),
    ("This video is private", Reason.PRIVATE),
    ("Video unavailable. This video has been removed by the uploader", Reason.REMOVED),
    ("Video unavailable", Reason.REMOVED),
    ("This video has been removed for violating YouTube's Terms of Service", Reason.REMOVED),
    (
        "Video unavailable. This video is no longer available because the YouTube account associated with this video "
        "has been terminated.",
        Reason.REMOVED,
    ),
    (
        "Video unavailable. This video contains content from SME, who has blocked it on copyright grounds",
        Reason.REMOVED,
    ),
    (
        "Video unavailable. This video contains content from SME, who has blocked it in your country on copyright "
        "grounds",
        Reason.GEO_BLOCKED,
    ),
    ("The uploader has not made this video available in your country", Reason.GEO_BLOCKED),
    ("This video is not available from your location due to geo restriction", Reason.GEO_BLOCKED),
    (
        "Sign in to confirm your age. This video may be inappropriate for some users. " + LOGIN,
        Reason.AGE_RESTRICTED,
    ),
    (
        "Join this channel to get access to members-only content like this video, and other exclusive perks.",
        Reason.SIGN_IN_REQUIRED,
    ),
    ("This video is only available for registered users. " + LOGIN, Reason.SIGN_IN_REQUIRED),
    ("This video requires payment to watch", Reason.SIGN_IN_REQUIRED),
    ("Sign in to confirm you’re not a bot. " + LOGIN, Reason.BOT_CHECK),
    ("Sign in to confirm you're not a bot. " + LOGIN, Reason.BOT_CHECK),
    ("The page needs to be reloaded. YouTube is requiring a captcha challenge before playback", Reason.BOT_CHECK),
    (
        "Video unavailable. This content isn't available, try again later. The current session has been rate-limited "
        "by YouTube for up to an hour.",
        Reason.RATE_LIMITED,
    ),
    ("This video is DRM protected", Reason.DRM),
    ("The requested site is known to use DRM protection. It will NOT be supported.", Reason.DRM),
    ("Premieres in 3 hours", Reason.NOT_LIVE_YET),
    ("This live event will begin in 20 minutes.", Reason.NOT_LIVE_YET),
    ("No video formats found!", Reason.UNSUPPORTED_URL),
    ("Something that no table foresees", Reason.UNKNOWN_DOWNLOAD),
]


def site(
    behave: Callable[[InfoExtractor], dict[str, Any]], url: str = r"https://site\.test/watch"
) -> type[InfoExtractor]:
    class SiteIE(InfoExtractor):  # type: ignore[misc]
        _VALID_URL = url
        IE_NAME = "site"

        def _real_extract(self, url: str) -> dict[str, Any]:
            return behave(self)

    return SiteIE


def get(folder: Path, behave: Callable[[InfoExtractor], dict[str, Any]], **options: Any) -> Downloaded:
    folder.mkdir(exist_ok=True)
    return download_video(
        URL,
        folder,
        name="vid",
        options=FetchOptions(sleep_s=0, **options),
        allow_private_hosts=True,
        extractors=[site(behave)],
    )


def refused(folder: Path, error: Exception) -> ItemError:
    def behave(_: InfoExtractor) -> dict[str, Any]:
        raise error

    with pytest.raises(ItemError) as caught:
        get(folder, behave)
    return caught.value


@pytest.mark.parametrize(("words", "reason"), MESSAGES)
def test_the_words_of_a_site_give_the_reason(tmp_path: Path, words: str, reason: Reason) -> None:
    error = refused(tmp_path, ExtractorError(words, expected=True, video_id="abc"))
    assert error.reason is reason
    assert words[:40] in error.message
    assert "ERROR" not in error.message


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (GeoRestrictedError("Only for some", countries=["DE"]), Reason.GEO_BLOCKED),
        (UserNotLive(video_id="abc"), Reason.NOT_LIVE_YET),
        (KeyError("streamingData"), Reason.EXTRACTOR_BROKEN),
        (TypeError("'NoneType' object is not iterable"), Reason.EXTRACTOR_BROKEN),
        (ValueError("not enough values to unpack"), Reason.EXTRACTOR_BROKEN),
        (ExtractorError("Unable to extract the player"), Reason.EXTRACTOR_BROKEN),
        (OSError(errno.ENOSPC, "No space left on device"), Reason.DISK_FULL),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), Reason.NETWORK),
    ],
)
def test_the_kind_of_exception_gives_the_reason(tmp_path: Path, error: Exception, reason: Reason) -> None:
    assert refused(tmp_path, error).reason is reason


@pytest.mark.parametrize("host", ["www.youtube.com", "youtu.be", "site.test"])
def test_youtube_without_its_packages_says_what_to_install(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def behave(_: InfoExtractor) -> dict[str, Any]:
        raise ExtractorError("Requested format is not available", expected=True)

    for is_there in (False, True):
        monkeypatch.setattr(extras, "_is_there", lambda name, there=is_there: there)
        with pytest.raises(ItemError) as caught:
            download_video(
                f"https://{host}/watch", tmp_path, name="vid", options=FetchOptions(sleep_s=0),
                extractors=[site(behave, rf"https://{host}/watch")],
            )  # fmt: skip
        assert ("avis-data[youtube]" in caught.value.message) == (host != "site.test" and not is_there)


def test_our_own_mistakes_are_not_taken_for_the_sites(tmp_path: Path) -> None:
    class Surprise(Exception):
        pass

    def behave(_: InfoExtractor) -> dict[str, Any]:
        raise Surprise

    with pytest.raises(Surprise):
        get(tmp_path, behave)


def test_a_broken_extractor_is_reported_without_the_appeal_to_report_it(tmp_path: Path) -> None:
    message = refused(tmp_path, ExtractorError("Unable to extract the player")).message
    assert message == "Unable to extract the player"


@pytest.mark.parametrize("state", [{"is_live": True}, {"live_status": "is_upcoming"}])
def test_what_is_on_air_is_for_later(tmp_path: Path, state: dict[str, Any]) -> None:
    with pytest.raises(ItemError) as caught:
        get(tmp_path, lambda _: {"id": "x", "title": "t", "url": "http://127.0.0.1:9/a.mp4", **state})
    assert caught.value.reason is Reason.NOT_LIVE_YET


def test_a_list_of_videos_is_refused(tmp_path: Path) -> None:
    def behave(extractor: InfoExtractor) -> dict[str, Any]:
        result: dict[str, Any] = extractor.playlist_result(
            [extractor.url_result(f"https://site.test/{number}") for number in range(1000)], "list", "A list"
        )
        return result

    with pytest.raises(ItemError, match="list of videos") as caught:
        get(tmp_path, behave)
    assert caught.value.reason is Reason.UNSUPPORTED_URL


@pytest.mark.parametrize("url", ["rtmp://127.0.0.1/live", "rtsp://127.0.0.1/a", "file:///etc/hostname"])
def test_formats_that_are_no_web_transfer_are_not_taken(tmp_path: Path, url: str) -> None:
    formats = [{"format_id": "f", "url": url, "ext": "mp4"}]
    with pytest.raises(ItemError) as caught:
        get(tmp_path, lambda _: {"id": "x", "title": "t", "formats": formats})
    assert caught.value.reason is Reason.UNSUPPORTED_URL


def test_secrets_of_the_url_are_taken_out_of_a_sites_words(tmp_path: Path) -> None:
    def behave(_: InfoExtractor) -> dict[str, Any]:
        raise ExtractorError("cannot open a/b with hunter2=x for me:hunter3 (hunter2%3Dx) on page 7", expected=True)

    url = "https://me:hunter3@site.test/watch?token=hunter2%3Dx&page=7"
    with pytest.raises(ItemError) as caught:
        download_video(
            url,
            tmp_path,
            name="vid",
            options=FetchOptions(sleep_s=0),
            allow_private_hosts=True,
            extractors=[site(behave, ".*")],
        )
    assert caught.value.message == "cannot open a/b with REDACTED for REDACTED (REDACTED) on page 7"


# Which format


def muxed(name: str, height: int, *, ext: str = "mp4", vcodec: str = "avc1.4d401f", **more: Any) -> dict[str, Any]:
    return {"format_id": name, "height": height, "ext": ext, "vcodec": vcodec, "acodec": "mp4a.40.2", **more}


def picture(name: str, height: int, **more: Any) -> dict[str, Any]:
    return {**muxed(name, height, **more), "acodec": "none"}


def sound(name: str, acodec: str, ext: str) -> dict[str, Any]:
    return {"format_id": name, "ext": ext, "vcodec": "none", "acodec": acodec}


LADDER = [muxed("360", 360), muxed("720", 720), muxed("1080", 1080), muxed("144", 144)]


@pytest.mark.parametrize(
    ("formats", "taken"),
    [
        (LADDER, {"720"}),
        ([muxed("1080", 1080), muxed("1440", 1440)], {"1080"}),
        ([muxed("vp9", 720, ext="webm", vcodec="vp9", tbr=900), muxed("h264", 720, tbr=800)], {"h264"}),
        ([muxed("vp9", 720, ext="webm", vcodec="vp9"), muxed("h264", 480)], {"vp9"}),
        ([muxed("low", 360), picture("p", 720), sound("s", "mp4a.40.2", "m4a")], {"p", "s"}),
        ([muxed("both", 720), picture("p", 720), sound("s", "mp4a.40.2", "m4a")], {"both"}),
        ([sound("o", "opus", "webm"), picture("p", 720), sound("s", "mp4a.40.2", "m4a")], {"p", "s"}),
        ([picture("p", 720), picture("small", 360)], {"p"}),
        ([{"format_id": "only", "ext": "mp4"}], {"only"}),
    ],
)
def test_the_best_format_with_sound_up_to_the_height(
    tmp_path: Path, web: MediaServer, formats: list[dict[str, Any]], taken: set[str]
) -> None:
    for entry in formats:
        file = "a.mp4" if entry.get("acodec") != "none" else "picture.mp4"
        file = "sound.m4a" if entry.get("vcodec") == "none" else file
        entry["url"] = web.url(f"type/video/{entry['format_id']}/{file}")
    done = get(tmp_path, lambda _: {"id": "x", "title": "t", "formats": formats})
    asked = {request.path.split("/")[3] for request in web.requests}
    assert asked == taken
    media = probe(done.path)
    assert media.width == 160
    assert (media.sound is not None) is any(entry.get("acodec") != "none" for entry in formats)


def test_a_partial_file_of_one_format_is_not_continued_with_another(
    tmp_path: Path, web: MediaServer, web_dir: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    ffmpeg(other, "-i", str(web_dir / "a.mp4"), "-c", "copy", "-metadata", "title=other", "b.mp4")
    with pytest.raises(ItemError):
        formats = [muxed("360", 360, url=web.url("break-always/a.mp4"))]
        get(tmp_path / "work", lambda _: {"id": "x", "title": "t", "formats": formats})
    with MediaServer(other) as server:
        formats = [muxed("720", 720, url=server.url("b.mp4"))]
        done = get(tmp_path / "work", lambda _: {"id": "x", "title": "t", "formats": formats})
    assert done.path.read_bytes() == (other / "b.mp4").read_bytes()

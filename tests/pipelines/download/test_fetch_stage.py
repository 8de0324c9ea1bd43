"""The fetch stage against a real HTTP server: what arrives, what does not and why, and what a broken try leaves."""

from __future__ import annotations

import pickle
import shutil
import time
from pathlib import Path

import pytest
from yt_dlp.postprocessor.ffmpeg import FFmpegPostProcessor

from avis_data.errors import ConfigError, ItemError, Reason, fault_of
from avis_data.media.ffmpeg import FFMPEG_VARIABLE, find_ffmpeg
from avis_data.pipelines.download import source as download
from avis_data.pipelines.engine.stage import stage_key
from avis_data.pipelines.stages.fetch import DownloadRequest, FetchStage
from avis_data.recipe import FetchOptions
from support.fetching import bench_of, failure, fetch, stage_of
from support.machine_faults import no_more_files, quota
from support.media_files import ffmpeg
from support.server import MediaServer

COOKIES = "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tcrumbs\n"


# What arrives


@pytest.mark.parametrize(
    ("path", "extractor"),
    [
        ("a.mp4", "generic"),
        ("page/a.mp4", "html5"),
        ("redirect/a.mp4", "generic"),
        ("type/text/html/a.mp4", "generic"),
        ("type/application/octet-stream/bare", "generic"),
        ("slow/200/a.mp4", "generic"),
        ("break/a.mp4", "generic"),
        ("flaky/1/503/a.mp4", "generic"),
    ],
)
def test_the_very_bytes_of_the_server_arrive(
    tmp_path: Path, web: MediaServer, web_dir: Path, path: str, extractor: str
) -> None:
    file, video = fetch(tmp_path, web.url(path))
    assert file.name == "vid.mp4"
    assert file.read_bytes() == (web_dir / "a.mp4").read_bytes()
    assert (video.extractor, video.size_bytes, video.accessed_on) == (extractor, file.stat().st_size, "2026-02-03")
    assert (video.media.width, video.media.height) == (160, 120)
    assert video.media.sound is not None and video.media.sound.codec == "aac"
    assert video.downloader.startswith("yt-dlp 20")


def test_webm_keeps_its_suffix(tmp_path: Path, web: MediaServer, web_dir: Path) -> None:
    file, _ = fetch(tmp_path, web.url("b.webm"), video_id="-starts_with_a_dash")
    assert file.name == "-starts_with_a_dash.webm"
    assert file.read_bytes() == (web_dir / "b.webm").read_bytes()


@pytest.fixture(params=["as it is", "without ffmpeg"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The machine as it is, and one whose only ffmpeg is that of the wheel, which has no ffprobe beside it."""
    if request.param == "without ffmpeg":
        (tmp_path / "bin").mkdir()
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        monkeypatch.delenv(FFMPEG_VARIABLE, raising=False)
        monkeypatch.setattr(FFmpegPostProcessor, "_version_cache", {None: None})  # of what yt-dlp found on the PATH


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("path", ["list.m3u8", "encrypted.m3u8"])
def test_hls_is_fetched_whatever_ffmpeg_there_is(tmp_path: Path, web: MediaServer, path: str) -> None:
    file, video = fetch(tmp_path, web.url(path))
    assert file.read_bytes()[4:8] == b"ftyp"
    assert video.media.duration_s == pytest.approx(2.0, abs=0.06)


@pytest.mark.parametrize("path", ["list.m3u8", "page/list.m3u8", "break/list.m3u8"])
def test_hls_becomes_one_mp4_with_all_its_seconds(tmp_path: Path, web: MediaServer, path: str) -> None:
    file, video = fetch(tmp_path, web.url(path))
    assert file.name == "vid.mp4"
    assert file.read_bytes()[4:8] == b"ftyp", "the joined transport stream is put into a real MP4"
    assert video.media.duration_s == pytest.approx(2.0, abs=0.06)
    assert video.media.sound is not None and video.media.sound.codec == "aac"


@pytest.mark.parametrize("end", ["kill -9 $$", "exit 228", "exit 137"])
def test_a_join_that_the_system_ends_passes(
    tmp_path: Path, web: MediaServer, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(f'#!/bin/sh\ncase "$*" in *" -i "*) {end};; esac\nexec {find_ffmpeg().program} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv(FFMPEG_VARIABLE, str(program))
    reason = failure(tmp_path, web.url("list.m3u8")).reason
    assert reason is (Reason.DISK_FULL if "228" in end else Reason.WORKER_DIED)
    monkeypatch.delenv(FFMPEG_VARIABLE)
    assert fetch(tmp_path, web.url("list.m3u8"))[0].is_file()


@pytest.mark.parametrize("largest_bytes", [0, 10_000])
@pytest.mark.parametrize("path", ["a.mp4", "list.m3u8"])
def test_a_quota_is_no_fault_of_the_video(tmp_path: Path, web: MediaServer, path: str, largest_bytes: int) -> None:
    with quota(largest_bytes):
        error = failure(tmp_path, web.url(path))
    assert error.reason is Reason.DISK_FULL
    assert fetch(tmp_path, web.url(path))[0].is_file()


@pytest.mark.parametrize("path", ["a.mp4", "list.m3u8"])
def test_too_many_open_files_are_no_fault_of_the_video(
    tmp_path: Path, web: MediaServer, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(download, "_SOCKET_TIMEOUT_S", 0.5)  # the server runs in here: it cannot answer either
    for more in range(8):
        try:
            with no_more_files(more):
                fetch(tmp_path, web.url(path))
        except (ItemError, OSError) as error:
            fault = fault_of(error)
            reason = fault.reason if fault else error.reason if isinstance(error, ItemError) else Reason.BUG
            assert reason.retryable, reason
        shutil.rmtree(tmp_path / "out")
        shutil.rmtree(tmp_path / "scratch")


def test_hls_with_a_segment_missing_is_no_success(tmp_path: Path, web_dir: Path) -> None:
    folder = tmp_path / "gap"
    shutil.copytree(web_dir, folder)
    (folder / "seg1.ts").unlink()
    with MediaServer(folder) as server:
        assert failure(tmp_path, server.url("list.m3u8")).reason is Reason.REMOVED


def test_encrypted_hls_is_left_to_ffmpeg_which_may_use_the_web_only(tmp_path: Path, web_dir: Path) -> None:
    folder = tmp_path / "crypt"
    folder.mkdir()
    (folder / "key").write_bytes(b"0123456789abcdef")
    (folder / "info").write_text(f"key\n{folder / 'key'}\n")
    hls = ["-f", "hls", "-hls_time", "0.5", "-hls_list_size", "0", "-hls_key_info_file", str(folder / "info")]
    ffmpeg(folder, "-i", str(web_dir / "a.mp4"), "-c", "copy", *hls, "list.m3u8")
    assert "AES-128" in (folder / "list.m3u8").read_text()
    with MediaServer(folder) as server:
        _, video = fetch(tmp_path, server.url("list.m3u8"))
    assert video.media.duration_s == pytest.approx(2.0, abs=0.06)


def test_urls_in_the_facts_have_no_secrets(tmp_path: Path, web: MediaServer) -> None:
    url = web.url("type/video/mp4/bare?token=hunter2&page=3#access_token=hunter4").replace(
        "http://", "http://me:hunter3@"
    )
    _, video = fetch(tmp_path, url)
    assert "hunter" not in video.model_dump_json()
    assert "page=3" in video.url


def test_cookies_are_sent_and_neither_recorded_nor_part_of_the_key_nor_changed(
    tmp_path: Path, web: MediaServer
) -> None:
    jar = tmp_path / "cookies.txt"
    jar.write_text(COOKIES)
    _, video = fetch(tmp_path, web.url("a.mp4"), cookies=jar)
    assert {request.cookie for request in web.requests} == {"session=crumbs"}
    assert "crumbs" not in video.model_dump_json()
    assert jar.read_text() == COOKIES
    options = FetchOptions()
    assert stage_key(FetchStage(options, cookies=jar)) == stage_key(FetchStage(options))


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tcrumbs\n",
        "\ufeff127.0.0.1\tFALSE\t/\tFALSE\t\tsession\tcrumbs",
        "# exported by hand\r\n\r\n#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t99999999999.5\tsession\tcrumbs\r\n",
        "# HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tcrumbs\n",
    ],
)
def test_a_cookies_file_needs_no_first_line_that_says_so(tmp_path: Path, web: MediaServer, text: str) -> None:
    jar = tmp_path / "cookies.txt"
    jar.write_bytes(text.encode())
    fetch(tmp_path, web.url("a.mp4"), cookies=jar)
    assert {request.cookie for request in web.requests} == {"session=crumbs"}
    assert jar.read_bytes() == text.encode()


@pytest.mark.parametrize(
    "text",
    [
        "session=crumbs",
        "a\tb\n",
        "[]",
        "127.0.0.1\tFALSE\t/\tFALSE\t-1\tsession\tcrumbs\n",
        "127.0.0.1\tTRUE\t/\tFALSE\t0\tsession\tcrumbs\n",
        ".site.test\tFALSE\t/\tFALSE\t0\tsession\tcrumbs\n",
    ],
)
def test_a_cookies_file_of_another_form_is_told_before_any_download(tmp_path: Path, text: str) -> None:
    (tmp_path / "cookies.txt").write_text(text)
    with pytest.raises(ConfigError, match="line 1: not a Netscape") as caught:
        FetchStage(FetchOptions(), cookies=tmp_path / "cookies.txt")
    assert "crumbs" not in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        FetchStage(FetchOptions(), cookies=tmp_path / "none.txt")


def test_the_stage_survives_the_way_to_a_worker(tmp_path: Path, web: MediaServer) -> None:
    stage = pickle.loads(pickle.dumps(stage_of()))
    assert stage.run(bench_of(tmp_path, web.url("a.mp4"))).video_id == "vid"
    assert stage.timeout_s(DownloadRequest(video_id="vid", url="x")) == 1800.0


def test_local_files_are_copied_and_their_folder_is_not_told(tmp_path: Path, web_dir: Path) -> None:
    home = tmp_path / "home of me"
    home.mkdir()
    original = shutil.copy(web_dir / "a.mp4", home / "my clip.MP4")
    file, video = fetch(tmp_path, Path(original).as_uri())
    assert file.name == "vid.mp4"
    assert file.read_bytes() == Path(original).read_bytes()
    assert file.stat().st_ino != Path(original).stat().st_ino
    assert (video.url, video.downloader, video.extractor) == ("file:my clip.MP4", "copy", "file")
    assert "home of me" not in video.model_dump_json()


# What does not arrive, and why


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("status/404/a.mp4", Reason.REMOVED),
        ("status/410/a.mp4", Reason.REMOVED),
        ("status/403/a.mp4", Reason.FORBIDDEN),
        ("status/401/a.mp4", Reason.SIGN_IN_REQUIRED),
        ("status/451/a.mp4", Reason.GEO_BLOCKED),
        ("status/429/a.mp4", Reason.RATE_LIMITED),
        ("status/500/a.mp4", Reason.SERVER_ERROR),
        ("status/418/a.mp4", Reason.UNKNOWN_DOWNLOAD),
        ("reset/a.mp4", Reason.NETWORK),
        ("break-always/a.mp4", Reason.NETWORK),
        ("empty/a.mp4", Reason.EMPTY_FILE),
        ("page.mp4", Reason.NOT_MEDIA),
        ("words.mp4", Reason.NOT_MEDIA),
        ("type/video/mp4/page.mp4", Reason.NOT_MEDIA),
        ("cut.mp4", Reason.BAD_MEDIA),
        ("sound.m4a", Reason.NO_VIDEO),
        ("loop/a.mp4", Reason.UNSUPPORTED_URL),
    ],
)
def test_each_failure_has_its_reason(tmp_path: Path, web: MediaServer, path: str, reason: Reason) -> None:
    error = failure(tmp_path, web.url(path))
    assert error.reason is reason, error.message
    if not reason.retryable:
        assert list((tmp_path / "scratch").iterdir()) == [], "a bad file must not be found again by the next try"


def test_a_server_that_is_not_there_is_the_network(tmp_path: Path, web_dir: Path) -> None:
    with MediaServer(web_dir) as gone:
        url = gone.url("a.mp4")
    assert failure(tmp_path, url).reason is Reason.NETWORK


def test_messages_have_no_secrets(tmp_path: Path, web: MediaServer) -> None:
    error = failure(tmp_path, web.url("status/404/watch?token=hunter2%2Fx#access_token=hunter3"))
    assert "404" in error.message
    assert "hunter" not in error.message


def test_files_over_the_size_limit_are_refused(tmp_path: Path, web_dir: Path) -> None:
    folder = tmp_path / "big"
    folder.mkdir()
    (folder / "big.mp4").write_bytes((web_dir / "a.mp4").read_bytes() + bytes(3_000_000))
    for number in range(3):
        (folder / f"{number}.ts").write_bytes((web_dir / "seg0.ts").read_bytes() + bytes(700_000))
    lines = "".join(f"#EXTINF:0.5,\n{number}.ts\n" for number in range(3))
    (folder / "big.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n{lines}#EXT-X-ENDLIST\n")
    with MediaServer(folder) as server:
        for path in ("big.mp4", "big.m3u8"):
            error = failure(tmp_path, server.url(path), max_size_mb=1)
            assert error.reason is Reason.TOO_LARGE
            assert "max_size_mb" in error.message
    assert failure(tmp_path, (folder / "big.mp4").as_uri(), max_size_mb=1).reason is Reason.TOO_LARGE


def test_the_rate_limit_holds(tmp_path: Path, web: MediaServer, web_dir: Path) -> None:
    size_kb = (web_dir / "a.mp4").stat().st_size / 1000
    started = time.monotonic()
    fetch(tmp_path, web.url("a.mp4"), rate_limit_kb_s=40)
    assert time.monotonic() - started > size_kb / 40 * 0.8


def test_quick_second_try_only_where_it_may_help(tmp_path: Path, web: MediaServer) -> None:
    for path, tries in [("404", 1), ("403", 1), ("429", 1), ("500", 2), ("503", 2)]:
        failure(tmp_path, web.url(f"status/{path}/x.mp4"))
        assert sum(request.path == f"/status/{path}/x.mp4" for request in web.requests) == tries


def test_retry_after_is_heeded_where_it_is_short(
    tmp_path: Path, web: MediaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(download.time, "sleep", pauses.append)
    for seconds in ("3", "3600"):
        assert failure(tmp_path, web.url(f"status/429/x.mp4?retry_after={seconds}")).reason is Reason.RATE_LIMITED
    assert pauses == [3.0]
    assert len(web.requests) == 3


# Nothing but the web


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/a.mp4", "data:video/mp4;base64,AAAA"])
def test_redirects_to_other_schemes_are_refused(tmp_path: Path, web: MediaServer, target: str) -> None:
    error = failure(tmp_path, web.url(f"redirect/x?to={target}"))
    assert error.reason is Reason.UNSUPPORTED_URL, error.message


@pytest.mark.usefixtures("system")
def test_pages_and_play_lists_cannot_name_files(tmp_path: Path, web_dir: Path) -> None:
    # Segments of 2 s: a play list of less than a second in all is taken for a broadcast, and refused for that.
    secret = tmp_path / "secret.ts"
    shutil.copy(web_dir / "seg0.ts", secret)
    folder = tmp_path / "evil"
    folder.mkdir()
    listed = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:2,\n{secret.as_uri()}\n#EXT-X-ENDLIST\n"
    key = f'#EXT-X-KEY:METHOD=AES-128,URI="{secret.as_uri()}"\n#EXTINF:2,\nseg0.ts\n#EXT-X-ENDLIST\n'
    sample = f'#EXT-X-KEY:METHOD=SAMPLE-AES,URI="x"\n#EXTINF:2,\n{secret.as_uri()}\n#EXT-X-ENDLIST\n'
    (folder / "files.m3u8").write_text(listed)
    (folder / "key.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n" + key)
    (folder / "by_ffmpeg.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n" + sample)
    (folder / "page.html").write_text(f'<html><body><video src="{secret.as_uri()}"></video></body></html>')
    (folder / "list.mp4").write_text(listed)  # a play list that says it is a video
    shutil.copy(web_dir / "seg0.ts", folder)
    with MediaServer(folder) as server:
        found = {
            path.name: failure(tmp_path / path.stem, server.url(path.name)).reason for path in folder.glob("*.*[8l4]")
        }
    assert found == {
        "files.m3u8": Reason.UNSUPPORTED_URL,
        "page.html": Reason.UNSUPPORTED_URL,
        "key.m3u8": Reason.UNSUPPORTED_URL,
        "by_ffmpeg.m3u8": Reason.UNSUPPORTED_URL,  # ffmpeg alone could do it, and it opens no network
        "list.mp4": Reason.NOT_MEDIA,
    }


@pytest.mark.usefixtures("system")
def test_a_play_list_in_place_of_a_segment_never_gets_to_ffmpeg(tmp_path: Path, web_dir: Path) -> None:
    folder = tmp_path / "evil"
    folder.mkdir()
    secret = shutil.copy(web_dir / "seg0.ts", tmp_path / "secret.ts")
    start, end = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n", "\n#EXT-X-ENDLIST\n"
    (folder / "list.m3u8").write_text(f"{start}segment.ts{end}")
    (folder / "segment.ts").write_text(f"{start}{secret}{end}")
    with MediaServer(folder) as server:
        error = failure(tmp_path, server.url("list.m3u8"))
    assert error.reason is Reason.NOT_MEDIA, error.message


def test_a_page_with_several_videos_is_refused_and_none_is_downloaded(tmp_path: Path, web_dir: Path) -> None:
    folder = tmp_path / "two"
    shutil.copytree(web_dir, folder)
    (folder / "two.html").write_text('<html><video src="/a.mp4"></video><video src="/b.webm"></video></html>')
    with MediaServer(folder) as server:
        error = failure(tmp_path, server.url("two.html"))
        assert error.reason is Reason.UNSUPPORTED_URL
        assert "list of videos" in error.message
        assert {request.path for request in server.requests} == {"/two.html"}

"""Whatever a site's extractor says of a video, the download ends with a description of one form, or with a reason."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from yt_dlp.extractor.common import InfoExtractor

from avis_data.errors import ItemError, Reason
from avis_data.pipelines.download.description import VideoDescription, described, downloaded_file
from avis_data.pipelines.download.source import Downloaded, download_video
from avis_data.recipe import FetchOptions
from support.server import MediaServer

ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    1e308,
    float("nan"),
    "",
    "x",
    "\0",
    "\ud800",
    "9" * 200,
    b"x",
    [],
    [None],
    {},
    {"a": 1},
]
TEXTS = ("title", "uploader", "channel", "license", "extractor")


def is_described(said: VideoDescription) -> bool:
    texts = [getattr(said, field) for field in TEXTS]
    return all(text is None or (isinstance(text, str) and 0 < len(text.encode()) <= 2000) for text in texts)


@pytest.mark.parametrize("field", [*TEXTS, "upload_date", "_type", "requested_downloads"])
def test_a_field_of_any_type_is_a_text_or_nothing(field: str) -> None:
    for value in ODD:
        info = {"title": "t", field: value}
        try:
            assert is_described(described(info, "https://x.org/a"))
        except ItemError as error:
            assert (field, error.reason) == ("_type", Reason.UNSUPPORTED_URL)
        with pytest.raises(ItemError, match="left no file"):
            downloaded_file(info)


@pytest.mark.parametrize("info", ODD)
def test_what_is_no_dictionary_has_a_reason(info: object) -> None:
    if not isinstance(info, dict):
        with pytest.raises(ItemError, match="a list of videos"):
            described(info, "https://x.org/a")
    with pytest.raises(ItemError, match="left no file"):
        downloaded_file(info)
    with pytest.raises(ItemError, match="left no file"):
        downloaded_file({"requested_downloads": [info]})
    with pytest.raises(ItemError, match="left no file"):
        downloaded_file({"requested_downloads": [{"filepath": info}]})


def test_an_extractor_that_says_odd_things_gives_a_video_or_a_reason(tmp_path: Path, web: MediaServer) -> None:
    """A seeded world: a field of the video, and one of its format, are of another type."""
    rng = np.random.default_rng(0)
    format_ = {
        "url": web.url("a.mp4"),
        "format_id": "f",
        "ext": "mp4",
        "height": 120,
        "vcodec": "h264",
        "acodec": "aac",
    }
    whole: dict[str, Any] = {
        "id": "1",
        "title": "t",
        "duration": 2,
        "thumbnails": [],
        "subtitles": {},
        "formats": [format_],
    }
    whole |= {"uploader": "u", "upload_date": "20200102", "live_status": None, "chapters": None, "age_limit": 0}
    arrived = refused = 0
    for number in range(60):
        info = copy.deepcopy(whole)
        for holder in (info, info["formats"][0])[: int(rng.integers(1, 3))]:
            keys = [key for key in holder if key != "formats" or rng.random() < 0.2]
            holder[keys[int(rng.integers(len(keys)))]] = ODD[int(rng.integers(len(ODD)))]
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            found = fetched(folder, info)
        except ItemError as error:
            assert error.message and error.reason is not Reason.BUG
            refused += 1
        else:
            assert found.path.is_file() and is_described(found.said)
            arrived += 1
    assert arrived > 5 and refused > 5


def fetched(folder: Path, info: dict[str, Any]) -> Downloaded:
    class OddIE(InfoExtractor):  # type: ignore[misc]  # yt-dlp is untyped
        _VALID_URL = r"https://site\.test/watch"
        IE_NAME = "odd"

        def _real_extract(self, url: str) -> dict[str, Any]:
            return info

    return download_video(
        "https://site.test/watch",
        folder,
        name="vid",
        options=FetchOptions(sleep_s=0),
        allow_private_hosts=True,
        extractors=[OddIE],
    )

"""The report page and the contact sheets, from a small dataset that is written here by hand."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from avis_data.cli.main import main
from avis_data.errors import DataError
from avis_data.masks.rle import encode
from avis_data.report.clips import ClipView, TrackView, open_dataset
from avis_data.report.dataset import write_dataset_page
from avis_data.report.sheet import PALETTE, contact_sheet, loudness
from support.small_aviseg import HEIGHT, SECONDS, WIDTH, write_dataset

EVIL = "<script>alert('x')</script>"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "ours", train=["a1", "a2", "a3"], test=["b1"])


class Tags(HTMLParser):
    """All tags, and the text outside style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._style = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._style = False

    def handle_data(self, data: str) -> None:
        if not self._style:
            self.words += f" {data}"


def test_the_page_has_every_clip_and_the_figures(dataset: Path, tmp_path: Path) -> None:
    summary = write_dataset_page(open_dataset(dataset), tmp_path / "page.html", max_clips=10)
    assert (summary.clips_shown, summary.clips_in_all) == (4, 4)
    page = Tags((tmp_path / "page.html").read_text())
    for name in ("a1", "a2", "a3", "b1", "train", "test", "dog", "piano"):
        assert re.search(rf"\b{name}\b", page.words), name
    assert sum(tag == "img" for tag, _ in page.tags) == 4
    # 4 clips of 4 seconds, 2 tracks each, 2 masks a track; one silent second in four, one with both.
    for words in ("16", "8 in 4 clips", "4 (25.0 %)", "No masks of: cat."):
        assert words in page.words, words


def test_the_page_stands_alone(dataset: Path, tmp_path: Path) -> None:
    write_dataset_page(open_dataset(dataset), tmp_path / "page.html", max_clips=10)
    text = (tmp_path / "page.html").read_text()
    page = Tags(text)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name not in ("src", "href") or str(value).startswith("data:")
    assert "url(" not in text
    assert "http" not in re.sub(r"http-equiv", "", text)
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text


def test_names_stay_text(tmp_path: Path) -> None:
    clip = "x&lt;b&gt;<img src=q onerror=alert(1)>"
    root = write_dataset(tmp_path / f"set {EVIL[:8]}", train=[clip], test=["b1"], category=EVIL)
    write_dataset_page(open_dataset(root), tmp_path / "page.html", max_clips=10)
    page = Tags((tmp_path / "page.html").read_text())
    assert not any(tag == "script" for tag, _ in page.tags)
    assert all("onerror" not in attributes for _, attributes in page.tags)
    assert sum(tag == "img" for tag, _ in page.tags) == 2
    assert EVIL in page.words
    assert clip in page.words


def test_equal_input_gives_equal_bytes(dataset: Path, tmp_path: Path) -> None:
    pages = [tmp_path / name for name in ("one.html", "two.html")]
    for page in pages:
        write_dataset_page(open_dataset(dataset), page, max_clips=10)
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_clips_to_show_are_spread_over_splits_and_within_them(tmp_path: Path) -> None:
    names = [f"a{number}" for number in range(8)]
    found = open_dataset(write_dataset(tmp_path, train=names, test=["b0", "b1"]))
    chosen = [clip.name for clip in found.choose(4)]
    assert [name[0] for name in chosen] == ["a", "a", "b", "b"]
    assert len(set(chosen)) == 4
    assert [clip.name for clip in found.choose(99)] == [*names, "b0", "b1"]
    assert [clip.split for clip in found.choose(1)] == ["train"]


def view(root: Path) -> ClipView:
    return open_dataset(root).choose(9)[0]


def test_a_sheet_colours_what_sounds_and_nothing_else(dataset: Path) -> None:
    sheet = np.asarray(contact_sheet(view(dataset), columns=4, still_width_px=132)).astype(int)
    gutter = sheet.shape[1] - 4 * 132
    scale = 128 / WIDTH
    inside = {"first": (18, 22), "second": (48, 28), "none": (36, 44)}
    expected = {
        0: {"first": PALETTE[0], "second": None},
        1: {"first": PALETTE[0], "second": PALETTE[1]},
        2: {"first": None, "second": PALETTE[1]},
        3: {"first": None, "second": None},
    }
    for second, tracks in expected.items():
        for name, colour in {**tracks, "none": None}.items():
            x, y = inside[name]
            pixel = sheet[round(y * scale), gutter + second * 132 + round(x * scale)]
            assert pixel[3] == 255
            tint = pixel[:3] - 120
            if colour is None:
                assert np.abs(tint).max() < 10, (second, name)
            else:
                wanted = np.array(colour) - 120
                assert np.dot(tint, wanted) / np.linalg.norm(tint) / np.linalg.norm(wanted) > 0.95, (second, name)


def test_a_sheet_has_bars_under_the_sounding_seconds(dataset: Path) -> None:
    sheet = np.asarray(contact_sheet(view(dataset), columns=4, still_width_px=132)).astype(int)
    gutter = sheet.shape[1] - 4 * 132
    below = sheet[round(128 * HEIGHT / WIDTH) + 4 :]
    for colour, seconds in ((PALETTE[0], {0, 1}), (PALETTE[1], {1, 2})):
        found = {
            second
            for second in range(4)
            if (below[:, gutter + second * 132 + 40 : gutter + second * 132 + 90, :3] == colour).all(axis=(1, 2)).any()
        }
        assert found == seconds
    later = np.asarray(contact_sheet(view(dataset), seconds=range(2, 4), columns=2))[..., :3].astype(int)
    bars = [[(later[:, x : x + 30] == colour).all(axis=(1, 2)).any() for x in (150, 310)] for colour in PALETTE[:2]]
    assert bars == [[False, False], [True, False]]
    wave = (below[:46, gutter:, 3] > 200).sum(axis=0)
    assert wave[10:250].max() > 40, "the tone fills the band in seconds 0 and 1"
    assert wave[300:].max() < 5, "silence is a thin line"


def test_long_clips_take_several_rows_and_a_part_can_be_shown(dataset: Path) -> None:
    one, two = (contact_sheet(view(dataset), columns=columns) for columns in (4, 2))
    assert two.width < one.width
    assert two.height > 1.9 * one.height
    part = contact_sheet(view(dataset), seconds=range(2, 4), columns=2)
    height = part.height
    np.testing.assert_array_equal(np.asarray(part)[: height - 2], np.asarray(two)[two.height - height : two.height - 2])


def test_peaks_are_those_of_the_file_and_zero_after_its_end(tmp_path: Path) -> None:
    sound = np.concatenate([np.full(8000, 0.25), np.full(8000, -0.75)])
    soundfile.write(tmp_path / "a.wav", sound, 16000, subtype="FLOAT")
    np.testing.assert_allclose(
        loudness(tmp_path / "a.wav", num_seconds=2, bars_per_second=4), [0.25] * 2 + [0.75] * 2 + [0] * 4
    )


def test_several_tracks_of_a_category_are_numbered(tmp_path: Path) -> None:
    root = write_dataset(tmp_path, train=["a"], test=["b"])
    content = json.loads((root / "train.json").read_text())
    content["annotations"][0]["category_id"] = 2
    (root / "train.json").write_text(json.dumps(content))
    assert [track.label for track in view(root).tracks] == ["piano 1", "piano 2"]


def test_no_sound_file_is_said(dataset: Path) -> None:
    (dataset / "train" / "WAVAudios" / "a1.wav").unlink()
    assert view(dataset).sound is None
    contact_sheet(view(dataset))


def test_a_thin_mask_does_not_vanish(tmp_path: Path) -> None:
    Image.new("RGB", (1280, 720), (120, 120, 120)).save(tmp_path / "0.jpg")
    mask = np.zeros((720, 1280), bool)
    mask[100:600, 640:648] = True
    clip = ClipView(
        name="thin",
        split="x",
        stills=(tmp_path / "0.jpg",),
        sound=None,
        tracks=(TrackView(label="a", masks=(encode(mask),)),),
    )
    sheet = np.asarray(contact_sheet(clip))[40:70, :, :3]
    assert (sheet == PALETTE[0]).all(axis=2).any(axis=1).all()


def test_damaged_datasets_end_in_a_sentence(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = str(tmp_path / "page.html")
    assert main(["report", str(tmp_path / "page"), "--out", page]) == 2
    assert main(["report", str(tmp_path), "--out", page]) == 3
    assert "train.json" in capsys.readouterr().err
    (dataset / "train" / "WAVAudios" / "a1.wav").write_bytes(b"not sound")
    assert main(["report", str(dataset), "--out", page]) == 3
    assert "a1.wav" in capsys.readouterr().err
    (dataset / "train" / "JPEGImages" / "a1" / "2.jpg").write_bytes(b"not a picture")
    assert main(["report", str(dataset), "--out", page]) == 3
    assert "2.jpg" in capsys.readouterr().err
    (dataset / "train" / "JPEGImages" / "a1" / "2.jpg").unlink()
    assert main(["report", str(dataset), "--out", page]) == 3
    said = capsys.readouterr().err
    assert "2.jpg" in said
    assert "avis-data validate" in said
    assert main(["report", str(dataset), "--out", str(dataset)]) == 2
    assert not (tmp_path / "page.html").exists()


def test_a_truth_file_cannot_show_files_from_elsewhere(dataset: Path, tmp_path: Path) -> None:
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "private.jpg")
    content = json.loads((dataset / "train.json").read_text())
    content["videos"][0]["file_names"] = ["a1/../../../../private.jpg"] * SECONDS
    (dataset / "train.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="unsafe"):
        write_dataset_page(open_dataset(dataset), tmp_path / "page.html", max_clips=3)


def test_the_command_reports(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    assert main(["report", str(dataset), "--out", str(page), "--num-clips", "2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"path": str(page), "clips_shown": 2, "clips_in_all": 4, "size_bytes": page.stat().st_size}
    assert main(["report", str(dataset / "train.json"), "--out", str(page), "--num-clips", "0"]) == 0
    assert "image/webp" not in page.read_text(), "no contact sheets"


def test_pictures_in_the_page_open(dataset: Path, tmp_path: Path) -> None:
    write_dataset_page(open_dataset(dataset), tmp_path / "page.html", max_clips=1)
    (coded,) = re.findall(r"data:image/webp;base64,([A-Za-z0-9+/=]+)", (tmp_path / "page.html").read_text())
    with Image.open(io.BytesIO(base64.b64decode(coded))) as picture:
        assert picture.size == contact_sheet(view(dataset), columns=4, still_width_px=350).size


@pytest.mark.parametrize("corner", [(0, 0), (40, 0), (20, 20), (60, 40)])
def test_the_name_of_an_object_lies_beside_it(tmp_path: Path, corner: tuple[int, int]) -> None:
    still = tmp_path / "0.jpg"
    Image.new("RGB", (320, 180), (120, 120, 120)).save(still)
    x, y = (4 * value for value in corner)
    inside = np.zeros((180, 320), dtype=bool)
    inside[y : y + 60, x : x + 60] = True
    other = np.zeros((180, 320), dtype=bool)
    other[100:180, 100:310] = True

    def drawn(*labels: str) -> np.ndarray:
        tracks = tuple(
            TrackView(label=label, masks=(encode(mask),)) for label, mask in zip(labels, (inside, other), strict=True)
        )
        clip = ClipView(name="c", split="test", stills=(still,), sound=None, tracks=tracks)
        return np.asarray(contact_sheet(clip, still_width_px=324).convert("RGB"))[:180, 108 : 108 + 320]

    shown, other_names = drawn("guitar", "trumpet"), drawn("wwwwwwww", "i")
    shapes = inside | other
    shapes[:20, :40] = False  # the time in the corner
    assert (shown[~shapes] != other_names[~shapes]).any(), "there are names"
    assert (shown[shapes] == other_names[shapes]).all(), "and none of them lies on an object"


def test_the_page_shows_the_figures_and_gives_them_in_every_form(dataset: Path, tmp_path: Path) -> None:
    assert main(["report", str(dataset), "--num-clips", "0", "--out", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    saved = dict(re.findall(r'download="([^"]+)" href="data:[^;]+;base64,([^"]+)"', page))
    assert {name.rpartition(".")[2] for name in saved} == {"png", "svg", "pdf", "csv"}
    assert base64.b64decode(saved["categories.csv"]).decode().splitlines()[0] == "category,videos,objects,masks"
    assert base64.b64decode(saved["sources.pdf"]).startswith(b"%PDF")
    assert Image.open(io.BytesIO(base64.b64decode(saved["sources.png"]))).size[0] == 1050

"""The figures of a dataset: counted right, the same bytes each time, and drawn of whatever a dataset may hold."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.font_manager import FontEntry, fontManager
from PIL import Image

from avis_data.errors import DataError
from avis_data.formats.ytvis import YtvisDataset, YtvisTrack, YtvisVideo
from avis_data.masks.rle import Rle, encode
from avis_data.records import Category
from avis_data.report.agreement_figures import AgreementFigures, Estimate, SpanFigures
from avis_data.report.datasheet import Labour
from avis_data.report.figures import drawing
from avis_data.report.figures.charts import Figure
from avis_data.report.figures.counts import GRID, count_dataset, scenarios_of_categories
from avis_data.report.figures.drawing import draw
from avis_data.report.figures.tables import dataset_figures, work_figures
from avis_data.report.figures.writing import csv_of, write_figures
from support.places import TESTS

HEIGHT, WIDTH = 24, 48
STRANGE = ("=HYPERLINK(1)", "$x_{2$ & <b>", "二胡", "عود", "a" * 300, "two\nlines", "\U0001f3bb", "-", " ")


def mask(side: int, *, y: int = 0, x: int = 0) -> Rle:
    array = np.zeros((HEIGHT, WIDTH), dtype=bool)
    array[y : y + side, x : x + side] = True
    return encode(array)


def dataset(names: list[str], videos: list[list[tuple[int, list[Rle | None]]]], *, length: int = 4) -> YtvisDataset:
    """Each video: (place of the category, masks) of its objects."""
    tracks = [(number, place, masks) for number, objects in enumerate(videos, 1) for place, masks in objects]
    return YtvisDataset(
        videos=tuple(
            YtvisVideo(
                video_id=number,
                name=f"v{number}",
                width=WIDTH,
                height=HEIGHT,
                length=length,
                file_names=tuple(f"v{number}/{frame}.jpg" for frame in range(length)),
            )
            for number in range(1, len(videos) + 1)
        ),
        tracks=tuple(
            YtvisTrack(track_id=n, video_id=video, category_id=place + 1, masks=masks)
            for n, (video, place, masks) in enumerate(tracks, 1)
        ),
        categories=tuple(Category(id=place + 1, name=name) for place, name in enumerate(names)),
    )


def tables(figures: list[Figure]) -> dict[str, list[dict[str, str]]]:
    return {figure.name: list(csv.DictReader(io.StringIO(csv_of(figure)))) for figure in figures}


@pytest.fixture
def known() -> dict[str, list[dict[str, str]]]:
    """Two videos: a dog and a piano, at once in one of four stills; two dogs and silence at the end."""
    small, large = mask(2), mask(24, x=20)
    one = [(0, [small, small, None, None]), (1, [None, large, large, None])]
    two = [(0, [small, small, small, None]), (0, [small, None, None, None])]
    found = count_dataset([("train", dataset(["dog", "piano", "cat"], [one, two]))], {}, scenarios_of_categories())
    return tables(dataset_figures(found))


def test_every_figure_counts_what_is_there(known: dict[str, list[dict[str, str]]]) -> None:
    assert [(row["sources"], row["stills"], row["share"]) for row in known["sources"]] == [
        ("none", "2", "0.25"),
        ("one", "4", "0.5"),
        ("several", "2", "0.25"),
    ]
    assert {row["scenario"]: row["videos"] for row in known["scenarios"]} == {"animal": "2", "music": "1"}
    assert known["lengths"] == [{"from_s": "4.0", "below_s": "5.0", "videos": "2"}]
    assert [tuple(row.values()) for row in known["categories"]] == [
        ("dog", "2", "3", "6"),
        ("piano", "1", "1", "2"),
        ("cat", "0", "0", "0"),
    ]
    assert [tuple(row.values()) for row in known["together"]] == [
        ("dog", "dog", "1", "1"),
        ("dog", "piano", "1", "1"),
    ]
    assert [row["videos"] for row in known["masks_per_second"]] == ["0", "0", "2"]  # 4 masks in 4 seconds, twice
    sizes = {float(row["up_to_share"]): int(row["masks"]) for row in known["mask_sizes"]}
    assert {share: number for share, number in sizes.items() if number} == {0.01: 6, 1.0: 2}
    cells = {(int(row["row"]), int(row["column"])): int(row["masks"]) for row in known["mask_positions"]}
    assert cells[0, 0] == 6 and cells[GRID // 2, 32 * GRID // WIDTH] == 2 and sum(cells.values()) == 8
    shares = {row["sounds_in"]: int(row["objects"]) for row in known["sounding_share"]}
    assert {name: number for name, number in shares.items() if number} == {
        "20 to 30 %": 1,
        "40 to 50 %": 2,
        "70 to 80 %": 1,
    }
    assert known["objects_per_video"][-1] == {"objects": "2", "videos": "2"}


def test_the_splits_are_compared_category_by_category() -> None:
    dog, piano = (0, [mask(2)] * 4), (1, [mask(2)] * 4)
    splits = [
        ("train", dataset(["dog", "piano"], [[dog], [dog], [piano]])),
        ("val", dataset(["dog", "piano"], [[dog]])),
    ]
    found = tables(dataset_figures(count_dataset(splits, {}, {})))["splits"]
    assert [(row["category"], row["split"], row["videos"]) for row in found] == [
        ("all videos", "train", "3"),
        ("all videos", "val", "1"),
        ("dog", "train", "2"),
        ("dog", "val", "1"),
        ("piano", "train", "1"),
        ("piano", "val", "0"),
    ]


@pytest.mark.parametrize(
    ("categories", "said", "expected"),
    [
        ([0, 2], (), {"animal": "1"}),  # a person is one who speaks only where nothing else sounds
        ([2], (), {"speaking": "1"}),
        ([0, 1], (), {"animal": "1", "music": "1"}),
        ([0], ("speaking", "machine"), {"machine": "1", "speaking": "1"}),
        ([3], (), {}),
    ],
)
def test_a_scenario_is_what_the_list_says_else_that_of_the_categories(
    categories: list[int], said: tuple[str, ...], expected: dict[str, str]
) -> None:
    truth = dataset(["dog", "piano", "person", "thing"], [[(place, [mask(2)] * 4) for place in categories]])
    found = count_dataset([("train", truth)], {"v1": said}, scenarios_of_categories())
    rows = tables(dataset_figures(found))["scenarios"]
    assert {row["scenario"]: row["videos"] for row in rows} == expected


def strange(number: int) -> list[Figure]:
    """Figures of as many categories, with all sorts of names."""
    rng = np.random.default_rng(1)
    names = [*STRANGE, *(f"category {place}" for place in range(number))][:number]
    videos = [
        [
            (int(rng.integers(number)), [mask(int(rng.integers(1, 20))) if rng.random() < 0.6 else None] * 4)
            for _ in "abc"
        ]
        for _ in range(number)
    ]
    counts = count_dataset([("train", dataset(names, videos)), ("test", dataset(names, videos[:2]))], {}, {})
    return dataset_figures(counts)


@pytest.mark.parametrize("number", [9, 60])
def test_names_of_every_kind_and_many_categories_are_drawn(number: int) -> None:
    figures = strange(number)
    for figure in figures:
        if figure.name in {"categories", "together", "splits"}:
            picture = Image.open(io.BytesIO(draw(figure, ["png"])["png"])).convert("L")
            assert np.asarray(picture).min() < 100
    starts = {cell[0] for rows in csv.reader(io.StringIO(csv_of(figures[3]))) for cell in rows if cell}
    assert not starts & set("=+@\t\r")


@pytest.mark.parametrize("data", [None, b"torn"])
def test_a_font_that_is_gone_or_torn_is_passed_over(
    data: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """matplotlib keeps a list of the fonts that were there once."""
    file = tmp_path / "font.ttf"
    if data is not None:
        file.write_bytes(data)
    fonts = [*fontManager.ttflist, FontEntry(fname=str(file), name="A Sans")]
    monkeypatch.setattr(fontManager, "ttflist", fonts)
    for kept in (drawing._installed, drawing._known):
        kept.cache_clear()
    try:
        assert "A Sans" not in drawing._families(frozenset("\U0001f3bb")) and "A Sans" in drawing._installed()
    finally:
        for kept in (drawing._installed, drawing._known):
            kept.cache_clear()


@pytest.mark.parametrize("what", ["no split", "no video", "one video", "withheld"])
def test_a_dataset_of_nothing_or_nearly_nothing_is_drawn(what: str) -> None:
    one = dataset(["dog"], [[(0, [mask(2)] * 4)]])
    splits = {
        "no split": [],
        "no video": [("train", dataset(["dog"], []))],
        "one video": [("train", one)],
        "withheld": [("test", YtvisDataset(videos=one.videos, tracks=(), categories=(), has_annotations=False))],
    }[what]
    figures = [*dataset_figures(count_dataset(splits, {}, {})), *work_figures({}, {})]
    assert all(draw(figure, ["svg"])["svg"].startswith(b"<?xml") for figure in figures)
    assert any(figure.chart is None for figure in figures)


def test_work_and_agreement_are_shown_by_round() -> None:
    nothing = Estimate(value=None)
    figures = AgreementFigures(
        num_clips=6,
        num_comparisons=6,
        num_matched=9,
        num_unmatched=1,
        mask_iou=Estimate(value=0.8, low=0.7, high=0.9),
        boundary_f=nothing,
        hota=Estimate(value=0.6),
        det_a=nothing,
        ass_a=nothing,
        kappa=nothing,
        disagreement=None,
        categories=(),
        spans=SpanFigures(
            num_pairs=0,
            num_unpaired=0,
            onset_mean_abs_s=None,
            offset_mean_abs_s=None,
            onset_bias_s=None,
            offset_bias_s=None,
        ),
    )
    labour = {
        "draft": Labour(people=2, answers=5, timed=4, hours=1.0),
        "review": Labour(people=1, answers=1, timed=0, hours=0),
    }
    made = work_figures(labour, {"draft": figures})
    found = tables(made)
    assert [tuple(row.values()) for row in found["labour"]] == [
        ("draft", "2", "5", "4", "1.0", "15.0"),
        ("review", "1", "1", "0", "0", ""),
    ]
    assert [(row["measure"], row["value"], row["low"]) for row in found["agreement"]] == [
        ("mask IoU", "0.8", "0.7"),
        ("boundary F", "", ""),
        ("HOTA", "0.6", ""),
        ("kappa", "", ""),
    ]
    assert all(draw(figure, ["png"])["png"] for figure in made)


MAKE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from report.figures.test_figures import strange
from avis_data.report.figures.writing import write_figures
write_figures(Path(sys.argv[1]), strange(5))
"""


def test_the_same_dataset_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    for name in ("1", "2"):
        subprocess.run(
            [sys.executable, "-c", MAKE, str(tmp_path / name), str(TESTS)],
            check=True,
            env={**os.environ, "PYTHONHASHSEED": name, "SOURCE_DATE_EPOCH": f"{name}000000000"},
            timeout=300,
        )
    files = sorted(path.name for path in (tmp_path / "1").iterdir())
    assert len(files) == 4 * 11 + 1
    for name in files:
        data = (tmp_path / "1" / name).read_bytes()
        assert data == (tmp_path / "2" / name).read_bytes(), name
        assert b"Date" not in data or name.endswith(".png"), name


def test_only_a_folder_of_figures_is_replaced(tmp_path: Path) -> None:
    figures = dataset_figures(count_dataset([], {}, {}))[:1]
    write_figures(tmp_path / "out", figures)
    files = write_figures(tmp_path / "out", figures)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*files, "figures.json"} and len(files) == 4
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="something else"):
        write_figures(tmp_path / "out", figures)
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(DataError, match="something else"):
        write_figures(tmp_path / "thesis.tex", figures)
    with pytest.raises(DataError, match="something else"):
        write_figures(tmp_path, figures)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "a.png").write_text("mine")
    for contents in ('{"figures": [{"file": "a.png"}]}', '{"figures": ["a.png"]}', "[]"):
        (tmp_path / "theirs" / "figures.json").write_text(contents)
        with pytest.raises(DataError, match="something else"):
            write_figures(tmp_path / "theirs", figures)


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    figures = dataset_figures(count_dataset([], {}, {}))[:2]

    def full() -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write_figures(tmp_path / "out", figures, on_figure=full)
    assert list(tmp_path.iterdir()) == []

"""The page of agreement, made of plain data; what annotators said to get there is tested with the rounds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avis_data.errors import ConfigError
from avis_data.report.agreement import write_agreement_page
from avis_data.report.agreement_figures import (
    AgreementFigures,
    AgreementReport,
    CategoryAgreement,
    ClipRow,
    ClipStrips,
    Estimate,
    SpanFigures,
    StripRow,
    TrackStrips,
)

EVIL = "<script>alert('x')</script>"
NOTHING = Estimate(value=None)
SPANS = SpanFigures(
    num_pairs=1,
    num_unpaired=0,
    onset_mean_abs_s=0.25,
    offset_mean_abs_s=None,
    onset_bias_s=-0.25,
    offset_bias_s=None,
)
FIGURES = AgreementFigures(
    num_clips=1,
    num_comparisons=1,
    num_matched=1,
    num_unmatched=0,
    mask_iou=Estimate(value=0.5, low=0.25, high=0.75),
    boundary_f=NOTHING,
    hota=Estimate(value=0.125),
    det_a=NOTHING,
    ass_a=NOTHING,
    kappa=NOTHING,
    disagreement=0.5,
    categories=(CategoryAgreement(category="dog", kappa=0.5, hota=None, track_seconds=4, heard_by_one=1),),
    spans=SPANS,
)
ROW = ClipRow(
    clip_id="a",
    round="draft",
    a="ann@example.com",
    b=EVIL,
    disagreement=0.5,
    seconds_differing=1,
    seconds_sounding=2,
    tracks_of_one=0,
    verdicts=(None, "drop"),
    state=None,
)


def report(*queue: ClipRow) -> AgreementReport:
    return AgreementReport(total=FIGURES, rounds={}, annotators={}, queue=queue, is_blind=True)


def strips() -> ClipStrips:
    """One object in four seconds: masked and heard, masked only, heard only, neither; the other did not mark it."""
    upper = StripRow(name="dog_1", masked_T=np.array([1, 1, 0, 0], bool), heard_T=np.array([1, 0, 1, 0], bool))
    lower = StripRow(name="", masked_T=np.zeros(4, bool), heard_T=np.zeros(4, bool))
    track = TrackStrips(upper=upper, lower=lower, differing_T=np.array([1, 0, 0, 0], bool))
    return ClipStrips(clip_id="a", a="ann@example.com", b=EVIL, num_seconds=4, tracks=[track])


def test_the_page_shows_figures_the_queue_and_each_second(tmp_path: Path) -> None:
    write_agreement_page(report(ROW), [strips()], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<td>mask IoU</td><td>0.500</td><td>0.250 to 0.750</td>" in page
    assert "<td>dog</td><td>0.500</td><td>–</td><td>4</td><td>1</td>" in page
    assert "<td>a</td><td>50.0 %</td><td></td><td>1 of 2</td>" in page
    drawing = page[page.index("second by second") :]
    for colour in ("var(--accent)", "var(--silent)", "var(--val)", "#d63a3a"):
        assert drawing.count(f'fill="{colour}"') == 1, colour
    assert "not marked" in drawing and "<script" not in page


def test_the_page_shows_confused_categories_and_exchanged_identities(tmp_path: Path) -> None:
    row = replace(ROW, confused=[("dog_1", EVIL)], swaps=[("dog_2", "dog_3", (0, 4))])
    confusion = [("cat", "dog", 3), ("cow", "cow", 7), ("dog", "dog", 2)]
    found = replace(report(row), confusion=confusion)
    write_agreement_page(found, [], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<th></th><th>cat</th><th>dog</th>" in page, "cows were never taken for anything else"
    assert "<tr><td>cat</td><td>0</td><td>3</td></tr><tr><td>dog</td><td></td><td>2</td></tr>" in page
    assert "<td>dog_2 is dog_3</td><td>1, 5</td>" in page, "pages count from 1"
    assert "<td>dog_1 is &lt;script&gt;" in page and "one object, two categories" in page and "<script" not in page
    write_agreement_page(replace(report(ROW), confusion=[("dog", "dog", 2)]), [], tmp_path / "page.html")
    assert "taken for each other" not in (tmp_path / "page.html").read_text()


def test_without_a_difference_nothing_is_drawn(tmp_path: Path) -> None:
    write_agreement_page(report(), [], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "No clip was labelled by two people yet." in page and "second by second" not in page


def test_a_folder_is_no_page(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder") as error:
        write_agreement_page(report(), [], tmp_path)
    assert "agreement.html" in (error.value.hint or "")


def test_json_holds_what_the_page_holds() -> None:
    found = report(ROW).as_dict()
    assert found["queue"] == [
        {
            "clip_id": "a",
            "round": "draft",
            "annotators": ["ann@example.com", EVIL],
            "disagreement": 0.5,
            "seconds_differing": 1,
            "seconds_sounding": 2,
            "tracks_of_one": 0,
            "verdicts": [None, "drop"],
            "confused": [],
            "identity_swaps": [],
            "state": None,
        }
    ]
    assert found["blind"] is True and FIGURES.as_dict()["mask_iou"] == {"value": 0.5, "low": 0.25, "high": 0.75}

"""The report on a telephone and on a desk: nothing is cut off, and what is written can be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from avis_data.cli.main import main
from avis_data.report.curves import Curve, line_chart
from avis_data.report.html import document
from support.small_aviseg import write_dataset

pytestmark = pytest.mark.browser

CUT_OFF = """() => [...document.querySelectorAll("body *")]
  .filter(part => !part.closest(".scroll") || part.matches(".scroll"))
  .filter(part => { const at = part.getBoundingClientRect(); return at.right > innerWidth + 1 || at.left < -1 })
  .map(part => part.outerHTML.slice(0, 80))"""
"""What sticks out; tables and pictures that can be scrolled in their own frame may be wider."""
SMALLEST = """() => Math.min(...[...document.querySelectorAll("svg text, .bars span, td, figcaption, .key span")]
  .map(part => parseFloat(getComputedStyle(part).fontSize) * (part.ownerSVGElement
    ? part.ownerSVGElement.getBoundingClientRect().width / part.ownerSVGElement.viewBox.baseVal.width : 1)))"""
"""The size of the smallest text, pixels of the screen."""
BARS = (
    """() => Math.min(...[...document.querySelectorAll(".bars .bar")].map(bar => bar.getBoundingClientRect().width))"""
)


@pytest.mark.parametrize("width", [390, 1366])
def test_the_report_fits(browser: Browser, tmp_path: Path, width: int) -> None:
    dataset = write_dataset(
        tmp_path / "ours", train=["a1", "a" * 60], test=["b1"], category="a_very_long_category_name" * 3
    )
    assert main(["report", str(dataset), "--num-clips", "2", "--out", str(tmp_path / "page.html")]) == 0
    context = browser.new_context(viewport={"width": width, "height": 844})
    page = context.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CUT_OFF) == []
    assert page.evaluate(SMALLEST) >= 9
    assert page.evaluate(BARS) > 180
    sizes = page.evaluate(
        "[...document.querySelectorAll('.plots img')].map(one => [one.naturalWidth, one.clientWidth])"
    )
    assert len(sizes) > 8 and all(natural and shown >= natural for natural, shown in sizes), (
        "drawn, and not made smaller"
    )
    context.close()


@pytest.mark.parametrize("width", [390, 1366])
def test_curves_fit(browser: Browser, tmp_path: Path, width: int) -> None:
    curves = [Curve(name="loss", colour="#123456", points=[(0, 0.00004), (100_000, 0.00001)])]
    page_of = tmp_path / "curves.html"
    page_of.write_text(document("curves", [f'<div class="two">{line_chart("loss", curves, unit=" %")}</div>']))
    context = browser.new_context(viewport={"width": width, "height": 844})
    page = context.new_page()
    page.goto(page_of.as_uri())
    assert page.evaluate(CUT_OFF) == []
    assert page.evaluate(SMALLEST) >= 9
    texts = page.evaluate("""() => { const svg = document.querySelector("svg").getBoundingClientRect();
      return [...document.querySelectorAll("svg text")].map(one => one.getBoundingClientRect())
        .filter(at => at.left < svg.left - 1 || at.right > svg.right + 1).length }""")
    assert texts == 0, "no number is cut off"
    context.close()

"""The figures as a part of a page: each seen, and saved in every form."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from avis_data.report.figures.charts import Figure
from avis_data.report.figures.drawing import FORMS, Form, draw
from avis_data.report.figures.writing import csv_of
from avis_data.report.html import download, text

__all__ = ["figures_section"]

_KINDS: dict[Form, str] = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}


def figures_section(figures: Sequence[Figure]) -> str:
    """The figures that show something, with links that save them; the empty text where there is none."""
    shown = [figure for figure in figures if figure.chart is not None]
    if not shown:
        return ""
    return f'<h2>Figures</h2><div class="plots">{"".join(map(_figure, shown))}</div>'


def _figure(figure: Figure) -> str:
    files = draw(figure)
    coded = base64.b64encode(files["svg"]).decode("ascii")
    picture = f'<img src="data:image/svg+xml;base64,{coded}" alt="{text(figure.title)}">'
    links = [download(f"{figure.name}.{form}", files[form], kind=_KINDS[form], words=form.upper()) for form in FORMS]
    links.append(download(f"{figure.name}.csv", csv_of(figure).encode(), kind="text/csv", words="CSV"))
    return f'<figure><div class="scroll">{picture}</div><p class="files">{"".join(links)}</p></figure>'

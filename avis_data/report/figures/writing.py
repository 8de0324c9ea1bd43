"""Writing all figures into a folder: PNG, SVG, PDF, and the table behind each as CSV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from avis_data.errors import DataError
from avis_data.io import atomic_dir, csv_text, read_json, write_json
from avis_data.report.figures.charts import Figure
from avis_data.report.figures.drawing import FORMS, draw

__all__ = ["csv_of", "write_figures"]

_CONTENTS = "figures.json"


def write_figures(folder: Path, figures: Sequence[Figure], on_figure: Callable[[], None] = lambda: None) -> list[str]:
    """Write NAME.png, NAME.svg, NAME.pdf and NAME.csv of every figure, and figures.json; the folder is replaced whole.

    Args:
        folder: where.
        figures: with names of their own.
        on_figure: called after each.

    Returns:
        The names of the files.

    Raises:
        DataError: if the folder holds something else than figures.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not _is_ours(folder)):
        raise DataError(f"{folder}: holds something else than figures", hint="name a new folder")
    names: list[str] = []
    with atomic_dir(folder) as part:
        for figure in figures:
            files = {f"{figure.name}.{form}": data for form, data in draw(figure).items()}
            files[f"{figure.name}.csv"] = csv_of(figure).encode()
            for name, data in files.items():
                (part / name).write_bytes(data)
            names += files
            on_figure()
        contents = [{"name": figure.name, "title": figure.title, "columns": figure.head} for figure in figures]
        write_json(part / _CONTENTS, {"figures": contents})
    return names


def csv_of(figure: Figure) -> str:
    """The table behind a figure; no cell of it starts a formula."""
    return csv_text([figure.head, *figure.rows])


def _is_ours(folder: Path) -> bool:
    """Whether the folder holds figures and nothing else."""
    file = folder / _CONTENTS
    if not file.is_file():
        return False
    contents = read_json(file)
    listed = contents.get("figures") if isinstance(contents, dict) else None
    if not isinstance(listed, list):
        return False
    names = [entry.get("name") for entry in listed if isinstance(entry, dict)]
    known = {f"{name}.{form}" for name in names for form in (*FORMS, "csv")}
    return {path.name for path in folder.iterdir()} <= known | {_CONTENTS}

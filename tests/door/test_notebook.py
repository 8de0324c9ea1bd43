"""The example notebook runs as it stands, on a CPU; without the extra that trains it ends in one clear error."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from support.places import ROOT

NOTEBOOK = ROOT / "docs" / "notebooks" / "tour.ipynb"


@pytest.fixture
def tour(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> nbformat.NotebookNode:
    """The notebook; its kernel sees the very code that is tested, and keeps its own files in the test's folder."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / ".ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / ".runtime"))
    return nbformat.read(NOTEBOOK, as_version=4)


def run(notebook: nbformat.NotebookNode, folder: Path) -> None:
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()


def shown(cell: nbformat.NotebookNode) -> set[str]:
    """The kinds of what a cell shows."""
    return {kind for output in cell.outputs for kind in output.get("data", {})}


def test_it_is_committed_without_outputs(tour: nbformat.NotebookNode) -> None:
    nbformat.validate(tour)
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in tour.cells)
    assert "pip install" in tour.cells[0].source


@pytest.mark.slow
def test_it_runs(tour: nbformat.NotebookNode, example: Path, tmp_path: Path) -> None:
    shutil.copytree(example, tmp_path / "example")  # it makes this itself; again that takes nothing
    run(tour, tmp_path)
    cells = {cell.source.splitlines()[-1]: cell for cell in tour.cells if cell.cell_type == "code"}
    assert "text/html" in shown(cells["clips"]) & shown(cells["clip"]) & shown(cells["clip.sound()"])
    assert "image/png" in shown(cells["avis.draw_still(clip, 2, width_px=480)"])
    evaluated = cells['avis.evaluate("results.json", test)']
    assert "FSLA" in evaluated.outputs[0]["data"]["text/html"]


def test_without_the_extra_train_the_cell_that_trains_says_so(
    tour: nbformat.NotebookNode, example: Path, tmp_path: Path
) -> None:
    training = next(number for number, cell in enumerate(tour.cells) if "avis.train(" in cell.source)
    short = copy.deepcopy(tour)
    opening = [cell for cell in tour.cells[:training] if "avis.make_example" in cell.source]
    hidden = nbformat.v4.new_code_cell('import sys\nsys.modules["transformers"] = None')
    short.cells = [hidden, *opening, tour.cells[training]]
    (tmp_path / "example").symlink_to(example)
    with pytest.raises(CellExecutionError):
        run(short, tmp_path)
    failed = [output for output in short.cells[-1].outputs if output.output_type == "error"]
    assert len(failed) == 1 and failed[0].ename == "ToolError"
    assert failed[0].traceback == [
        "ToolError: training needs packages that are not installed: transformers",
        "  hint: pip install 'avis-data[train]'",
    ]

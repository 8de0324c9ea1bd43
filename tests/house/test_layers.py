"""Imports go one way: avis_data <- pipelines <- annotation, training; only the two doors (cli/, door/) may reach up."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from support.places import ROOT

DOORS = ("cli", "door")
"""Of people at a terminal, and of Python; nothing else in avis_data/ may import what lies above."""
LAYER = {"avis_data": 0, "pipelines": 1, "annotation": 2, "training": 2}

ABOUT_A_RUN = ("config", "registry", "task", "device")

MUST_NOT_IMPORT = [
    ("avis_data/metrics", ["report", "quality"]),
    ("avis_data/quality", ["report", "metrics"]),
    ("pipelines/engine", ["pipelines.stages", "pipelines.download", "pipelines.imports", "pipelines.exports"]),
    ("pipelines/engine", ["pipelines.upkeep"]),
    ("pipelines/stages", ["pipelines.imports", "pipelines.exports"]),
    ("pipelines/exports", ["pipelines.download", "pipelines.imports", "annotation", "training"]),
    ("pipelines/imports", ["pipelines.download", "pipelines.exports"]),
    ("pipelines/upkeep", ["pipelines.download", "pipelines.imports", "annotation", "training"]),
    ("avis_data/formats", ["metrics", "quality", "report", "pipelines"]),
    ("avis_data/masks", ["formats", "metrics", "quality", "report", "pipelines"]),
    ("annotation/labels", ["annotation.labelstudio", "annotation.work", "annotation.serve", "annotation.agreement"]),
    ("annotation/labels", ["annotation.segmenters", "annotation.propagation"]),
    ("annotation/labelstudio", ["annotation.work", "annotation.serve", "annotation.agreement"]),
    ("annotation/labelstudio", ["annotation.segmenters", "annotation.propagation"]),
    ("annotation/agreement", ["annotation.labelstudio", "annotation.work", "annotation.serve"]),
    ("annotation/problems", ["annotation.labelstudio", "annotation.work", "annotation.serve"]),
    ("annotation/segmenters", ["annotation.labels", "annotation.labelstudio", "annotation.work", "annotation.serve"]),
    ("annotation/prelabel", ["annotation.labelstudio", "annotation.work", "annotation.serve"]),
    ("annotation/propagation", ["annotation.labelstudio", "annotation.work", "annotation.serve"]),
    ("annotation/work", ["annotation.serve", "annotation.segmenters", "annotation.propagation"]),
    ("annotation/serve", ["annotation.work", "annotation.agreement"]),
    ("pipelines/download", ["pipelines.engine", "pipelines.stages", "pipelines.imports", "pipelines.exports"]),
    ("training/data", [f"training.{name}" for name in (*ABOUT_A_RUN, "models", "checkpoints", "predict", "run")]),
    ("training/models", [f"training.{name}" for name in (*ABOUT_A_RUN, "checkpoints", "predict", "run")]),
    ("training/checkpoints", ["training.predict", "training.run"]),
    ("training/predict", ["training.run"]),
]
"""Rooms, and the rooms that they know nothing of."""


def modules_of(folder: str) -> list[Path]:
    """The files of a folder, which has some: a wrong name would let everything pass."""
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files, folder
    return files


def modules_imported(tree: ast.AST) -> set[str]:
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the layer"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def folders_imported(tree: ast.AST) -> set[str]:
    ours = [name.split(".") for name in modules_imported(tree) if name.startswith("avis_data.")]
    return {parts[1] if parts[1] in LAYER else "avis_data" for parts in ours}


@pytest.mark.parametrize("folder", sorted(LAYER))
def test_folder_imports_only_itself_and_lower_layers(folder: str) -> None:
    for path in modules_of(folder):
        if any(ROOT / "avis_data" / door in path.parents for door in DOORS):
            continue
        for used in folders_imported(ast.parse(path.read_text())) - {folder}:
            assert LAYER[used] < LAYER[folder], f"{path.relative_to(ROOT)} imports from {used}/"


@pytest.mark.parametrize(("room", "others"), MUST_NOT_IMPORT, ids=[room for room, _ in MUST_NOT_IMPORT])
def test_room_knows_nothing_of_others(room: str, others: list[str]) -> None:
    for path in modules_of(room):
        for name in modules_imported(ast.parse(path.read_text())):
            for other in others:
                assert not f"{name}.".startswith(f"avis_data.{other}."), f"{path.relative_to(ROOT)} imports {name}"


def test_the_client_alone_knows_the_package_of_label_studio() -> None:
    users = [
        path.relative_to(ROOT).as_posix()
        for folder in LAYER
        for path in (ROOT / folder).rglob("*.py")
        if any(name.split(".")[0] == "label_studio_sdk" for name in modules_imported(ast.parse(path.read_text())))
    ]
    assert set(users) <= {"annotation/labelstudio/client.py", "avis_data/annotation/labelstudio/client.py"} and users


def test_nothing_inside_imports_a_door() -> None:
    for folder in LAYER:
        for path in modules_of(folder):
            if any(ROOT / "avis_data" / door in path.parents for door in DOORS):
                continue
            tree = ast.parse(path.read_text())
            if path == ROOT / "avis_data" / "__init__.py":  # for type checkers; at run time names are looked up
                tree.body = [node for node in tree.body if not isinstance(node, ast.If)]
            elif path == ROOT / "avis_data" / "__main__.py":
                continue
            for name in modules_imported(tree):
                assert not name.startswith(tuple(f"avis_data.{door}." for door in DOORS)), f"{path} imports {name}"


@pytest.mark.parametrize("door", DOORS)
def test_doors_reach_up_only_inside_functions(door: str) -> None:
    for path in modules_of(f"avis_data/{door}"):
        tree = ast.parse(path.read_text())
        for node in tree.body:
            for used in folders_imported(node) if isinstance(node, ast.Import | ast.ImportFrom) else ():
                assert used == "avis_data", f"{path.name} imports {used}/ at its top"


def test_the_root_folders_are_imported_by_their_full_name() -> None:
    for folder in (*LAYER, "tests", "benchmarks"):
        for path in modules_of(folder):
            for name in modules_imported(ast.parse(path.read_text())):
                assert name.split(".")[0] not in {"pipelines", "annotation", "training", "schemas", "manifests"}, (
                    f"{path.relative_to(ROOT)}: write avis_data.{name}"
                )

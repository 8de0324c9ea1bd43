"""Results whose ids mean something else than the truth's are told as that, with figures; their scores stay."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avis_data.cli.main import main
from avis_data.errors import ProblemsError
from avis_data.metrics import Mode, VideoInput, evaluate_files
from support.metric_world import CATEGORIES, perfect, pred_json, random_world, with_predictions, write_files

WORLD = [item for item in perfect(random_world(np.random.default_rng(11), videos=10)) if item.truth]
WORLD = [replace(item, video_id=number) for number, item in enumerate(WORLD, start=1)]
OTHER = [
    replace(item, name=f"o{item.name}", video_id=item.video_id + 20)
    for item in perfect(random_world(np.random.default_rng(12), videos=6))
    if item.truth
]
NUM_TRUE = sum(len(item.truth) for item in WORLD)
Change = Callable[[dict[str, Any]], dict[str, Any]]


def renumbered(field: str, number_of: Callable[[int], int]) -> Change:
    return lambda entry: {**entry, field: number_of(entry[field])}


def files(folder: Path, predictions: list[dict[str, Any]], world: list[VideoInput] = WORLD) -> tuple[Path, Path]:
    """Truth beside that of another split, and results."""
    other, _ = write_files(folder, OTHER)
    other.rename(folder / "val.json")
    truth, results = write_files(folder, world)
    results.write_text(json.dumps(predictions))
    return truth.rename(folder / "test.json"), results


CASES: dict[str, tuple[list[dict[str, Any]], list[str]]] = {
    "category ids begin at 0": (
        list(map(renumbered("category_id", lambda number: number - 1), pred_json(WORLD))),
        ["category ids: 0 of ", "with 1 added to each category_id (the results name 0 to 2, the truth has 1 to 3)"],
    ),
    "category ids begin at 2": (
        list(map(renumbered("category_id", lambda number: number + 1), pred_json(WORLD))),
        ["category ids: 0 of ", "with 1 taken from each category_id"],
    ),
    "category ids are permuted": (
        list(map(renumbered("category_id", {1: 2, 2: 3, 3: 1}.__getitem__), pred_json(WORLD))),
        [
            f"category ids: 0 of {NUM_TRUE} true tracks",
            f"{NUM_TRUE} if the ids were permuted: 'dog' (1) is called 2, 'cello' (2) is called 3, 'car' (3)",
        ],
    ),
    "two categories are exchanged": (
        list(map(renumbered("category_id", {1: 2, 2: 1, 3: 3}.__getitem__), pred_json(WORLD))),
        ["if the ids were permuted: 'dog' (1) is called 2, 'cello' (2) is called 1"],
    ),
    "video ids begin at 0": (
        list(map(renumbered("video_id", lambda number: number - 1), pred_json(WORLD))),
        [
            "video ids: ",
            "are there with 1 added to each video_id",
            f"(its ids are 0 to {len(WORLD) - 1}, the truth's 1 to {len(WORLD)})",
            f"{NUM_TRUE} of {NUM_TRUE} true tracks are overlapped by half or more then",
        ],
    ),
    "video ids of another split": (
        pred_json(OTHER),
        [
            f"video ids: 0 of the {len(OTHER)} videos that pred.json names are in test.json;",
            f"{len(OTHER)} of {len(OTHER)} are in val.json;",
        ],
    ),
    "video ids of nothing": (
        [{**entry, "video_id": entry["video_id"] + 1000} for entry in pred_json(WORLD)],
        ["videos that pred.json names are in test.json: are these the results of another set?"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_ids_that_mean_something_else_are_told_with_figures(case: str, tmp_path: Path) -> None:
    predictions, words = CASES[case]
    paths = files(tmp_path, predictions)
    found = evaluate_files(*paths, modes=[Mode.STRICT], lenient=True)
    (doubt,) = found.doubts
    assert all(word in doubt for word in words), doubt
    if found.result.problems:  # then they are refused, and the reason for all of them stands first
        with pytest.raises(ProblemsError) as caught:
            evaluate_files(*paths, modes=[Mode.STRICT])
        assert str(caught.value).startswith(doubt)


def test_another_split_with_the_same_ids_is_recognised_by_its_masks(tmp_path: Path) -> None:
    """Every file of a set begins at 1, so no id is unknown."""
    other = [replace(item, video_id=item.video_id - 20) for item in OTHER]
    truth, results = write_files(tmp_path, other)
    truth.rename(tmp_path / "val.json")
    truth, _ = write_files(tmp_path, WORLD)
    truth = truth.rename(tmp_path / "test.json")
    results.write_text(json.dumps(pred_json(other)))
    (doubt,) = evaluate_files(truth, results, modes=[Mode.STRICT]).doubts
    assert f"{len(OTHER)} of {len(OTHER)} are in val.json;" in doubt, doubt
    (tmp_path / "val.json").unlink()
    (doubt,) = evaluate_files(truth, results, modes=[Mode.STRICT]).doubts
    assert doubt.startswith(f"none of {NUM_TRUE} true tracks is overlapped"), doubt


def test_video_ids_that_are_all_known_and_shifted_are_recognised_by_their_masks(tmp_path: Path) -> None:
    moved = [{**entry, "video_id": entry["video_id"] + 1} for entry in pred_json(WORLD[:-1])]
    (doubt,) = evaluate_files(*files(tmp_path, moved), modes=[Mode.STRICT]).doubts
    assert "with 1 taken from each video_id" in doubt, doubt


@pytest.mark.parametrize("seed", range(12))
def test_sound_and_noisy_results_raise_no_doubt(seed: int, tmp_path: Path) -> None:
    world = random_world(np.random.default_rng(seed), videos=6)
    for predicted in (perfect(world), world, with_predictions(world, lambda _: [])):
        found = evaluate_files(*files(tmp_path, pred_json(predicted), world), modes=[Mode.STRICT])
        assert not found.doubts


def test_a_model_that_says_one_class_of_all_or_guesses_is_not_called_permuted(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    entries = pred_json(WORLD)
    for called in ([1] * len(entries), [int(rng.integers(1, 4)) for _ in entries]):
        guessed = [{**entry, "category_id": number} for entry, number in zip(entries, called, strict=True)]
        assert not evaluate_files(*files(tmp_path, guessed), modes=[Mode.STRICT]).doubts


def test_the_command_warns_and_the_scores_are_what_they_were(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    swapped = list(map(renumbered("category_id", {1: 2, 2: 3, 3: 1}.__getitem__), pred_json(WORLD)))
    truth, results = files(tmp_path, swapped)
    assert len({entry["category_id"] for entry in swapped}) == len(CATEGORIES)
    with caplog.at_level(logging.WARNING):
        assert main(["evaluate", "--truth", str(truth), "--pred", str(results), "--json"]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["strict"]["HOTA"] < 0.05
    assert "if the ids were permuted" in found["meta"]["doubts"][0]
    assert "if the ids were permuted" in printed.err

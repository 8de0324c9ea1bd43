"""Bad input is refused with file, entry and field, or left out and counted; it never ends in a traceback."""

from __future__ import annotations

import copy
import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avis_data.errors import AvisError, DataError, ProblemsError
from avis_data.formats.ytvis import read_ytvis
from avis_data.masks.rle import area, rle_from_segmentation
from avis_data.metrics import Mode, Variant, evaluate_files
from support.metric_world import gt_json, perfect, pred_json, random_world

MODES = [Mode.COMPAT, Mode.STRICT, Mode.YTVIS]
WORLD = perfect(random_world(np.random.default_rng(5), videos=4))
GT, PRED = gt_json(WORLD), pred_json(WORLD)


def saved(folder: Path, truth: Any, predictions: Any) -> tuple[Path, Path]:
    paths = folder / "gt.json", folder / "pred.json"
    for path, value in zip(paths, (truth, predictions), strict=True):
        path.write_text(value if isinstance(value, str) else json.dumps(value))
    return paths


def first_mask(entry: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(mask for mask in entry["segmentations"] if mask)
    return found


def setting(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda entry: entry.__setitem__(name, value)


def without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda entry: entry.__delitem__(name)


BAD_PREDICTIONS: dict[str, tuple[Callable[[dict[str, Any]], None], list[str]]] = {
    "unknown video": (setting("video_id", 99), ["video_id", "99"]),
    "unknown class": (setting("category_id", 99), ["category_id", "99"]),
    "class as text": (setting("category_id", "dog"), ["category_id", "'dog'"]),
    "too few entries": (lambda e: e["segmentations"].pop(), ["segmentations", "5 entries", "6 frames"]),
    "too many entries": (lambda e: e["segmentations"].append(None), ["segmentations", "7 entries"]),
    "other size": (lambda e: first_mask(e).update(size=[30, 18]), ["segmentations[", "[30, 18]"]),
    "corrupt counts": (lambda e: first_mask(e).update(counts="000"), ["segmentations[", "corrupt"]),
    "broken counts": (lambda e: first_mask(e).update(counts="~~~"), ["segmentations[", "character"]),
    "counts of another picture": (lambda e: first_mask(e).update(counts="PPTl0"), ["segmentations[", "921600"]),
    "counts missing": (lambda e: first_mask(e).pop("counts"), ["segmentations[", "counts"]),
    "mask as text": (lambda e: e["segmentations"].__setitem__(1, "PPTl0"), ["segmentations[1]", "PPTl0"]),
    "score NaN": (setting("score", float("nan")), ["score", "nan"]),
    "score infinite": (setting("score", float("inf")), ["score", "inf"]),
    "score missing": (without("score"), ["score", "found nothing"]),
    "score far too large": (setting("score", 10**400), ["score"]),
    "masks missing": (without("segmentations"), ["segmentations", "missing"]),
}
BAD_TRUTH: dict[str, tuple[Callable[[dict[str, Any]], None], list[str]]] = {
    "id missing": (without("id"), ["id", "found nothing"]),
    "id used twice": (
        lambda e: e.update(id=GT["annotations"][0]["id"], video_id=GT["annotations"][0]["video_id"]),
        ["id"],
    ),
    "wrong length": (lambda e: e["segmentations"].pop(), ["segmentations", "5 entries"]),
    "unknown video": (setting("video_id", 99), ["video_id", "99"]),
    "unknown class": (setting("category_id", 99), ["category_id", "99"]),
    "other size than its video": (setting("height", 36), ["height", "is 36", "has 18"]),
    "areas as text": (setting("areas", ["much"]), ["areas"]),
    "polygon with text": (lambda e: e["segmentations"].__setitem__(0, [["a"] * 6]), ["segmentations[0]", "'a'"]),
    "polygon far away": (lambda e: e["segmentations"].__setitem__(0, [[1e9] * 6]), ["segmentations[0]", "far"]),
}


@pytest.mark.parametrize("bad", BAD_PREDICTIONS)
def test_bad_predictions_are_named_and_lenient_leaves_them_out(bad: str, tmp_path: Path) -> None:
    spoil, words = BAD_PREDICTIONS[bad]
    predictions = copy.deepcopy(PRED)
    spoil(predictions[2])
    paths = saved(tmp_path, GT, predictions)
    with pytest.raises(ProblemsError) as caught:
        evaluate_files(*paths, modes=MODES)
    assert all(word in str(caught.value) for word in ["pred.json: [2]", *words]), str(caught.value)
    left = evaluate_files(*paths, modes=MODES, lenient=True)
    assert len({problem.where for problem in left.result.problems}) == 1
    without_it = evaluate_files(*saved(tmp_path, GT, [*PRED[:2], *PRED[3:]]), modes=MODES)
    assert left.result.as_dict() == without_it.result.as_dict()


@pytest.mark.parametrize("bad", BAD_TRUTH)
def test_bad_truth_is_named(bad: str, tmp_path: Path) -> None:
    spoil, words = BAD_TRUTH[bad]
    truth = copy.deepcopy(GT)
    spoil(truth["annotations"][1])
    paths = saved(tmp_path, truth, PRED)
    with pytest.raises(ProblemsError) as caught:
        evaluate_files(*paths, modes=MODES)
    assert all(word in str(caught.value) for word in ["gt.json: annotations[1]", *words]), str(caught.value)
    left = evaluate_files(*paths, modes=MODES, lenient=True)
    assert len({problem.where for problem in left.result.problems}) == 1


@pytest.mark.parametrize(
    ("truth", "predictions", "words"),
    [
        ("{", PRED, ["gt.json", "not JSON", "line 1"]),
        (GT, "[{]", ["pred.json", "not JSON"]),
        (GT, {"results": PRED}, ["pred.json", "must be a list", "is an object"]),
        (PRED, PRED, ["gt.json", "must be an object", "is a list"]),
        ({**GT, "videos": None}, PRED, ["gt.json", "videos", "must be a list"]),
        ({**GT, "videos": []}, [], ["gt.json"]),
        (GT, [1, None, "x"], ["pred.json: [0]", "pred.json: [1]", "pred.json: [2]"]),
        (GT, "[" * 100_000, ["pred.json"]),
        (GT, '[{"score": ' + "9" * 5000 + "}]", ["pred.json"]),
        ({**GT, "categories": [*GT["categories"], {"id": 4, "name": "dog"}]}, PRED, ["categories[3]", "'dog'"]),
    ],
)
def test_files_of_another_form_are_refused(truth: Any, predictions: Any, words: list[str], tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        evaluate_files(*saved(tmp_path, truth, predictions), modes=MODES)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_withheld_labels_are_told(tmp_path: Path) -> None:
    for truth in ({name: GT[name] for name in ("categories", "videos")}, {**GT, "annotations": None}):
        with pytest.raises(DataError, match="labels of this set are withheld") as caught:
            evaluate_files(*saved(tmp_path, truth, PRED), modes=MODES)
        assert caught.value.hint


def test_areas_that_are_missing_are_those_of_the_masks(tmp_path: Path) -> None:
    bare = copy.deepcopy(GT)
    sizes = {video["id"]: (video["height"], video["width"]) for video in bare["videos"]}
    for entry in bare["annotations"]:
        height, width = sizes[entry["video_id"]]
        masks = [rle_from_segmentation(mask, height=height, width=width) for mask in entry["segmentations"]]
        entry["areas"] = [None if mask is None else area(mask) for mask in masks]
    given = evaluate_files(*saved(tmp_path, bare, PRED), modes=MODES).result.as_dict()
    for entry in bare["annotations"]:
        del entry["areas"]
    assert evaluate_files(*saved(tmp_path, bare, PRED), modes=MODES).result.as_dict() == given


def test_what_the_truth_does_not_say_is_taken_from_elsewhere(tmp_path: Path) -> None:
    """The size from the video, or from its annotations where the video has none; no crowd where nothing says so."""
    want = evaluate_files(*saved(tmp_path, GT, PRED), modes=MODES).result.as_dict()
    bare, of_annotations = copy.deepcopy(GT), copy.deepcopy(GT)
    for entry in bare["annotations"]:
        for name in ("iscrowd", "height", "width"):
            del entry[name]
    assert evaluate_files(*saved(tmp_path, bare, PRED), modes=MODES).result.as_dict() == want
    for video in of_annotations["videos"]:
        if any(entry["video_id"] == video["id"] for entry in of_annotations["annotations"]):
            del video["height"], video["width"]
    paths = saved(tmp_path, of_annotations, PRED)
    assert evaluate_files(*paths, modes=MODES).result.as_dict() == want
    assert len(read_ytvis(paths[0]).videos) == len(GT["videos"])


def test_results_of_another_split_are_told(tmp_path: Path) -> None:
    others = [{**entry, "video_id": entry["video_id"] + 1000} for entry in PRED]
    with pytest.raises(DataError, match=r"no sound video has the id 100\d; ids of the truth: 1 to 4"):
        evaluate_files(*saved(tmp_path, GT, others), modes=MODES)


@pytest.mark.parametrize("read", [read_ytvis, lambda path: evaluate_files(path, path, modes=MODES)])
@pytest.mark.parametrize(
    ("videos", "words"), [({}, "COCO JSON"), ({"videos": [{"id": 1, "name": "a"}]}, "CocoVID JSON")]
)
def test_other_forms_are_named(read: Any, videos: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = tmp_path / "gt.json"
    path.write_text(json.dumps({"images": [{"id": 1}], "categories": [], "annotations": [], **videos}))
    with pytest.raises(DataError, match=rf"{words}.*avis-data convert"):
        read(path)


def test_gzip_is_read_and_zip_is_named(tmp_path: Path) -> None:
    plain = saved(tmp_path, GT, PRED)
    packed = [path.with_name(path.name + ".gz") for path in plain]
    for path, target in zip(plain, packed, strict=True):
        target.write_bytes(gzip.compress(path.read_bytes()))
    want = evaluate_files(*plain, modes=MODES).result.as_dict()
    assert evaluate_files(*packed, modes=MODES).result.as_dict() == want
    packed[0].write_bytes(packed[0].read_bytes()[:-20])
    with pytest.raises(DataError, match="torn gzip"):
        evaluate_files(*packed, modes=MODES)
    with zipfile.ZipFile(tmp_path / "gt.zip", "w") as archive:
        archive.write(plain[0])
    with pytest.raises(DataError, match="is a zip archive"):
        read_ytvis(tmp_path / "gt.zip")


def test_missing_files_are_named(tmp_path: Path) -> None:
    truth, _ = saved(tmp_path, GT, PRED)
    with pytest.raises(DataError, match=r"nothing\.json: no such file"):
        evaluate_files(truth, tmp_path / "nothing.json", modes=MODES)


def test_twenty_problems_are_listed_and_the_others_counted(tmp_path: Path) -> None:
    predictions = [{**PRED[0], "video_id": 1000 + index} for index in range(35)]
    with pytest.raises(ProblemsError) as caught:
        evaluate_files(*saved(tmp_path, GT, predictions), modes=MODES)
    text = str(caught.value)
    assert "pred.json: [19]" in text
    assert "pred.json: [20]" not in text
    assert "35 problem(s)" in text
    assert "15 more" in text


def test_the_official_loader_ignores_what_we_refuse(tmp_path: Path) -> None:
    """Unknown videos count nowhere; unknown classes in FSLA only; entries beyond the end in mAP only."""
    plain = evaluate_files(*saved(tmp_path, GT, PRED), modes=[Mode.COMPAT]).result.as_dict()["aviseg_compat"]

    def official(predictions: list[dict[str, Any]]) -> dict[str, Any]:
        paths = saved(tmp_path, GT, predictions)
        found = evaluate_files(*paths, modes=[Mode.COMPAT], variants=[Variant.OFFICIAL_INPUT])
        figures: dict[str, Any] = found.result.as_dict()["aviseg_compat"]
        return figures

    assert official([*PRED, {**PRED[0], "video_id": 99}]) == plain
    unknown_class = official([*PRED, {**PRED[0], "category_id": 99}])
    assert (unknown_class["AP_all"], unknown_class["HOTA"]) == (plain["AP_all"], plain["HOTA"])
    assert unknown_class["FSLA"] < plain["FSLA"]
    longer = copy.deepcopy(PRED)
    for entry in longer:
        entry["segmentations"] += [first_mask(entry)] * 20
    beyond = official(longer)
    assert (beyond["HOTA"], beyond["fsla"]) == (plain["HOTA"], plain["fsla"])
    assert beyond["AP_all"] < plain["AP_all"]


def test_any_change_to_the_files_gives_a_result_or_an_error_for_people(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    junk: list[Any] = [
        None,
        True,
        -1,
        0,
        1e308,
        10**30,
        "",
        "x",
        [],
        [[]],
        {},
        {"size": [1, 1]},
        [None] * 6,
        [[1, 2, 3]],
    ]
    refused = 0
    for _ in range(120):
        truth, predictions = copy.deepcopy(GT), copy.deepcopy(PRED)
        target: Any = (truth, predictions)[rng.integers(2)]
        while True:
            keys = list(target) if isinstance(target, dict) else range(len(target))
            key = keys[int(rng.integers(len(keys)))]
            inner = target[key]
            if not isinstance(inner, (dict, list)) or not inner or rng.random() < 0.25:
                target[key] = junk[int(rng.integers(len(junk)))]
                break
            target = inner
        paths = saved(tmp_path, truth, predictions)
        try:
            evaluate_files(*paths, modes=MODES)
        except AvisError:
            refused += 1
            try:
                evaluate_files(*paths, modes=MODES, lenient=True)
            except AvisError as error:
                assert isinstance(error, DataError)
    assert refused > 50

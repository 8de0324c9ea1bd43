"""Every number of the cases that hold outputs of official implementations, to 1e-9; `--cases DIR` runs other ones."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avis_data.metrics import (
    AvsClip,
    AvssClip,
    Mode,
    Variant,
    classes_of_logits,
    evaluate_avis,
    evaluate_avs,
    evaluate_avss,
    evaluate_files,
)
from avis_data.metrics.reading import read_evaluation
from avis_data.metrics.run_lengths import empty_counts
from support.places import NEEDS_SHARED, SHARED

TOLERANCE = 1e-9
DEFAULT_FOLDERS = [SHARED / name for name in ("metric_cases", "avs_metric_cases")]
NO_NUMBERS = {"case", "units", "reference", "notes"}
BLOCKS: dict[str, tuple[str, list[Variant]]] = {
    "official": ("aviseg_compat", []),
    "trackeval": ("aviseg_compat", []),
    "official_ids_from_one": ("aviseg_compat", [Variant.IDS_FROM_ONE]),
    "official_literal_constant": ("aviseg_compat", [Variant.LITERAL_CONSTANT]),
    "empty_as_null": ("aviseg_compat", [Variant.EMPTY_AS_NULL]),
    "fsla_strict": ("strict", []),
    "ytvos": ("ytvis", []),
}
"""Block of expected.json -> the mode, and its variants, that must give it."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    given = metafunc.config.getoption("--cases")
    files = [path for folder in ([given] if given else DEFAULT_FOLDERS) for path in sorted(folder.rglob("*.json"))]
    cases = {
        "track_case": [
            (path.parent, block)
            for path in files
            if path.name == "gt.json"
            for block in sorted(_expected(path.parent))
            if block not in NO_NUMBERS
        ],
        "case": [path.parent for path in files if path.name == "gt.json"],
        "avs_case": [
            (path.parent, name)
            for path in files
            if path.name == "expected.json"
            for name in json.loads(path.read_text()).get("cases", {})
        ],
    }
    for name in cases.keys() & set(metafunc.fixturenames):
        parameters = [pytest.param(case, id=_label(case)) for case in cases[name]]
        none = pytest.param(
            None, id="none", marks=pytest.mark.skip(f"--cases {given} has none") if given else NEEDS_SHARED
        )
        metafunc.parametrize(name, parameters or [none])


def _label(case: Path | tuple[Path, str]) -> str:
    return case.name if isinstance(case, Path) else f"{case[0].name}-{case[1]}"


@NEEDS_SHARED
def test_every_file_is_a_case_of_a_kind_that_is_run(request: pytest.FixtureRequest) -> None:
    """Else a case in another form would be left out."""
    given = request.config.getoption("--cases")
    found = [
        path for folder in ([given] if given else DEFAULT_FOLDERS) for path in folder.rglob("*") if _is_of_a_case(path)
    ]
    assert found, "no expected.json below the folders of cases"
    left = [path for path in found if path.name not in _files_of_cases(path.parent)]
    assert not left, f"no test reads {left}"


def _is_of_a_case(path: Path) -> bool:
    return path.suffix == ".npz" or path.name in ("expected.json", "gt.json", "pred.json")


def _files_of_cases(folder: Path) -> set[str]:
    if not (folder / "expected.json").is_file():
        return set()
    avs = {case["file"] for case in _expected(folder).get("cases", {}).values()}
    tracks = {"gt.json", "pred.json"} if (folder / "gt.json").is_file() else set()
    return {"expected.json", *avs, *tracks} if avs or tracks else set()


def test_tracks_agree_with_the_official_implementations(track_case: tuple[Path, str]) -> None:
    """A block that nobody knows fails. Where the official program gives nothing (`null`), ours still gives figures."""
    case, block = track_case
    mode, variants = BLOCKS[block]
    expected, found = _expected(case)[block], _evaluated(case, mode, tuple(variants))
    wrong = list(_differences(expected, found, block)) if expected is not None else []
    assert found and not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize("silence", ["null", "empty mask"])
def test_the_truth_as_its_own_prediction_has_one_in_strict_mode(case: Path, silence: str) -> None:
    """Some of these truths have tracks without any mask, polygons, or frames without a sounding object."""
    source = read_evaluation(case / "gt.json", case / "pred.json", official_input=True)
    videos = []
    for video in source.videos:
        empty = {"size": [video.height, video.width], "counts": empty_counts(video.height * video.width)}
        stand_in = empty if silence == "empty mask" else None
        tracks = [replace(t, masks=[mask or stand_in for mask in t.masks], crowd=False) for t in video.truth[::-1]]
        videos.append(replace(video, predictions=tracks))
    found = evaluate_avis(videos, categories=source.categories, modes=["strict"]).as_dict()["strict"]
    names = ("AP_all", "AP50", "AP75", "AR_all", "HOTA", "DetA", "AssA", "DetRe", "DetPr", "AssRe", "AssPr", "LocA")
    names += ("OWTA", "FSLA", "FSLAn", "FSLAs", "FSLAm")
    assert {name: found[name] for name in names if found[name] not in (1.0, None)} == {}


def test_avs_agrees_with_the_reference_functions(avs_case: tuple[Path, str]) -> None:
    folder, name = avs_case
    case = json.loads((folder / "expected.json").read_text())["cases"][name]
    compare = {"semantic": _semantic_differences, "binary": _binary_differences}[case["kind"]]
    wrong = list(compare(case, np.load(folder / case["file"])))
    assert not wrong, "\n".join(wrong[:20])


def _binary_differences(case: dict[str, Any], arrays: Any) -> Any:
    clips = [
        AvsClip(name=key, truth_THW=arrays[f"{key}_gt"], score_THW=arrays[f"{key}_logits"])
        for key in (video["key"] for video in case["videos"])
    ]
    for video, clip in zip(case["videos"], evaluate_avs(clips).clips, strict=True):
        got = {name: getattr(clip, name) for name in ("iou", "frame_iou", "fscore", "frames_with_object")}
        got["f_curve_samples"] = {str(k): value for k, value in enumerate(clip.f_curve)}
        wanted = {**_figures(video), "f_curve_samples": video["f_curve_samples"] or {}}
        yield from _differences(wanted, got, video["key"])
    for batch, wanted in case["dataset"].items():
        reference = evaluate_avs(clips, clips_per_group=int(batch.removeprefix("batch_"))).as_dict()["reference"]
        yield from _differences(wanted, reference, batch)


def _semantic_differences(case: dict[str, Any], arrays: Any) -> Any:
    clips = [
        AvssClip(name=key, label_THW=arrays[f"{key}_label"], predicted_THW=classes_of_logits(arrays[f"{key}_logits"]))
        for key in (video["key"] for video in case["videos"])
    ]
    result = evaluate_avss(clips, num_classes=case["num_classes"])
    for video, clip in zip(case["videos"], result.clips, strict=True):
        got = {name: getattr(clip, name) for name in ("iou_sum", "f_sum", "frames")}
        yield from _differences(_figures(video), got, video["key"])
    yield from _differences(case["dataset"], result.as_dict()["reference"], "dataset")


def _figures(video: dict[str, Any]) -> dict[str, Any]:
    """All that a case says of a video but what tells which one it is."""
    return {name: value for name, value in video.items() if name not in ("key", "shape")}


@cache
def _expected(case: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((case / "expected.json").read_text())
    return found


@cache
def _evaluated(case: Path, mode: str, variants: tuple[Variant, ...]) -> dict[str, Any]:
    """As the official loaders read the files, which let pass what we refuse by default."""
    found = evaluate_files(
        case / "gt.json",
        case / "pred.json",
        modes=[Mode(mode)],
        variants=[*variants, Variant.OFFICIAL_INPUT],
    )
    figures: dict[str, Any] = found.result.as_dict()[mode]
    return {**figures, **figures["fsla"]} if mode == "strict" else figures


def _differences(wanted: Any, got: Any, place: str) -> Any:
    if isinstance(wanted, dict):
        for name, value in wanted.items():
            if name == "max_abs_diff_to_official":  # says how far two official programs are apart
                continue
            if name not in got:
                yield f"{place}.{name}: missing"
            else:
                yield from _differences(value, got[name], f"{place}.{name}")
    elif isinstance(wanted, list):
        if len(wanted) != len(got):
            yield f"{place}: {len(got)} values, expected {len(wanted)}"
        else:
            for index, (value, other) in enumerate(zip(wanted, got, strict=True)):
                yield from _differences(value, other, f"{place}[{index}]")
    elif wanted is None or got is None:
        if wanted is not got and not isinstance(got, dict):  # null for a whole table: the official code gave nothing
            yield f"{place}: {got}, expected {wanted}"
    elif abs(wanted - got) > TOLERANCE:
        yield f"{place}: {got!r}, expected {wanted!r}"

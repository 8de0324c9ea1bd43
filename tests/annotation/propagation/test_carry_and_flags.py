"""Ways through a clip, joining of both sides, cuts and flags, with an engine whose answers are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from avis_data.annotation.labels.first_labels import flags_note
from avis_data.annotation.propagation.carrier import Carried
from avis_data.annotation.propagation.carry import CarriedClip, carry
from avis_data.annotation.propagation.flags import flags_of
from avis_data.annotation.propagation.footage import Shot
from avis_data.masks.rle import Rle, decode, encode

SIZE = (40, 60)


def rectangle(x: int, y: int = 10, width: int = 12, height: int = 10) -> NDArray[np.bool_]:
    mask = np.zeros(SIZE, dtype=bool)
    mask[y : y + height, max(0, x) : max(0, x + width)] = True
    return mask


class StayingRun:
    """Says that an object stays where it was put; surer the fewer steps ago that was."""

    def __init__(self, confidences: Mapping[str, float]) -> None:
        self._confidences, self._masks = confidences, dict[str, tuple[NDArray[np.bool_], int]]()
        self.cuts = 0

    def step(self, picture_HW3: NDArray[np.uint8], *, is_still: bool) -> dict[str, Carried]:
        self._masks = {name: (mask, age + 1) for name, (mask, age) in self._masks.items()}
        return {
            name: Carried(mask_HW=mask, confidence=self._confidences.get(name, 1.0) * 0.99**age)
            for name, (mask, age) in self._masks.items()
        }

    def put(self, masks: Mapping[str, NDArray[np.bool_]]) -> None:
        self._masks |= {name: (mask, 0) for name, mask in masks.items()}

    def cut(self) -> None:
        self._masks, self.cuts = {}, self.cuts + 1


class Staying:
    name, version, weights_sha256 = "staying", 1, None

    def __init__(self, **confidences: float) -> None:
        self._confidences = confidences
        self.runs: list[StayingRun] = []

    def start(self) -> StayingRun:
        self.runs.append(StayingRun(self._confidences))
        return self.runs[-1]


class Scenes:
    """Plain pictures; another scene from each of some seconds on."""

    def __init__(self, num_seconds: int, cuts: Sequence[int] = ()) -> None:
        rng = np.random.default_rng(0)
        looks = [
            rng.integers(0, 256, (4, 6, 3)).astype(np.uint8).repeat(10, 0).repeat(10, 1) for _ in range(len(cuts) + 1)
        ]
        self._shots = []
        for second in range(num_seconds):
            picture = looks[sum(second >= cut for cut in cuts)]
            # Two pictures after each still; the cut lies between the last one and the next still.
            self._shots += [Shot(frame=s, picture_HW3=picture) for s in (second, None, None)]

    def shots(self, first: int, last: int, *, backward: bool = False) -> Iterator[Shot]:
        part = self._shots[3 * first : 3 * last + 1]
        return iter(part[::-1] if backward else part)


def mask_at(found: CarriedClip, name: str, second: int) -> NDArray[np.bool_]:
    rle = found.arrivals[name][second].rle
    assert rle is not None
    return decode(rle)


def test_masks_reach_every_other_still_and_drawn_ones_are_not_touched() -> None:
    drawn = {"dog_1": {2: encode(rectangle(5))}, "cat_1": {0: encode(rectangle(30)), 4: encode(rectangle(40))}}
    found = carry(Staying(), Scenes(6), drawn, num_frames=6)
    assert sorted(found.arrivals["dog_1"]) == [0, 1, 3, 4, 5]
    assert sorted(found.arrivals["cat_1"]) == [1, 2, 3, 5]
    assert {second: arrival.from_frame for second, arrival in found.arrivals["cat_1"].items()} == {
        1: 0,
        2: 0,
        3: 4,
        5: 4,
    }
    np.testing.assert_array_equal(mask_at(found, "cat_1", 1), rectangle(30))
    np.testing.assert_array_equal(mask_at(found, "cat_1", 3), rectangle(40))
    agreement = found.arrivals["cat_1"][2].agreement
    assert agreement == pytest.approx(20 / 220)  # 2 of 12 columns are common, of 22
    assert found.arrivals["cat_1"][5].agreement is None


def test_nothing_goes_over_a_cut_from_either_side() -> None:
    drawn = {
        "dog_1": {1: encode(rectangle(5))},
        "cat_1": {5: encode(rectangle(30))},
        "car_1": {1: encode(rectangle(20))},
    }
    carrier = Staying()
    found = carry(carrier, Scenes(8, cuts=[3, 7]), drawn, num_frames=8)
    assert [run.cuts for run in carrier.runs] == [2, 1]  # the way back begins at the last drawn still, second 5
    assert found.cuts == {3, 7}
    assert sorted(found.arrivals["dog_1"]) == sorted(found.arrivals["car_1"]) == [0, 2]
    assert sorted(found.arrivals["cat_1"]) == [3, 4, 6]
    flags = flags_of(found, drawn)
    assert [(flag.frame, flag.reason) for flag in flags] == [(3, "scene_cut"), (7, "scene_cut")]


def test_doubt_loss_and_disagreement_are_flagged() -> None:
    drawn = {"dog_1": {0: encode(rectangle(5))}, "cat_1": {0: encode(rectangle(5)), 4: encode(rectangle(40))}}
    found = carry(Staying(dog_1=0.5), Scenes(5), drawn, num_frames=5)
    flags = flags_of(found, drawn)
    assert [flag.frame for flag in flags if flag.identity == "dog_1"] == [1, 2, 3, 4]
    assert {flag.frame for flag in flags if flag.identity == "cat_1"} == {1, 2, 3}
    note = flags_note(flags)
    assert note.startswith("Look first at: page 2 cat_1 (from before and from after") and "page 5 dog_1 (unsure" in note
    assert flags_note([]) == ""


class Scripted(StayingRun):
    def __init__(self, masks: Sequence[NDArray[np.bool_]]) -> None:
        super().__init__({})
        self._script = iter(masks)

    def step(self, picture_HW3: NDArray[np.uint8], *, is_still: bool) -> dict[str, Carried]:
        if not is_still or not self._masks:
            return super().step(picture_HW3, is_still=is_still)
        return {"dog_1": Carried(mask_HW=next(self._script), confidence=0.95)}


class Script(Staying):
    def __init__(self, masks: Sequence[NDArray[np.bool_]]) -> None:
        self._script = masks

    def start(self) -> StayingRun:
        return Scripted(self._script)


@pytest.mark.parametrize(
    ("script", "wanted"),
    [
        ([rectangle(6), rectangle(7), rectangle(8)], []),
        ([rectangle(6), rectangle(28), rectangle(30)], [(2, "position")]),
        ([rectangle(5), rectangle(5, height=18, width=14), rectangle(5, height=18, width=14)], [(2, "area")]),
        ([rectangle(5), rectangle(70), rectangle(70)], [(2, "lost")]),
        ([rectangle(70), rectangle(5), rectangle(70)], [(1, "lost"), (3, "lost")]),
    ],
)
def test_jumps_and_losses(script: Sequence[NDArray[np.bool_]], wanted: list[tuple[int, str]]) -> None:
    drawn = {"dog_1": {0: encode(rectangle(5))}}
    found = carry(Script(script), Scenes(4), drawn, num_frames=4)
    flags = flags_of(found, drawn)
    assert [(flag.frame, flag.reason) for flag in flags] == wanted
    if script[1].any() is np.False_ and script[2].any() is np.False_:
        assert flags[0].message == "not found from here to page 4"


def test_what_is_empty_is_no_mask_and_the_object_may_come_back() -> None:
    drawn = {"dog_1": {0: encode(rectangle(5))}}
    found = carry(Script([rectangle(70), rectangle(3), rectangle(4)]), Scenes(4), drawn, num_frames=4)
    assert found.arrivals["dog_1"][1].rle is None
    assert isinstance(found.arrivals["dog_1"][2].rle, Rle)

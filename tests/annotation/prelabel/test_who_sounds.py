"""What is heard when, which boxes are one thing, and which thing makes the sound."""

from __future__ import annotations

import numpy as np
import pytest

from avis_data.annotation.prelabel.engine import Box, Detection
from avis_data.annotation.prelabel.motion import motion_of
from avis_data.annotation.prelabel.object_classes import words_of
from avis_data.annotation.prelabel.seen import key_stills, linked
from avis_data.annotation.prelabel.who_sounds import Candidate, Choice, heard_when, who_sounds
from avis_data.annotation.propagation.footage import Shot
from avis_data.categories import category_set

CATEGORIES = ("person", "dog")
SMALL, LARGE = (40.0, 40.0, 60.0, 60.0), (0.0, 0.0, 35.0, 90.0)


def sounding(choice: Choice, things: list[Candidate], heard: list[list[int]]) -> list[str]:
    found = who_sounds(things, np.array(heard, dtype=bool).T, CATEGORIES, choice=choice, size_hw=(100, 100))
    return ["".join("1" if sounds else "." for sounds in row) for row in found]


def thing(category: str, boxes: dict[int, Box], motion: dict[int, float] | None = None) -> Candidate:
    return Candidate(category=category, boxes=boxes, motion=motion or {})


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (Choice.LARGEST, ["....", "11.1", "...."]),
        (Choice.CENTRAL, ["11..", "...1", "...."]),
        (Choice.MOVING, ["11..", "...1", "...."]),
        (Choice.ALL, ["11..", "11.1", "...."]),
    ],
)
def test_of_several_things_of_a_category_one_sounds_or_all(choice: Choice, expected: list[str]) -> None:
    """Two people, the small one only in the first two seconds, and a dog that is not heard."""
    small = thing("person", {0: SMALL, 1: SMALL}, {0: 9.0, 1: 8.0})
    large = thing("person", dict.fromkeys(range(4), LARGE), {0: 1.0})
    dog = thing("dog", dict.fromkeys(range(4), SMALL))
    assert sounding(choice, [small, large, dog], [[1, 1, 0, 1], [0, 0, 0, 0]]) == expected


def test_who_sounds_is_kept_over_a_run_and_may_change_after_a_pause() -> None:
    grows = thing("person", {t: (0.0, 0.0, 10.0 + 30 * t, 50.0) for t in range(5)})
    steady = thing("person", dict.fromkeys(range(5), (60.0, 0.0, 100.0, 50.0)))
    assert sounding(Choice.LARGEST, [grows, steady], [[1, 1, 0, 1, 1], [0] * 5]) == ["...11", "11..."]


def test_nothing_sounds_that_is_not_seen_and_nobody_but_who_is_heard() -> None:
    assert sounding(Choice.ALL, [thing("dog", {1: SMALL})], [[1, 1, 1], [0, 1, 1]]) == [".1."]


def test_a_voice_is_heard_where_speech_is_and_everything_else_where_the_tagger_says_so() -> None:
    chances = np.array([[0.9, 0.1], [0.1, 0.3], [0.9, 0.9]])
    speech = np.array([False, True, True])
    heard = heard_when(chances, CATEGORIES, heard_from=0.3, speech_S=speech)
    assert heard.tolist() == [[False, False], [True, True], [True, True]]
    for silent in (None, np.zeros(3, dtype=bool)):
        alone = heard_when(chances, CATEGORIES, heard_from=0.3, speech_S=silent)
        assert alone[:, 0].tolist() == [True, False, True], "where no speech is found at all, the tagger's word counts"


def detection(x: float, score: float = 0.4, category: str = "dog") -> Detection:
    return Detection(box=(x, 0, x + 20, 20), category=category, score=score)


def test_boxes_of_successive_stills_are_one_thing_and_a_lonely_doubtful_one_is_none() -> None:
    first = [detection(0), detection(50)]
    second = [detection(52), detection(4), detection(90)]
    walks, stands = linked([first, second, [detection(8)], []])
    assert [one.box[0] for one in walks.found.values()] == [0, 4, 8] and sorted(stands.found) == [0, 1]
    assert walks.score == pytest.approx(0.4)
    sure = linked([[], [detection(0, score=0.7)], []])
    assert [sorted(one.found) for one in sure] == [[1]]
    assert linked([[detection(0)]])[0].found[0].score == 0.4, "a clip of one still has no second one"


def test_a_thing_may_be_missed_for_two_stills_and_ends_at_a_cut_and_at_another_category() -> None:
    gap = [[detection(0)], [], [], [detection(2)]]
    assert [sorted(one.found) for one in linked(gap)] == [[0, 3]]
    longer = [[detection(0)], [detection(0)], [], [], [], [detection(0)], [detection(0)]]
    assert [sorted(one.found) for one in linked(longer)] == [[0, 1], [5, 6]]
    steady = [[detection(0)]] * 4
    assert [sorted(one.found) for one in linked(steady, lambda still: still == 2)] == [[0, 1], [2, 3]]
    swapped = [[detection(0)], [detection(0)], [detection(0, category="cat")], [detection(0, category="cat")]]
    assert [one.category for one in linked(swapped)] == ["dog", "cat"]


def test_the_surest_still_of_every_three_that_sound_is_drawn() -> None:
    scores = [0.3, 0.5, 0.4, 0.9, 0.6, 0.6, 0.35]
    (one,) = linked([[detection(0, score=score)] for score in scores])
    assert key_stills(one, np.array([1, 1, 1, 0, 1, 1, 1], dtype=bool)) == [1, 4, 6]
    assert key_stills(one, np.zeros(7, dtype=bool)) == [1, 3, 6], "where nothing is wanted, of all"


def test_what_changes_in_the_upper_half_moves_and_a_camera_that_shakes_is_taken_off() -> None:
    """Two boxes side by side: noise in the upper half of the first and in the lower half of the second."""
    rng = np.random.default_rng(3)
    boxes: list[dict[int, Box]] = [dict.fromkeys(range(2), (0, 0, 40, 80)), dict.fromkeys(range(2), (60, 0, 100, 80))]

    def shots(*, flash: int) -> list[Shot]:
        found = []
        for number in range(6):
            picture = np.full((80, 100, 3), 100 + flash * (number % 2), dtype=np.uint8)
            picture[:40, :40] += rng.integers(0, 60, (40, 40, 1), dtype=np.uint8)
            picture[40:, 60:] += rng.integers(0, 60, (40, 40, 1), dtype=np.uint8)
            found.append(Shot(frame=number // 3 if number % 3 == 0 else None, picture_HW3=picture))
        return found

    mouth, feet = motion_of(shots(flash=0), boxes)
    assert set(mouth) == set(feet) == {0, 1} and min(mouth.values()) > 3 and max(feet.values()) < 0
    mouth, feet = motion_of(shots(flash=50), boxes)
    assert abs(feet[0]) < 10 < 50, "every pixel changes by 50"


def test_every_category_of_the_sets_that_ship_can_be_said_in_words() -> None:
    for name in ("aviseg-26", "avis-20", "avsbench-23", "open-15"):
        for category in category_set(name).categories:
            assert words_of(category.name).replace(" ", "").replace("-", "").isalpha(), category.name

"""Which still of a set is which of a clip: as `extract` takes pictures, or refused; never shifted silently."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any, get_args

import numpy as np
import pytest

from avis_data.errors import DataError
from avis_data.formats.sets.clips import LabelledClip, Still
from avis_data.media.clock import num_frames, on_display
from avis_data.pipelines.imports.matching import Matching, match_stills
from avis_data.records import Clip, FrameAt


def clip_of(frames: int, *, fps: float = 1.0, frame_at: FrameAt | None = "mid") -> Clip:
    return Clip.model_construct(clip_id="c", num_frames=frames, fps=fps, frame_at=frame_at)


def set_of(numbers: Iterable[int | None], *, fps: float | None = None, times: Iterable[float] = ()) -> LabelledClip:
    at = list(times)
    stills = tuple(
        Still(name=f"img_{number}", number=number, time_s=at[place] if at else None)
        for place, number in enumerate(numbers)
    )
    return LabelledClip(name="c", width=4, height=4, stills=stills, tracks=(), fps=fps)


@pytest.mark.parametrize("frame_at", get_args(FrameAt))
@pytest.mark.parametrize("rate", [5, 10, 24, 25, Fraction(30000, 1001), 30, 50, 60])
def test_a_set_of_all_pictures_of_a_video_gives_those_that_extract_takes(rate: Fraction, frame_at: FrameAt) -> None:
    """Of any length, counted from 0 or 1, the rate said by the set or by people; two numbers in a second or less."""
    rng = np.random.default_rng(int(rate))
    for _ in range(40):
        fps = float(rng.choice([1.0, 2.0, 0.5]))
        count = int(rng.integers(int(4 * rate), int(9 * rate)))
        clip = clip_of(num_frames(float(count / rate), fps=fps), fps=fps, frame_at=frame_at)
        taken = on_display(
            range(count), start=Fraction(0), time_base=1 / Fraction(rate), num_frames=clip.num_frames,
            frame_at=frame_at, fps=fps,
        )  # fmt: skip
        first = int(rng.integers(2))
        numbers = range(first, first + count)
        for found, matching in (
            (set_of(numbers, fps=float(rate)), Matching()),
            (set_of(numbers), Matching(fps=float(rate))),
            (set_of([None] * count), Matching(by="time", fps=float(rate))),
            (set_of(numbers, times=[float(place / rate) for place in range(count)]), Matching(by="time")),
        ):
            assert list(match_stills(found, clip, matching)) == taken, (count, fps, first, matching)


def numbered(*numbers: int, **more: Any) -> LabelledClip:
    return set_of(numbers, **more)


@pytest.mark.parametrize(
    ("found", "said", "places"),
    [
        (numbered(0, 1, 2, 3), {}, [0, 1, 2, 3]),
        (numbered(1, 2, 3, 4), {}, [0, 1, 2, 3]),
        (numbered(30, 40, 50, 60), {}, [0, 1, 2, 3]),  # as many as the clip has
        (numbered(0, 2, 3), {}, [0, None, 1, 2]),
        (numbered(1, 3, 4), {}, [0, None, 1, 2]),
        (numbered(3, 1, 0), {}, [2, 1, None, 0]),
        (numbered(0, 2), {"by": "number"}, [0, None, 1, None]),
        (numbered(7, 9), {"first_number": 6}, [None, 0, None, 1]),
        (numbered(0, 2), {"by": "name", "name_pattern": r"img_(\d+)"}, [0, None, 1, None]),
        (numbered(0, 25, 50, 75), {"by": "time", "fps": 25}, [0, 1, 2, 3]),
        (numbered(*range(0, 120, 5)), {"fps": 30}, [2, 8, 14, 20]),  # YouTube-VOS: frames of 30 a second, each fifth
        (numbered(*range(120, 240)), {"fps": 30, "start_s": 0}, [14, 44, 74, 104]),
        (numbered(*range(60, 180)), {"fps": 30, "first_number": 0, "start_s": -2}, [14, 44, 74, 104]),
        (numbered(*range(300)), {"fps": 30, "start_s": -5}, [164, 194, 224, 254]),  # the clip is a part of it
        (numbered(*range(60), *range(90, 120)), {"fps": 30}, [14, 44, None, 74]),  # a gap is not filled
        (numbered(*range(60)), {"fps": 30, "start_s": 0}, [14, 44, None, None]),  # as people say
        (numbered(*range(120)), {"fps": 30, "name_pattern": r"img_(\d+)"}, [14, 44, 74, 104]),
        (numbered(0, 1, 2, 3, times=[0.5, 1.5, 2.5, 3.5]), {"by": "time"}, [0, 1, 2, 3]),  # the same instants
        (numbered(0, 1, 2, 3, times=[0.0, 0.3, 2.4, 3.3]), {"by": "time"}, [1, 1, 2, 3]),  # a rate that varies
    ],
)
def test_stills_are_found(found: LabelledClip, said: dict[str, Any], places: list[int | None]) -> None:
    assert list(match_stills(found, clip_of(4), Matching(**said))) == places


@pytest.mark.parametrize(
    ("found", "said", "told"),
    [
        (numbered(*range(100)), {}, "has a still 4, the clip has 4 stills"),  # 25 a second, which nobody said
        (numbered(0, 5, 10), {}, "in steps of 5"),
        (numbered(0, 2), {}, "in steps of 2"),
        (numbered(1, 2, 3), {}, "from 0 or from 1 is not clear"),
        (numbered(0, 1, 1, 3), {}, "two stills of the set have one number"),
        (set_of([None, None]), {}, "2 stills without numbers, the clip 4"),
        (numbered(0, 1, 2, 3, fps=25), {}, "from second 0.00 to 0.16, the clip has 4 s"),
        (numbered(*range(95)), {"fps": 30}, "to 3.17, the clip has 4 s"),
        (numbered(*range(120)), {"fps": 12}, "goes on to second 9.92, the clip has 4 s"),
        (numbered(*range(0, 120, 5)), {"fps": 6}, "goes on to second 19.17"),  # they count frames of 30 a second
        (numbered(*range(120, 240)), {"fps": 30}, "numbered from 120 on: when that one was taken is not clear"),
        (numbered(*range(0, 200, 50)), {"fps": 50, "start_s": 9}, "no still of the set is on display"),
        (numbered(0, 2, 4, 6), {"by": "time", "fps": 1}, "0.5 stills a second, the clip 1"),
        (numbered(*range(0, 200, 50)), {"fps": 25}, "0.5 stills a second, the clip 1"),
        (numbered(1, 0, 2, 3), {"by": "time", "fps": 1}, "not in the order of time"),
        (numbered(0, 1, 2, 3), {"by": "time"}, "is not known"),
        (set_of([]), {"by": "time", "fps": 25}, "has not a still"),
        (numbered(0, 1), {"name_pattern": r"(img)"}, "does not fit"),
    ],
)
def test_what_may_be_shifted_is_refused(found: LabelledClip, said: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=told) as error:
        match_stills(found, clip_of(4), Matching(**said))
    assert error.value.hint or "number" in told or "not" in told or "order" in told


def test_pictures_of_unknown_instants_are_not_matched_by_time() -> None:
    with pytest.raises(DataError, match="at which instants"):
        match_stills(numbered(*range(100)), clip_of(4, frame_at=None), Matching(fps=25))

"""What results look like whose ids mean something else than the truth's: shifted, permuted, or of another split.

All scores are then 0, or nearly, and the figures do not say why. Evidence is what fits without any id of a class: true
tracks that a predicted one overlaps by half or more. Scores are never changed by it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avis_data.errors import DataError
from avis_data.metrics.assignment import pair_tracks
from avis_data.metrics.counting import VideoStats
from avis_data.metrics.reading import EvaluationInput, read_evaluation
from avis_data.metrics.tracks import VideoTracks, load_video

__all__ = ["doubts_about", "fitting_classes"]

_HALF = 0.5
_FEW, _MOST = 0.1, 0.8
"""Shares of fitting tracks: up to the first "nearly none" have the right class, from the second on nearly all."""
_SPLITS = ("train", "val", "test")
_LARGEST_BYTES = 2 << 30
"""Files beside the truth that are larger are not looked into."""


def fitting_classes(tracks: VideoTracks) -> dict[tuple[int, int], int]:
    """(true class, predicted class) -> true tracks that fit, each with the predicted track that it overlaps most.

    A true track fits where a predicted one of any class overlaps it by half or more. Of equal masks, as models give
    them under several classes, the one with the highest score counts. Crowds are left out.
    """
    found: Counter[tuple[int, int]] = Counter()
    iou_GP = tracks.track_iou_PG.T
    for place in np.flatnonzero(~tracks.truth.crowd_N) if len(tracks.predicted) else ():
        fitting = np.flatnonzero(iou_GP[place] >= max(_HALF, iou_GP[place].max()))
        if len(fitting):
            best = fitting[tracks.predicted.score_N[fitting].argmax()]
            found[int(tracks.truth.category_N[place]), int(tracks.predicted.category_N[best])] += 1
    return dict(found)


def doubts_about(truth: Path, predictions: Path, source: EvaluationInput, stats: Sequence[VideoStats]) -> list[str]:
    """A sentence with figures for each kind of id that looks like another one; none where all looks right.

    Args:
        truth: the file that was evaluated against; other splits are looked for beside it.
        predictions: the result file.
        source: what they hold.
        stats: what was measured in all videos.
    """
    fits: Counter[tuple[int, int]] = Counter()
    for video in stats:
        fits.update(video.fits)
    now = _Fit(known=len(source.named_videos & source.video_ids), fitting=fits.total(), true=_num_true(source))
    found = [_about_videos(truth, predictions, source, now), _about_classes(source, fits)]
    return [text for text in found if text]


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """How well results fit a truth file, or would."""

    known: int
    """Videos that the results name and the truth has."""
    fitting: int
    """True tracks that a predicted one overlaps by half or more."""
    true: int

    def __str__(self) -> str:
        return f"{self.fitting} of {self.true} true tracks are overlapped by half or more"


def _num_true(source: EvaluationInput) -> int:
    return sum(not track.crowd for video in source.videos for track in video.truth)


def _about_videos(truth: Path, predictions: Path, source: EvaluationInput, now: _Fit) -> str:
    named = len(source.named_videos)
    nothing_fits = now.true >= 3 and source.num_predictions >= 3 and now.fitting <= now.true // 20
    if not named or (now.known == named and not nothing_fits):
        return ""
    there = f"{now.known} of the {named} videos that {predictions.name} names are in {truth.name}"
    best, text = now, ""
    for fit, words in _other_readings(truth, predictions, source):
        if _explains(fit, now, named) and (not text or (fit.fitting, fit.known) > (best.fitting, best.known)):
            best, text = fit, words
    if text:
        shown = f"; {best} then, {now.fitting} of {now.true} as it is" if best.fitting else ""
        return f"video ids: {there}; {best.known} of {named} are {text}{shown}"
    if not now.known:
        return f"video ids: {there}: are these the results of another set?"
    if now.known == named and not now.fitting:
        return (
            f"none of {now.true} true tracks is overlapped by half or more by any of {source.num_predictions} predicted"
            " ones: results of another split look like this, and those of a model that has learned nothing"
        )
    return ""


def _explains(fit: _Fit, now: _Fit, named: int) -> bool:
    if fit.fitting >= max(2, 3 * now.fitting, fit.true // 5):
        return True
    return fit.known == named and now.known < named and now.fitting <= now.true // 20


def _other_readings(truth: Path, predictions: Path, source: EvaluationInput) -> Iterator[tuple[_Fit, str]]:
    """How the results would fit with their video ids read in another way, and what that way is."""
    spans = f"its ids are {_span(source.named_videos)}, the truth's {_span(source.video_ids)}"
    for step in (1, -1):
        moved = read_evaluation(truth, predictions, video_id_step=step)
        yield _fit(moved), f"there with {_changed(step)} each video_id ({spans})"
    for path in sorted(truth.parent.glob("*.json*")):
        if path not in (truth, predictions) and _is_split(path):
            try:
                yield _fit(read_evaluation(path, predictions, needs_labels=False)), f"in {path.name}"
            except DataError:  # no truth file
                continue


def _is_split(path: Path) -> bool:
    name = path.name.lower()
    return any(split in name for split in _SPLITS) and path.is_file() and path.stat().st_size <= _LARGEST_BYTES


def _fit(source: EvaluationInput) -> _Fit:
    fitting = 0
    for video in source.videos:
        if video.truth and video.predictions:
            try:
                fitting += sum(fitting_classes(load_video(video)[0]).values())
            except DataError:  # an impossible size of pictures
                continue
    return _Fit(known=len(source.named_videos & source.video_ids), fitting=fitting, true=_num_true(source))


def _about_classes(source: EvaluationInput, fits: Mapping[tuple[int, int], int]) -> str:
    names = source.categories
    total, right = sum(fits.values()), sum(number for (true, said), number in fits.items() if true == said)
    unknown = source.named_categories - set(names)
    begin = f"category ids: {right} of {total} true tracks that a predicted one overlaps by half or more have its class"
    spans = f"the results name {_span(source.named_categories)}, the truth has {_span(names)}"
    several = len({true for true, _ in fits}) > 1
    for step in (1, -1):
        would = sum(number for (true, said), number in fits.items() if said + step == true)
        by_tracks = would >= _MOST * total and right <= _FEW * total and total >= (2 if several else 3)
        by_ids = bool(unknown) and right == 0 and {said + step for said in source.named_categories} <= set(names)
        if by_tracks or (by_ids and would == total):
            return f"{begin}, {would} with {_changed(step)} each category_id ({spans})"
    moved = _permutation(fits, names)
    if not moved:
        return ""
    would = sum(number for (true, said), number in fits.items() if moved.get(true, true) == said)
    shown = [f"{names[true]!r:.40} ({true}) is called {said}" for true, said in sorted(moved.items())]
    more = f", and {len(shown) - 5} more" if len(shown) > 5 else ""
    return f"{begin}, {would} if the ids were permuted: {', '.join(shown[:5])}{more}"


def _permutation(fits: Mapping[tuple[int, int], int], names: Mapping[int, str]) -> dict[int, int]:
    """True class -> the id that the results call it by, for the classes that another assignment of ids explains."""
    ids = sorted({*names, *(number for pair in fits for number in pair)})
    place = {number: index for index, number in enumerate(ids)}
    agree_CC = 1e-6 * np.eye(len(ids))  # a class that nothing speaks against keeps its id
    for (true, said), number in fits.items():
        agree_CC[place[true], place[said]] += number
    _, called = pair_tracks(agree_CC)
    supported = {true for true, _ in fits}
    moves = {true: ids[called[place[true]]] for true in supported if true in names}
    moves = {true: said for true, said in moves.items() if true != said and fits.get((true, said))}
    whole = _is_explained(moves, fits, supported)
    return moves if whole else {t: s for c in _cycles(moves) if _is_explained(c, fits, set(c)) for t, s in c.items()}


def _is_explained(moves: Mapping[int, int], fits: Mapping[tuple[int, int], int], classes: set[int]) -> bool:
    """Whether nearly all fitting tracks of some classes are where `moves` says, and nearly none where they should."""
    of_classes = {pair: number for pair, number in fits.items() if pair[0] in classes}
    total = sum(of_classes.values())
    right = sum(number for (true, said), number in of_classes.items() if true == said)
    would = sum(number for (true, said), number in of_classes.items() if moves.get(true, true) == said)
    # With as many tracks as classes any results look permuted.
    return bool(moves) and total >= len(classes) + 2 and right <= _FEW * total and would >= _MOST * total


def _cycles(moves: Mapping[int, int]) -> Iterator[dict[int, int]]:
    """Groups of classes that are called by each other's ids, all of them."""
    left = set(moves)
    while left:
        group: dict[int, int] = {}
        at = min(left)
        while at in moves and at not in group:
            group[at] = moves[at]
            at = moves[at]
        left -= set(group)
        if at in group:
            yield group


def _changed(step: int) -> str:
    return "1 added to" if step > 0 else "1 taken from"


def _span(ids: Iterable[int]) -> str:
    found = set(ids)
    return f"{min(found)} to {max(found)}" if found else "none"

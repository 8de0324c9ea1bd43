"""Pairs of clips that are nearly the same, and the groups that they make."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from avis_data.fingerprints.candidates import picture_tries, sound_tries
from avis_data.fingerprints.making import Fingerprint
from avis_data.fingerprints.pictures import PictureMatch, compare_pictures, scenes_alike
from avis_data.fingerprints.sounds import SoundMatch, compare_sounds

__all__ = ["Link", "find_links", "groups_of"]

_LEAST_ALIKE = 0.75
_LEAST_CHANGES_ALIKE = 0.5
_FOR_FEW_STILLS = 0.6
"""A short match must be better: so much more, divided by the root of the number of stills."""
_LEAST_SOUND_ALIKE = 0.65
_FOR_POOR_SOUND = 0.9
"""The same, by the root of seconds times richness: two instruments that swell together are alike, two talks are not."""
_FOR_POOR_SOUND_OF_A_SCENE = 0.4
"""The same, where the stills of those moments show one scene."""
_FOR_POOR_SOUND_OF_SAME_LEVELS = 0.5
"""The same, where every band is as loud as in the other, and more than one thing is heard."""
_LEAST_SCENE_ALIKE = 0.92
_SAME_LEVELS = ((0.965, 1.5), (0.99, 1.3))
"""Likeness of levels, and the richness that it takes with it."""
_MOST_ASKED_OF_SOUND = 0.995
_MOST_ASKED_OF_SHORT_SOUND = 0.997
_SHORT_S = 3.0
_LEAST_MOMENTS = 5.0
"""One click is like any other."""
_LEAST_LEVELS_ALIKE = 0.85


@dataclass(frozen=True, kw_only=True, order=True)
class Link:
    """Two clips that are nearly the same."""

    first: str
    second: str
    by: Literal["picture", "sound"]
    likeness: float
    """In [0, 1]: the correlation of what changes."""
    offset_s: float
    """Time in the first at which the second begins."""
    is_mirrored: bool = False
    """Whether the picture of one is that of the other, mirrored."""

    def as_dict(self) -> dict[str, object]:
        """JSON values."""
        return {
            "first": self.first,
            "second": self.second,
            "by": self.by,
            "likeness": self.likeness,
            "offset_s": self.offset_s,
            "mirrored": self.is_mirrored,
        }


def find_links(prints: Sequence[Fingerprint]) -> list[Link]:
    """Every two clips whose picture or sound is nearly the same, sorted; one link by picture, one by sound at most."""
    return sorted([*_by_picture(prints), *_by_sound(prints)])


def groups_of(links: Iterable[Link]) -> list[list[str]]:
    """The clips that links join, directly or over others: sorted groups of two or more sorted ids."""
    leader: dict[str, str] = {}

    def find(clip_id: str) -> str:
        while leader.setdefault(clip_id, clip_id) != clip_id:
            leader[clip_id] = leader[leader[clip_id]]
            clip_id = leader[clip_id]
        return clip_id

    for link in links:
        one, two = sorted((find(link.first), find(link.second)))
        leader[two] = one
    groups: dict[str, list[str]] = defaultdict(list)
    for clip_id in sorted(leader):
        groups[find(clip_id)].append(clip_id)
    return sorted(groups.values())


def _picture_enough(match: PictureMatch) -> bool:
    wanted = _LEAST_CHANGES_ALIKE + _FOR_FEW_STILLS / match.num_stills**0.5
    return bool(match.alike >= _LEAST_ALIKE and match.changes_alike >= min(wanted, 0.85))


def _sound_enough(match: SoundMatch, one: Fingerprint, two: Fingerprint) -> bool:
    if match.moments < _LEAST_MOMENTS or match.alike < _sound_wanted(match, _FOR_POOR_SOUND_OF_A_SCENE):
        return False
    is_same_level = any(match.levels_alike >= levels and match.richness >= least for levels, least in _SAME_LEVELS)
    for_poor = _FOR_POOR_SOUND_OF_SAME_LEVELS if is_same_level else _FOR_POOR_SOUND
    if match.levels_alike >= _LEAST_LEVELS_ALIKE and match.alike >= _sound_wanted(match, for_poor):
        return True
    return scenes_alike(one, two, offset_s=match.offset_s) >= _LEAST_SCENE_ALIKE


def _sound_wanted(match: SoundMatch, for_poor: float) -> float:
    evidence = max(match.seconds * match.richness, 0.01)
    most = _MOST_ASKED_OF_SOUND if match.seconds >= _SHORT_S else _MOST_ASKED_OF_SHORT_SOUND
    return float(min(_LEAST_SOUND_ALIKE + for_poor / evidence**0.5, most))


def _by_picture(prints: Sequence[Fingerprint]) -> list[Link]:
    best: dict[tuple[str, str], Link] = {}
    for whole, other, mirrored, part in picture_tries(prints):
        one, two = prints[whole], prints[other]
        pair = (min(one.clip_id, two.clip_id), max(one.clip_id, two.clip_id))
        if pair in best:
            continue
        match = compare_pictures(one, two, part=part, mirrored=mirrored)
        if match is None or not _picture_enough(match):
            continue
        best[pair] = Link(
            first=pair[0],
            second=pair[1],
            by="picture",
            likeness=round(match.changes_alike, 3),
            offset_s=round(match.offset_s if pair[0] == one.clip_id else -match.offset_s, 2),
            is_mirrored=mirrored,
        )
    return list(best.values())


def _by_sound(prints: Sequence[Fingerprint]) -> list[Link]:
    best: dict[tuple[str, str], Link] = {}
    for first, second, at_one_s, at_two_s in sound_tries(prints):
        one, two = prints[first], prints[second]
        if one.clip_id > two.clip_id:
            one, two, at_one_s, at_two_s = two, one, at_two_s, at_one_s
        pair = (one.clip_id, two.clip_id)
        match = compare_sounds(one, two, at_one_s=at_one_s, at_two_s=at_two_s)
        if match is None or not _sound_enough(match, one, two):
            continue
        if pair not in best or match.alike > best[pair].likeness:
            best[pair] = Link(
                first=pair[0],
                second=pair[1],
                by="sound",
                likeness=round(match.alike, 3),
                offset_s=round(match.offset_s, 2),
            )
    return list(best.values())

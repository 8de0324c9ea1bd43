"""What a card or a catalogue says of a set: sums over its clips, and in sentences how it was made, and its limits."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from avis_data.formats.sets.clips import LabelledClip
from avis_data.formats.sets.spec import Clips, SetFacts

__all__ = [
    "UNDIVIDED",
    "Counted",
    "agreement",
    "balance",
    "collection",
    "embeddings",
    "labelling",
    "license_id",
    "license_urls",
    "licenses",
    "limits",
    "people",
    "removal",
    "summary",
    "tools",
    "unsaid",
]

UNDIVIDED = "clips"
"""What clips of no split are called."""
_KNOWN_LICENSES = {
    *("cc0-1.0", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-4.0"),
    *("cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-4.0", "apache-2.0", "mit"),
}
"""Of those that hubs know by an id (huggingface.co/docs/hub/repositories-licenses), the ones that clips have."""


@dataclass(kw_only=True)
class Counted:
    """Sums over the clips that were added."""

    splits: dict[str, Counter[str]] = field(default_factory=dict)
    """For each split: clips, stills, tracks, masks, and masks that are of something that sounds, is silent, or of
    which nobody said so."""
    categories: Counter[str] = field(default_factory=Counter)
    """Tracks of each."""
    licenses: Counter[str] = field(default_factory=Counter)
    """Clips of each; "": of which nobody said it."""
    num_without_truth: int = 0
    num_without_sound: int = 0
    num_with_embeddings: int = 0

    def over(self, clips: Clips) -> Iterator[LabelledClip]:
        """The clips, each added as it goes by."""
        for clip in clips():
            self.add(clip)
            yield clip

    def add(self, clip: LabelledClip) -> None:
        """Count a clip."""
        counts = self.splits.setdefault(clip.split or "", Counter())
        flags = [
            track.sounding[place] for track in clip.tracks for place, mask in enumerate(track.masks) if mask is not None
        ]
        counts["clips"] += 1
        counts["stills"] += len(clip.stills)
        counts["tracks"] += len(clip.tracks)
        counts["masks"] += len(flags)
        counts["sounding"] += flags.count(True)
        counts["silent"] += flags.count(False)
        self.categories.update(track.category or "unknown" for track in clip.tracks)
        self.licenses[clip.license or ""] += 1
        self.num_without_truth += not clip.has_truth
        self.num_without_sound += clip.sound is None
        self.num_with_embeddings += clip.embeddings_TD is not None

    def total(self, name: str) -> int:
        """A count over all splits."""
        return sum(counts[name] for counts in self.splits.values())


def license_id(counted: Counted) -> str | None:
    """The one licence of all clips, as hubs write it; None: there are several, or one that hubs do not know."""
    names = [_hub_name(name) for name in counted.licenses]
    return names[0] if len(names) == 1 and names[0] in _KNOWN_LICENSES else None


def license_urls(counted: Counted) -> list[str]:
    """The licences of clips as addresses where they are known, else as they were given."""
    found = [_license_url(name) for name in sorted(counted.licenses) if name]
    unsaid = counted.licenses[""]
    return found + ([f"not stated for {unsaid} clips (LICENSES.csv)"] if unsaid else [])


def _license_url(name: str) -> str:
    known = _hub_name(name)
    if known == "cc0-1.0":
        return "https://creativecommons.org/publicdomain/zero/1.0/"
    if known in _KNOWN_LICENSES and (found := re.fullmatch(r"cc-(.+)-(\d\.\d)", known)):
        return f"https://creativecommons.org/licenses/{found[1]}/{found[2]}/"
    return {"apache-2.0": "https://spdx.org/licenses/Apache-2.0", "mit": "https://spdx.org/licenses/MIT"}.get(
        known, name
    )


def _hub_name(license: str) -> str:
    return license.strip().lower().replace(" ", "-")


def summary(facts: SetFacts, counted: Counted) -> str:
    """What the set is."""
    of_set = facts.description.strip() or f"{facts.name}: audio-visual instance segmentation."
    total = counted.total
    return (
        f"{of_set} {total('clips')} clips with {total('stills')} stills, {total('tracks')} objects and "
        f"{total('masks')} masks, of which {total('sounding')} are of an object that sounds in that second and "
        f"{total('silent')} of one that is silent."
    )


def collection(facts: SetFacts, counted: Counted) -> str:
    """How clips came together."""
    rate = "stills at rates of their own (fps)"
    if facts.fps:
        rate = "one still a second" if facts.fps == 1 else f"{facts.fps:g} stills a second"
    split = _part(facts, "split")
    divided = ""
    if split:
        divided = " Clips of one source video are in one split." if not split.get("sources_in_two_splits") else ""
    return f"Each clip is a span of a source video: {rate} and its sound at 16 kHz.{divided}"


def labelling(facts: SetFacts) -> str:
    """Who made the masks, and with what."""
    truth = _part(facts, "truth")
    if not truth:
        return "Masks, identities, categories and sounding were taken over from another set as they are."
    parts = [
        f"Selection: {truth.get('selection', 'not said')}.",
        _tally("Clips by state of their labels", truth.get("clips_by")),
        _tally("Tracks by round", truth.get("rounds")),
        _tally("Tracks by origin of their masks", truth.get("origins")),
    ]
    return " ".join(part for part in parts if part)


def agreement(text: str | None) -> str:
    """How far people agree.

    Args:
        text: what `avis-data agreement --json` printed; None: nobody gave it.
    """
    if text is None:
        return "Agreement among annotators is not stated."
    try:
        found = json.loads(text)
    except ValueError:
        return text.strip()
    figures = dict(_figures(found)) if isinstance(found, dict) else {}
    return "Agreement among annotators: " + ", ".join(f"{name} {value:g}" for name, value in figures.items()) + "."


def licenses(counted: Counted) -> str:
    """Which licences clips have."""
    said = [f"{count} under {name}" for name, count in sorted(counted.licenses.items()) if name]
    unsaid = counted.licenses[""]
    said += [f"{unsaid} without a stated licence, whose rights are with their makers"] if unsaid else []
    return f"Clips keep the licence of their source video (LICENSES.csv): {', '.join(said) or 'none'}."


def tools(facts: SetFacts) -> str:
    """What made masks, by number of tracks; nothing where nobody said it."""
    return _tally("Tracks by origin of their masks", _part(facts, "truth").get("origins"))


def unsaid(counted: Counted) -> str:
    """Of how many masks, clips and sounds there is no word; nothing where there is a word of all."""
    masks = counted.total("masks") - counted.total("sounding") - counted.total("silent")
    parts = [
        f"Of {masks} masks nobody said whether the object sounds." if masks else "",
        f"Of {counted.num_without_truth} clips the labels are not given." if counted.num_without_truth else "",
        f"{counted.num_without_sound} clips have no sound." if counted.num_without_sound else "",
    ]
    return " ".join(part for part in parts if part)


def balance(counted: Counted) -> str:
    """How many objects of each category there are."""
    named = ", ".join(f"{name} {count}" for name, count in sorted(counted.categories.items()))
    return f"Objects by category: {named or 'none'}. Nothing was balanced."


def people(counted: Counted) -> str:
    """Whether people can be known again."""
    return (
        f"Stills and sound are those of the source videos: who is seen or heard in them can be recognised "
        f"({counted.categories['person']} objects of the category person)."
    )


def limits(facts: SetFacts, counted: Counted) -> str:
    """What the set cannot tell."""
    rate = f"{facts.fps:g} a second" if facts.fps else "the rate of each clip"
    parts = [
        f"Labels have the resolution of the stills ({rate}): a shorter sound or silence is not in them.",
        "A still without a mask of an object does not say whether it is hidden or out of the picture.",
        unsaid(counted),
    ]
    return " ".join(part for part in parts if part)


def embeddings(facts: SetFacts, counted: Counted) -> str:
    """What made the embeddings, and how many clips have none; nothing where no clip has any."""
    if not counted.num_with_embeddings:
        return ""
    without = counted.total("clips") - counted.num_with_embeddings
    return _embedder(facts) + (f" {without} clips have none." if without else "")


def _embedder(facts: SetFacts) -> str:
    made = _part(facts, "embeddings")
    if not made:
        return "Embeddings were taken over from another set as they are."
    if made.get("untrained"):
        return "Embeddings are of VGGish with random weights, for tests: they say nothing of the sound."
    weights = made.get("weights_sha256")
    named = ", ".join(f"sha256 {name}" for name in weights) if isinstance(weights, Mapping) else ""
    return f"Embeddings are of VGGish, 128 numbers a still ({named or 'weights not stated'})."


def removal(contact: str | None) -> str:
    """What becomes of a clip that its maker wants removed."""
    whom = f"write to {contact}" if contact else "write to whoever publishes this set"
    return (
        f"To have a clip removed, {whom} with its clip_id or the address of its source; the next version is without it."
    )


def _part(facts: SetFacts, name: str) -> Mapping[str, object]:
    found = facts.certificate.get(name)
    return found if isinstance(found, Mapping) else {}


def _tally(what: str, counts: object) -> str:
    if not isinstance(counts, Mapping) or not counts:
        return ""
    return f"{what}: " + ", ".join(f"{name} {count}" for name, count in counts.items()) + "."


def _figures(found: Mapping[str, object], prefix: str = "") -> list[tuple[str, float]]:
    """The numbers in an object, two levels deep, by their names."""
    figures: list[tuple[str, float]] = []
    for name, value in found.items():
        if isinstance(value, bool):
            continue
        if isinstance(value, (int, float)):
            figures.append((f"{prefix}{name}", value))
        elif isinstance(value, Mapping) and not prefix:
            figures += _figures(value, f"{name} ")
    return figures

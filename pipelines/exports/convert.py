"""A labelled set in one format becomes one in another, without a workspace: divided, read back, certified, named.

The set is streamed three times: to count and check it, to write it, and to compare what was written. So memory does not
grow with it. Clips with faults are left out, whole, and named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from avis_data import __version__
from avis_data.categories import category_set
from avis_data.errors import ConfigError, DataError, Problem, ProblemsError
from avis_data.format_numbers import CERTIFICATE, EXPORT
from avis_data.formats.sets.adjust import Adjustment, adjusted, category_problems, sounding_problems
from avis_data.formats.sets.clips import LabelledClip, UnreadClip, name_fault, text_fault
from avis_data.formats.sets.compare import differences, kept
from avis_data.formats.sets.files import named_as_given
from avis_data.formats.sets.overlap import OVERLAP_RULE, num_contested
from avis_data.formats.sets.spec import SetFacts, SetReader, SetSpec
from avis_data.formats.turns.records import still_times
from avis_data.io import atomic_dir, sha256_file, sha256_text, write_json, write_text
from avis_data.pipelines.engine.progress import Progress
from avis_data.pipelines.exports.certificate import file_list, split_proof
from avis_data.quality.published import FILE_LIST
from avis_data.splits import Assignment, SplitClip, assign_splits, parse_split
from avis_data.splits.written import SplitEntry, assign_from_entries

__all__ = ["Conversion", "ConvertReport", "convert"]


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What becomes what."""

    source: Path
    format_name: str
    """Of the source."""
    reader: SetReader
    target: SetSpec
    """With the options that were asked of its writer."""
    adjustment: Adjustment = field(default_factory=Adjustment)
    categories: str | None = None
    """A category set: its numbers are written, other names are refused. None: the names of the set, numbered in
    alphabetical order."""
    fps: float | None = None
    """How many of the numbers of its stills (of its stills, where they have none) make a second; None: as it says."""
    split: str | None = None
    """`75/25`; None: the set's own, else all clips are `train`."""
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class ConvertReport:
    """What was written and what was left out."""

    path: str
    format_name: str
    counts: Mapping[str, Mapping[str, int]]
    """Clips, tracks and masks of each split."""
    num_files: int
    skipped_clips: tuple[str, ...]
    problems: tuple[Problem, ...]
    remarks: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return asdict(replace(self, problems=())) | {"problems": [problem.as_dict() for problem in self.problems]}


@dataclass(kw_only=True)
class _Survey:
    """What the first reading finds."""

    clips: dict[str, SplitClip] = field(default_factory=dict)
    own_split: dict[str, str | None] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Tracks and masks of each clip."""
    categories: set[str] = field(default_factory=set)
    rates: set[float | None] = field(default_factory=set)
    contested: int = 0
    problems: list[Problem] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def convert(wanted: Conversion, out: Path | None) -> ConvertReport:
    """Read a set, and write it in another format into the folder `out`, which takes its name when all is compared.

    Args:
        wanted: what becomes what.
        out: a folder that does not exist, or is empty; None: only say what would be written.

    Raises:
        ConfigError: if the target cannot be written, `out` holds something, or the split cannot be.
        DataError: if the source is no set of its format, or what was read back differs.
        ProblemsError: if no clip can be written, with everything that is wrong.
    """
    if wanted.target.writer is None or wanted.target.reader is None:
        raise ConfigError(f"{wanted.target.name} cannot be written")
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} exists", hint="--out another folder")
    survey = _survey(wanted)
    if not survey.clips:
        problems = survey.problems or [Problem(str(wanted.source), "", "holds no clip")]
        raise ProblemsError(f"{wanted.source}: {len(problems)} problem(s), nothing written", problems)
    division = _divide(survey, wanted)
    files = {} if out is None else _write(wanted, survey, division, out)
    return ConvertReport(
        path=str(out or ""),
        format_name=wanted.target.name,
        counts=_counts(survey, division),
        num_files=len(files),
        skipped_clips=tuple(survey.skipped),
        problems=tuple(survey.problems),
        remarks=tuple(survey.remarks),
    )


def _survey(wanted: Conversion) -> _Survey:
    found = _Survey()
    known = _known(wanted.categories)
    with Progress("convert: read", total=None) as progress:
        for clip in adjusted(named_as_given(wanted.reader.read(wanted.source), wanted.source), wanted.adjustment):
            progress.step()
            problems = list(_faults(clip, found, wanted, known))
            if problems or isinstance(clip, UnreadClip):
                found.problems += problems
                found.skipped.append(clip.name)
            else:
                _count(found, clip, wanted)
    if found.contested:
        found.remarks.append(f"{found.contested} pixels are of two objects or more: {OVERLAP_RULE}")
    return found


def _known(name: str | None) -> dict[str, int]:
    return {} if name is None else {category.name: category.id for category in category_set(name).categories}


def _faults(
    clip: LabelledClip | UnreadClip, found: _Survey, wanted: Conversion, known: Mapping[str, int]
) -> Iterator[Problem]:
    """All that keeps a clip from being written."""
    if isinstance(clip, UnreadClip):
        yield from clip.problems
        return
    where, target = f"clip {clip.name}", wanted.target
    if (fault := name_fault(clip)) is not None:
        yield Problem(where, "name", fault)
    if (fault := text_fault(clip)) is not None:
        yield Problem(where, "", fault)
    if not clip.has_truth:
        yield Problem(where, "", "the set says nothing of it (hidden labels)")
    if clip.name in found.clips:
        yield Problem(where, "", "is in the set twice")
    if target.keeps.category:
        names = known or {track.category: 0 for track in clip.tracks if track.category is not None}
        yield from category_problems(clip, names)
    if target.keeps.sounding != "no":
        yield from sounding_problems(clip, wanted.adjustment)
    fps = _rate(clip, wanted)
    if target.only_fps is not None and fps is not None and fps != target.only_fps:
        yield Problem(where, "fps", f"has {fps:g} stills a second, {target.name} {target.only_fps:g}")
    if target.lengths and len(clip.stills) not in target.lengths:
        able = " or ".join(map(str, target.lengths))
        yield Problem(where, "stills", f"has {len(clip.stills)} stills, {target.name} has {able}")
    if not target.keeps.stills and _has_gaps(clip):
        yield Problem(where, "stills", f"are not at one rate, as {target.name} has them")
    if target.keeps.stills and any(still.picture is None for still in clip.stills):
        yield Problem(where, "stills", f"the set has no pictures of it, and {target.name} holds them")
    if (unfit := target.fits(clip)) is not None:
        yield Problem(where, "", unfit)


def _rate(clip: LabelledClip, wanted: Conversion) -> float | None:
    """Stills in one second; of numbers that go in steps, each counts."""
    if wanted.fps is None or len(clip.stills) < 2:
        return wanted.fps or clip.fps
    times = still_times(clip, fps=wanted.fps)
    return round(1 / min(after - before for before, after in pairwise(times)), 6)


def _has_gaps(clip: LabelledClip) -> bool:
    """Whether stills of its rate are missing."""
    steps = [after - before for before, after in pairwise(still_times(clip))]
    return bool(steps) and max(steps) > 1.5 * min(steps)


def _count(found: _Survey, clip: LabelledClip, wanted: Conversion) -> None:
    categories = tuple(sorted({track.category for track in clip.tracks if track.category is not None}))
    heard = [sum(track.sounding[number] is True for track in clip.tracks) for number in range(len(clip.stills))]
    found.clips[clip.name] = SplitClip(
        clip_id=clip.name,
        video_id=clip.source or clip.name,
        group=clip.source or clip.name,
        categories=categories,
        num_tracks=len(clip.tracks),
        seconds=(heard.count(0), heard.count(1), sum(number > 1 for number in heard)),
    )
    found.own_split[clip.name] = clip.split
    found.sizes[clip.name] = (len(clip.tracks), sum(len(track.frames) for track in clip.tracks))
    found.categories.update(categories)
    found.rates.add(_rate(clip, wanted))
    found.remarks += [f"clip {clip.name}: {remark}" for remark in clip.remarks]
    if wanted.target.keeps.masks == "painted":
        found.contested += num_contested(clip)


def _divide(found: _Survey, wanted: Conversion) -> Assignment:
    clips = list(found.clips.values())
    if wanted.split is not None:
        return assign_splits(clips, parse_split(wanted.split), wanted.seed)
    own = [split for split in found.own_split.values() if split is not None]
    if own and len(own) < len(clips):
        raise ConfigError(f"the set names the split of {len(own)} of {len(clips)} clips", hint="--split 75/25")
    if set(own) <= {"train", "val", "test"}:
        entries = [
            SplitEntry(where=f"clip {name}", id=name, field="clip_id", split=split or "train")
            for name, split in found.own_split.items()
        ]
        return assign_from_entries(clips, entries, origin="as given by the set" if own else "all clips are train")
    names = ", ".join(sorted(set(own)))
    raise ConfigError(f"the splits of the set are {names}; here they are train, val, test", hint="--split 75/25")


def _write(wanted: Conversion, survey: _Survey, division: Assignment, out: Path) -> dict[str, str]:
    """Write, read back, certify; path to hash of every file."""
    facts = _facts(wanted, survey)
    clips = _again(wanted, survey, division)
    writer = wanted.target.writer
    assert writer is not None  # `convert` refused it
    with atomic_dir(out) as part:
        names: list[str] = []
        with Progress("convert: write", total=len(survey.clips)) as progress:
            for clip in clips():
                names += writer.write_clip(part, clip, facts)
                progress.step()
        names += writer.write_shared(part, clips, facts)
        _check(wanted, part, clips)
        files = {name: sha256_file(part / name) for name in names}
        size_bytes = sum((part / name).stat().st_size for name in files)
        write_text(part / FILE_LIST, file_list(files))
        write_json(part / CERTIFICATE, _certificate(wanted, survey, division, files, size_bytes))
    return files


def _again(wanted: Conversion, survey: _Survey, division: Assignment) -> Callable[[], Iterator[LabelledClip]]:
    """The clips that are written, with their splits, from the start each time."""

    def clips() -> Iterator[LabelledClip]:
        for clip in adjusted(named_as_given(wanted.reader.read(wanted.source), wanted.source), wanted.adjustment):
            if isinstance(clip, LabelledClip) and clip.name in survey.clips and clip.name not in survey.skipped:
                yield replace(clip, split=division.split_of[clip.name], fps=_rate(clip, wanted))

    return clips


def _facts(wanted: Conversion, survey: _Survey) -> SetFacts:
    numbers = _known(wanted.categories) or {name: n for n, name in enumerate(sorted(survey.categories), start=1)}
    return SetFacts(
        name=wanted.source.stem,
        categories=numbers,
        fps=next(iter(survey.rates)) if len(survey.rates) == 1 else None,
        description=f"Converted from {wanted.format_name} by avis-data {__version__}.",
    )


def _check(wanted: Conversion, folder: Path, clips: Callable[[], Iterator[LabelledClip]]) -> None:
    """Read the written set with its format's reader, both sets side by side, in the order of their names.

    Raises:
        DataError: at the first clip that is not what was to come back.
    """
    reader = wanted.target.reader
    assert reader is not None  # `convert` refused it
    waiting: dict[str, LabelledClip] = {}
    meant = clips()
    for found in reader.read(folder):
        if isinstance(found, UnreadClip):
            raise _not_as_written(found.name, str(found.problems[0]))
        while found.name not in waiting:
            clip = next(meant, None)
            if clip is None:
                raise _not_as_written(found.name, "nothing was written under that name")
            waiting[clip.name] = clip
        expected = kept(waiting.pop(found.name), wanted.target)
        for difference in differences(found, expected, wanted.target):
            raise _not_as_written(found.name, difference)
    for name in [*waiting, *(clip.name for clip in meant)]:
        raise _not_as_written(name, "is not there")


def _certificate(
    wanted: Conversion, survey: _Survey, division: Assignment, files: Mapping[str, str], size_bytes: int
) -> dict[str, object]:
    met = {"overlaps": {"rule": OVERLAP_RULE, "pixels": survey.contested}}
    return {
        "certificate": EXPORT.number,
        "tool": {"name": "avis-data", "version": __version__},
        "format": wanted.target.name,
        "converted_from": {"format": wanted.format_name, "name": wanted.source.name},
        "files": {
            "list": FILE_LIST,
            "count": len(files),
            "size_bytes": size_bytes,
            "sha256": sha256_text(file_list(files)),
        },
        "split": split_proof(division),
        "counts": _counts(survey, division),
        "keeps": asdict(wanted.target.keeps),
        **(met if wanted.target.keeps.masks == "painted" else {}),
        "clips_left_out": sorted(survey.skipped),
    }


def _counts(survey: _Survey, division: Assignment) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {name: Counter() for name in [*division.names, "total"]}
    for name, (tracks, masks) in survey.sizes.items():
        for split in (division.split_of[name], "total"):
            found[split].update(clips=1, tracks=tracks, masks=masks)
    shown = {split: counts for split, counts in found.items() if counts["clips"]}
    return {split: {key: counts[key] for key in ("clips", "tracks", "masks")} for split, counts in shown.items()}


def _not_as_written(name: str, what: str) -> DataError:
    return DataError(f"read back, clip {name}: {what}; nothing was written")

"""Figures: of a set of clips, of predictions against the truth, of two sets of predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from avis_data.door.clip_sets import ClipSet
from avis_data.door.results import truth_file
from avis_data.errors import ConfigError

if TYPE_CHECKING:
    from avis_data.metrics.bootstrap import Interval
    from avis_data.metrics.comparison import Difference
    from avis_data.metrics.counting import Mode
    from avis_data.metrics.files import FileEvaluation
    from avis_data.metrics.t_test import SampleTest
    from avis_data.quality import ValidationReport
    from avis_data.quality.stats import SplitStats

__all__ = ["Comparison", "Counts", "Evaluation", "ModeName", "compare", "count", "evaluate", "validate"]

ModeName = Literal["aviseg_compat", "strict", "both", "ytvis", "all"]
"""Whose definition of the figures; `both`: the first two."""


@dataclass(frozen=True)
class Counts:
    """What there is in a set of clips. Printed as a table, shown as one in a notebook."""

    by_split: Mapping[str, SplitStats] = field(repr=False)
    """The figures of each split and, where there is more than one, of all together under `all`."""

    @property
    def all(self) -> SplitStats:
        """The figures of all clips together."""
        return list(self.by_split.values())[-1]

    def __str__(self) -> str:
        from avis_data.quality.stats import stats_table

        return stats_table(dict(self.by_split))

    def _repr_html_(self) -> str:
        from avis_data.report.html import text

        return f"<pre>{text(self)}</pre>"


def count(clips: ClipSet | str | Path) -> Counts:
    """Count clips, frames, masks, tracks, and how many objects are heard at once.

    Args:
        clips: a set of clips, or the path of a dataset or workspace; clips without truth are left out.

    Raises:
        DataError: if there is no such place.
        ProblemsError: if a truth file cannot be read.

    Example:
        >>> counts = avis.count("example/exports/ytvis")
        >>> counts.all.videos, counts.all.frames, counts.all.masks, counts.all.sources_max
        (12, 48, 71, 4)
        >>> counts.by_split["train"].categories["dog"]
        CategoryStats(tracks=2, masks=5, videos=2)
    """
    from avis_data.quality.stats import split_stats

    chosen = _clip_set(clips).filter(lambda clip: clip.has_truth)
    datasets = {
        name or "no split": replace(chosen, parts={name: part}).dataset() for name, part in chosen.parts.items()
    }
    figures = {name: split_stats([dataset]) for name, dataset in datasets.items()}
    if len(figures) != 1:
        figures["all"] = split_stats(datasets.values())
    return Counts(figures)


def validate(dataset: str | Path, *, deep: bool = False) -> ValidationReport:
    """Check a dataset in the AVISeg layout, ours or foreign. All that is wrong in it is a finding.

    Args:
        dataset: its folder, or one truth file.
        deep: decode every frame and every sample, and hash every file; otherwise headers, names and sizes only.

    Raises:
        DataError: if there is no such dataset.

    Example:
        >>> avis.validate("example/exports/ytvis").is_clean
        True
    """
    from avis_data.quality import validate as checked

    return checked(Path(dataset), deep=deep)


@dataclass(frozen=True)
class Evaluation:
    """The figures of predictions. Printed as the table of `avis-data evaluate`, shown as one in a notebook."""

    found: FileEvaluation = field(repr=False)
    intervals: Mapping[Mode, Mapping[str, Interval | None]] | None = field(default=None, repr=False)
    """The interval of each figure, if intervals were asked for."""

    @property
    def figures(self) -> dict[str, dict[str, object]]:
        """Mode, then name of a figure: fractions in [0, 1]."""
        return self.found.result.as_dict()

    def __str__(self) -> str:
        from avis_data.metrics.text_tables import evaluation_table

        return evaluation_table(self.found, self.intervals)

    def _repr_html_(self) -> str:
        from avis_data.report.html import text

        return f"<pre>{text(self)}</pre>"


def evaluate(
    predictions: str | Path,
    truth: ClipSet | str | Path,
    *,
    mode: ModeName = "both",
    bootstrap: int | None = None,
    seed: int = 0,
    lenient: bool = False,
    workers: int = 1,
) -> Evaluation:
    """FSLA, HOTA and mAP of predicted tracks.

    Args:
        predictions: a result file.
        truth: clips of one split, all of it or a part, or a truth file.
        mode: `aviseg_compat` is what the public code computes, `strict` what the papers describe; `both`, `ytvis`
            (the YouTube-VIS API), `all`. See docs/metrics.md for which to publish.
        bootstrap: draws of videos for intervals; None: no intervals.
        seed: of the draws.
        lenient: leave bad entries out and count them, instead of refusing the file.
        workers: processes.

    Raises:
        ConfigError: if the clips are not of one split, or there is no such mode.
        DataError: if a file is missing, or of another form.
        ProblemsError: if entries are bad and not `lenient`.

    Example:
        >>> result = avis.evaluate("example/results.json", avis.open("example/exports/ytvis").split("test"))
        >>> result.figures["strict"]["FSLA"], result.figures["strict"]["HOTA"]
        (1.0, 1.0)
    """
    found = _evaluated(Path(predictions), truth, mode, lenient=lenient, workers=workers)
    if bootstrap is None:
        return Evaluation(found)
    import numpy as np

    from avis_data.metrics.bootstrap import bootstrap_intervals

    rng = np.random.default_rng(seed)
    return Evaluation(found, bootstrap_intervals(found.result, num_draws=bootstrap, rng=rng))


@dataclass(frozen=True)
class Comparison:
    """Whether predictions B beat predictions A, figure by figure. Printed and shown as a table."""

    differences: Mapping[Mode, Mapping[str, Difference | None]] = field(repr=False)
    samples: Sequence[SampleTest] = field(repr=False)
    names: tuple[str, str]

    def __str__(self) -> str:
        from avis_data.metrics.text_tables import comparison_table

        return comparison_table(self.differences, self.samples, self.names)

    def _repr_html_(self) -> str:
        from avis_data.report.html import text

        return f"<pre>{text(self)}</pre>"


def compare(
    a: str | Path,
    b: str | Path,
    truth: ClipSet | str | Path,
    *,
    mode: ModeName = "both",
    bootstrap: int = 1000,
    seed: int = 0,
    lenient: bool = False,
    workers: int = 1,
) -> Comparison:
    """Say whether the predictions B beat the predictions A: a paired bootstrap over videos, and a t-test of objects.

    Args:
        a: a result file.
        b: another one, of the same clips.
        truth: as for `evaluate`; the other arguments likewise.

    Raises:
        ConfigError, DataError, ProblemsError: as `evaluate`.

    Example:
        >>> clips = avis.open("example/exports/ytvis").split("test")
        >>> same = avis.compare("example/results.json", "example/results.json", clips, mode="strict", bootstrap=50)
        >>> {item.verdict for item in same.differences["strict"].values() if item is not None}
        {'not shown'}
    """
    import numpy as np

    from avis_data.metrics.comparison import compare_results
    from avis_data.metrics.t_test import compare_samples

    first, second = (_evaluated(Path(path), truth, mode, lenient=lenient, workers=workers).result for path in (a, b))
    differences = compare_results(first, second, num_draws=bootstrap, rng=np.random.default_rng(seed))
    return Comparison(differences, compare_samples(first.videos, second.videos), (str(a), str(b)))


def _evaluated(
    predictions: Path, truth: ClipSet | str | Path, mode: ModeName, *, lenient: bool, workers: int
) -> FileEvaluation:
    from avis_data.metrics.counting import modes_named
    from avis_data.metrics.files import evaluate_files

    if mode not in get_args(ModeName):
        raise ConfigError(f"no mode {mode!r}; there are: {', '.join(get_args(ModeName))}")
    file, chosen = (truth_file(truth), truth) if isinstance(truth, ClipSet) else (Path(truth), None)
    if file.is_dir():
        raise ConfigError(f"{file}: is a folder; predictions are of one split", hint=f"{file / 'test.json'}")
    only = None if chosen is None else frozenset(chosen.ids)
    return evaluate_files(file, predictions, modes=modes_named(mode), lenient=lenient, workers=workers, only=only)


def _clip_set(clips: ClipSet | str | Path) -> ClipSet:
    from avis_data.door.opening import open

    return clips if isinstance(clips, ClipSet) else open(clips)

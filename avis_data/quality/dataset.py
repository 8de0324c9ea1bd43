"""Checks of a whole dataset in the YTVIS / AVISeg layout, ours or foreign: each split, and what splits share."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from avis_data.errors import DataError
from avis_data.format_numbers import check_export, what_is
from avis_data.formats.aviseg_folders import STILLS
from avis_data.formats.sets.files import opened_dataset
from avis_data.formats.ytvis_file import YtvisFile, open_ytvis
from avis_data.formats.ytvis_records import YtvisDataset, YtvisTruth
from avis_data.quality.findings import Findings, Severity
from avis_data.quality.media import FrameSizes, check_media
from avis_data.quality.published import check_published, published_without_media
from avis_data.quality.truth import check_truth

__all__ = ["SPLITS", "ValidationReport", "truth_files", "validate"]

SPLITS = ("train", "val", "test")


@dataclass(kw_only=True)
class ValidationReport:
    """What `validate` looked at and found."""

    path: str
    checked: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What was checked of each truth file: numbers of videos and tracks that could be read, and whether its media were
    checked."""
    files: dict[str, int] | None = None
    """Numbers of the dataset's own list of files: how many it names, how many are there and were hashed; None without a
    list."""
    proof: dict[str, int] | None = None
    """Numbers of clips that were compared, of near-duplicates, and of those on two sides; None where that was not asked
    for."""
    findings: Findings = field(default_factory=Findings)

    @property
    def is_clean(self) -> bool:
        """True if there is no error (warnings and notes do not count)."""
        return self.findings.count(Severity.ERROR) == 0

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        said = {"path": self.path, "clean": self.is_clean, "checked": self.checked, "files": self.files}
        said |= {} if self.proof is None else {"proof": self.proof}
        return said | self.findings.as_dict()


def truth_files(path: Path) -> list[Path]:
    """The truth files of a dataset: PATH itself, or `train.json`, `val.json`, `test.json` in it, those there are.

    Raises:
        DataError: if there is nothing of that name, a folder without any of them, or an export of another format.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"{path}: no such file or folder")
    found = [path / f"{split}.json" for split in SPLITS if (path / f"{split}.json").is_file()]
    if not found:
        hint = "give the folder that has them, or one truth file"
        raise DataError(f"{path}: there is no train.json, val.json or test.json; {what_is(path)}", hint=hint)
    check_export(path)
    return found


def validate(path: Path, *, deep: bool = False, certificate: bool = False) -> ValidationReport:
    """Check a dataset.

    Args:
        path: the folder, or an archive NAME.zip of it, with train.json, val.json, test.json and the folders train, val,
            test; or one truth file (its media are checked if a folder of its name with JPEGImages lies beside it).
        deep: decode every frame and every sample, and hash every file of an export of ours; otherwise headers, names
            and sizes only.
        certificate: make the proof of the certificate again, that no source, channel or near-duplicate is on two sides:
            from the truth files, the stills and the sound.

    Raises:
        DataError: if there is no such dataset. All that is wrong inside of it is a finding.
    """
    with opened_dataset(path) as root:
        return replace(_validated(root, deep=deep, certificate=certificate), path=str(path))


def _validated(path: Path, *, deep: bool, certificate: bool) -> ValidationReport:
    report = ValidationReport(path=str(path))
    splits: dict[str, _Split] = {}
    truth_only = path.is_file() or published_without_media(path)
    with ExitStack() as stack:
        for file in truth_files(path):
            splits[file.stem] = _check_split(file, report, stack, deep=deep, alone=truth_only)
        _check_shared(splits, report.findings)
        if path.is_dir():
            report.files = check_published(path, findings=report.findings, deep=deep)
        if certificate:
            from avis_data.quality.proof import check_proof  # SciPy comes with it, which is 20 MB

            truths = {split: content.truth for split, content in splits.items()}
            report.proof = check_proof(path, truths, report.findings)
    return report


@dataclass(frozen=True)
class _Split:
    truth: YtvisTruth
    sources: Mapping[str, str]
    """Video name to what the file says its source is (`source` or `source_video` of `videos`), where it does."""
    frame_sizes: FrameSizes


def _check_split(file: Path, report: ValidationReport, stack: ExitStack, *, deep: bool, alone: bool) -> _Split:
    try:
        truth = stack.enter_context(open_ytvis(file))
    except DataError as error:
        report.findings.add(Severity.ERROR, "unreadable", file.name, str(error))
        return _Split(YtvisDataset(videos=(), tracks=(), categories=()), {}, FrameSizes())
    num_tracks = check_truth(truth, file=file.name, findings=report.findings)
    folder = file.with_name(file.name.removesuffix(".gz")).with_suffix("")
    with_media = (folder / STILLS).is_dir() if alone else True
    sizes = FrameSizes()
    if with_media:
        sizes = check_media(folder, truth, findings=report.findings, deep=deep)
    report.checked[file.name] = {"num_videos": truth.num_videos, "num_tracks": num_tracks, "media": with_media}
    return _Split(truth, _sources(truth), sizes)


def _sources(truth: YtvisFile) -> dict[str, str]:
    found: dict[str, str] = {}
    for _, entry, video in truth.video_entries():
        source = entry.get("source_video", entry.get("source"))
        if isinstance(source, str) and source:
            found.setdefault(video.name, source)
    return found


def _check_shared(splits: Mapping[str, _Split], findings: Findings) -> None:
    names: dict[str, str] = {}
    sources: dict[str, tuple[str, str]] = {}
    alike = FrameSizes.shared(content.frame_sizes for content in splits.values())
    contents: dict[int, tuple[str, str]] = {}
    for split, content in splits.items():
        file = f"{split}.json"
        for number, name in enumerate(content.truth.names):
            other = names.setdefault(name, split)
            if other != split:
                findings.add(Severity.ERROR, "video-shared", file, f"video {name!r} is also in {other}.json")
                continue
            here = (split, name)
            source = content.sources.get(name)
            if source is not None and sources.setdefault(source, here)[0] != split:
                text = f"video {name!r} has the same source as {sources[source][1]!r} of {sources[source][0]}.json"
                findings.add(Severity.ERROR, "source-shared", file, f"{text}: {source!r:.80}")
            sizes = content.frame_sizes.of(number)
            if sizes in alike and contents.setdefault(sizes, here) != here:
                text = f"video {name!r} has the same frames, to the byte count, as {contents[sizes][1]!r}"
                findings.add(Severity.WARNING, "same-frames", file, f"{text} of {contents[sizes][0]}.json")
    lists = {split: content.truth.categories for split, content in splits.items() if content.truth.categories}
    if len(set(lists.values())) > 1:
        text = "categories differ from those of other splits"
        findings.add(Severity.ERROR, "categories-differ", f"{list(lists)[-1]}.json", text)

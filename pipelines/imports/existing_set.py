"""An existing set in the AVISeg layout enters a workspace: its stills and sound become clips, its truth follows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from avis_data.errors import DataError, Problem, ProblemsError
from avis_data.formats.aviseg_folders import SOUNDS, STILLS
from avis_data.formats.ytvis import ParsedYtvis, YtvisDataset, YtvisVideo, parse_ytvis
from avis_data.io import sha256_text
from avis_data.ledger import Ledger
from avis_data.paths import Workspace
from avis_data.pipelines.engine.executors import ExecutorFactory
from avis_data.pipelines.engine.lock import open_for_work
from avis_data.pipelines.engine.planner import Plan, Selection, plan_stage
from avis_data.pipelines.engine.runner import Policy, StageReport, run_stage
from avis_data.pipelines.engine.spec import Candidates
from avis_data.pipelines.engine.stage import Input, Item, item_key, stage_key
from avis_data.pipelines.imports.removed import Received, read_received
from avis_data.pipelines.imports.truth import ImportReport, Prepared, check_annotated, import_ytvis
from avis_data.pipelines.manifests import write_manifests
from avis_data.pipelines.stages.adopt import (
    AdoptedVideo,
    AdoptRequest,
    AdoptStage,
    adopt_options,
    clip_id_of,
)
from avis_data.pipelines.upkeep.redaction import Redaction
from avis_data.recipe import Recipe
from avis_data.records import SplitName

__all__ = ["SetFiles", "import_set", "plan_set", "read_set"]


@dataclass(frozen=True, kw_only=True)
class SetFiles:
    """One split of an existing set, read and found to be one."""

    truth: Path
    media: Path
    """The folder that holds JPEGImages and WAVAudios."""
    parsed: ParsedYtvis
    received: Received
    split: SplitName | None


@dataclass(frozen=True, kw_only=True)
class _Adoption:
    """What is to be adopted: one item per video, and what the set says of it besides."""

    stage: AdoptStage
    items: dict[str, Item]
    videos: dict[str, AdoptedVideo]
    sizes: dict[str, int]
    """Bytes of stills and sound."""


def read_set(truth: Path, media: Path, *, split: SplitName | None, redaction: Redaction | None = None) -> SetFiles:
    """Read the truth file and look for the media; touches nothing.

    Args:
        truth: the JSON file of a split.
        media: the split's folder.
        split: None: the name of the truth file, if that is `train`, `val` or `test`.
        redaction: leaves out what was removed from the workspace that the set is for (`redaction_of`).

    Raises:
        DataError: if the file is no JSON or holds no annotations, or the folder holds no JPEGImages.
        ProblemsError: if no video of the file can be read.
    """
    received = read_received(truth, redaction)
    parsed = parse_ytvis(received.value)
    check_annotated(parsed, truth)
    if not parsed.dataset.videos:
        raise ProblemsError(
            f"{truth}: no video that could be imported", parsed.problems, hint=f"avis-data validate {truth}"
        )
    if not (media / STILLS).is_dir():
        inner = media / truth.stem
        hint = f"--media {inner}" if (inner / STILLS).is_dir() else f"--media DIR, which holds {STILLS} and {SOUNDS}"
        raise DataError(f"{media}: no folder {STILLS} in it", hint=hint)
    named = next((name for name in get_args(SplitName) if name == truth.stem), None)
    return SetFiles(truth=truth, media=media, parsed=parsed, received=received, split=split or named)


def plan_set(
    workspace: Workspace, recipe: Recipe, files: SetFiles, *, verify: bool, skip_bad: bool
) -> tuple[Plan, ImportReport]:
    """What `import_set` would do now; touches nothing. Stills and sound are looked for, but not read.

    Raises:
        ProblemsError: as `import_set`.
    """
    with Ledger(workspace.ledger, read_only=True) as ledger:
        adoption = _adoption(recipe, files)
        _check_conflicts(ledger, adoption, files.truth)
        plan = _plan(workspace, ledger, adoption, verify=verify)
    plan.expected_bytes = sum(adoption.sizes[planned.item.item_id] for planned in plan.todo)
    prepared = Prepared(recipe=recipe, parsed=files.parsed, received=files.received, coming=frozenset(adoption.items))
    return plan, import_ytvis(workspace, files.truth, ledger=None, skip_bad=skip_bad, prepared=prepared)


def import_set(
    workspace: Workspace,
    recipe: Recipe,
    files: SetFiles,
    *,
    executors: ExecutorFactory,
    verify: bool = False,
    skip_bad: bool = False,
) -> Iterator[StageReport | ImportReport]:
    """Adopt the stills and sound of every video of a set, then import its truth; gives both reports as they end.

    Videos that failed before are tried again. What is adopted stays, whatever is wrong with the truth. A stage that was
    stopped early ends the sequence.

    Args:
        workspace: gets the clips.
        recipe: of the workspace.
        files: from `read_set`.
        executors: where the videos are worked on.
        verify: hash what was adopted before instead of trusting its size and time.
        skip_bad: leave out the truth of videos that have a problem or could not be adopted, instead of importing none.

    Raises:
        BusyError: if another command is at work in this workspace.
        ProblemsError: if a video has the id of something else in the workspace (nothing is adopted), or anything is
            wrong with the truth.
    """
    with open_for_work(workspace, "avis-data import") as ledger:
        adoption = _adoption(recipe, files)
        _check_conflicts(ledger, adoption, files.truth)
        ledger.adopt((clip_id, video.model_dump_json()) for clip_id, video in adoption.videos.items())
        plan = _plan(workspace, ledger, adoption, verify=verify)
        try:
            report = run_stage(workspace, ledger, adoption.stage, plan, executors=executors, policy=Policy())
        finally:
            write_manifests(workspace, ledger)  # also when interrupted: what is done is there to be used
        yield report
        if report.stopped:
            return
        missing = _failures(ledger, adoption)
        prepared = Prepared(recipe=recipe, parsed=files.parsed, received=files.received, missing=missing)
        yield import_ytvis(workspace, files.truth, ledger=ledger, skip_bad=skip_bad, prepared=prepared)


def _check_rates(recipe: Recipe, files: SetFiles) -> None:
    """Raise for videos of another rate than the recipe's: a dataset has one."""
    fps = recipe.extract.fps
    problems = [
        Problem(f"video {video.name!r:.80}", "fps", f"has {video.fps:g} frames a second, the recipe {fps:g}")
        for video in files.parsed.dataset.videos
        if video.fps != fps
    ]
    if problems:
        hint = "set extract.fps in recipe.yaml; or, where the file does not say its rate, add it to its videos as `fps`"
        raise ProblemsError(f"{files.truth}: {len(problems)} problem(s), nothing adopted", problems, hint=hint)


def _adoption(recipe: Recipe, files: SetFiles) -> _Adoption:
    _check_rates(recipe, files)
    found = _Adoption(stage=AdoptStage(adopt_options(recipe)), items={}, videos={}, sizes={})
    license_of = _licenses(files.parsed.dataset)
    media = files.media.resolve()
    for video in files.parsed.dataset.videos:
        clip_id = clip_id_of(video.name)
        if clip_id in found.items:
            continue  # a name that is there twice is a problem of the truth, which names it
        fingerprint, found.sizes[clip_id] = _fingerprint(media, video.name)
        found.items[clip_id] = Item(
            item_id=clip_id,
            record=AdoptRequest(
                clip_id=clip_id,
                name=video.name,
                width=video.width,
                height=video.height,
                stills=tuple(name.partition("/")[2] for name in video.file_names),
                fps=video.fps,
            ),
            inputs={"media": Input(path=str(media), sha256=fingerprint)},
            home=f"clips/{clip_id}",
        )
        found.videos[clip_id] = AdoptedVideo(name=video.name, split=files.split, license=license_of(video))
    return found


def _plan(workspace: Workspace, ledger: Ledger, adoption: _Adoption, *, verify: bool) -> Plan:
    selection = Selection(retry_failed="all", verify=verify)
    return plan_stage(workspace, ledger, adoption.stage, Candidates(items=list(adoption.items.values())), selection)


def _fingerprint(media: Path, name: str) -> tuple[str, int]:
    """Hash of names, sizes and times of change of a video's files, and their bytes together.

    A whole set is tens of gigabytes: to hash its content only to learn that nothing changed would take minutes.
    """
    lines, size_bytes = [], 0
    for path in (media / STILLS / name, media / SOUNDS / f"{name}.wav"):
        try:
            entries = sorted(path.iterdir()) if path.is_dir() else [path]
            for entry in entries:
                stat = entry.stat()
                lines.append(f"{entry.relative_to(media).as_posix()} {stat.st_size} {stat.st_mtime_ns}")
                size_bytes += stat.st_size
        except OSError:
            lines.append(f"{path.name} is missing")  # the stage says so, of this video alone
    return sha256_text("\n".join(lines)), size_bytes


def _licenses(dataset: YtvisDataset) -> Callable[[YtvisVideo], str | None]:
    """What the file says of a video's licence: by the video's own `license`, or by one licence for all."""
    entries = [entry for entry in dataset.licenses if isinstance(entry, dict)]
    names = {entry.get("id"): _license_name(entry) for entry in entries}
    for_all = None
    if len(entries) == 1 and all(video.license_id is None for video in dataset.videos):
        for_all = _license_name(entries[0])

    def license_of(video: YtvisVideo) -> str | None:
        return for_all if video.license_id is None else names.get(video.license_id)

    return license_of


def _license_name(entry: dict[str, Any]) -> str | None:
    return next((entry[key] for key in ("name", "url") if isinstance(entry.get(key), str) and entry[key]), None)


def _check_conflicts(ledger: Ledger, adoption: _Adoption, truth: Path) -> None:
    """Raise if a clip would take the place of another one: of the list, or of another split."""
    listed = {item_id for rows in (ledger.wanted("clip"), ledger.wanted("video")) for item_id, _ in rows}
    before = dict(ledger.read_adopted(AdoptedVideo))
    entries, stage_hash = ledger.entries("adopt"), stage_key(adoption.stage)
    problems = []
    for clip_id, item in adoption.items.items():
        here, there, entry = adoption.videos[clip_id], before.get(clip_id), entries.get(clip_id)
        where = f"video {here.name!r:.80}"
        if clip_id in listed:
            message = "the workspace has it from its list: import its truth without --media, or use another workspace"
            problems.append(Problem(where, "", message))
        elif there is not None and entry is not None and there.split != here.split:
            if entry.key != item_key(stage_hash, item):
                message = f"there is another video of this name, in {there.split or 'no split'}; names must be unique"
                problems.append(Problem(where, "", message))
    if problems:
        raise ProblemsError(f"{truth}: {len(problems)} problem(s), nothing adopted", problems)


def _failures(ledger: Ledger, adoption: _Adoption) -> dict[str, str]:
    return {
        clip_id: f"{entry.message} ({entry.reason})"
        for clip_id, entry in ledger.entries("adopt").items()
        if entry.state == "failed" and clip_id in adoption.items
    }

"""The ledger of the new workspace: the rows of both, under their new ids and keys, so that nothing is done again."""

from __future__ import annotations

from collections.abc import Iterator

from avis_data.io import sha256_tree
from avis_data.ledger import Ledger, Output
from avis_data.ledger.text import KeptItem, KeptLine, KeptRecord, KeptSetting
from avis_data.paths import Workspace
from avis_data.pipelines.engine.spec import Choices, Setting
from avis_data.pipelines.engine.stage import Input, Item, item_key, params_key, stage_key
from avis_data.pipelines.kept_video_list import CLIP_ROW
from avis_data.pipelines.merge.plan import MergePlan, Preferred
from avis_data.pipelines.stages import STAGES
from avis_data.pipelines.stages.embed import EmbedParams, EmbedStage, PackStage
from avis_data.pipelines.stages.fetch import FetchStage
from avis_data.pipelines.stages.fingerprint import PackFingerprintsStage
from avis_data.recipe import Recipe
from avis_data.video_list import DownloadRequest

__all__ = ["ledger_lines", "new_path", "rekey"]

_FETCH, _EMBED, _IMPORT = "fetch", "embed", "import"
_OF_MASKS = ("prelabel", "propagate")
"""Their files hold the id of their clip: under another id they are made again."""
_KEYED = ("extract", "preview", "embed", "fingerprint")
"""Stages whose items name their clip or the facts of its video, and are made from the ledger alone."""


def new_path(relative: str, old: str, new: str) -> str:
    """A path of a workspace in which an id is another one."""
    parts = (
        f"{new}{part[len(old) :]}" if part == old or part.startswith(f"{old}.") else part
        for part in relative.split("/")
    )
    return "/".join(parts)


def ledger_lines(plan: MergePlan, workspace: Workspace) -> Iterator[KeptLine]:
    """The rows, but for those of tables, which are written after; the files are in place already."""
    imports: set[str] = set()
    for name in plan.sides:
        for item in _items(plan, name, workspace):
            if item.stage != _IMPORT or item.item_id not in imports:
                yield item
            if item.stage == _IMPORT:
                imports.add(item.item_id)
    for video in plan.videos.values():
        adopted = plan.sides[video.owner].videos[video.old_ids[video.owner]].adopted
        if adopted is not None:
            yield KeptRecord(table="adopted", item_id=video.video_id, record=adopted.model_dump_json())
        else:
            yield KeptRecord(table="wanted", kind="video", item_id=video.video_id, record="")
    for clip in plan.clips.values():
        if clip.row is not None:
            text = CLIP_ROW.dump_json(clip.row).decode()
            yield KeptRecord(table="wanted", kind="clip", item_id=clip.clip_id, record=text)
    settings = [side.settings for side in plan.sides.values()]
    if any(side.has_list for side in plan.sides.values()):
        yield KeptSetting(name="list_folder", value=".")
        allowed = any(each.get("allow_local") == "yes" for each in settings)
        yield KeptSetting(name="allow_local", value="yes" if allowed else "no")
        yield KeptSetting(name="skip_bad_rows", value="no")


def _items(plan: MergePlan, name: Preferred, workspace: Workspace) -> Iterator[KeptItem]:
    side, clips = plan.sides[name], plan.clip_ids(name)
    videos = {video.old_ids[name]: video.video_id for video in plan.videos.values() if video.owner == name}
    known = {part.name for spec in STAGES for part in spec.parts} - {PackStage.name, PackFingerprintsStage.name}
    for item in side.items:
        if item.stage == _IMPORT:
            yield item
            continue
        new = (videos if item.stage == _FETCH else clips).get(item.item_id)
        if item.stage not in known or new is None or (item.stage in _OF_MASKS and new != item.item_id):
            continue
        if item.stage == _EMBED and side.weights_of.get(item.item_id, plan.weights) != plan.weights:
            continue
        outputs = tuple(
            _moved(output[:4], new_path(output[0], item.item_id, new), side.workspace, workspace)
            for output in item.outputs
        )
        facts = item.facts
        if facts is not None and item.stage == _FETCH:
            facts = {**facts, "video_id": new, "path": new_path(str(facts.get("path")), item.item_id, new)}
        yield item.model_copy(update={"item_id": new, "outputs": outputs, "facts": facts})


def _moved(
    output: tuple[str, str, int, int], path: str, before: Workspace, now: Workspace
) -> tuple[str, str, int, int]:
    """An output where it lies now. One that was changed behind the ledger's back keeps the hash that tells it."""
    old, new = before.root / output[0], now.root / path
    if not old.exists() or not new.exists():
        return (path, *output[1:])
    intact = old.stat().st_mtime_ns == output[3] or sha256_tree(old) == output[1]
    if not intact:
        return (path, output[1], output[2], 0)
    if old.is_file() and old.stat().st_ino != new.stat().st_ino and old.read_bytes() != new.read_bytes():
        found = Output.of_file(new, root=now.root)  # its own id stands in it
        return (found.path, found.sha256, found.size_bytes, found.mtime_ns)
    return (path, output[1], output[2], new.stat().st_mtime_ns)


def rekey(plan: MergePlan, workspace: Workspace, recipe: Recipe, ledger: Ledger) -> None:
    """Give items new keys that were as their own workspace would make them now, and have another id or video here."""
    entries = {stage: ledger.done_keys(stage) for stage in (_FETCH, *_KEYED)}
    new_keys: dict[tuple[str, str], str] = {}
    for name, side in plan.sides.items():
        changed = {
            clip.old_ids[name]: clip.clip_id
            for clip in plan.clips.values()
            if clip.owner == name and _is_changed(plan, clip.clip_id, name)
        }
        if name == "B":
            new_keys |= _fetch_keys(plan, recipe, ledger)
        if not changed:
            continue
        with Ledger(side.workspace.ledger, read_only=True) as own:
            before = Setting(workspace=side.workspace, ledger=own, recipe=side.recipe, dry_run=True)
            now = Setting(workspace=workspace, ledger=ledger, recipe=recipe, dry_run=True)
            for stage in _KEYED:
                spec = STAGES[stage]
                assert spec.items is not None
                old_items = {item.item_id: item for item in spec.items(before).items if item.item_id in changed}
                new_items = {item.item_id: item for item in spec.items(now).items}
                for old, new in changed.items():
                    if old in old_items and new in new_items:
                        hashed = _stage_hash(plan, stage, recipe)
                        if entries[stage].get(new) == item_key(hashed, old_items[old]):
                            new_keys[stage, new] = item_key(hashed, new_items[new])
    ledger.set_keys(new_keys)


def _is_changed(plan: MergePlan, clip_id: str, name: Preferred) -> bool:
    clip = plan.clips[clip_id]
    video = plan.videos[clip.video_id]
    return video.same_source and (clip.old_ids[name] != clip_id or video.owner != name)


def _stage_hash(plan: MergePlan, stage: str, recipe: Recipe) -> str:
    if stage == _EMBED:
        params = EmbedParams(front_end=recipe.embed.front_end, weights_sha256=plan.weights or "untrained-0")
        return params_key(EmbedStage.name, EmbedStage.version, params)
    spec = STAGES[stage]
    return stage_key(spec.make(recipe, Choices()))


def _fetch_keys(plan: MergePlan, recipe: Recipe, ledger: Ledger) -> dict[tuple[str, str], str]:
    """Of renamed videos: the address stays."""
    hashed, found = stage_key(FetchStage(recipe.fetch)), {}
    keys, inputs = ledger.done_keys(_FETCH), ledger.inputs(_FETCH)
    for video in plan.videos.values():
        old = video.old_ids.get("B")
        if video.owner != "B" or old == video.video_id or video.url is None or video.video_id not in keys:
            continue
        of_it = {name: Input(path="", sha256=sha256) for name, sha256 in inputs[video.video_id].items()}
        items = [
            Item(item_id=name, record=DownloadRequest(video_id=name, url=video.url), inputs=of_it, home="sources")
            for name in (str(old), video.video_id)
        ]
        if keys[video.video_id] == item_key(hashed, items[0]):
            found[_FETCH, video.video_id] = item_key(hashed, items[1])
    return found

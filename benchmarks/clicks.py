"""What a clip of open-15 costs an annotator: clicks and seconds of a scripted hand on the real page, and what is left.

    PYTHONPATH=tests python -m benchmarks.clicks --media DIR [--engine NAME --engine-weights PATH] [CLIP ... | all]

DIR holds the clips, named by `video_id`. The hand knows the truth (`manifests/open-15`). It plays the clip once to its
end; marks who is heard and when, where the page does not say so already, and takes away what it says wrongly; draws a
box around each object, `on its first still` or on the first `where it sounds`; waits until all seconds are filled;
draws boxes where following lost the object, as after a cut; gives a verdict and submits. Every click and key counts.
It never hesitates, so the seconds are those of the machine and of the sound. `by hand` is a page that nobody filled,
with a box on each still and the seconds marked afterwards, so that no box fills another still. IoU: of what was pulled
with the truth, over the stills in which an object is seen and heard; a still without a mask counts 0.
"""

from __future__ import annotations

import argparse
import math
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from playwright.sync_api import ViewportSize

from avis_data.annotation.labels.store import read_labelled, read_round
from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.formats.ytvis import read_ytvis
from avis_data.masks.rle import Rle, area, box, decode
from avis_data.paths import Workspace
from avis_data.recipe import create_workspace
from benchmarks.open15 import TRUTH, iou
from support.label_studio import TestServer, link, new_user, shared_server
from support.labelling_page import LabellingPage, chromium, signed_in
from support.sam_service import segmenter
from support.shell import avis_data

CLIPS = ("composite_two_speakers",)
FIRST_STILL, WHERE_IT_SOUNDS, BY_HAND = "on its first still", "where it sounds", "by hand"
CUT = r"_\d+_\d+$"
"""A clip may be cut out of a longer video; the media are cut already."""
EMAIL, PASSWORD = "hand@example.com", "a-long-password"
WAIT_MS = 300_000
SCREEN = ViewportSize(width=1366, height=768)


@dataclass(frozen=True)
class Heard:
    """One object that sounds, and the truth of it."""

    identity: str
    masks: dict[int, Rle]
    """By still, of those in which it is seen and heard."""
    seen: dict[int, Rle]
    """By still, of all in which it is seen."""

    @property
    def spans(self) -> list[tuple[int, int]]:
        """First and last second of each stretch in which it is heard."""
        found: list[tuple[int, int]] = []
        for second in sorted(self.masks):
            if found and found[-1][1] == second - 1:
                found[-1] = found[-1][0], second
            else:
                found.append((second, second))
        return found


@dataclass(frozen=True)
class Clip:
    """One clip and what is heard in it."""

    name: str
    num_seconds: int
    categories: tuple[str, ...]
    objects: tuple[Heard, ...]


def clips_of(names: list[str]) -> list[Clip]:
    """The truth of some clips."""
    truth = read_ytvis(TRUTH)
    categories = {category.id: category.name for category in truth.categories}
    found = []
    for video in truth.videos:
        if video.name not in names:
            continue
        objects: list[Heard] = []
        for track in truth.tracks:
            heard = (track.video_id == video.video_id and track.sounding) or ()
            seen = {second: mask for second, mask in enumerate(track.masks) if mask is not None and area(mask)}
            masks = {second: mask for second, mask in seen.items() if second < len(heard) and heard[second]}
            if masks:
                name = categories[track.category_id]
                number = 1 + sum(item.identity.rpartition("_")[0] == name for item in objects)
                objects.append(Heard(f"{name}_{number}", masks, seen))
        named = {categories[track.category_id] for track in truth.tracks if track.video_id == video.video_id}
        found.append(Clip(video.name, video.length, tuple(sorted(named)), tuple(objects)))
    return found


def label(page: LabellingPage, clip: Clip, way: str) -> None:
    """All that a person does on an open page."""
    by_hand = way == BY_HAND
    page.play(clip.num_seconds)
    keys = {identity: str(key) for key, identity in enumerate(page.labels_shown()[:8], 1)}
    wanted = {item.identity: item.spans for item in clip.objects}
    for identity in keys:
        if page.spans(identity) not in ([], wanted.get(identity)):
            page.remove_spans(identity)
    for item in clip.objects:
        missing = [] if page.spans(item.identity) else item.spans
        page.key(keys[item.identity])  # in both rows at once
        for first, last in () if by_hand else missing:
            page.drag_span(first, last)
        for second in item.masks if by_hand else (min(item.masks if way == WHERE_IT_SOUNDS else item.seen),):
            page.turn_to(second)
            with page.answered():
                page.drag_box(box(item.seen[second]))
        for first, last in missing if by_hand else ():
            page.drag_span(first, last)
        if item is not clip.objects[-1]:
            page.key("u")
    page.wait_until_filled()
    for item in () if by_hand else clip.objects:
        box_what_is_lost(page, item, keys[item.identity])
    page.key("Shift+D")
    page.submit()


def box_what_is_lost(page: LabellingPage, item: Heard, key: str) -> None:
    """A box on the first still that lacks a mask, which is followed from there, until none does."""
    while missing := sorted(set(item.masks) - stills_of(page, item.identity)):
        page.key("u")
        page.turn_to(missing[0])
        page.key(key)
        with page.answered():
            page.drag_box(box(item.seen[missing[0]]))
        page.wait_until_filled()
        assert missing[0] in stills_of(page, item.identity), f"{item.identity}: a box brought no mask"


def stills_of(page: LabellingPage, identity: str) -> set[int]:
    """Those on which an object has a mask."""
    masks = [region for region in page.regions() if "rle" in region["value"]]
    return {region["item_index"] for region in masks if region["value"].get("labels") == [identity]}


def empty_pages(server: TestServer, project_id: int) -> None:
    """Take away what the pages of a project are filled with."""
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Token {server.token}"}, timeout=60) as client:
        for found in client.get("/api/predictions/", params={"project": project_id}).raise_for_status().json():
            client.delete(f"/api/predictions/{found['id']}/").raise_for_status()


def quality(workspace: Workspace, clip: Clip) -> tuple[float, float]:
    """Mean IoU, and the part of the stills that have a mask, where an object is seen and heard; NaN where none is."""
    (found,) = (item for item in read_labelled(workspace, "draft", None) if item.clip_id.startswith(clip.name))
    tracks = {track.identity: track for track in found.tracks}
    shares, there = [], []
    for item in clip.objects:
        pulled = {mask.frame: mask for mask in tracks[item.identity].masks} if item.identity in tracks else {}
        for second, mask in item.masks.items():
            drawn = pulled.get(second)
            there.append(drawn is not None)
            empty = np.zeros((mask.height, mask.width), dtype=bool)
            ours = decode(Rle(drawn.height, drawn.width, drawn.counts)).astype(bool) if drawn is not None else empty
            shares.append(iou(ours, decode(mask).astype(bool)))
    return (float(np.mean(shares)), float(np.mean(there))) if shares else (math.nan, math.nan)


def prepared(folder: Path, server: TestServer, clips: list[Clip], media: Path, name: str) -> Workspace:
    """A workspace of its own for one way."""
    workspace = Workspace(server.folder(name))
    create_workspace(workspace, "aviseg")
    recipe = workspace.recipe.read_text(encoding="utf-8").replace("categories: aviseg-26", "categories: open-15")
    workspace.recipe.write_text(recipe.replace("missing_sound: fail", "missing_sound: pad"), encoding="utf-8")
    rows = []
    for clip in clips:
        (path,) = media.glob(f"{re.sub(CUT, '', clip.name)}.*")
        rows.append(f'{path},{clip.name},"{";".join(clip.categories)}"')
    (folder / "list.csv").write_text("\n".join(["url,video_id,categories", *rows]) + "\n")
    for step in (("fetch", "--list", folder / "list.csv", "--allow-local", "--sleep", 0), ("extract",)):
        ran = avis_data("-C", workspace.root, *step)
        assert ran.code == 0, ran.err
    return workspace


def row(clip: Clip, way: str, clicks: int, seconds: float, share: float, filled: float) -> str:
    """A line of the table."""
    each = clip.num_seconds * len(clip.objects)
    found = [f"{clicks / each:.2f}", f"{seconds / each:.2f}", f"{share:.2f}", f"{100 * filled:.0f} %"] if each else []
    cells = [f"{clip.name}, {clip.num_seconds} s", way, len(clip.objects), clicks, f"{seconds:.0f}", *found]
    return f"| {' | '.join(map(str, [*cells, *[''] * (9 - len(cells))]))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", metavar="CLIP", default=CLIPS)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--engine", default="grabcut")
    parser.add_argument("--engine-weights", type=Path, default=None)
    parser.add_argument("--pictures", type=Path, default=None, help="where a picture of each finished page goes")
    arguments = parser.parse_args()
    every = [video.name for video in read_ytvis(TRUTH).videos]
    clips = clips_of(every if list(arguments.clips) == ["all"] else list(arguments.clips))
    print(f"engine {arguments.engine}\n")
    print("| clip | way | heard | actions | seconds | actions a second and object | seconds | IoU | stills filled |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as base, shared_server(Path(base)) as server, chromium() as browser:
        new_user(server, EMAIL, PASSWORD)
        for way in (FIRST_STILL, WHERE_IT_SOUNDS, BY_HAND):
            workspace = prepared(Path(base), server, clips, arguments.media.resolve(), way.replace(" ", "-"))
            serving = segmenter(workspace, workspace.root, arguments.engine, arguments.engine_weights)
            with serving as (url, token), signed_in(browser, server.url, email=EMAIL, password=PASSWORD) as page:
                page.page.set_viewport_size(SCREEN)
                page.page.set_default_timeout(WAIT_MS)
                link(workspace, server, backend_url=url, backend_token=token)
                ran = avis_data("-C", workspace.root, "annotate", "push", "--round", "draft", "--annotators", EMAIL)
                assert ran.code == 0, ran.err
                project_id = read_round(workspace, "draft").projects[0].project_id
                if way == BY_HAND:
                    empty_pages(server, project_id)
                tasks = LabelStudio(server.url, server.token).tasks(project_id)
                opened = {task.clip_id: (project_id, task.id) for task in tasks}
                for clip in clips:
                    page.open(*next(place for name, place in opened.items() if name.startswith(clip.name)))
                    page.clicks, began = 0, time.monotonic()
                    label(page, clip, way)
                    seconds = time.monotonic() - began
                    if arguments.pictures is not None:
                        page.shot(arguments.pictures / f"{clip.name}-{way.replace(' ', '-')}.png")
                    assert avis_data("-C", workspace.root, "annotate", "pull").code == 0
                    share, filled = quality(workspace, clip)
                    print(row(clip, way, page.clicks, seconds, share, filled), flush=True)


if __name__ == "__main__":
    main()

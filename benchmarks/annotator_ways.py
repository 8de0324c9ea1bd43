"""How much work a clip is for an annotator, in three ways, with a scripted hand on the real page.

    PYTHONPATH=tests python -m benchmarks.annotator_ways

Synthetic clips with one object that sounds throughout. Every way ends with the same seconds marked and a mask on each
of their stills. A real Label Studio, the segmenter (GrabCut) and Chromium; the hand never hesitates, so the seconds are
those of the machine, and the clicks those of a person.

1. every still by hand: a box on each still;
2. click and propagate: one box, which the segmenter carries to the other stills;
3. propagated before, listen only: masks of second 0 alone were known, `avis-data propagate` (optical flow) carried them
   through the clip before the page opens; the timeline and the verdict are left.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avis_data.annotation.labels.store import read_labelled, read_round
from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.formats.ytvis import read_ytvis
from avis_data.io import read_json, write_json
from avis_data.masks.rle import Rle, box, decode
from avis_data.paths import Workspace
from support.label_studio import TestServer, link, new_user, shared_server
from support.labelling_page import LabellingPage, chromium, signed_in
from support.sam_service import segmenter
from support.shell import avis_data

SECONDS = 6
EMAIL, PASSWORD = "hand@example.com", "a-long-password"


@dataclass(frozen=True)
class Clip:
    """One clip and what is true of its object."""

    clip_id: str
    identity: str
    masks: tuple[Rle, ...]


def clips_of(world: Path, number: int) -> list[Clip]:
    """Clips with an object that sounds in every second; the first such object of each."""
    truth = read_ytvis(world / "truth.json")
    names = {category.id: category.name for category in truth.categories}
    videos = {video.video_id: video.name for video in truth.videos}
    found: dict[str, Clip] = {}
    for track in truth.tracks:
        masks = tuple(mask for mask in track.masks if mask is not None)
        name = videos[track.video_id]
        if len(masks) == SECONDS and (world / "media" / f"{name}.mp4").exists():
            found.setdefault(name, Clip(name, f"{names[track.category_id]}_1", masks))
    return list(found.values())[:number]


def by_hand(page: LabellingPage, clip: Clip) -> None:
    for second, mask in enumerate(clip.masks):
        page.turn_to(second)
        page.smart_box(clip.identity, box(mask))
    page.remove_spans()
    page.draw_span(clip.identity, 0, SECONDS - 1)


def click_and_propagate(page: LabellingPage, clip: Clip) -> None:
    page.remove_spans()
    page.draw_span(clip.identity, 0, SECONDS - 1)
    page.smart_box(clip.identity, box(clip.masks[0]))


def listen_only(page: LabellingPage, clip: Clip) -> None:
    page.remove_spans()
    page.draw_span(clip.identity, 0, SECONDS - 1)


def measure(
    way: Callable[[LabellingPage, Clip], None],
    page: LabellingPage,
    workspace: Workspace,
    server: TestServer,
    clip: Clip,
) -> tuple[int, float]:
    """Clicks and seconds from the open page to the saved answer."""
    client = LabelStudio(server.url, server.token)
    (project,) = read_round(workspace, "draft").projects
    (task,) = (task for task in client.tasks(project.project_id) if task.clip_id == clip.clip_id)
    page.open(project.project_id, task.id)
    page.let_the_machine_help()
    page.clicks, began = 0, time.monotonic()
    way(page, clip)
    page.choose_verdict("done")
    page.submit()
    return page.clicks, time.monotonic() - began


def quality(workspace: Workspace, clip: Clip) -> tuple[int, float]:
    """How many seconds have a mask, and their mean IoU with the truth."""
    (found,) = read_labelled(workspace, "draft", clip.clip_id)
    (track,) = (track for track in found.tracks if track.identity == clip.identity)
    shares = []
    for mask in track.masks:
        drawn = decode(Rle(mask.height, mask.width, mask.counts)).astype(bool)
        truth = decode(clip.masks[mask.frame]).astype(bool)
        shares.append((drawn & truth).sum() / (drawn | truth).sum())
    return len(shares), float(np.mean(shares))


def first_second_only(world: Path) -> Path:
    """The truth without any mask but those of second 0."""
    truth = read_json(world / "truth.json")
    for annotation in truth["annotations"]:
        for key in ("segmentations", "bboxes", "areas"):
            annotation[key] = [annotation[key][0], *[None] * (len(annotation[key]) - 1)]
    truth["annotations"] = [item for item in truth["annotations"] if item["segmentations"][0]]
    write_json(world / "first.json", truth)
    return world / "first.json"


def prepared(world: Path, server: TestServer, clips: list[Clip], name: str, *, with_masks: bool) -> Workspace:
    """A workspace of its own for one way."""
    workspace = Workspace(server.folder(name))
    steps: list[tuple[object, ...]] = [
        ("fetch", "--list", world / "videos.csv", "--allow-local", "--sleep", 0),
        ("extract",),
    ]
    if with_masks:
        steps.append(("import", "--format", "ytvis", first_second_only(world)))
        steps.append(("propagate", "--clips", ",".join(clip.clip_id for clip in clips)))
    for step in steps:
        ran = avis_data("-C", workspace.root, *step)
        assert ran.code == 0, ran.err
    return workspace


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-clips", type=int, default=3)
    arguments = parser.parse_args()
    ways = {
        "every still by hand": by_hand,
        "click and propagate": click_and_propagate,
        "propagated before, listen only": listen_only,
    }
    print(f"| way | clips | clicks a clip of {SECONDS} s | seconds a clip | stills with a mask | mean IoU |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, shared_server(Path(folder)) as server, chromium() as browser:
        world = Path(folder) / "world"
        made = (
            "synth",
            "--num-clips",
            40,
            "--seconds",
            SECONDS,
            "--seed",
            5,
            "--size",
            "480x270",
            "--video-fps",
            8,
            "--out",
            world,
        )
        assert avis_data(*made).code == 0
        clips = clips_of(world, arguments.num_clips)
        new_user(server, EMAIL, PASSWORD)
        for name, way in ways.items():
            workspace = prepared(world, server, clips, name.split()[0], with_masks=way is listen_only)
            with segmenter(workspace, workspace.root) as (url, token):
                link(workspace, server, backend_url=url, backend_token=token)
                chosen = ",".join(clip.clip_id for clip in clips)
                ran = avis_data(
                    "-C",
                    workspace.root,
                    "annotate",
                    "push",
                    "--round",
                    "draft",
                    "--clips",
                    chosen,
                    "--annotators",
                    EMAIL,
                )
                assert ran.code == 0, ran.err
                with signed_in(browser, server.url, email=EMAIL, password=PASSWORD) as page:
                    figures = [measure(way, page, workspace, server, clip) for clip in clips]
            assert avis_data("-C", workspace.root, "annotate", "pull").code == 0
            stills = [quality(workspace, clip) for clip in clips]
            clicks, seconds = np.mean(figures, axis=0)
            count, share = np.mean(stills, axis=0)
            print(f"| {name} | {len(clips)} | {clicks:.0f} | {seconds:.0f} | {count:.1f} | {share:.2f} |", flush=True)


if __name__ == "__main__":
    main()

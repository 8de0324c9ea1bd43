"""Which planted copies `duplicates` finds, and what it takes for a copy that is none: by kind of change.

Cuts of real videos (--media) and drawn scenes make the others. Of the cuts, thirty copies of each kind are planted:
another coding, size and brightness; a part of 75 to 95 % of each side; mirrored; letterboxed; 1 to 5 % faster or
slower, the pitch kept or not; a span that begins a quarter to a half later, two
seconds in common at least; the sound alone, under a drawn picture.
Copies and cuts go through ffmpeg; stills and sound of the drawn scenes are drawn at once, no file is coded for them.

Recall is the share of planted pairs that have a link. Precision is planted pairs that have one, divided by
these and all links between clips that show and sound nothing of the same span, whether one of them is a copy or not;
--same names files that hold, or repeat, the same recording. Pairs of copies of one cut count for neither. Bound: 0.95
for both.
The thresholds were chosen with seeds below 100; a figure of such a seed says nothing.

Run: python -m benchmarks.planted_copies --media FOLDER [--seed 101] [--others 1000] [--same A,B] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np
import soundfile
from PIL import Image
from scipy.signal import resample_poly

from avis_data.errors import ItemError
from avis_data.fingerprints.links import Link, find_links
from avis_data.fingerprints.making import Fingerprint, clip_fingerprint
from avis_data.media.probe import probe
from avis_data.media.sound import SAMPLE_RATE_HZ
from avis_data.synth.picture import Painter
from avis_data.synth.plan import plan_scene
from avis_data.synth.scene import WorldOptions
from avis_data.synth.sound import mix, stems
from avis_data.synth.timbres import RATE_HZ
from benchmarks.extract import ffmpeg

BOUND = 0.95
_COPIES = 30
_CUT_S = 5.0
"""About one cut from so many seconds of a video."""
_CODED = ("-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", "-c:a", "aac")


@dataclass(frozen=True)
class Span:
    """A part of a video file, in seconds."""

    file: Path
    start: float
    end: float

    def __str__(self) -> str:
        return f"{self.file.stem} {self.start:.1f}-{self.end:.1f} s"


@dataclass(frozen=True)
class Planted:
    """A clip that is cut, changed and coded."""

    name: str
    picture: Span | None
    """None: a drawn scene."""
    sound: Span
    arguments: tuple[str, ...] = ()
    kind: str = "cut"
    source: str = ""
    """The cut that it is a copy of."""


def main() -> int:
    """Plant, search, print; 1 if a bound is not met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, required=True, help="folder of videos that have nothing in common")
    parser.add_argument("--seed", type=int, default=101, help="of cuts, changes and drawn scenes")
    parser.add_argument("--others", type=int, default=1000, help="clips that are no copies, cuts included")
    parser.add_argument("--same", action="append", default=[], help="A,B: files that hold or repeat one recording")
    parser.add_argument("--show", action="store_true", help="name each false link and each copy that was not found")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    began = time.perf_counter()
    videos = {path: length for path in sorted(args.media.iterdir()) if path.is_file() and (length := seconds(path))}
    cuts, copies, prints = planted(videos, args.seed, args.others)
    made_s = time.perf_counter() - began
    began = time.process_time()
    links = find_links(prints)
    found = counted(cuts, copies, links, [set(names.split(",")) for names in args.same], show=args.show)
    found["clips"] = {"cuts": len(cuts), "drawn": args.others - len(cuts), "copies": len(copies), "videos": len(videos)}
    found["seconds"] = {"made": round(made_s, 1), "searched_cpu": round(time.process_time() - began, 1)}
    say(found, as_json=args.json)
    return 0 if found["recall"] >= BOUND and found["precision"] >= BOUND else 1


def planted(
    videos: dict[Path, float], seed: int, num_others: int
) -> tuple[list[Planted], list[Planted], list[Fingerprint]]:
    """The cuts, their copies, and the fingerprints of both and of drawn scenes."""
    rng = np.random.default_rng(seed)
    cuts = cuts_of(videos, rng)
    with tempfile.TemporaryDirectory() as scratch, get_context("spawn").Pool(cores()) as pool:
        drawn = pool.map(partial(scene_print, seed), range(num_others - len(cuts) + _COPIES), chunksize=8)
        with ThreadPoolExecutor(cores()) as threads:
            of_cuts = list(threads.map(partial(media_print, Path(scratch)), cuts))
            audible = [cut for cut, one in zip(cuts, of_cuts, strict=True) if is_audible(one)]
            copies = [
                copy for kind in KINDS for copy in copies_of(kind, audible if kind == "music" else cuts, videos, rng)
            ]
            of_copies = list(threads.map(partial(media_print, Path(scratch)), copies))
    pictures, others = iter(drawn[:_COPIES]), drawn[_COPIES:]
    of_copies = [
        replace(one, stills_THW=next(pictures).stills_THW) if copy.picture is None else one
        for copy, one in zip(copies, of_copies, strict=True)
    ]
    return cuts, copies, [*of_cuts, *others, *of_copies]


def cores() -> int:
    """How many processes draw and code."""
    return min(os.cpu_count() or 1, 4)


def seconds(path: Path) -> float | None:
    """Length of a video; None for what is none."""
    try:
        return float(probe(path).duration_s)
    except ItemError:
        return None


def cuts_of(videos: dict[Path, float], rng: np.random.Generator) -> list[Planted]:
    """Spans that do not overlap, of every video, from random moments on."""
    cuts = []
    for path, whole in videos.items():
        number = max(1, int(whole // _CUT_S))
        for place in range(number):
            room = whole / number
            length = min(room * rng.uniform(0.8, 1), 8.0)
            start = place * room + rng.uniform(0, room - length)
            span = Span(path, start, start + length)
            cuts.append(Planted(f"cut-{len(cuts):03d}", span, span))
    return cuts


def copies_of(kind: str, cuts: Sequence[Planted], videos: dict[Path, float], rng: np.random.Generator) -> list[Planted]:
    """Thirty copies of one kind, of as many cuts as there are."""
    order = [cuts[at] for _ in range(_COPIES // len(cuts) + 1) for at in rng.permutation(len(cuts))]
    copies = []
    for number, cut in enumerate(order[:_COPIES]):
        span = cut.sound
        if kind == "overlap":
            span = later(span, videos[span.file], rng)
        copies.append(
            Planted(
                f"{kind}-{number:02d}", None if kind == "music" else span, span, KINDS[kind](rng), kind, source=cut.name
            )
        )
    return copies


def later(span: Span, whole: float, rng: np.random.Generator) -> Span:
    """A span that begins a quarter to a half of the length later, or so much earlier where the video ends.

    Two seconds are in both at least, of a cut that has them.
    """
    length = span.end - span.start
    shift = min(rng.uniform(0.25, 0.5) * length, max(length - 2.0, 0.1))
    if span.end + shift > whole and span.start - shift >= 0:
        return Span(span.file, span.start - shift, span.end - shift)
    return Span(span.file, span.start + shift, min(span.end + shift, whole))


def coded_again(rng: np.random.Generator) -> tuple[str, ...]:
    """Smaller, a little brighter or darker, coded with large losses."""
    light = f"eq=brightness={rng.uniform(-0.06, 0.06):.3f}:contrast={rng.uniform(0.85, 1.15):.3f}"
    size = f"scale=-2:{rng.choice([120, 180, 240])}"
    return ("-vf", f"{size},{light}", "-crf", str(rng.integers(28, 39)), "-b:a", "32k")


def cropped(rng: np.random.Generator) -> tuple[str, ...]:
    """A part of the picture, anywhere in it."""
    part, x, y = rng.uniform(0.75, 0.95), rng.random(), rng.random()
    return ("-vf", f"crop=iw*{part:.3f}:ih*{part:.3f}:(iw-ow)*{x:.3f}:(ih-oh)*{y:.3f},scale=320:-2", "-b:a", "64k")


def mirrored(rng: np.random.Generator) -> tuple[str, ...]:
    """Left is right."""
    return ("-vf", "hflip,scale=320:-2", "-crf", str(rng.integers(23, 33)), "-b:a", "64k")


def letterboxed(rng: np.random.Generator) -> tuple[str, ...]:
    """Black above and below, or on both sides."""
    more = rng.uniform(1.15, 1.5)
    wide, high = (f"iw*{more:.3f}", "ih") if rng.random() < 0.5 else ("iw", f"ih*{more:.3f}")
    return ("-vf", f"scale=320:-2,pad={wide}:{high}:(ow-iw)/2:(oh-ih)/2,scale=320:-2", "-b:a", "64k")


def other_speed(rng: np.random.Generator) -> tuple[str, ...]:
    """Faster or slower, with the pitch that was or the one that comes of it."""
    speed = 1 + float(rng.choice([-1, 1])) * rng.uniform(0.01, 0.05)
    rate = round(48000 * speed)
    sound = f"atempo={speed:.4f}" if rng.random() < 0.5 else f"aresample=48000,asetrate={rate},aresample=48000"
    return ("-vf", f"setpts=PTS/{speed:.4f},scale=320:-2", "-af", sound, "-b:a", "64k")


def plain(_: np.random.Generator) -> tuple[str, ...]:
    """Coded, nothing else."""
    return ("-vf", "scale=320:-2", "-b:a", "64k")


KINDS: dict[str, Callable[[np.random.Generator], tuple[str, ...]]] = {
    "coded": coded_again,
    "cropped": cropped,
    "mirrored": mirrored,
    "letterboxed": letterboxed,
    "speed": other_speed,
    "overlap": plain,
    "music": plain,
}


def media_print(scratch: Path, clip: Planted) -> Fingerprint:
    """Cut, change, code, and read the stills and the sound back."""
    folder = scratch / clip.name
    folder.mkdir()
    span, coded, wav = clip.sound, str(folder / "clip.mp4"), folder / "audio.wav"
    cut = ("-ss", f"{span.start:.3f}", "-t", f"{span.end - span.start:.3f}", "-i", str(span.file))
    streams = ("-map", "0:v:0", "-map", "0:a:0?", "-ac", "2")
    ffmpeg(*cut, *streams, *_CODED, *(clip.arguments or ("-vf", "scale=320:-2")), coded)
    ffmpeg("-i", coded, "-vf", "fps=1", "-q:v", "2", str(folder / "%05d.jpg"))
    if has_sound(Path(coded)):
        ffmpeg("-i", coded, "-vn", "-ac", "1", "-ar", str(SAMPLE_RATE_HZ), str(wav))
    return clip_fingerprint(clip.name, sorted(folder.glob("*.jpg")), wav if wav.exists() else None, fps=1)


def has_sound(path: Path) -> bool:
    """Whether there is a stream of it."""
    return probe(path).sound is not None


def is_audible(one: Fingerprint) -> bool:
    """Whether there is anything to know the sound by; a silent track under other pictures is no copy."""
    return len(one.sound_NB) > 0 and bool((one.sound_NB.max(axis=1) > 60).any())


def scene_print(seed: int, number: int) -> Fingerprint:
    """Six seconds of a drawn scene, its stills and sound as they would be extracted."""
    scene = plan_scene(WorldOptions(seed=seed, num_seconds=6, width=160, height=96, fps=5), number)
    painter, waves = Painter(scene), mix(scene, stems(scene))
    with tempfile.TemporaryDirectory() as folder:
        stills = [Path(folder) / f"{second}.jpg" for second in range(6)]
        for second, path in enumerate(stills):
            Image.fromarray(painter.picture(5 * second)).save(path, quality=92)
        wav = Path(folder) / "audio.wav"
        mono_N = resample_poly(waves.mean(axis=1)[: 6 * RATE_HZ], SAMPLE_RATE_HZ // 100, RATE_HZ // 100)
        soundfile.write(wav, mono_N, SAMPLE_RATE_HZ, subtype="PCM_16")
        return clip_fingerprint(f"drawn-{number:04d}", stills, wav, fps=1)


def counted(
    cuts: Sequence[Planted], copies: Sequence[Planted], links: Sequence[Link], same: Sequence[set[str]], *, show: bool
) -> dict[str, object]:
    """Recall and precision, of all and by kind."""
    clips = {clip.name: clip for clip in [*cuts, *copies]}
    by = {"picture": set[tuple[str, str]](), "sound": set[tuple[str, str]]()}
    for link in links:
        by[link.by].add((link.first, link.second))
    linked = by["picture"] | by["sound"]
    false = [link for link in links if not is_true(link, clips, same)]
    false_pairs = {(link.first, link.second) for link in false}
    table: dict[str, dict[str, object]] = {}
    hits: Counter[str] = Counter()
    for kind in KINDS:
        pairs = {(min(copy.name, copy.source), max(copy.name, copy.source)) for copy in copies if copy.kind == kind}
        hits[kind] = len(pairs & linked)
        wrong = sum(any(name in clips and clips[name].kind == kind for name in pair) for pair in false_pairs)
        table[kind] = {
            "planted": len(pairs),
            "found": hits[kind],
            "by_picture": len(pairs & by["picture"]),
            "by_sound": len(pairs & by["sound"]),
            "false": wrong,
            "recall": round(hits[kind] / len(pairs), 3),
            "precision": round(hits[kind] / max(hits[kind] + wrong, 1), 3),
        }
        if show:
            for pair in sorted(pairs - linked):
                print("not found:", " = ".join(f"{name} ({clips[name].sound})" for name in pair), file=sys.stderr)
    if show:
        for link in false:
            named = " = ".join(f"{n} ({clips[n].sound if n in clips else ''})" for n in (link.first, link.second))
            print(f"false by {link.by}, {link.likeness}:", named, file=sys.stderr)
    total = sum(hits.values())
    return {
        "kinds": table,
        "recall": round(total / len(copies), 4),
        "precision": round(total / max(total + len(false_pairs), 1), 4),
        "false": len(false_pairs),
        "links": len(linked),
    }


def is_true(link: Link, clips: dict[str, Planted], same: Sequence[set[str]]) -> bool:
    """Whether both show, or sound, some of the same span."""
    if link.first not in clips or link.second not in clips:
        return False
    one, two = clips[link.first], clips[link.second]
    spans = (one.picture, two.picture) if link.by == "picture" else (one.sound, two.sound)
    if spans[0] is None or spans[1] is None:
        return False
    files = {span.file.stem for span in spans if span}
    if any(files <= names for names in same):
        return True
    return len(files) == 1 and min(spans[0].end, spans[1].end) > max(spans[0].start, spans[1].start)


def say(found: dict[str, object], *, as_json: bool) -> None:
    """One JSON object, or a table."""
    if as_json:
        print(json.dumps(found))
        return
    kinds = found.pop("kinds")
    assert isinstance(kinds, dict)
    for kind, row in kinds.items():
        print(f"{kind:12}", "  ".join(f"{name} {value}" for name, value in row.items()))
    print("  ".join(f"{name} {value}" for name, value in found.items()))


if __name__ == "__main__":
    sys.exit(main())

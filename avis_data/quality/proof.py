"""The proof that no source, channel or near-duplicate is on two sides of a split, made again from the files.

Nothing that the certificate says is believed: fingerprints are made anew from the stills and the sound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from avis_data.errors import DataError, ProblemsError
from avis_data.fingerprints.links import find_links
from avis_data.fingerprints.making import METHOD, Fingerprint, clip_fingerprint
from avis_data.format_numbers import CERTIFICATE
from avis_data.formats.aviseg_folders import STILLS, sound_path
from avis_data.formats.ytvis_records import YtvisTruth, YtvisVideo
from avis_data.io import read_json
from avis_data.quality.findings import Findings, Severity
from avis_data.quality.published import published_without_media
from avis_data.versions.subset import SUBSET, read_subset

__all__ = ["check_proof"]


def check_proof(root: Path, splits: Mapping[str, YtvisTruth], findings: Findings) -> dict[str, int] | None:
    """Compare what the certificate says of the division with the truth files, the stills and the sound.

    Clips that are nearly the same and on two sides are an error where the certificate says that there are none, else a
    warning. A clip whose stills or sound cannot be read is an error too: nothing is proved for it. A set that was made
    by `rebuild` has no certificate: its truth files are compared with its subset.json, its clips with each other.

    Returns:
        Numbers of `clips` that were compared, `links` between them and `divided` links; None without a certificate.
    """
    split_of = {video.name: split for split, dataset in splits.items() for video in dataset.videos}
    if (root / SUBSET).is_file() and not (root / CERTIFICATE).exists():
        _check_subset(root, splits, findings)
        return _check_media(root, splits, split_of, None, findings)
    said = _certificate(root, findings)
    if said is None:
        return None
    _check_clips(said, split_of, findings)
    division = said.get("split")
    division = division if isinstance(division, dict) else {}
    channels = division.get("channels")
    for name, clips in channels.items() if isinstance(channels, dict) else ():
        _check_side("channel-divided", f"channel {name!r:.80}", clips, split_of, findings)
    promised = division.get("near_duplicates")
    groups = _groups(promised, findings) if promised is not None else None
    for number, group in enumerate(groups or ()):
        _check_side("near-duplicate-divided", f"group {number} of near-duplicates", group, split_of, findings)
    if published_without_media(root):
        text = "stills and sound were left out: near-duplicates are looked for in the set that avis-data rebuild makes"
        findings.add(Severity.WARNING, "not-proved", CERTIFICATE, text)
        return {"clips": 0, "links": 0, "divided": 0}
    return _check_media(root, splits, split_of, groups, findings)


def _check_subset(root: Path, splits: Mapping[str, YtvisTruth], findings: Findings) -> None:
    """The videos of the truth files are those that subset.json names, and no video is in two of them."""
    text = "the set was made by avis-data rebuild: the certificate is that of the published set, "
    findings.add(Severity.NOTE, "rebuilt", SUBSET, f"{text}this file says which of its videos are here")
    try:
        subset = read_subset(root)
    except (DataError, ProblemsError) as error:
        findings.add(Severity.ERROR, "subset-unreadable", SUBSET, str(error))
        return
    names = {split: [video.name for video in dataset.videos] for split, dataset in splits.items()}
    for split in sorted(names.keys() | subset.splits.keys()):
        named = set(subset.splits[split].videos) if split in subset.splits else set()
        for name in sorted(named ^ set(names.get(split, ()))):
            where = SUBSET if name in named else f"{split}.json"
            findings.add(Severity.ERROR, "subset-differs", SUBSET, f"{split} video {name!r:.80} is only in {where}")
    first_in: dict[str, str] = {}
    for split, of_split in sorted(names.items()):
        for name in of_split:
            if first_in.setdefault(name, split) != split:
                text = f"video {name!r:.80} is in {first_in[name]} too"
                findings.add(Severity.ERROR, "source-divided", f"{split}.json", text)


def _certificate(root: Path, findings: Findings) -> dict[str, object] | None:
    try:
        said = read_json(root / CERTIFICATE)
    except DataError as error:
        findings.add(Severity.ERROR, "certificate-unreadable", CERTIFICATE, str(error))
        return None
    if not isinstance(said, dict):
        findings.add(Severity.ERROR, "certificate-unreadable", CERTIFICATE, "is no JSON object")
        return None
    return said


def _check_clips(said: Mapping[str, object], split_of: Mapping[str, str], findings: Findings) -> None:
    """The clips of the certificate are those of the truth files, in the same splits, no source on two sides."""
    clips = said.get("clips")
    entries = [entry for entry in clips if isinstance(entry, dict)] if isinstance(clips, list) else []
    named = {str(entry.get("clip_id")): entry for entry in entries}
    for name in sorted(named.keys() ^ split_of.keys()):
        where = "the certificate" if name in named else f"{split_of[name]}.json"
        _differs(findings, f"clip {name!r:.80} is only in {where}")
    sides: dict[str, dict[str, str]] = {}
    for name in sorted(named.keys() & split_of.keys()):
        entry = named[name]
        if entry.get("split") != split_of[name]:
            _differs(findings, f"clip {name!r:.80} is said to be in {entry.get('split')!r:.20}, is in {split_of[name]}")
        for field in ("source", "source_sha256", "video_id"):
            if isinstance(entry.get(field), str):
                other = sides.setdefault(f"{field} {entry[field]}", {split_of[name]: name})
                if split_of[name] not in other:
                    (split, clip) = next(iter(other.items()))
                    text = f"{name} in {split_of[name]} has the {field} of {clip} in {split}"
                    findings.add(Severity.ERROR, "source-divided", CERTIFICATE, text)


def _groups(promised: object, findings: Findings) -> list[list[str]] | None:
    groups = promised.get("groups") if isinstance(promised, dict) else None
    if not isinstance(promised, dict) or not isinstance(groups, list):
        _differs(findings, "split.near_duplicates does not say which groups there are")
        return []
    if promised.get("method") != METHOD:
        _differs(findings, f"near-duplicates were found by {promised.get('method')!r:.60}, here by {METHOD!r}")
    return [[str(name) for name in group] for group in groups if isinstance(group, list)]


def _check_side(code: str, what: str, clips: object, split_of: Mapping[str, str], findings: Findings) -> None:
    names = [str(name) for name in clips] if isinstance(clips, Sequence) and not isinstance(clips, str) else []
    sides = {split_of[name]: name for name in names if name in split_of}
    if len(sides) > 1:
        text = ", ".join(f"{name} in {split}" for split, name in sorted(sides.items()))
        findings.add(Severity.ERROR, code, CERTIFICATE, f"{what} is on {len(sides)} sides: {text}")


def _check_media(
    root: Path,
    splits: Mapping[str, YtvisTruth],
    split_of: Mapping[str, str],
    groups: Sequence[Sequence[str]] | None,
    findings: Findings,
) -> dict[str, int]:
    severity = Severity.WARNING if groups is None else Severity.ERROR
    group_of = {name: number for number, group in enumerate(groups or ()) for name in group}
    prints = []
    for split, dataset in splits.items():
        for video in dataset.videos:
            try:
                prints.append(_fingerprint(root / split, sound_path(root, split, video.name), video))
            except (OSError, ValueError) as error:
                text = f"near-duplicates of {video.name} cannot be looked for: {error!s:.120}"
                findings.add(severity, "not-proved", f"{split}.json", text)
    links = find_links(sorted(prints, key=lambda one: one.clip_id))
    num_divided = 0
    for link in links:
        first, second = split_of[link.first], split_of[link.second]
        said = f"{link.first} and {link.second} are nearly the same by {link.by} ({link.likeness:.2f})"
        if first != second:
            num_divided += 1
            findings.add(severity, "near-duplicate-divided", f"{second}.json", f"{said}, in {first} and {second}")
        elif groups is not None and (link.first not in group_of or group_of[link.first] != group_of.get(link.second)):
            _differs(findings, f"{said}, but are not in one of its groups")
    return {"clips": len(prints), "links": len(links), "divided": num_divided}


def _fingerprint(folder: Path, sound: Path, video: YtvisVideo) -> Fingerprint:
    stills = [folder / STILLS / name for name in video.file_names]
    return clip_fingerprint(video.name, stills, sound, fps=video.fps)


def _differs(findings: Findings, text: str) -> None:
    findings.add(Severity.ERROR, "certificate-differs", CERTIFICATE, text, name="split")

"""The page that a dataset paper needs: what a workspace knows, by the questions of "Datasheets for Datasets".

Source: Gebru et al., Datasheets for Datasets, Communications of the ACM 64(12), 2021. What only the authors know is
marked for them (`AUTHORS`) and never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from avis_data import __version__
from avis_data.io import write_text
from avis_data.report.agreement_figures import AgreementReport, Estimate
from avis_data.report.html import document, table, text

__all__ = ["AUTHORS", "CategoryCount", "DatasheetFacts", "Labour", "Section", "Table", "sections", "write_datasheet"]

AUTHORS = "TO BE WRITTEN BY THE AUTHORS"
"""Where the page has no answer: easy to find, and never taken for one."""


@dataclass(frozen=True, kw_only=True)
class CategoryCount:
    """One category."""

    clips: int
    tracks: int
    masks: int


@dataclass(frozen=True, kw_only=True)
class Labour:
    """Who labelled, and for how long."""

    people: int
    answers: int
    """Clips, each time that somebody finished one."""
    timed: int
    """Of these, so many whose page measured the time."""
    hours: float
    """Of those together."""


@dataclass(frozen=True, kw_only=True)
class DatasheetFacts:
    """What the workspace knows."""

    name: str
    description: str
    fps: float
    counts: Mapping[str, Mapping[str, float]]
    """Of each split and in total, as an export counts."""
    categories: Mapping[str, CategoryCount]
    clip_seconds: tuple[float, float, float]
    """Shortest, median, longest clip."""
    frame_at: Mapping[str, int]
    sounds: Mapping[str, int]
    """What there is to hear, and in how many clips."""
    extractors: Mapping[str, int]
    """Where source videos are from, and how many."""
    uploaded: tuple[str, str] | None
    """First and last day, YYYY-MM-DD, as the sites say it."""
    accessed: tuple[str, str] | None
    channels: int
    videos_without_channel: int
    licenses: Mapping[str, int]
    """Name -> clips; those without one under the empty name."""
    split_request: str
    split_seed: int | None
    sources_divided: int
    """Source groups on more than one side of the split."""
    truth: Mapping[str, Mapping[str, int]]
    """`rounds`, `origins`, `clips_by`: where labels come from, and how many."""
    without_truth: int
    dropped: int
    agreement: AgreementReport | None
    """None: nobody labelled a clip that somebody else had labelled."""
    labour: Labour
    contact: str | None


@dataclass(frozen=True)
class Table:
    """Rows below a head; the first column holds names."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Section:
    """A title and what stands below it: paragraphs and tables."""

    title: str
    blocks: Sequence[str | Table]


def write_datasheet(facts: DatasheetFacts, out: Path, *, page: Path | None = None) -> None:
    """Write the datasheet as Markdown, and as HTML too where a page is asked for."""
    parts = list(sections(facts))
    write_text(out, _markdown(facts.name, parts))
    if page is not None:
        write_text(page, document(f"{facts.name} · datasheet", [_html(facts.name, parts)]))


def sections(facts: DatasheetFacts) -> Iterator[Section]:
    """The datasheet."""
    yield Section("Motivation", [f"{AUTHORS}: why the dataset was made, by whom, and who paid for it."])
    yield Section("Composition", list(_composition(facts)))
    yield Section("Collection", list(_collection(facts)))
    yield Section("Labelling", list(_labelling(facts)))
    yield Section("Splits", list(_splits(facts)))
    yield Section("Rights", list(_rights(facts)))
    yield Section("Known limits", [_bullets(_limits(facts))])
    yield Section("Uses", [f"{AUTHORS}: what it has been used for, and what it must not be used for."])
    contact = f"Write to {facts.contact}" if facts.contact else f"{AUTHORS}: the address to write to. Write"
    yield Section(
        "Removal and upkeep",
        [
            f"{contact} to have a video removed, with its id or its address. It is deleted with all that was made of "
            "it, a note is kept so that it does not come back, and the next version is without it.",
            f"{AUTHORS}: who answers for the dataset, and for how long.",
        ],
    )


def _composition(facts: DatasheetFacts) -> Iterator[str | Table]:
    shortest, median, longest = facts.clip_seconds
    total = facts.counts["total"]
    yield facts.description or f"{AUTHORS}: what the dataset is, in a sentence."
    yield (
        f"An instance is a clip of a video: {_rate(facts.fps)}, its sound (16 kHz, mono), and for every object that "
        "sounds a mask in each still in which it does, a category, and an identity that lasts through the clip. "
        f"There are {total['clips']:,g} clips of {total['sources']:,g} sources, {total['seconds']:,g} seconds, "
        f"{total['tracks']:,g} objects and {total['masks']:,g} masks. Clips last {shortest:g} to {longest:g} seconds, "
        f"{median:g} in the median."
    )
    used = {name: count for name, count in facts.categories.items() if count.tracks}
    rows = [
        (name, f"{count.clips:,}", f"{count.tracks:,}", f"{count.masks:,}")
        for name, count in sorted(used.items(), key=lambda item: (-item[1].masks, item[0]))
    ]
    yield Table(("category", "clips", "objects", "masks"), rows)
    empty = [name for name, count in facts.categories.items() if not count.tracks]
    if empty:
        yield f"Categories of the set without any object: {', '.join(empty)}."
    silent, single, multi = (total.get(f"{kind}_seconds", 0) for kind in ("silent", "single", "multi"))
    seconds = max(total["seconds"], 1)
    yield (
        f"Nothing sounds in {100 * silent / seconds:.1f} % of the time, one object in {100 * single / seconds:.1f} %, "
        f"several in {100 * multi / seconds:.1f} %."
    )


def _collection(facts: DatasheetFacts) -> Iterator[str]:
    yield f"Source videos were taken from: {_tally(facts.extractors)}."
    if facts.uploaded:
        yield f"They were uploaded between {facts.uploaded[0]} and {facts.uploaded[1]}, as the sites say."
    if facts.accessed:
        yield f"They were downloaded between {facts.accessed[0]} and {facts.accessed[1]}."
    unknown = (
        f"; of {facts.videos_without_channel:,} videos no channel is known" if facts.videos_without_channel else ""
    )
    yield f"They are of {facts.channels:,} channels{unknown}."
    yield f"Stills stand for the {_instants(facts.frame_at)} of their period. Sound: {_tally(facts.sounds)}."
    yield f"{AUTHORS}: how videos were found and chosen, and whether people in them knew of it."


def _labelling(facts: DatasheetFacts) -> Iterator[str | Table]:
    titles = {
        "clips_by": "Clips by the state of their labels",
        "rounds": "Objects by the round that they come from",
        "origins": "Objects by what drew their masks",
    }
    for key, title in titles.items():
        if facts.truth.get(key):
            yield f"{title}: {_tally(facts.truth[key])}."
    labour = facts.labour
    if labour.answers:
        hours = f", {labour.hours:.1f} hours as the page measured them" if labour.timed else ""
        part = f" (of {labour.timed:,} of them)" if 0 < labour.timed < labour.answers else ""
        yield f"{labour.people} people finished {labour.answers:,} tasks of one clip each{hours}{part}."
    if facts.agreement is None or not facts.agreement.total.num_comparisons:
        yield "Agreement between annotators is not known: no clip was labelled by two people independently."
        return
    total = facts.agreement.total
    yield (
        f"{total.num_clips:,} clips were labelled by two people or more who did not see each other's labels "
        f"({total.num_comparisons:,} comparisons). Brackets: 95 % interval over clips."
    )
    estimates = (
        ("mask IoU", total.mask_iou),
        ("boundary F", total.boundary_f),
        ("HOTA", total.hota),
        ("AssA (identities)", total.ass_a),
        ("Cohen's kappa (sounding)", total.kappa),
    )
    yield Table(("agreement", "value"), [(name, _estimate(estimate)) for name, estimate in estimates])


def _splits(facts: DatasheetFacts) -> Iterator[str | Table]:
    seed = "" if facts.split_seed is None else f", seed {facts.split_seed}"
    divided = (
        "No source is on two sides."
        if not facts.sources_divided
        else f"**{facts.sources_divided} source(s) are on more than one side.**"
    )
    yield f"Divided {facts.split_request}{seed}: categories and numbers of sources spread evenly. {divided}"
    columns = list(facts.counts["total"])
    rows = [(split, *(f"{counts[name]:,g}" for name in columns)) for split, counts in facts.counts.items()]
    yield Table(("split", *(name.replace("_", " ") for name in columns)), rows)


def _rights(facts: DatasheetFacts) -> Iterator[str | Table]:
    yield "A clip keeps the licence of its source video."
    rows = [(name or "not known", f"{count:,}") for name, count in sorted(facts.licenses.items())]
    yield Table(("licence", "clips"), rows)
    yield f"{AUTHORS}: the licence of labels and of the collection; what the law asks where people are seen or heard."


def _limits(facts: DatasheetFacts) -> Iterator[str]:
    yield f"Labels are at {_rate(facts.fps)}: a shorter sound or silence is not in them."
    yield "Sound that nothing in view makes has no mask."
    rare = sorted(name for name, count in facts.categories.items() if 0 < count.clips < 5)
    if rare:
        yield f"Fewer than five clips have: {', '.join(rare)}."
    if facts.without_truth:
        yield f"{facts.without_truth:,} clips of the workspace have no accepted labels and are not counted here."
    if facts.dropped:
        yield f"{facts.dropped:,} clips were dropped by reviewers."
    lost = {name: count for name, count in facts.sounds.items() if name != "complete"}
    if lost:
        yield f"Sound is not whole in some clips: {_tally(lost)}."
    if facts.licenses.get(""):
        yield f"Of {facts.licenses['']:,} clips no licence is known."
    yield f"{AUTHORS}: biases of the collection (places, languages, people, kinds of music)."


def _rate(fps: float) -> str:
    return "one still a second" if fps == 1 else f"{fps:g} stills a second"


def _instants(frame_at: Mapping[str, int]) -> str:
    names = {"start": "start", "mid": "middle", "end": "end"}
    said = [names.get(name, "an unknown instant") for name in frame_at]
    return " or ".join(dict.fromkeys(said)) or "middle"


def _tally(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"


def _estimate(estimate: Estimate) -> str:
    if estimate.value is None:
        return "not measured"
    interval = "" if estimate.low is None else f" [{estimate.low:.3f}, {estimate.high:.3f}]"
    return f"{estimate.value:.3f}{interval}"


def _bullets(lines: Iterator[str]) -> str:
    return "\n".join(f"* {line}" for line in lines)


def _markdown(name: str, parts: Sequence[Section]) -> str:
    lines = [f"# Datasheet of {_plain(name)}", "", f"Written by avis-data {__version__} from the workspace.", ""]
    for section in parts:
        lines += [f"## {section.title}", ""]
        for block in section.blocks:
            lines += [_markdown_table(block) if isinstance(block, Table) else _plain(block), ""]
    return "\n".join(lines)


def _markdown_table(block: Table) -> str:
    def row(cells: Sequence[str]) -> str:
        return "| " + " | ".join(_plain(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return "\n".join(
        [row(block.head), "|---|" + "---:|" * (len(block.head) - 1), *(row(cells) for cells in block.rows)]
    )


def _plain(said: str) -> str:
    """Text in which strangers' words can open no HTML and no link."""
    return re.sub(r"[<>\[\]`]", lambda found: f"&#{ord(found[0])};", said)


def _html(name: str, parts: Sequence[Section]) -> str:
    found = [f"<header><h1>Datasheet of {text(name)}</h1></header>"]
    for section in parts:
        found.append(f"<h2>{text(section.title)}</h2>")
        for block in section.blocks:
            if isinstance(block, Table):
                found.append(table(block.head, block.rows))
            elif block.startswith("* "):
                items = "".join(f"<li>{text(line.removeprefix('* '))}</li>" for line in block.split("\n"))
                found.append(f"<ul>{items}</ul>")
            else:
                found.append(f"<p>{text(block).replace('**', '')}</p>")
    found.append(f"<footer>Written by avis-data {text(__version__)}.</footer>")
    return "\n".join(found)

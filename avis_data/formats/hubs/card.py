"""The card of a dataset on a hub: README.md with a YAML head, and LICENSES.csv with the origin of every clip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from avis_data.formats.hubs import statements
from avis_data.formats.hubs.statements import UNDIVIDED, Counted
from avis_data.formats.sets.clips import LabelledClip
from avis_data.formats.sets.spec import SetFacts
from avis_data.io import csv_text, write_text

__all__ = ["CardForm", "LicenseTable", "write_card"]

_SIZES = (("n<1K", 1_000), ("1K<n<10K", 10_000), ("10K<n<100K", 100_000), ("100K<n<1M", 1_000_000))
_COLUMNS = ("clip_id", "split", "license", "source", "url", "start_s")


@dataclass(frozen=True, kw_only=True)
class CardForm:
    """What the cards of two formats differ in."""

    files: str
    """Which files are of a split."""
    load: str
    """Lines of Python that load a split."""
    has_embeddings: bool = True


def write_card(
    folder: Path, facts: SetFacts, counted: Counted, form: CardForm, *, contact: str | None, agreement: str | None
) -> list[str]:
    """Write README.md; gives its name."""
    splits = [split or UNDIVIDED for split in counted.splits]
    head = _head(facts, counted, splits, form)
    dumped = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=1000)
    write_text(folder / "README.md", f"---\n{dumped}---\n\n{_body(facts, counted, splits, form, contact, agreement)}")
    return ["README.md"]


def _head(facts: SetFacts, counted: Counted, splits: list[str], form: CardForm) -> dict[str, object]:
    """What hubs read: huggingface.co/docs/hub/datasets-cards."""
    known = statements.license_id(counted)
    num = counted.total("clips")
    return {
        "license": known or "other",
        **({} if known else {"license_name": "per-clip", "license_link": "LICENSES.csv"}),
        "pretty_name": facts.name,
        "task_categories": ["image-segmentation", "audio-classification"],
        "tags": ["audio-visual", "instance-segmentation", "sound-source"],
        "size_categories": [next((name for name, limit in _SIZES if num < limit), "n>1M")],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": form.files.format(split=split)} for split in splits],
            }
        ],
    }


def _body(
    facts: SetFacts, counted: Counted, splits: list[str], form: CardForm, contact: str | None, agreement: str | None
) -> str:
    names = ("clips", "stills", "tracks", "masks", "sounding", "silent")
    rows = [
        f"| {split} | " + " | ".join(str(counts[name]) for name in names) + " |"
        for split, counts in zip(splits, counted.splits.values(), strict=True)
    ]
    of_sound = statements.embeddings(facts, counted) if form.has_embeddings else ""
    categories = [f"| {name} | {count} |" for name, count in sorted(counted.categories.items())]
    parts = [
        f"# {facts.name}",
        statements.summary(facts, counted),
        "```python" + form.load.format(split=splits[0] if splits else "train") + "```",
        "\n".join(["| split | " + " | ".join(names) + " |", "|" + "---|" * (len(names) + 1), *rows]),
        "\n".join(["| category | objects |", "|---|---|", *categories]),
        "Masks are COCO's compressed run lengths (`pycocotools.mask.decode`); null: the object has no mask there. "
        "`sounding` is true, false, or null where nobody said it.",
        f"## Collection\n\n{statements.collection(facts, counted)} {of_sound}".rstrip(),
        f"## Labels\n\n{statements.labelling(facts)} {statements.agreement(agreement)}",
        f"## Limits\n\n{statements.limits(facts, counted)}",
        f"## Licences\n\n{statements.licenses(counted)}",
        f"## Removal\n\n{statements.removal(contact)}",
    ]
    return "\n\n".join(parts) + "\n"


class LicenseTable:
    """LICENSES.csv, its rows gathered while clips go by."""

    name = "LICENSES.csv"

    def __init__(self) -> None:
        self._rows: list[tuple[object, ...]] = [_COLUMNS]

    def add(self, clip: LabelledClip) -> None:
        """The row of a clip."""
        self._rows.append((clip.name, clip.split, clip.license, clip.source, clip.url, clip.start_s))

    def write(self, folder: Path) -> list[str]:
        """Write the file; gives its name."""
        write_text(folder / self.name, csv_text(self._rows))
        return [self.name]

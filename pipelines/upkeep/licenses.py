"""Licences: one spelling for each, and which clips the recipe lets out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

from avis_data.errors import DataError
from avis_data.recipe import Recipe, RightsOptions
from avis_data.records import Video
from avis_data.video_list import ClipRow

__all__ = ["Licensed", "LicensedClip", "allowed", "license_name", "with_list", "without_held"]

_CREATIVE_COMMONS = re.compile(r"creativecommons\.org/licenses/([a-z-]+)/?([0-9.]+)?")
_ZERO = re.compile(r"creativecommons\.org/publicdomain/zero/?([0-9.]+)?")
_WORDS = {
    "creative-commons-attribution-license-(reuse-allowed)": "cc-by",
    "creative-commons-attribution": "cc-by",
    "creative-commons-attribution-sharealike": "cc-by-sa",
    "creative-commons-zero": "cc0",
    "public-domain-dedication": "cc0",
}
"""As sites say it. Source: what yt-dlp reports of YouTube and of Vimeo."""
_VERSION = re.compile(r"-v?(\d+(?:\.\d+)*)$")


def license_name(text: str) -> str:
    """One spelling of a licence: small letters, hyphens, the version last.

    Example:
        >>> license_name("CC BY 4.0"), license_name("https://creativecommons.org/licenses/by-nc/4.0/")
        ('cc-by-4.0', 'cc-by-nc-4.0')
        >>> license_name("Creative Commons Attribution license (reuse allowed)")
        'cc-by'
    """
    lowered = text.strip().lower()
    if match := _CREATIVE_COMMONS.search(lowered):
        return "-".join(part for part in ("cc", match[1], (match[2] or "").strip(".")) if part)
    if match := _ZERO.search(lowered):
        return "-".join(part for part in ("cc0", (match[1] or "").strip(".")) if part)
    name = re.sub(r"[\s_]+", "-", lowered).strip("-")
    version = _VERSION.search(name)
    stem = name[: version.start()] if version else name
    return _WORDS.get(stem, stem) + (f"-{version[1]}" if version else "")


def allowed(license: str | None, rights: RightsOptions) -> bool:
    """Whether a clip under this licence is used. An entry without a version allows every version of it.

    Of licences joined by AND, as SPDX writes it, each must be allowed.
    """
    if not license or not license.strip():
        return rights.unknown == "keep"
    if rights.allow is None:
        return True
    entries = {license_name(entry) for entry in rights.allow}
    names = [license_name(part) for part in re.split(r"\s+AND\s+", license)]
    return all({name, _VERSION.sub("", name)} & entries for name in names)


def with_list(video: Video, rows: Iterable[ClipRow]) -> Video:
    """A video with what its rows of the list say of it in place of what its source says of itself."""
    said: dict[str, str] = {}
    for row in rows:
        for name in ("license", "uploader", "channel", "upload_date"):
            if value := getattr(row, name):
                said.setdefault(name, value)
    return video.model_copy(update=said) if said else video


class Licensed(Protocol):
    """A source video, or what is kept of it."""

    @property
    def license(self) -> str | None:
        """What it says of itself."""


class LicensedClip(Licensed, Protocol):
    """A clip, or what is kept of it; its licence is what the list says."""

    @property
    def clip_id(self) -> str:
        """Of the clip."""

    @property
    def video_id(self) -> str:
        """Of its source."""


AnyClip = TypeVar("AnyClip", bound=LicensedClip)


def without_held(
    clips: Iterable[AnyClip], videos: Mapping[str, Licensed], recipe: Recipe
) -> tuple[list[AnyClip], tuple[str, ...]]:
    """The clips that may be exported, and the ids of those that the recipe holds back.

    Raises:
        DataError: if all of them are held.
    """
    kept, held = [], []
    for clip in clips:
        video = videos.get(clip.video_id)
        license = clip.license or (video.license if video is not None else None)
        if allowed(license, recipe.rights):
            kept.append(clip)
        else:
            held.append(clip.clip_id)
    if held and not kept:
        message = f"all {len(held)} clip(s) are held by their licence (rights in recipe.yaml)"
        raise DataError(message, hint="avis-data rights lists the licences")
    return kept, tuple(held)

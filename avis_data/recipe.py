"""The recipe: how a dataset is built. `pipelines/recipes/*.yaml` hold the ones that ship."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from avis_data.config import config_from_yaml
from avis_data.errors import ConfigError
from avis_data.paths import Workspace
from avis_data.records import FrameAt, Record

__all__ = ["EmbedOptions", "ExtractOptions", "FetchOptions", "PreviewOptions", "Recipe", "load_recipe"]


class FetchOptions(Record):
    """How source videos are downloaded."""

    max_height_px: int = Field(default=720, ge=64, description="The best format with sound not taller than this.")
    max_size_mb: int | None = Field(default=None, gt=0, description="Larger files are refused (reason too_large).")
    sleep_s: float = Field(default=1.0, ge=0, description="Pause before each download, per job.")
    rate_limit_kb_s: int | None = Field(default=None, gt=0, description="Per download.")
    timeout_s: float = Field(default=1800.0, gt=0, description="A download that takes longer is ended.")


class ExtractOptions(Record):
    """How stills and sound are taken from a clip's span."""

    frame_at: FrameAt = "mid"
    jpeg_quality: int = Field(default=2, ge=2, le=31, description="ffmpeg's -q:v; 2 is the best.")
    missing_sound: Literal["fail", "pad"] = Field(
        default="fail",
        description="A clip with no sound stream, or whose sound ends a second or more before its picture: "
        "fail (reasons no_audio, audio_short) or pad with digital silence (and say so in times.json).",
    )
    corrupt_media: Literal["fail", "keep"] = Field(
        default="fail", description="Data that does not decode cleanly: fail (reason corrupt_media) or keep what decodes."
    )


class PreviewOptions(Record):
    """The small copy for annotators and reports."""

    max_height_px: int = Field(default=360, ge=64)
    crf: int = Field(default=28, ge=0, le=51)


class EmbedOptions(Record):
    """VGGish embeddings, one per second."""

    front_end: Literal["official"] = Field(default="official", description="Each second on its own (specs: AVISM).")


class ClipOptions(Record):
    """What the list may leave out, and what is refused."""

    default_duration_s: float | None = Field(
        default=None, gt=0, description="A row with a start and no end; null: to the end of the video."
    )


class Recipe(Record):
    """What this dataset is and how it is built."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    description: str
    categories: str = Field(description="A set in schemas/categories, by name.")
    split: str | None = Field(default=None, description="Default of `export --split`.")
    clips: ClipOptions = ClipOptions()
    fetch: FetchOptions = FetchOptions()
    extract: ExtractOptions = ExtractOptions()
    preview: PreviewOptions = PreviewOptions()
    embed: EmbedOptions = EmbedOptions()


def load_recipe(workspace: Workspace) -> Recipe:
    """The recipe of a workspace.

    Raises:
        ConfigError: if the folder is no workspace, with the command that makes it one.
    """
    if not workspace.recipe.exists():
        raise ConfigError(
            f"{workspace.root}: no workspace (no recipe.yaml)",
            hint="avis-data init --recipe aviseg, or avis-data fetch --list videos.csv",
        )
    return config_from_yaml(workspace.recipe, Recipe)


def recipe_path(name: str) -> Path:
    """The shipped recipe of that name.

    Raises:
        ConfigError: if there is none; lists those there are.
    """
    folder = Path(str(__import__("avis_data.pipelines", fromlist=["__path__"]).__path__[0])) / "recipes"
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
        raise ConfigError(f"no recipe {name!r}; there are: {known}")
    return path

"""The recipe: how a dataset is built. `pipelines/recipes/*.yaml` hold the ones that ship."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from avis_data.categories import category_set
from avis_data.config import config_from_yaml, validated, yaml_mapping
from avis_data.errors import ConfigError
from avis_data.format_numbers import what_is
from avis_data.io import write_text
from avis_data.ledger import Ledger
from avis_data.links.check import check_links
from avis_data.paths import Workspace
from avis_data.records import Fps, FrameAt, Record, Scenario

__all__ = [
    "DEFAULT_RECIPE",
    "EmbedOptions",
    "ExtractOptions",
    "FetchOptions",
    "FrontEnd",
    "GroupBy",
    "PreviewOptions",
    "Recipe",
    "RightsOptions",
    "SplitOptions",
    "Truth",
    "create_workspace",
    "front_end_of",
    "load_recipe",
    "parse_shipped_recipe",
    "shipped_recipe",
]

DEFAULT_RECIPE = "aviseg"

FrontEnd = Literal["official", "causal"]
"""How sound is cut for VGGish: each second on its own (specs: AVISM), or the 0.96 s before an instant (specs: RCF)."""

Truth = Literal["sounding", "visible"]
"""What has masks in a dataset's truth: what sounds (AVISeg), or all that is seen, sounding or not (AVIS)."""


class FetchOptions(Record):
    """How source videos are downloaded."""

    max_height_px: int = Field(default=720, ge=64, description="The best format with sound not taller than this.")
    max_size_mb: int | None = Field(
        default=4000, gt=0, description="Larger files are refused (reason too_large); null: no limit."
    )
    min_rate_kb_s: float | None = Field(
        default=2.0,
        ge=0,
        description="A download that is slower for 30 s of waiting is ended (reason timeout), however long a healthy "
        "one may take; null: no limit.",
    )
    max_growth: int = Field(
        default=100, ge=1, description="A compressed answer that unpacks to more times its size is refused (too_large)."
    )
    sleep_s: float = Field(default=1.0, ge=0, description="Pause before each download, per job.")
    rate_limit_kb_s: int | None = Field(default=None, gt=0, description="Per download.")


class ExtractOptions(Record):
    """How stills and sound are taken from a clip's span."""

    fps: Fps = 1.0
    frame_at: FrameAt = "mid"
    jpeg_quality: int = Field(default=2, ge=2, le=31, description="ffmpeg's -q:v; 2 is the best.")
    pixels: Literal["square", "stored"] = Field(
        default="square",
        description="Videos whose pixels are not square: stretch the stills until they are, or keep the stored size.",
    )
    sound_track: Annotated[str, Field(pattern=r"^[a-z]{2,8}(-[A-Za-z0-9]+)*$")] | Annotated[int, Field(ge=0)] = Field(
        default="default",
        description="Of several sounds: `default` (the one that the file marks), a language as the file writes it "
        "(`eng`; where it is not there, the default one), or a number, 0 for the first of the file.",
    )
    stereo: bool = Field(
        default=True,
        description="Where the sound has two channels that differ, keep them beside the mono sound, as "
        "`audio_stereo.wav`; of more than two channels, the mix of them for two.",
    )
    missing_sound: Literal["fail", "pad"] = Field(
        default="fail",
        description="A clip with no sound stream, or whose sound ends a second or more before its picture: "
        "fail (reasons no_audio, audio_short) or pad with digital silence (and say so in times.json).",
    )
    corrupt_media: Literal["fail", "keep"] = Field(
        default="fail",
        description="Data that does not decode cleanly: fail (reason corrupt_media) or keep what decodes.",
    )


class PreviewOptions(Record):
    """The small copy for annotators and reports."""

    max_height_px: int = Field(default=360, ge=64)
    crf: int = Field(default=28, ge=0, le=51)


class EmbedOptions(Record):
    """VGGish embeddings, one per still."""

    front_end: FrontEnd = Field(
        default="official",
        description="official: each second on its own (specs: AVISM), for one still per second; "
        "causal: the 0.96 s before each still's instant (specs: RCF), for other rates.",
    )


class ClipOptions(Record):
    """What the list may leave out, and what is refused."""

    default_duration_s: float | None = Field(
        default=None, gt=0, description="A row with a start and no end; null: to the end of the video."
    )


class RightsOptions(Record):
    """Which videos may be used. What may not is held: never exported, and counted."""

    allow: tuple[Annotated[str, Field(min_length=1)], ...] | None = Field(
        default=None,
        description="Licences, as `cc-by-4.0`; one without a version allows every version. null: all that are named.",
    )
    unknown: Literal["keep", "hold"] = Field(
        default="keep", description="Videos of which neither the list nor the source says the licence."
    )
    held: Literal["download", "skip"] = Field(
        default="download", description="Whether videos are downloaded that the list gives a licence that is held."
    )


GroupBy = Literal["source", "near_duplicate", "channel"]
"""Why clips stay together: they are of one source video, are nearly the same, or come from one channel."""


class SplitOptions(Record):
    """How an export is divided, where numbers alone do not say it."""

    numbers: str | None = Field(default=None, description="Default of `export --split`, as 616/105/205.")
    group_by: list[GroupBy] = Field(
        default=["source"],
        description="Clips that are never on two sides: of one source video (always), near-duplicates, of one channel.",
    )

    @field_validator("group_by")
    @classmethod
    def _has_source(cls, group_by: list[GroupBy]) -> list[GroupBy]:
        if "source" not in group_by or len(set(group_by)) != len(group_by):
            raise ValueError("must name source, as clips of one source are never divided, and nothing twice")
        return group_by


class Recipe(Record):
    """What this dataset is and how it is built."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    description: str
    categories: str = Field(description="A set in schemas/categories, by name.")
    split: str | SplitOptions | None = Field(
        default=None, description="Default of `export --split`; or that with what stays together."
    )
    truth: Truth = Field(
        default="sounding",
        description="Which masks an export has, and what a mask in an imported file means: of what sounds, "
        "or of all that is seen, sounding or not.",
    )
    scenarios: dict[str, Scenario] = Field(
        default_factory=dict,
        description="What videos with a category are about, for figures; over what the category set says of it.",
    )
    rights: RightsOptions = RightsOptions()
    clips: ClipOptions = ClipOptions()
    fetch: FetchOptions = FetchOptions()
    extract: ExtractOptions = ExtractOptions()
    preview: PreviewOptions = PreviewOptions()
    embed: EmbedOptions = EmbedOptions()

    @property
    def division(self) -> SplitOptions:
        """`split`, with its defaults."""
        return self.split if isinstance(self.split, SplitOptions) else SplitOptions(numbers=self.split)

    @field_validator("categories")
    @classmethod
    def _is_a_category_set(cls, name: str) -> str:
        try:
            return category_set(name).name
        except ConfigError as error:
            raise ValueError(error.args[0]) from None

    @model_validator(mode="after")
    def _front_end_goes_with_rate(self) -> Recipe:
        wanted = front_end_of(self.extract.fps)
        if self.embed.front_end != wanted:
            raise ValueError(f"extract.fps: {self.extract.fps:g} goes with embed.front_end: {wanted}")
        return self


def front_end_of(fps: float) -> FrontEnd:
    """The front end that goes with a rate of stills: seconds on their own only where a still stands for a second."""
    return "official" if fps == 1 else "causal"


def load_recipe(workspace: Workspace) -> Recipe:
    """The recipe of a workspace.

    Raises:
        ConfigError: if the folder is no workspace, with the command that makes it one.
        DataError: if the workspace is of another format than this version's.
        ProblemsError: with every bad key.
    """
    if not workspace.recipe.exists():
        raise ConfigError(
            f"{workspace.root}: no workspace (no recipe.yaml); {what_is(workspace.root)}",
            hint="avis-data init --recipe aviseg, or avis-data fetch --list videos.csv",
        )
    Ledger(workspace.ledger, read_only=True).close()  # which has the number of the format, and checks it
    return config_from_yaml(workspace.recipe, Recipe)


def shipped_recipe(name: str) -> str:
    """The text of a recipe that ships with the tool.

    Raises:
        ConfigError: if there is none of that name; lists those there are.
    """
    folder = files("avis_data.pipelines") / "recipes"
    known = sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))
    if name not in known:
        raise ConfigError(f"no recipe {name!r}; there are: {', '.join(known)}")
    return (folder / f"{name}.yaml").read_text(encoding="utf-8")


def parse_shipped_recipe(name: str) -> Recipe:
    """A recipe that ships with the tool.

    Raises:
        ConfigError: if there is none of that name.
    """
    return validated(Recipe, yaml_mapping(shipped_recipe(name), where=f"recipe {name}"), where=f"recipe {name}")


def create_workspace(workspace: Workspace, recipe_name: str) -> Recipe:
    """Make the folder a workspace by giving it a recipe; one that it has already stays.

    Raises:
        ConfigError: if there is no such recipe, or the folder has another one.
        DataError: if a link in it leads out of the folder.
    """
    check_links(workspace.root)
    text = shipped_recipe(recipe_name)
    if workspace.recipe.exists():
        recipe = load_recipe(workspace)
        if recipe.name != recipe_name:
            raise ConfigError(
                f"{workspace.recipe}: this workspace has the recipe {recipe.name!r} already",
                hint="edit recipe.yaml, or choose another folder with -C",
            )
        return recipe
    write_text(workspace.recipe, text)
    return load_recipe(workspace)

"""The stage `adopt`: stills and sound of an existing set become a clip, without a source video."""

from __future__ import annotations

import hashlib
import io
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from avis_data.errors import ItemError, Reason
from avis_data.formats.aviseg_folders import SOUNDS, STILLS
from avis_data.io import sha256_file, sha256_text, write_json
from avis_data.ledger import Ledger
from avis_data.media.clock import seconds_of_sound
from avis_data.paths import STEREO_WAV
from avis_data.pipelines.engine.spec import StageSpec
from avis_data.pipelines.engine.stage import Workbench
from avis_data.pipelines.stages.extract import ClipFacts
from avis_data.recipe import Recipe
from avis_data.records import Fps, Record, SafeId, Sha256, SoundState, SplitName, StillTime, Times, is_safe_id

if TYPE_CHECKING:
    from avis_data.media.given_sound import GivenSound
    from avis_data.media.sound import Sound

__all__ = [
    "SPEC",
    "AdoptFacts",
    "AdoptOptions",
    "AdoptRequest",
    "AdoptStage",
    "AdoptedVideo",
    "adopt_options",
    "clip_id_of",
]

_REFUSED = (SoundState.NONE, SoundState.SHORT)
"""Sound that a recipe with `missing_sound: fail` does not take."""
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_KEPT_OF_NAME = 47
_KEPT_OF_HASH = 16


def _today_utc() -> date:
    return datetime.now(UTC).date()


def clip_id_of(name: str) -> str:
    """The clip id of a video of an existing set: its name, or a safe one made from it that no other name has."""
    if is_safe_id(name):
        return name
    return f"{_UNSAFE.sub('_', name)[:_KEPT_OF_NAME]}-{sha256_text(name)[:_KEPT_OF_HASH]}"


class AdoptedVideo(Record):
    """What an existing set says of a video besides its stills, sound and masks; changing it copies nothing again."""

    name: str = Field(description="In the set; the clip id where it can be one.")
    split: SplitName | None = None
    license: str | None = None


class AdoptRequest(Record):
    """Which stills and which sound become a clip."""

    clip_id: SafeId
    name: str = Field(description="Folder in JPEGImages, and stem of the file in WAVAudios.")
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    stills: tuple[str, ...] = Field(min_length=1, description="Names in that folder, in order.")
    fps: Fps

    @property
    def num_seconds(self) -> int:
        """Whole seconds of sound."""
        return seconds_of_sound(len(self.stills), fps=self.fps)


class AdoptFacts(ClipFacts):
    """What was found out about an adopted clip."""

    sound_rate_hz: int | None = Field(default=None, description="As given; null where there is no sound.")
    sound_channels: int | None = None
    source_sha256: Sha256 = Field(
        description="Of stills and sound without their names: under another name they are the same source."
    )
    source_bytes: int
    adopted_on: str = Field(description="Date, YYYY-MM-DD, UTC.")


class AdoptOptions(Record):
    """What of the recipe a clip from an existing set depends on."""

    missing_sound: Literal["fail", "pad"]
    stereo: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class _Copied:
    """What was copied of the stills."""

    sha256: tuple[str, ...]
    size_bytes: int


class AdoptStage:
    """Copy stills byte for byte, and make 16 kHz mono sound; all are checked against the set's truth file."""

    name = "adopt"
    version = 1

    def __init__(self, params: AdoptOptions, *, today: Callable[[], date] = _today_utc) -> None:
        self.params = params
        self._today = today

    def timeout_s(self, record: Record) -> float:
        """Generous: two minutes, and two seconds for each still."""
        assert isinstance(record, AdoptRequest)
        return 120.0 + 2.0 * len(record.stills)

    def prepare(self) -> None:
        """Import what decodes."""
        import avis_data.media.decode
        import avis_data.media.given_sound
        import avis_data.media.stills  # noqa: F401

    def run(self, bench: Workbench) -> AdoptFacts:
        """Write `frames/%05d.jpg`, `audio.wav` (`num_seconds`) and `times.json` from the folder that is input `media`.

        Beside them `audio_stereo.wav`, where the set's sound has two channels that differ.

        Raises:
            ItemError: `source_missing` for a still that is not there, `not_media` or `corrupt_media` for one that is no
                JPEG or does not decode, `bad_media` for another size or names that are no ascending numbers,
                `duration_mismatch` for stills that the truth does not name; `no_audio`, `audio_short`, `not_media`,
                `corrupt_media` for the sound.
        """
        from avis_data.media.decode import FRAMES

        request = bench.record
        assert isinstance(request, AdoptRequest)
        stills, wav = (
            bench.inputs["media"] / STILLS / request.name,
            bench.inputs["media"] / SOUNDS / f"{request.name}.wav",
        )
        _check_names(request, stills)
        copied = _copy_stills(request, stills, bench.out / FRAMES)
        sound, given = self._sound(wav, bench.out / "audio.wav", request)
        stereo_db = self._stereo(wav, given, bench.out / STEREO_WAV, request)
        write_json(bench.out / "times.json", _times(request, sound).model_dump(mode="json"))
        sources = [*copied.sha256, sha256_file(wav) if given else ""]
        return AdoptFacts(
            start_s=0.0,
            num_seconds=request.num_seconds,
            fps=request.fps,
            num_frames=len(request.stills),
            width=request.width,
            height=request.height,
            frame_at=None,
            sound=sound.state,
            padded_samples=sound.padded_samples,
            stereo_db=stereo_db,
            sound_rate_hz=given.rate_hz if given else None,
            sound_channels=given.channels if given else None,
            source_sha256=sha256_text("".join(f"{digest}\n" for digest in sources)),
            source_bytes=copied.size_bytes + (wav.stat().st_size if given else 0),
            adopted_on=self._today().isoformat(),
        )

    def _sound(self, source: Path, wav: Path, request: AdoptRequest) -> tuple[Sound, GivenSound | None]:
        from avis_data.media.decode import SOUND
        from avis_data.media.given_sound import write_16k
        from avis_data.media.sound import check_sound, write_wav

        given, num_seconds = None, request.num_seconds
        with tempfile.TemporaryDirectory(dir=wav.parent) as scratch:
            raw = Path(scratch) / SOUND
            if source.is_file():
                given = write_16k(source, raw, num_seconds=num_seconds)
            elif self.params.missing_sound == "fail":
                advice = "set extract.missing_sound: pad in recipe.yaml to take silence instead"
                raise ItemError(f"no {SOUNDS}/{source.name}; {advice}", reason=Reason.NO_AUDIO)
            sound = write_wav(raw, wav, num_seconds=num_seconds, picture_s=len(request.stills) / request.fps)
        if self.params.missing_sound == "fail":
            check_sound(sound, name=f"{SOUNDS}/{source.name}", num_seconds=num_seconds)
        return sound, given

    def _stereo(self, source: Path, given: GivenSound | None, wav: Path, request: AdoptRequest) -> float | None:
        """Two channels, where they are wanted and differ; of more nobody knows which is where."""
        from avis_data.media.decode import STEREO
        from avis_data.media.given_sound import write_16k
        from avis_data.media.stereo import write_stereo

        if not self.params.stereo or given is None or given.channels != 2:
            return None
        with tempfile.TemporaryDirectory(dir=wav.parent) as scratch:
            raw = Path(scratch) / STEREO
            write_16k(source, raw, num_seconds=request.num_seconds, mono=False)
            return write_stereo(raw, wav, num_seconds=request.num_seconds)


def _check_names(request: AdoptRequest, folder: Path) -> None:
    """The official loaders take all files of the folder, sorted by number: that must be what the truth means."""
    if not folder.is_dir():
        raise ItemError(f"no folder {STILLS}/{request.name}", reason=Reason.SOURCE_MISSING)
    found = {path.name for path in folder.iterdir()}
    missing = [name for name in request.stills if name not in found]
    if missing:
        message = (
            f"{STILLS}/{request.name}: {len(missing)} of {len(request.stills)} stills are missing: {_some(missing)}"
        )
        raise ItemError(message, reason=Reason.SOURCE_MISSING)
    strangers = sorted(found.difference(request.stills))
    if strangers:
        message = f"{STILLS}/{request.name}: {len(found)} files for {len(request.stills)} frames; not in the truth file"
        raise ItemError(f"{message}: {_some(strangers)}", reason=Reason.DURATION_MISMATCH)
    stems = [PurePosixPath(name).stem for name in request.stills]
    numbers = [int(stem) for stem in stems if stem.isascii() and stem.isdigit()]
    if len(numbers) < len(stems) or numbers != sorted(set(numbers)):
        message = f"{STILLS}/{request.name}: the names of the stills are no ascending numbers: {_some(request.stills)}"
        raise ItemError(message, reason=Reason.BAD_MEDIA)


def _copy_stills(request: AdoptRequest, folder: Path, target: Path) -> _Copied:
    """Each still is read once: what is checked, hashed and written is the same."""
    target.mkdir()
    hashes, size_bytes = [], 0
    for number, name in enumerate(request.stills):
        data = (folder / name).read_bytes()
        _check_still(f"{STILLS}/{request.name}/{name}", data, (request.width, request.height))
        (target / f"{number:05d}.jpg").write_bytes(data)
        hashes.append(hashlib.sha256(data).hexdigest())
        size_bytes += len(data)
    return _Copied(sha256=tuple(hashes), size_bytes=size_bytes)


def _check_still(label: str, data: bytes, wanted: tuple[int, int]) -> None:
    """Raise if it is no whole JPEG of that size. Decoded small and grey a torn end shows too, in half the time."""
    from PIL import Image, UnidentifiedImageError

    from avis_data.media.stills import UNREADABLE_PICTURE

    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as picture:
            size = picture.size
            if size == wanted:
                picture.draft("L", (max(1, size[0] // 8), max(1, size[1] // 8)))
                picture.load()
    except UnidentifiedImageError:
        raise ItemError(f"{label}: is no JPEG", reason=Reason.NOT_MEDIA) from None
    except UNREADABLE_PICTURE as error:
        raise ItemError(f"{label}: does not decode ({error!s:.80})", reason=Reason.CORRUPT_MEDIA) from None
    if size != wanted:
        found = f"is {size[0]} x {size[1]}, the truth file says {wanted[0]} x {wanted[1]}"
        raise ItemError(f"{label}: {found} (width x height)", reason=Reason.BAD_MEDIA)


def _times(request: AdoptRequest, sound: Sound) -> Times:
    """What is known of the times: the set's order, and nothing of the video that its stills were once taken from."""
    from avis_data.media.given_sound import sound_decoder
    from avis_data.media.sound import SAMPLE_RATE_HZ

    num_frames = len(request.stills)
    return Times(
        clip_id=request.clip_id,
        video_id=request.clip_id,
        asked_start_s=0.0,
        asked_end_s=None,
        found_start_s=0.0,
        found_duration_s=num_frames / request.fps,
        num_seconds=request.num_seconds,
        fps=request.fps,
        num_frames=num_frames,
        frame_at=None,
        time_base=None,
        picture_form=None,
        sound_track=None,
        num_sound_tracks=0,
        stills=[
            StillTime(frame=number, asked_s=None, source_pts=None, source_s=None, source_file=name)
            for number, name in enumerate(request.stills)
        ],
        sound=sound.state,
        sound_start_s=0.0 if sound.num_samples else None,
        sound_end_s=sound.num_samples / SAMPLE_RATE_HZ if sound.num_samples else None,
        padded_samples=sound.padded_samples,
        decoder=sound_decoder(),
    )


def _some(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _up_to_date(ledger: Ledger, recipe: Recipe) -> Iterator[str]:
    """Clips of existing sets that the recipe takes as they are.

    Of the recipe they depend on the rate, and on `missing_sound` where sound is missing. Where they came from is not
    looked at again: that folder need not be there any more.
    """
    refused = _REFUSED if recipe.extract.missing_sound == "fail" else ()
    for clip_id, made in ledger.adopted_made("adopt"):
        if made is not None:
            facts = made.parsed(AdoptFacts, "adopt")
            if facts.sound not in refused and facts.fps == recipe.extract.fps:
                yield clip_id


def adopt_options(recipe: Recipe) -> AdoptOptions:
    """What of a recipe concerns clips from existing sets."""
    return AdoptOptions(missing_sound=recipe.extract.missing_sound, stereo=recipe.extract.stereo)


SPEC = StageSpec(
    name=AdoptStage.name,
    summary="Copy stills and sound of an existing set.",
    make=lambda recipe, _: AdoptStage(adopt_options(recipe)),
    facts=AdoptFacts,
    covers=("adopted",),
    up_to_date=_up_to_date,
)

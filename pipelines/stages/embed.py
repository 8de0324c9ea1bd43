"""The stages that turn the sound of clips into VGGish embeddings: one array per clip, then Parquet parts.

Legend: N samples, T stills, D = 128 values.
"""

from __future__ import annotations

import math
import wave
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from avis_data.cycles import no_cycle_search
from avis_data.errors import DataError, ItemError, Reason
from avis_data.features.arrays import load_npy
from avis_data.ledger import Ledger
from avis_data.media.sound import SAMPLE_RATE_HZ
from avis_data.pipelines.engine.spec import Candidates, Choices, Current, Setting, StageSpec
from avis_data.pipelines.engine.stage import Input, Item, Workbench, params_key
from avis_data.pipelines.stages.made_clips import ClipItems
from avis_data.recipe import FrontEnd, Recipe, front_end_of
from avis_data.records import Fps, FrameAt, Record, SafeId
from avis_data.weights import resolve_vggish

if TYPE_CHECKING:
    from avis_data.features.vggish import Vggish

__all__ = [
    "SPEC",
    "EmbedChoices",
    "EmbedFacts",
    "EmbedParams",
    "EmbedRequest",
    "EmbedStage",
    "PackFacts",
    "PackRequest",
    "PackStage",
    "embed_items",
    "pack_items",
]

_TORN = Reason.TORN_INPUT
_BATCH_S = 32


class EmbedParams(Record):
    """What embeddings depend on besides the sound. Where the weight file lies is not part of it; its hash is."""

    front_end: FrontEnd = "official"
    weights_sha256: str = Field(
        pattern=r"^([0-9a-f]{64}|untrained-[0-9]+)$",
        description="Of the weight file; `untrained-<seed>`: random weights, for tests and demonstrations.",
    )

    @property
    def untrained_seed(self) -> int | None:
        """The seed of random weights; None for a weight file."""
        name, dash, seed = self.weights_sha256.partition("-")
        return int(seed) if dash and name == "untrained" else None


@dataclass(frozen=True, kw_only=True)
class EmbedChoices:
    """Which VGGish weights; neither: the registered ones."""

    weights: Path | None = None
    untrained: bool = False

    @cached_property
    def found(self) -> tuple[Path | None, str]:
        """The file and its hash, which is read once. Raises as `resolve_vggish`."""
        return resolve_vggish(self.weights, untrained=self.untrained)


class EmbedRequest(Record):
    """One clip to embed, still by still."""

    clip_id: SafeId
    num_seconds: int = Field(gt=0)
    fps: Fps
    num_frames: int = Field(gt=0)
    frame_at: FrameAt | None = Field(description="Which instant of its period a still shows; null: taken for `mid`.")


class EmbedFacts(EmbedParams):
    """What was found out about the embeddings of a clip, and what they were made with."""

    fps: Fps
    num_frames: int


class PackFacts(Record):
    """What was found out about one part of the table."""

    num_clips: int
    num_rows: int


class PackRequest(Record):
    """One part of the embedding table."""

    bucket: str = Field(pattern=r"^[0-9a-f]$", description="features.store.bucket of every clip in it.")


class EmbedStage:
    """`audio.wav` to `<clip_id>.npy`, float32 (T, 128): one VGGish embedding per still.

    At one still per second it is of that second alone (`official`), at other rates of the 0.96 s before the instant of
    the still (`causal`).
    """

    name = "embed"
    version = 1

    def __init__(self, params: EmbedParams, weights: Path | None = None) -> None:
        """`weights` is the file that hashes to `params.weights_sha256`; None where that is `untrained-<seed>`."""
        if (weights is None) != (params.untrained_seed is not None):
            raise ValueError(f"weights {weights} do not go with {params.weights_sha256}")
        self.params = params
        self._weights = weights
        self._model: Vggish | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_model": None}  # each worker loads its own; 288 MB are not sent to it

    def timeout_s(self, record: Record) -> float:
        """Two minutes, and half of real time, 30 times what it takes on one core; loading is not part of it."""
        assert isinstance(record, EmbedRequest)
        return 120.0 + 0.5 * record.num_seconds

    def prepare(self) -> None:
        """Load the network, and what makes its inputs."""
        self._loaded()

    def run(self, bench: Workbench) -> EmbedFacts:
        """Embed one clip.

        Raises:
            ItemError: `torn_input` if the WAV is unreadable or not `num_seconds` of 16 kHz, 16 bit, mono, or the
                stills were taken at another rate than the recipe's.
            DataError: if the weights are not those that were asked for.
        """
        request = bench.record
        assert isinstance(request, EmbedRequest)
        if self.params.front_end != front_end_of(request.fps):
            message = f"{request.clip_id}: its stills have another rate than the recipe's; avis-data extract"
            raise ItemError(message, reason=_TORN)
        # One thread: workers share the cores among them, and the sums come out the same on any number of cores.
        with _one_torch_thread():
            embeddings_TD = self._embed(bench.inputs["audio"], request)
        np.save(bench.out / f"{request.clip_id}.npy", embeddings_TD, allow_pickle=False)
        return EmbedFacts(fps=request.fps, num_frames=len(embeddings_TD), **self.params.model_dump())

    def _embed(self, wav: Path, request: EmbedRequest) -> NDArray[np.float32]:
        from avis_data.features.logmel import second_examples
        from avis_data.features.vggish import embed_examples

        if self.params.front_end == "causal":
            examples = _still_examples(wav, request)
        else:
            examples = (
                second_examples(samples_N, len(samples_N) // SAMPLE_RATE_HZ)
                for samples_N in _blocks(wav, request.num_seconds)
            )
        model = self._loaded()
        return np.concatenate([embed_examples(model, examples_TFM, batch=_BATCH_S) for examples_TFM in examples])

    def _loaded(self) -> Vggish:
        import avis_data.features.logmel  # noqa: F401  # its library takes seconds, which are no item's
        from avis_data.features.vggish import load_vggish, untrained_vggish

        if self._model is None and self._weights is not None:
            self._model = load_vggish(self._weights, sha256=self.params.weights_sha256)
        elif self._model is None:
            self._model = untrained_vggish(self.params.untrained_seed or 0)
        return self._model


class PackStage:
    """The `.npy` of the clips of one bucket (inputs, by clip id) to `part-<bucket>.parquet`.

    A part is written whole from arrays that each have their own hash, in the order of ids: its bytes depend on neither
    the order in which clips were finished nor the number of workers.
    """

    name = "pack"
    version = 1

    def __init__(self, params: EmbedParams) -> None:
        self.params = params

    def timeout_s(self, record: Record) -> float:
        """Ten minutes: a part of 100,000 rows takes a second."""
        return 600.0

    def run(self, bench: Workbench) -> PackFacts:
        """Write one part.

        Raises:
            ItemError: `torn_input` if an array is unreadable or no float32 (T, 128).
        """
        from avis_data.features.store import WINDOW_S, bucket, part_name, write_part

        assert isinstance(bench.record, PackRequest)
        strangers = [clip_id for clip_id in bench.inputs if bucket(clip_id) != bench.record.bucket]
        if strangers:
            raise ValueError(f"not of bucket {bench.record.bucket}: {', '.join(sorted(strangers))}")
        clips = ((clip_id, _read_array(clip_id, bench.inputs[clip_id])) for clip_id in sorted(bench.inputs))
        num_rows = write_part(
            bench.out / part_name(bench.record.bucket),
            clips,
            weights_sha256=self.params.weights_sha256,
            front_end=self.params.front_end,
            window_s=WINDOW_S,
        )
        return PackFacts(num_clips=len(bench.inputs), num_rows=num_rows)


def _blocks(path: Path, num_seconds: int) -> Iterator[NDArray[np.float32]]:
    """The samples of a WAV in [-1, 1), up to 32 whole seconds at a time: the memory does not grow with the clip."""
    try:
        with wave.open(str(path), "rb") as wav:
            form = (wav.getframerate(), wav.getnchannels(), wav.getsampwidth())
            if form != (SAMPLE_RATE_HZ, 1, 2):
                raise ItemError(
                    f"{path.name}: rate, channels, bytes are {form}, not ({SAMPLE_RATE_HZ}, 1, 2)", reason=_TORN
                )
            if wav.getnframes() != num_seconds * SAMPLE_RATE_HZ:
                raise ItemError(f"{path.name}: {wav.getnframes()} samples, not {num_seconds} s of 16,000", reason=_TORN)
            for first in range(0, num_seconds, _BATCH_S):
                wanted = min(_BATCH_S, num_seconds - first) * SAMPLE_RATE_HZ
                samples_N = np.frombuffer(wav.readframes(wanted), dtype="<i2")
                if len(samples_N) != wanted:
                    raise ItemError(f"{path.name}: ends {wanted - len(samples_N)} samples early", reason=_TORN)
                yield samples_N.astype(np.float32) / np.float32(32768)
    except (wave.Error, EOFError, ValueError) as error:
        raise ItemError(f"{path.name}: cannot be read as WAV ({error or 'too short'})", reason=_TORN) from None
    except FileNotFoundError:
        raise ItemError(f"{path.name}: no such file", reason=_TORN) from None


def _still_examples(wav: Path, request: EmbedRequest) -> Iterator[NDArray[np.float32]]:
    """The VGGish inputs of the stills, (n, 96, 64) for those whose instants lie in each block of sound."""
    from avis_data.features.logmel import EXAMPLE_SAMPLES, causal_examples
    from avis_data.media.clock import frame_instants

    instants = frame_instants(request.num_frames, fps=request.fps, frame_at=request.frame_at)
    ends = [math.floor(instant * SAMPLE_RATE_HZ + Fraction(1, 2)) for instant in instants]
    before_N: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
    done = begin = 0
    for block_N in _blocks(wav, request.num_seconds):
        samples_N = np.concatenate([before_N, block_N])
        ready = bisect_right(ends, begin + len(samples_N)) - done
        yield causal_examples(samples_N, [end - begin for end in ends[done : done + ready]])
        done += ready
        before_N = samples_N[-EXAMPLE_SAMPLES:]
        begin += len(samples_N) - len(before_N)


def _read_array(clip_id: str, path: Path) -> NDArray[np.float32]:
    try:
        embeddings_TD = load_npy(path)
    except DataError as error:
        raise ItemError(f"embeddings of {clip_id}: cannot be read ({error})", reason=_TORN) from None
    fits = embeddings_TD.dtype == np.float32 and embeddings_TD.ndim == 2 and embeddings_TD.shape[1] == 128
    if not fits or not np.isfinite(embeddings_TD).all():
        raise ItemError(f"embeddings of {clip_id}: not finite float32 (T, 128)", reason=_TORN)
    return embeddings_TD


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


_CLIPS = ClipItems(
    request=EmbedRequest,
    facts=("num_seconds", "fps", "num_frames", "frame_at"),
    inputs={"audio": "audio.wav"},
    home="features/vggish/clips",
)


def embed_items(ledger: Ledger) -> Candidates:
    """One item per wanted clip whose sound is there, extracted or adopted."""
    return _CLIPS.of(ledger)


@no_cycle_search()
def pack_items(ledger: Ledger, params: EmbedParams) -> Candidates:
    """One item per Parquet part: all wanted clips of its bucket that are embedded with these weights.

    A part that has no such clip any more is written once more, empty.
    """
    from avis_data.features.store import bucket

    buckets: dict[str, dict[str, Input]] = {item_id.removeprefix("part-"): {} for item_id in ledger.entries("pack")}
    for rows in (ledger.wanted_made("embed"), ledger.adopted_made("embed")):
        for clip_id, made in rows:
            if made is not None and made.parsed(EmbedFacts, "embed").weights_sha256 == params.weights_sha256:
                buckets.setdefault(bucket(clip_id), {})[clip_id] = Input.of(made.only_output("embed"))
    return Candidates(
        items=[
            Item(
                item_id=f"part-{name}",
                record=PackRequest(bucket=name),
                inputs=dict(sorted(inputs.items())),
                home="features/vggish",
            )
            for name, inputs in sorted(buckets.items())
        ]
    )


def _params(recipe: Recipe, choices: Choices) -> EmbedParams:
    return EmbedParams(front_end=recipe.embed.front_end, weights_sha256=choices.of(EmbedChoices).found[1])


def _embed_stage(recipe: Recipe, choices: Choices) -> EmbedStage:
    weights, _ = choices.of(EmbedChoices).found
    return EmbedStage(_params(recipe, choices), weights)


def _pack_items(setting: Setting) -> Candidates:
    return pack_items(setting.ledger, _params(setting.recipe, setting.choices))


def _up_to_date(ledger: Ledger, recipe: Recipe) -> Current:
    """Wanted clips whose embeddings were made from the sound that they have now, whatever the weights."""
    hashes: dict[str, str] = {}

    def stage_hash(fact: str | None) -> str:
        weights = fact or ""
        if weights not in hashes:
            try:
                hashes[weights] = _stage_key(recipe, weights)
            except ValueError:
                hashes[weights] = ""  # no hash of weights: nothing is made with them now
        return hashes[weights]

    return _CLIPS.current(ledger, EmbedStage.name, stage_hash, fact="weights_sha256")


def _stage_key(recipe: Recipe, weights_sha256: str) -> str:
    params = EmbedParams(front_end=recipe.embed.front_end, weights_sha256=weights_sha256)
    return params_key(EmbedStage.name, EmbedStage.version, params)  # the weights themselves need not be here


SPEC = StageSpec(
    name=EmbedStage.name,
    summary="Compute VGGish embeddings, one per still.",
    make=_embed_stage,
    facts=EmbedFacts,
    items=lambda setting: embed_items(setting.ledger),
    covers=("clip", "adopted"),
    after=("extract", "adopt"),
    then=(
        StageSpec(
            name=PackStage.name,
            summary="Write the embeddings into the parts of their table.",
            make=lambda recipe, choices: PackStage(_params(recipe, choices)),
            facts=PackFacts,
            items=_pack_items,
        ),
    ),
    usual=True,
    up_to_date=_up_to_date,
)

"""From a clip's WAV to its rows in a part, as the runner calls it."""

from __future__ import annotations

import pickle
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from avis_data.errors import DataError, ItemError, Reason
from avis_data.features.logmel import second_examples
from avis_data.features.store import bucket, part_name, read_embeddings
from avis_data.features.vggish import embed_examples, untrained_vggish
from avis_data.io import sha256_file
from avis_data.pipelines.engine.stage import Workbench, stage_key
from avis_data.pipelines.stages.embed import (
    EmbedFacts,
    EmbedParams,
    EmbedRequest,
    EmbedStage,
    PackFacts,
    PackRequest,
    PackStage,
)

RATE = 16_000
UNTRAINED = EmbedParams(weights_sha256="untrained-5")


@pytest.fixture(scope="module")
def stage() -> EmbedStage:
    return EmbedStage(UNTRAINED)


def sound(num_samples: int) -> np.ndarray:
    return (np.random.default_rng(num_samples).standard_normal(num_samples) * 3000).astype("<i2")


def write_wav(path: Path, samples: np.ndarray, *, rate: int = RATE, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as wav:
        wav.setparams((channels, 2, rate, 0, "NONE", ""))
        wav.writeframes(samples.tobytes())
    return path


def embed_bench(folder: Path, wav: Path, num_seconds: int, clip_id: str = "clip") -> Workbench:
    out = folder / f"out_{clip_id}"
    out.mkdir(exist_ok=True)
    record = EmbedRequest(clip_id=clip_id, num_seconds=num_seconds, fps=1, num_frames=num_seconds, frame_at="mid")
    return Workbench(item_id=clip_id, record=record, inputs={"audio": wav}, out=out, scratch=folder)


def test_a_row_for_every_second_in_order(stage: EmbedStage, tmp_path: Path) -> None:
    samples = sound(35 * RATE)  # more than one batch
    bench = embed_bench(tmp_path, write_wav(tmp_path / "audio.wav", samples), 35)
    facts = stage.run(bench)
    assert facts == EmbedFacts(fps=1.0, num_frames=35, front_end="official", weights_sha256="untrained-5")
    found = np.load(bench.out / "clip.npy")
    assert found.shape == (35, 128) and found.dtype == np.float32
    alone = [second_examples((samples[t * RATE : (t + 1) * RATE] / 32768).astype(np.float32), 1)[0] for t in range(35)]
    want = embed_examples(untrained_vggish(5), np.stack(alone))
    np.testing.assert_allclose(found, want, rtol=1e-3, atol=1e-4 * want.max())


def test_the_same_bytes_on_any_number_of_threads(stage: EmbedStage, tmp_path: Path) -> None:
    samples = sound(3 * RATE)
    wav = write_wav(tmp_path / "audio.wav", samples)
    before = torch.get_num_threads()
    results = []
    for number in (1, 3):
        torch.set_num_threads(number)
        bench = embed_bench(tmp_path, wav, 3)
        stage.run(bench)
        assert torch.get_num_threads() == number, "the caller's setting is put back"
        results.append((bench.out / "clip.npy").read_bytes())
    assert results[0] == results[1]
    torch.set_num_threads(1)
    want = embed_examples(untrained_vggish(5), second_examples((samples / 32768).astype(np.float32), 3))
    torch.set_num_threads(before)
    np.testing.assert_array_equal(np.load(bench.out / "clip.npy"), want)  # also the scale: 32768, not 32767


@pytest.mark.parametrize("num_samples", [3 * RATE - 1, 3 * RATE + 1, 2 * RATE, 4 * RATE, 0])
def test_sound_of_another_length_is_torn(stage: EmbedStage, tmp_path: Path, num_samples: int) -> None:
    wav = write_wav(tmp_path / "audio.wav", sound(num_samples))
    assert reason_of(stage, embed_bench(tmp_path, wav, 3)) is Reason.TORN_INPUT


def test_files_that_are_no_such_wav_are_torn(stage: EmbedStage, tmp_path: Path) -> None:
    whole = write_wav(tmp_path / "whole.wav", sound(3 * RATE)).read_bytes()
    bad = {"empty": b"", "text": b"not a wav at all", "cut": whole[: len(whole) // 2], "head": whole[:20]}
    for name, content in bad.items():
        path = tmp_path / f"{name}.wav"
        path.write_bytes(content)
        assert reason_of(stage, embed_bench(tmp_path, path, 3)) is Reason.TORN_INPUT, name
    stereo = write_wav(tmp_path / "stereo.wav", sound(6 * RATE), channels=2)
    assert reason_of(stage, embed_bench(tmp_path, stereo, 3)) is Reason.TORN_INPUT
    fast = write_wav(tmp_path / "fast.wav", sound(3 * RATE), rate=44_100)
    assert reason_of(stage, embed_bench(tmp_path, fast, 3)) is Reason.TORN_INPUT
    assert reason_of(stage, embed_bench(tmp_path, tmp_path / "none.wav", 3)) is Reason.TORN_INPUT


def reason_of(stage: EmbedStage, bench: Workbench) -> Reason:
    with pytest.raises(ItemError) as caught:
        stage.run(bench)
    assert not list(bench.out.iterdir())
    return caught.value.reason


def test_a_stage_travels_to_workers_without_its_network(stage: EmbedStage, tmp_path: Path) -> None:
    wav = write_wav(tmp_path / "audio.wav", sound(RATE))
    stage.run(embed_bench(tmp_path, wav, 1, "here"))
    sent = pickle.dumps(stage)
    assert len(sent) < 10_000
    pickle.loads(sent).run(embed_bench(tmp_path, wav, 1, "there"))
    assert (tmp_path / "out_here/here.npy").read_bytes() == (tmp_path / "out_there/there.npy").read_bytes()


def test_the_key_tells_weights_apart_and_not_where_they_lie(tmp_path: Path) -> None:
    first, second = EmbedParams(weights_sha256="1" * 64), EmbedParams(weights_sha256="2" * 64)
    here, there = EmbedStage(first, tmp_path / "a.pth"), EmbedStage(first, tmp_path / "b.pth")
    assert stage_key(here) == stage_key(there)
    assert stage_key(here) != stage_key(EmbedStage(second, tmp_path / "a.pth"))
    assert stage_key(EmbedStage(UNTRAINED)) != stage_key(here)
    assert UNTRAINED.untrained_seed == 5 and first.untrained_seed is None


def test_weights_that_changed_since_they_were_chosen_are_not_used(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    torch.save({"features.0.weight": torch.zeros(1)}, file)
    chosen = EmbedStage(EmbedParams(weights_sha256=sha256_file(file)), file)
    torch.save({"features.0.weight": torch.ones(1)}, file)
    with pytest.raises(DataError, match="another file or was changed"):
        chosen.run(embed_bench(tmp_path, write_wav(tmp_path / "a.wav", sound(RATE)), 1))


@pytest.mark.parametrize("origin", ["untrained", "untrained-", "UNTRAINED-1", "a" * 63, "A" * 64, ""])
def test_an_origin_is_a_hash_or_a_seed(origin: str) -> None:
    with pytest.raises(ValidationError):
        EmbedParams(weights_sha256=origin)


def test_a_part_holds_the_clips_of_its_bucket_and_says_it_is_untrained(tmp_path: Path) -> None:
    clips = {f"c{number}": np.full((number + 1, 128), number, np.float32) for number in range(40)}
    members = {clip_id: rows for clip_id, rows in clips.items() if bucket(clip_id) == bucket("c0")}
    assert len(members) > 1
    facts = PackStage(UNTRAINED).run(pack_bench(tmp_path, members))
    assert facts == PackFacts(num_clips=len(members), num_rows=sum(map(len, members.values())))
    found = dict(read_embeddings(tmp_path / "out"))
    assert found.keys() == members.keys()
    assert all((found[clip_id] == rows).all() for clip_id, rows in members.items())
    import pyarrow.parquet as pq

    table = pq.read_table(tmp_path / "out" / part_name(bucket("c0")))
    assert set(table["weights_sha256"].to_pylist()) == {"untrained-5"}


def test_the_order_of_inputs_does_not_show_in_the_bytes(tmp_path: Path) -> None:
    rows = {name: np.ones((2, 128), np.float32) for name in (f"c{n}" for n in range(60)) if bucket(name) == "3"}
    assert len(rows) > 1
    one, two = tmp_path / "one", tmp_path / "two"
    PackStage(UNTRAINED).run(pack_bench(one, rows))
    PackStage(UNTRAINED).run(pack_bench(two, dict(reversed(rows.items()))))
    assert (one / "out/part-3.parquet").read_bytes() == (two / "out/part-3.parquet").read_bytes()


def test_a_torn_array_is_the_items_fault_and_a_wrong_bucket_is_a_bug(tmp_path: Path) -> None:
    bench = pack_bench(tmp_path, {"c0": np.ones((2, 128), np.float32)})
    for content in (np.ones((2, 127), np.float32), np.ones((2, 128)), np.ones(128, np.float32)):
        np.save(bench.inputs["c0"], content)
        with pytest.raises(ItemError) as caught:
            PackStage(UNTRAINED).run(bench)
        assert caught.value.reason is Reason.TORN_INPUT
    bench.inputs["c0"].write_bytes(b"\x93NUMPY")
    with pytest.raises(ItemError, match="embeddings of c0: cannot be read"):
        PackStage(UNTRAINED).run(bench)
    other = next(f"c{number}" for number in range(99) if bucket(f"c{number}") != bucket("c0"))
    wrong = pack_bench(tmp_path / "wrong", {"c0": np.ones((2, 128), np.float32), other: np.ones((2, 128), np.float32)})
    with pytest.raises(ValueError, match=other):
        PackStage(UNTRAINED).run(wrong)


def pack_bench(folder: Path, clips: dict[str, np.ndarray]) -> Workbench:
    out = folder / "out"
    out.mkdir(parents=True, exist_ok=True)
    inputs = {clip_id: folder / f"{clip_id}.npy" for clip_id in clips}
    for clip_id, rows in clips.items():
        np.save(inputs[clip_id], rows)
    record = PackRequest(bucket=bucket(next(iter(clips))))
    return Workbench(item_id=record.bucket, record=record, inputs=inputs, out=out, scratch=folder)

"""SAM 2 through our streaming run, against transformers' own way through a whole video. Weights: tiny, untrained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from avis_data.annotation.propagation.engines import find_engine, load_carrier
from avis_data.annotation.propagation.sam2_video import Sam2Video, load_sam2_video
from avis_data.annotation.segmenters.pictures import Frame
from avis_data.errors import ConfigError, DataError
from support.tiny_sam2_video import tiny_sam2_video

HEIGHT, WIDTH, NUMBER = 60, 90, 20


@pytest.fixture(scope="module")
def model() -> object:
    return tiny_sam2_video()


def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return [rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(NUMBER)]


def drawn() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[10:40, 20:60] = True
    return mask


@torch.inference_mode()
def whole_video(model: object) -> list[torch.Tensor]:
    """Low-resolution logits as transformers gives them for a video that it holds as a whole."""
    from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

    frame = Frame(HEIGHT, WIDTH, 128, keeps_aspect=False)
    video = torch.cat([frame.network_input(picture) for picture in pictures()])
    session = Sam2VideoInferenceSession(video=video, video_height=HEIGHT, video_width=WIDTH, dtype=torch.float32)
    index = session.obj_id_to_idx(1)
    session.add_mask_inputs(index, 0, torch.from_numpy(drawn()[None, None].astype(np.float32)))
    session.obj_with_new_inputs = [1]
    return [output.pred_masks.clone() for output in model.propagate_in_video_iterator(session, start_frame_idx=0)]  # type: ignore[attr-defined]


def test_streaming_with_forgetting_gives_what_the_whole_video_gives(
    model: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = whole_video(model)
    run = Sam2Video(model, name="sam2 (untrained)", weights_sha256=None, device=torch.device("cpu")).start()
    seen: list[torch.Tensor] = []
    looked = run._look
    monkeypatch.setattr(run, "_look", lambda: seen.append((output := looked()).pred_masks.clone()) or output)
    for number, picture in enumerate(pictures()):
        run.step(picture, is_still=True)
        if number == 0:
            run.put({"dog_1": drawn()})
    assert len(seen) == len(want) == NUMBER
    for number in range(1, NUMBER):
        torch.testing.assert_close(seen[number], want[number], rtol=0, atol=1e-4)


def test_what_is_remembered_does_not_grow(model: object) -> None:
    run = Sam2Video(model, name="sam2 (untrained)", weights_sha256=None, device=torch.device("cpu")).start()
    sizes = []
    for number in range(60):
        run.step(pictures()[number % NUMBER], is_still=False)
        if number % 10 == 0:
            run.put({"dog_1": drawn()})
        session = run._session
        outputs = session.output_dict_per_obj[0]
        sizes.append(sum(map(len, outputs.values())) + len(session.processed_frames or ()))
    assert max(sizes[-10:]) == max(sizes[25:35]) < 25


def test_objects_come_later_and_a_cut_begins_anew(model: object) -> None:
    run = Sam2Video(model, name="sam2 (untrained)", weights_sha256=None, device=torch.device("cpu")).start()
    shots = pictures()
    assert run.step(shots[0], is_still=True) == {}
    run.put({})
    run.step(shots[1], is_still=True)
    run.put({"dog_1": drawn()})
    run.step(shots[2], is_still=True)
    run.put({"cat_1": ~drawn()})
    found = run.step(shots[3], is_still=True)
    assert found.keys() == {"dog_1", "cat_1"}
    assert all(item.mask_HW.shape == (HEIGHT, WIDTH) and 0 <= item.confidence <= 1 for item in found.values())
    run.cut()
    assert run.step(shots[4], is_still=True) == {}


def test_weights_come_from_a_folder_and_their_hash_is_kept(model: object, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "tiny")  # type: ignore[attr-defined]
    carrier = load_carrier(find_engine("sam2", tmp_path / "tiny"))
    assert carrier.name == "sam2" and carrier.weights_sha256 is not None and len(carrier.weights_sha256) == 64
    (tmp_path / "tiny" / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(DataError):
        load_carrier(find_engine("sam2", tmp_path / "tiny"))
    with pytest.raises(DataError, match=r"none\.pt: cannot be read"):
        load_sam2_video(tmp_path / "none.pt", weights_sha256="0" * 64, device=torch.device("cpu"))


def test_wrong_choices_say_what_there_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AVIS_DATA_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="optical-flow, sam2"):
        load_carrier(find_engine("xmem", None))
    with pytest.raises(ConfigError, match="needs its weights"):
        load_carrier(find_engine("sam2", None))
    with pytest.raises(ConfigError, match="no weights"):
        load_carrier(find_engine("optical-flow", tmp_path))

"""The network against a plain numpy one, and its weight files: both layouts, and all that must be refused."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from avis_data.errors import DataError, ProblemsError
from avis_data.features.vggish import Vggish, embed_examples, load_vggish, untrained_vggish, vggish_state
from avis_data.weights.files import check_sha256, hash_in_name, read_tensors

SHAPES = {
    "features.0": (64, 1, 3, 3),
    "features.3": (128, 64, 3, 3),
    "features.6": (256, 128, 3, 3),
    "features.8": (256, 256, 3, 3),
    "features.11": (512, 256, 3, 3),
    "features.13": (512, 512, 3, 3),
    "embeddings.0": (4096, 12288),
    "embeddings.2": (4096, 4096),
    "embeddings.4": (128, 4096),
}
"""Of the published file, written down by hand."""


@pytest.fixture(scope="module")
def model() -> Vggish:
    return untrained_vggish(7)


@pytest.fixture(scope="module")
def examples() -> np.ndarray:
    return np.random.default_rng(3).standard_normal((3, 96, 64)).astype(np.float32)


@pytest.fixture()
def file(tmp_path: Path) -> Iterator[Path]:
    """A place for a weight file that does not stay: one is 288 MB."""
    path = tmp_path / "weights.pth"
    yield path
    path.unlink(missing_ok=True)


def small_state() -> dict[str, torch.Tensor]:
    """All tensors in their full shapes; each is one number, repeated, so that files of it are tiny."""
    state = {}
    for number, (name, shape) in enumerate(SHAPES.items()):
        state[f"{name}.weight"] = torch.tensor(0.001 * (number + 1)).expand(shape)
        state[f"{name}.bias"] = torch.tensor(0.1).expand(shape[0])
    return state


def torchaudio_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    renamed = {"features": "features_network", "embeddings": "embedding_network"}
    return {renamed[name.split(".")[0]] + "." + name.split(".", 1)[1]: tensor for name, tensor in state.items()}


def embed_with_numpy(state: dict[str, np.ndarray], example: np.ndarray) -> np.ndarray:
    """The published network with channels last throughout, as in TensorFlow, so that flattening is plain."""
    maps = example[:, :, None].astype(np.float64)
    for block in ([0], [3], [6, 8], [11, 13]):
        for layer in block:
            weight, bias = state[f"features.{layer}.weight"], state[f"features.{layer}.bias"]
            height, width, _ = maps.shape
            padded = np.pad(maps, ((1, 1), (1, 1), (0, 0)))
            maps = np.zeros((height, width, len(bias))) + bias
            for row in range(3):
                for column in range(3):
                    maps += padded[row : row + height, column : column + width] @ weight[:, :, row, column].T
            maps = np.maximum(maps, 0)
        height, width, channels = maps.shape
        maps = maps.reshape(height // 2, 2, width // 2, 2, channels).max(axis=(1, 3))
    vector = maps.reshape(-1)
    for layer in (0, 2, 4):
        vector = np.maximum(state[f"embeddings.{layer}.weight"] @ vector + state[f"embeddings.{layer}.bias"], 0)
    return vector


def test_parameters_are_those_of_the_published_file(model: Vggish) -> None:
    found = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    want = {f"{name}.weight": shape for name, shape in SHAPES.items()}
    want |= {f"{name}.bias": shape[:1] for name, shape in SHAPES.items()}
    assert found == want
    assert sum(tensor.numel() for tensor in model.state_dict().values()) == 72_141_184


def test_network_equals_a_plain_numpy_one(model: Vggish, examples: np.ndarray) -> None:
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    found = embed_examples(model, examples[:1])
    assert found.shape == (1, 128) and found.dtype == np.float32
    want = embed_with_numpy(state, examples[0])
    assert (want > 0).sum() > 20
    np.testing.assert_allclose(found[0], want, rtol=0, atol=1e-4 * want.max())


def test_batches_change_nothing_and_no_examples_give_none(model: Vggish, examples: np.ndarray) -> None:
    np.testing.assert_allclose(
        embed_examples(model, examples, batch=2), embed_examples(model, examples, batch=64), rtol=1e-4, atol=1e-5
    )
    assert embed_examples(model, examples[:0]).shape == (0, 128)


def test_random_weights_are_the_seed_and_make_a_difference(model: Vggish, examples: np.ndarray) -> None:
    first = embed_examples(model, examples)
    np.testing.assert_array_equal(first, embed_examples(untrained_vggish(7), examples))
    assert (first != embed_examples(untrained_vggish(8), examples)).any()
    assert (first >= 0).all() and 0.2 < (first > 0).mean() < 0.8
    assert (first[0] != first[1]).any()


def test_both_layouts_and_safetensors_give_the_same_network(model: Vggish, examples: np.ndarray, file: Path) -> None:
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    pca = {"pproc.pca_eigen_vectors": torch.zeros(128, 128), "pproc.pca_means": torch.zeros(128, 1)}
    want = embed_examples(model, examples)
    torch.save(state | pca, file)
    np.testing.assert_array_equal(embed_examples(load_vggish(file), examples), want)
    torch.save(torchaudio_names(state), file)
    np.testing.assert_array_equal(embed_examples(load_vggish(file), examples), want)
    safe = file.with_suffix(".safetensors")
    save_file(state, safe)
    np.testing.assert_array_equal(embed_examples(load_vggish(safe), examples), want)
    safe.unlink()


def test_the_old_form_of_pytorch_files_and_a_nested_one_are_read(file: Path) -> None:
    torch.save(small_state(), file, _use_new_zipfile_serialization=False)
    assert set(vggish_state(read_tensors(file), where="")) == set(small_state())
    torch.save({"model": small_state(), "epoch": 3}, file)
    assert set(vggish_state(read_tensors(file), where="")) == set(small_state())


def test_layers_numbered_otherwise_are_taken_in_their_order() -> None:
    theirs = {"0": "0", "3": "1", "6": "2", "8": "3", "11": "4", "13": "5"}
    state = small_state()
    packed = {}
    for name, tensor in state.items():
        part, number, what = name.split(".")
        packed[f"module.features.{theirs[number]}.{what}" if part == "features" else name] = tensor
    found = vggish_state(packed, where="")
    assert {name: tuple(tensor.shape) for name, tensor in found.items()} == {
        name: tuple(tensor.shape) for name, tensor in state.items()
    }
    assert all(found[name].flatten()[0] == state[name].flatten()[0] for name in state)


def test_all_that_is_wrong_with_the_tensors_is_reported_at_once() -> None:
    state = small_state()
    del state["embeddings.4.bias"]
    state["features.3.weight"] = torch.zeros(1, 1).expand(128, 64)
    state["classifier.weight"] = torch.zeros(2)
    state["features.0.bias"] = torch.zeros(64, dtype=torch.int64)
    with pytest.raises(ProblemsError) as caught:
        vggish_state(state, where="mine.pth")
    message = str(caught.value)
    assert "mine.pth: not the weights of VGGish" in message and "avis-data weights list" in message
    for part in ("embeddings.4.bias: missing", "features.3.weight: has shape (128, 64)", "classifier.weight: unknown"):
        assert part in message
    assert "features.0.bias: holds torch.int64" in message
    assert len(caught.value.problems) == 4


def test_a_missing_layer_is_named_and_the_others_are_not_blamed() -> None:
    state = {name: tensor for name, tensor in small_state().items() if not name.startswith("features.6.")}
    with pytest.raises(ProblemsError) as caught:
        vggish_state(state, where="")
    assert [problem.field for problem in caught.value.problems] == ["features.6.bias", "features.6.weight"]


def test_weights_that_are_no_numbers_are_refused(file: Path) -> None:
    state = small_state()
    state["features.8.weight"] = torch.tensor(float("nan")).expand(256, 256, 3, 3)
    torch.save(state, file)
    with pytest.raises(DataError, match=r"features\.8\.weight"):
        load_vggish(file)


def test_the_hash_in_the_name_is_checked(tmp_path: Path) -> None:
    plain = tmp_path / "plain.pth"
    torch.save(small_state(), plain)
    true = hashlib.sha256(plain.read_bytes()).hexdigest()
    right, wrong = tmp_path / f"vggish-{true[:8]}.pth", tmp_path / "vggish-10086976.pth"
    plain.rename(right)
    assert check_sha256(right) == true
    right.rename(wrong)
    with pytest.raises(DataError, match="10086976.*" + true):
        check_sha256(wrong)
    with pytest.raises(DataError, match="another file or was changed"):
        load_vggish(wrong.rename(plain), sha256="0" * 64)


@pytest.mark.parametrize(
    ("name", "promised"),
    [
        ("vggish-10086976.pth", "10086976"),
        ("resnet50-0676ba61.pth", "0676ba61"),
        ("vggish.pt", None),
        ("sam_vit_b_01ec64.pth", None),
        ("best-1234567.pth", None),
        ("run-deadbeef", None),
    ],
)
def test_which_names_promise_a_hash(name: str, promised: str | None) -> None:
    assert hash_in_name(Path(name)) == promised


class Bomb:
    """Makes a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("form", ["zip", "legacy", "plain"])
def test_code_in_a_pickle_is_refused_and_not_run(file: Path, tmp_path: Path, form: str) -> None:
    proof = tmp_path / "was_run"
    content = {"features.0.weight": torch.zeros(2), "payload": Bomb(proof)}
    if form == "plain":
        file.write_bytes(pickle.dumps(content["payload"]))
    else:
        torch.save(content, file, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(DataError, match="holds Python code"):
        read_tensors(file)
    assert not proof.exists()
    pickle.loads(pickle.dumps(Bomb(proof)))
    assert proof.exists(), "the bomb would have gone off"


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "bits"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_damaged_files_are_named_and_end_in_no_traceback(tmp_path: Path, damage: str, suffix: str) -> None:
    file = tmp_path / f"broken{suffix}"
    content = {name: tensor.contiguous() for name, tensor in list(small_state().items())[:6]}
    save_file(content, file) if suffix == ".safetensors" else torch.save(content, file)
    whole = file.read_bytes()
    start = bytes(255 - byte for byte in whole[:200])
    file.write_bytes(
        {"cut": whole[: len(whole) // 2], "text": b"not found\n", "empty": b"", "bits": start + whole[200:-200]}[damage]
    )
    with pytest.raises(DataError, match=r"broken\."):
        read_tensors(file)


def test_a_file_without_named_tensors_and_one_that_is_not_there(file: Path) -> None:
    torch.save([torch.zeros(2)], file)
    with pytest.raises(DataError, match="no named tensors"):
        read_tensors(file)
    with pytest.raises(DataError, match="No such file"):
        read_tensors(file.with_name("none.pth"))
    with pytest.raises(DataError, match=r"none\.safetensors"):
        read_tensors(file.with_name("none.safetensors"))

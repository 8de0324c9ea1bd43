"""Pickles of arrays are read as detectron2 writes them; whatever else a pickle can hold is refused and never run."""

from __future__ import annotations

import builtins
import collections
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy._core.numeric import _frombuffer

from avis_data.errors import DataError
from avis_data.training.checkpoints.start_weights import load_initial
from avis_data.training.models.backbones import ResNetSpec, build_backbone
from avis_data.weights.files import read_tensors


class _Call:
    """Pickles as a call of a function."""

    def __init__(self, function: object, *arguments: object) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self._call


def _calls(module: str, name: str, argument: bytes = b"") -> bytes:
    text = argument.decode()
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"X" + struct.pack("<I", len(text)) + argument + b"\x85R."


_ZEROS = np.zeros(3, np.float32)
_RAW = bytes(1000)
_COPY = b"ccollections\nOrderedDict\nh\x00\x85R0"
_MARK = "never_run"
HOSTILE: dict[str, bytes] = {
    "os.system": pickle.dumps({"model": _Call(os.system, f"touch {_MARK}")}),
    "builtins.eval": pickle.dumps({"model": _Call(builtins.eval, f"open({_MARK!r}, 'w')")}),
    "builtins.getattr": pickle.dumps(_Call(getattr, "a", "upper")),
    "numpy.load": _calls("numpy", "load", b"x.npy"),
    "numpy.core.records": _calls("numpy.core.records", "fromfile", b"x"),
    "numpy.f2py": _calls("numpy.f2py.diagnose", "run", b"x"),
    "numpy.distutils": _calls("numpy.distutils.exec_command", "exec_command", f"touch {_MARK}".encode()),
    "numpy.testing": _calls("numpy.testing._private.utils", "runstring", f"open({_MARK!r}, 'w')".encode()),
    "subprocess": _calls("subprocess", "getoutput", f"touch {_MARK}".encode()),
    "import of a module": _calls("importlib", "import_module", b"antigravity"),
    "object array": pickle.dumps({"model": {"w": np.array([_ZEROS, None], object)}}),
    "structured array": pickle.dumps({"model": {"w": np.zeros(2, [("a", "f4")])}}),
    "torch storage": pickle.dumps({"model": {"w": torch.zeros(3)}}),
    "torch.load": _calls("torch", "load", b"x"),
    "persistent id": b"\x80\x02X\x01\x00\x00\x00aQ.",
    "extension code": b"\x80\x02\x82\x01.",
    "old instance": b"\x80\x02(ios\nsystem\n.",
    "memo bomb": b"\x80\x02Nr\xff\xff\xff\xff.",
    "changed function": b"\x80\x02c_codecs\nencode\n}X\x01\x00\x00\x00aNsb.",
    "copies of one list": b"\x80\x02]q\x00(" + b"K\x01K\x02\x86" * 500 + b"e0" + _COPY * 400 + b"N.",
    "one buffer, many arrays": pickle.dumps(
        {"model": {i: _Call(_frombuffer, _RAW, _ZEROS.dtype, (250,), "C") for i in range(20)}}
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_is_not_on_the_list_is_refused_and_never_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.pkl").write_bytes(HOSTILE[name])
    with pytest.raises(DataError, match="nothing of it was run"):
        read_tensors(Path("bad.pkl"))
    assert not Path(_MARK).exists()


@pytest.mark.parametrize("length", [1 << 40, (1 << 63) - 1])
def test_a_promised_length_takes_no_memory(length: int, tmp_path: Path) -> None:
    path = tmp_path / "bomb.pkl"
    for opcode in (b"\x8e", b"\x96"):
        path.write_bytes(b"\x80\x05" + opcode + struct.pack("<Q", length) + b"abc.")
        with pytest.raises(DataError, match="damaged"):
            read_tensors(path)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2", "<f8", "<i8", "u1", "?"])
def test_arrays_come_back_as_they_were(protocol: int, dtype: str, tmp_path: Path) -> None:
    array = (np.arange(24).reshape(2, 3, 4) % 7).astype(dtype)
    model = collections.OrderedDict([("a", array), ("turned", np.asfortranarray(array)), ("one", array[0, 0, 1:2])])
    path = tmp_path / "R.pkl"
    path.write_bytes(pickle.dumps({"model": model, "__author__": "x", "matching_heuristics": True}, protocol))
    found = read_tensors(path)
    assert list(found) == list(model)
    for name, tensor in found.items():
        np.testing.assert_array_equal(tensor.numpy(), model[name])


def test_every_tensor_of_a_detectron2_resnet_lands_in_its_place(tmp_path: Path) -> None:
    spec = ResNetSpec(depths=(1, 2, 1, 1), stem_channels=4, channels=(8, 16, 32, 64))
    model = torch.nn.Module()
    model.backbone = build_backbone(spec)
    official: dict[str, np.ndarray] = {"stem.fc.weight": np.zeros((5, 64), np.float32)}
    expected: dict[str, float] = {}
    for number, (ours, tensor) in enumerate(model.state_dict().items(), start=1):
        words = ours.removeprefix("backbone.body.").split(".")
        norm = "norm." if words[-2] == "normalization" else ""
        if words[0] == "embedder":
            name = f"stem.conv1.{norm}{words[-1]}"
        else:
            place = "shortcut" if words[5] == "shortcut" else f"conv{int(words[6]) + 1}"
            name = f"res{int(words[2]) + 2}.{words[4]}.{place}.{norm}{words[-1]}"
        official[name] = np.full(tuple(tensor.shape), number, np.float32)
        expected[ours] = number
    path = tmp_path / "R-50.pkl"
    path.write_bytes(pickle.dumps({"model": official, "__author__": "torchvision", "matching_heuristics": True}))
    report = load_initial(model, path)
    assert (report.loaded, report.missing, report.misshapen) == (len(expected), (), ())
    for ours, tensor in model.state_dict().items():
        assert tensor.unique().tolist() == [expected[ours]], ours

"""The registry of weight files, through the command line and through what `embed` asks it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from avis_data.cli.main import main
from avis_data.errors import ConfigError, DataError, ToolError
from avis_data.io import sha256_file
from avis_data.paths import data_home
from avis_data.weights import find, register, registered, resolve_vggish
from avis_data.weights.known import KNOWN


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("AVIS_DATA_HOME", str(folder))
    return folder


@pytest.fixture()
def vggish_file(tmp_path: Path) -> Path:
    """All tensors of VGGish, each one number repeated: a file of a few kB."""
    path = tmp_path / "mine.pth"
    torch.save(vggish_tensors(), path)
    return path


def vggish_tensors(value: float = 0.5) -> dict[str, torch.Tensor]:
    shapes = {
        **{f"features.{n}": (o, i, 3, 3) for n, i, o in ((0, 1, 64), (3, 64, 128), (6, 128, 256), (8, 256, 256))},
        **{f"features.{n}": (512, i, 3, 3) for n, i in ((11, 256), (13, 512))},
        **{f"embeddings.{n}": (o, i) for n, i, o in ((0, 12288, 4096), (2, 4096, 4096), (4, 4096, 128))},
    }
    weights = {f"{name}.weight": torch.tensor(value).expand(shape) for name, shape in shapes.items()}
    return weights | {f"{name}.bias": torch.tensor(0.0).expand(shape[:1]) for name, shape in shapes.items()}


def output(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    text = capsys.readouterr().out
    assert text.count("\n") == 1, "exactly one JSON object"
    value: dict[str, object] = json.loads(text)
    return value


def test_list_names_each_file_once_and_where_it_is_had(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    assert main(["weights", "list", "--json"]) == 0
    found = output(capsys)
    assert found["data_home"] == str(home)
    rows = {row["name"]: row for row in found["weights"]}
    assert len(rows) == len(found["weights"]) == len(KNOWN)
    assert {"vggish", "vggish-torchaudio", "sam-vit-b", "sam2.1-tiny", "resnet50", "swin-l", "pvt-v2-b5"} <= rows.keys()
    assert all(row["page"].startswith("https://") and row["licence"] and not row["registered"] for row in rows.values())
    assert main(["weights", "list"]) == 0
    assert "vggish-10086976.pth from https://" in capsys.readouterr().out
    assert not home.exists(), "looking changes nothing"


def test_add_then_list_check_and_find(
    capsys: pytest.CaptureFixture[str], vggish_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(vggish_file.parent)
    assert main(["weights", "add", "mine.pth", "--as", "vggish", "--json"]) == 0
    entry = output(capsys)
    assert entry == {
        "name": "vggish",
        "kind": "vggish",
        "path": str(vggish_file),
        "sha256": sha256_file(vggish_file),
        "size_bytes": vggish_file.stat().st_size,
    }
    assert main(["weights", "list"]) == 0
    assert str(vggish_file) in capsys.readouterr().out
    assert main(["weights", "check", "--json"]) == 0
    assert output(capsys) == {"weights": [{"name": "vggish", "ok": True, "problem": None}]}
    assert resolve_vggish(None, untrained=False) == (vggish_file, sha256_file(vggish_file))


def test_a_second_file_of_a_name_takes_the_place_of_the_first(vggish_file: Path, tmp_path: Path) -> None:
    register(vggish_file, "vggish")
    other = tmp_path / "other.pth"
    torch.save(vggish_tensors(0.25), other)
    register(other, "vggish-torchaudio")
    register(other, "vggish")
    assert [(entry.name, entry.path) for entry in registered()] == [
        ("vggish", str(other)),
        ("vggish-torchaudio", str(other)),
    ]


def test_either_published_layout_serves_embed(vggish_file: Path) -> None:
    register(vggish_file, "vggish-torchaudio")
    entry = find("vggish")
    assert entry is not None and entry.name == "vggish-torchaudio"
    assert find("sam") is None


def test_check_tells_changed_and_missing_files(capsys: pytest.CaptureFixture[str], vggish_file: Path) -> None:
    register(vggish_file, "vggish")
    torch.save(vggish_tensors(0.25), vggish_file)
    assert main(["weights", "check"]) == 3
    assert "another file or was changed" in capsys.readouterr().out
    with pytest.raises(DataError, match="avis-data weights get vggish"):
        resolve_vggish(None, untrained=False)
    vggish_file.unlink()
    assert main(["weights", "check", "--json"]) == 3
    assert "No such file" in output(capsys)["weights"][0]["problem"]


def test_add_refuses_what_it_cannot_tell_or_trust(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    unknown, wrong, sam = tmp_path / "mine.pth", tmp_path / "vggish-10086976.pth", tmp_path / "sam_vit_b_01ec64.pth"
    for path in (unknown, wrong, sam):
        torch.save({"weight": torch.zeros(2)}, path)
    assert main(["weights", "add", str(unknown)]) == 2
    assert "--as NAME" in capsys.readouterr().err
    assert main(["weights", "add", str(unknown), "--as", "vgish"]) == 2
    assert "no weights are called 'vgish'" in capsys.readouterr().err
    assert main(["weights", "add", str(wrong)]) == 3
    assert "promises a SHA-256 that starts with 10086976" in capsys.readouterr().err
    assert main(["weights", "add", str(sam)]) == 3
    assert "the published one 375,042,383" in capsys.readouterr().err
    assert main(["weights", "add", str(unknown), "--as", "vggish"]) == 3
    assert "not the weights of VGGish" in capsys.readouterr().err
    assert main(["weights", "add", str(tmp_path / "none.pth"), "--as", "vggish"]) == 3
    assert registered() == []
    assert main(["weights", "add", str(unknown), "--as", "swin-l"]) == 0


def test_without_weights_embed_is_told_where_they_are_and_what_to_type() -> None:
    with pytest.raises(ToolError) as caught:
        resolve_vggish(None, untrained=False)
    message = str(caught.value)
    for part in ("avis-data weights get vggish", "--weights FILE", "--untrained"):
        assert part in message
    assert caught.value.exit_code == 5


def test_a_file_given_wins_and_is_checked(vggish_file: Path, tmp_path: Path) -> None:
    assert resolve_vggish(vggish_file, untrained=False) == (vggish_file, sha256_file(vggish_file))
    bad = tmp_path / "bad.pth"
    bad.write_bytes(b"<html>404</html>")
    with pytest.raises(DataError, match=r"bad\.pth"):
        resolve_vggish(bad, untrained=False)


def test_random_weights_only_when_asked_and_not_with_a_file(vggish_file: Path) -> None:
    register(vggish_file, "vggish")
    assert resolve_vggish(None, untrained=True) == (None, "untrained-0")
    assert resolve_vggish(None, untrained=True, seed=3) == (None, "untrained-3")
    with pytest.raises(ConfigError, match="exclude each other"):
        resolve_vggish(vggish_file, untrained=True)


def test_a_damaged_registry_is_named(home: Path) -> None:
    home.mkdir()
    (home / "weights.json").write_text('{"weights": [{"name": "vggish"}]}')
    with pytest.raises(DataError, match=r"weights\.json: .* bad value"):
        registered()


def test_where_the_registry_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert data_home() == tmp_path / "home"
    monkeypatch.delenv("AVIS_DATA_HOME")
    assert data_home() == tmp_path / "xdg" / "avis-data"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_home() == tmp_path / ".local" / "share" / "avis-data"

"""`--engine auto`: the best engine whose registered weights are here, and what a person is told of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from avis_data.annotation.segmenters import engines
from avis_data.annotation.segmenters.engines import AUTO, choose_engine, load_segmenter
from avis_data.annotation.segmenters.saliency import Saliency
from avis_data.errors import AvisError, ConfigError
from avis_data.io import sha256_file
from avis_data.weights import RegisteredWeights
from avis_data.weights.source import WeightKind
from support.tiny_onnx import write_bright_is_salient

Here = Callable[..., list[Path]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    """Registers weights by `name=kind`, as files that are no networks."""

    def register(**kinds: str) -> list[Path]:
        entries = []
        for name, kind in kinds.items():
            path = tmp_path / f"{name}.bin"
            path.write_text(name)
            entries.append(
                RegisteredWeights(
                    name=name,
                    kind=cast(WeightKind, kind),
                    path=str(path),
                    sha256=sha256_file(path),
                    size_bytes=path.stat().st_size,
                )
            )
        monkeypatch.setattr(engines, "registered", lambda: entries)
        return [Path(entry.path) for entry in entries]

    return register


@pytest.mark.parametrize(
    ("kinds", "taken", "told"),
    [
        ({}, "grabcut", "weights get u2netp"),
        ({"vggish": "vggish", "silero": "vad"}, "grabcut", "weights get u2netp"),
        ({"u2netp": "saliency"}, "saliency", "weights get sam-vit-b"),
        ({"u2netp": "saliency", "vit": "sam"}, "sam", "sam with vit"),
        ({"vit": "sam", "tiny": "sam2", "u2netp": "saliency"}, "sam2", "sam2 with tiny"),
    ],
)
def test_the_best_whose_weights_are_here(here: Here, kinds: dict[str, str], taken: str, told: str) -> None:
    here(**kinds)
    choice = choose_engine(AUTO, None)
    assert choice.engine == taken and taken in choice.said[-1] and told in choice.said[-1]
    assert (choice.weights is None) == (taken == "grabcut")


def test_weights_that_are_gone_or_changed_are_passed_over_and_told(here: Here) -> None:
    sam, u2netp = here(vit="sam", u2netp="saliency")
    sam.write_text("other bytes")
    choice = choose_engine(AUTO, None)
    assert choice.engine == "saliency" and "vit.bin" in choice.said[0] and "weights get vit" in choice.said[0]
    u2netp.unlink()
    choice = choose_engine(AUTO, None)
    assert choice.engine == "grabcut" and len(choice.said) == 3


def test_a_named_engine_finds_its_registered_weights(here: Here, tmp_path: Path) -> None:
    (vit,) = here(vit="sam")
    assert choose_engine("sam", None).weights == choose_engine("segment-anything", None).weights == vit
    own = tmp_path / "own.pth"
    assert choose_engine("sam", own).weights == own
    assert choose_engine("grabcut", None).weights is None
    none = choose_engine("saliency", None)
    with pytest.raises(ConfigError) as caught:
        load_segmenter(none.engine, none.weights)
    assert "weights get u2netp" in str(caught.value.hint)
    with pytest.raises(ConfigError, match="of which engine"):
        choose_engine(AUTO, own)
    with pytest.raises(AvisError, match="there are: grabcut"):
        choose_engine("magic", None)


def test_a_gpu_is_reserved_for_what_uses_one(here: Here) -> None:
    here(u2netp="saliency")
    for name in ("grabcut", "saliency", AUTO):
        with pytest.raises(ConfigError, match="GPU"):
            choose_engine(name, None, on_gpu=True)
    here(u2netp="saliency", vit="sam")
    assert choose_engine(AUTO, None, on_gpu=True).engine == "sam"


def test_what_was_chosen_can_be_loaded(here: Here) -> None:
    (path,) = here(u2netp="saliency")
    write_bright_is_salient(path)
    engines.registered()[0] = engines.registered()[0].model_copy(update={"sha256": sha256_file(path)})
    choice = choose_engine(AUTO, None)
    assert isinstance(load_segmenter(choice.engine, choice.weights), Saliency)

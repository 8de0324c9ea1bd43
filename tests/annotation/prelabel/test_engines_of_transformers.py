"""AST, CLAP, Grounding DINO and OWLv2 from folders of their official layout; small, and untrained: random weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from avis_data.annotation.prelabel import boxes_transformers
from avis_data.annotation.prelabel.engines import DETECTORS, TAGGERS, find_detector, find_tagger
from avis_data.errors import ConfigError, DataError

if TYPE_CHECKING:
    from transformers import RobertaTokenizer

CATEGORIES = ("person", "dog", "synthesizer")
SOUND = np.sin(np.arange(3 * 16_000) / 20).astype(np.float32) / 2
PICTURE = np.random.default_rng(1).integers(0, 255, (60, 90, 3), dtype=np.uint8)


def ast(folder: Path) -> None:
    from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification  # a second of imports

    names = ["Speech", "Bark", "Rain"]
    config = ASTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_length=128,
        num_mel_bins=32,
        id2label=dict(enumerate(names)),
        label2id={name: number for number, name in enumerate(names)},
    )
    ASTForAudioClassification(config).save_pretrained(folder)
    ASTFeatureExtractor(max_length=128, num_mel_bins=32).save_pretrained(folder)


def clap(folder: Path) -> None:
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, ClapProcessor, RobertaTokenizer

    config = ClapConfig(
        text_config={
            "vocab_size": 300,
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 16,
            "max_position_embeddings": 60,
            "projection_dim": 8,
        },
        audio_config={
            "spec_size": 128,
            "num_mel_bins": 32,
            "patch_size": 4,
            "patch_stride": [4, 4],
            "patch_embeds_hidden_size": 8,
            "hidden_size": 64,
            "depths": [1, 1, 1, 1],
            "num_attention_heads": [1, 1, 1, 1],
            "window_size": 2,
            "projection_dim": 8,
        },
        projection_dim=8,
    )
    ClapModel(config).save_pretrained(folder)
    extractor = ClapFeatureExtractor(feature_size=32, max_length_s=2, truncation="rand_trunc", padding="repeatpad")
    ClapProcessor(feature_extractor=extractor, tokenizer=byte_tokenizer(folder, RobertaTokenizer)).save_pretrained(
        folder
    )


def byte_tokenizer(folder: Path, kind: Callable[..., RobertaTokenizer]) -> RobertaTokenizer:
    """One token for each character: enough for shapes."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    letters = [*map(chr, range(33, 127)), "Ġ"]
    vocabulary = {token: number for number, token in enumerate([*special, *letters])}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return kind.from_pretrained(folder)  # type: ignore[attr-defined,no-any-return]


def grounding_dino(folder: Path) -> None:
    from transformers import (
        BertTokenizer,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessorPil,
        GroundingDinoProcessor,
        SwinConfig,
    )

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "person", "dog", "synth", "##es", "##izer"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    config = GroundingDinoConfig(
        backbone_config=SwinConfig(
            image_size=64, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], out_features=["stage3", "stage4"]
        ),
        text_config={
            "model_type": "bert",
            "vocab_size": len(words),
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 16,
        },
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_queries=6,
        num_feature_levels=3,
        encoder_n_points=2,
        decoder_n_points=2,
    )
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    images = GroundingDinoImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 128})
    GroundingDinoProcessor(images, BertTokenizer.from_pretrained(folder)).save_pretrained(folder)


def owlv2(folder: Path) -> None:
    from transformers import (
        CLIPTokenizer,
        Owlv2Config,
        Owlv2ForObjectDetection,
        Owlv2ImageProcessorPil,
        Owlv2Processor,
    )

    folder.mkdir(parents=True, exist_ok=True)
    special = ["<|startoftext|>", "<|endoftext|>"]
    letters = [f"{chr(code)}{end}" for code in range(97, 123) for end in ("", "</w>")]
    (folder / "vocab.json").write_text(json.dumps({token: n for n, token in enumerate([*special, *letters])}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = Owlv2Config(
        text_config={**size, "vocab_size": 60, "max_position_embeddings": 48, "eos_token_id": 1},
        vision_config={**size, "image_size": 64, "patch_size": 16},
        projection_dim=16,
    )
    Owlv2ForObjectDetection(config).save_pretrained(folder)
    images = Owlv2ImageProcessorPil(size={"height": 64, "width": 64})
    tokenizer = CLIPTokenizer.from_pretrained(folder, model_max_length=48)
    Owlv2Processor(image_processor=images, tokenizer=tokenizer).save_pretrained(folder)


MAKERS: dict[str, Callable[[Path], None]] = {"ast": ast, "clap": clap, "grounding-dino": grounding_dino, "owlv2": owlv2}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("untrained")

    def folder(name: str) -> Path:
        if not (root / name / "config.json").is_file():
            torch.manual_seed(5)
            MAKERS[name](root / name)
        return root / name

    return folder


def test_ast_tells_the_classes_that_speak_for_a_category(folders: Callable[[str], Path]) -> None:
    tagger = TAGGERS["ast"].load(folders("ast"))
    found = tagger.tag(SOUND, CATEGORIES, 4)
    assert found.shape == (4, 3) and (found[:, :2] > 0).all() and (found <= 1).all()
    assert (found[:, 2] == 0).all(), "no class of this one is a synthesizer"
    assert not np.allclose(found[1], found[3]), "the sound is over in the last second"
    assert len(tagger.weights_sha256) == 64


def test_clap_shares_chances_among_the_categories_and_other_sounds(folders: Callable[[str], Path]) -> None:
    found = TAGGERS["clap"].load(folders("clap")).tag(SOUND, CATEGORIES, 3)
    assert found.shape == (3, 3) and (found > 0).all() and (found.sum(axis=1) < 1).all()


@pytest.mark.parametrize("name", ["grounding-dino", "owlv2"])
def test_detectors_give_boxes_in_the_picture(
    folders: Callable[[str], Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Untrained, so every score will do here, and the boxes mean nothing."""
    monkeypatch.setattr(boxes_transformers, "_GROUNDING_DINO_SCORE", 0.0)
    monkeypatch.setattr(boxes_transformers, "_OWLV2_SCORE", 0.0)
    detector = DETECTORS[name].load(folders(name))
    assert detector.findable(CATEGORIES) == CATEGORIES, "anything can be said in words"
    found = detector.detect(PICTURE, CATEGORIES)
    assert found and {one.category for one in found} <= set(CATEGORIES)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    for one in found:
        x0, y0, x1, y1 = one.box
        assert 0 <= x0 < x1 <= 90 and 0 <= y0 < y1 <= 60 and 0 <= one.score <= 1


def test_grounding_dino_is_asked_in_one_line_and_knows_whose_words_are_whose(folders: Callable[[str], Path]) -> None:
    detector = DETECTORS["grounding-dino"].load(folders("grounding-dino"))
    assert isinstance(detector, boxes_transformers.GroundingDino)
    ((part, ids, spans),) = detector._lines(["synthesizer", "dog"])
    assert part == ["synthesizer", "dog"] and ids == [2, 8, 9, 10, 5, 7, 5, 3] and spans == [(1, 4), (5, 6)]
    many = detector._lines(["dog"] * 300)
    assert sum(len(part) for part, _, _ in many) == 300 and all(len(ids) <= 256 for _, ids, _ in many)


def test_boxes_of_owlv2_are_parts_of_the_square_that_the_picture_was_padded_to() -> None:
    scores, boxes = torch.tensor([[0.1, 0.9]]), torch.tensor([[0.5, 0.25, 0.2, 0.5]])
    (found,) = boxes_transformers._detections(scores, boxes, ["dog", "person"], (60, 90), least=0.2, whole=(90, 90))
    assert found.category == "person" and found.box == pytest.approx((36, 0, 54, 45))


@pytest.mark.parametrize("name", MAKERS)
def test_another_model_missing_tensors_and_code_of_the_folder_are_refused(
    folders: Callable[[str], Path], name: str, tmp_path: Path
) -> None:
    load: Callable[[Path], object] = TAGGERS[name].load if name in TAGGERS else DETECTORS[name].load
    with pytest.raises(DataError, match="no folder of"):
        load(tmp_path)
    other = folders("owlv2" if name == "ast" else "ast")
    with pytest.raises(DataError, match="no folder of"):
        load(other)
    torn = tmp_path / "torn"
    torn.mkdir()
    for path in folders(name).iterdir():
        (torn / path.name).write_bytes(path.read_bytes())
    tensors = load_file(torn / "model.safetensors")
    lost = max(tensors, key=lambda key: tensors[key].numel())
    save_file({key: value for key, value in tensors.items() if key != lost}, torn / "model.safetensors")
    with pytest.raises(DataError, match="without"):
        load(torn)
    (torn / "model.safetensors").rename(torn / "pytorch_model.bin")
    with pytest.raises(DataError, match="no folder of"):
        load(torn)


def test_an_ast_of_other_classes_is_refused(tmp_path: Path) -> None:
    ast(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["id2label"] = {"0": "yes", "1": "no", "2": "left"}
    config["label2id"] = {"yes": 0, "no": 1, "left": 2}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match="AudioSet"):
        TAGGERS["ast"].load(tmp_path)


def test_the_weights_of_large_engines_have_to_be_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="owlv2 needs its weights") as error:
        find_detector("owlv2", None)
    assert "--detector-weights" in str(error.value.hint)
    with pytest.raises(ConfigError, match="no such file or folder"):
        find_tagger("clap", tmp_path / "none")
    with pytest.raises(ConfigError, match="no tagger 'yamnett'"):
        find_tagger("yamnett", None)


def silence() -> NDArray[np.float32]:
    return np.zeros(0, dtype=np.float32)


@pytest.mark.parametrize("name", ["ast", "clap"])
def test_a_clip_without_any_sample_has_tags_too(folders: Callable[[str], Path], name: str) -> None:
    assert np.isfinite(TAGGERS[name].load(folders(name)).tag(silence(), CATEGORIES, 2)).all()

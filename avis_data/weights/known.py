"""The published weight files that we know: what each is for, where it is had, and how its bytes are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["KNOWN", "KnownWeights", "WeightKind", "known_by_file_name", "known_by_name"]

WeightKind = Literal["vggish", "sam", "sam2", "backbone"]


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownWeights:
    """One published weight file."""

    name: str
    """What we call it on the command line."""
    kind: WeightKind
    """Which part of the project loads it."""
    file_name: str
    """The name under which the file is published."""
    page: str
    """Where it is downloaded by hand; we never download weights."""
    licence: str
    """The licence of the weights, as their page says."""
    sha256_start: str | None = None
    """How the SHA-256 of the published file starts, where it is known; all of it where all is known."""


_TORCHVISION = "https://docs.pytorch.org/vision/stable/models/resnet.html"
_PYTORCH_FILES = "https://download.pytorch.org/models"
_SAM_PAGE = "https://github.com/facebookresearch/segment-anything#model-checkpoints"

_SAM2_SHA256 = {
    "sam2_hiera_tiny": "65b50056e05bcb13694174f51bb6da89c894b57b75ccdf0ba6352c597c5d1125",
    "sam2_hiera_small": "95949964d4e548409021d47b22712d5f1abf2564cc0c3c765ba599a24ac7dce3",
    "sam2_hiera_base_plus": "d0bb7f236400a49669ffdd1be617959a8b1d1065081789d7bbff88eded3a8071",
    "sam2_hiera_large": "7442e4e9b732a508f80e141e7c2913437a3610ee0c77381a66658c3a445df87b",
    "sam2.1_hiera_tiny": "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69",
    "sam2.1_hiera_small": "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38",
    "sam2.1_hiera_base_plus": "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5",
    "sam2.1_hiera_large": "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318",
}


def _sam(size: str, file_name: str, sha256: str) -> KnownWeights:
    return KnownWeights(
        name=f"sam-vit-{size}",
        kind="sam",
        file_name=file_name,
        page=_SAM_PAGE,
        licence="Apache-2.0",
        sha256_start=sha256,
    )


def _sam2(stem: str, sha256: str) -> KnownWeights:
    name = stem.replace("_", "-")
    return KnownWeights(
        name=name.replace("-hiera", ""),
        kind="sam2",
        file_name=f"{stem}.pt",
        page=f"https://huggingface.co/facebook/{name}",
        licence="Apache-2.0",
        sha256_start=sha256,
    )


def _resnet(name: str, file_name: str) -> KnownWeights:
    return KnownWeights(
        name=name,
        kind="backbone",
        file_name=file_name,
        page=f"{_PYTORCH_FILES}/{file_name}  (ImageNet, first recipe; {_TORCHVISION})",
        licence="BSD-3-Clause",
        sha256_start=file_name.rpartition("-")[2].removesuffix(".pth"),
    )


KNOWN: tuple[KnownWeights, ...] = (
    KnownWeights(
        name="vggish",
        kind="vggish",
        file_name="vggish-10086976.pth",
        page="https://github.com/harritaylor/torchvggish/releases/tag/v0.1",
        licence="Apache-2.0",
        sha256_start="10086976",
    ),
    KnownWeights(
        name="vggish-torchaudio",
        kind="vggish",
        file_name="vggish.pt",
        page="https://download.pytorch.org/torchaudio/models/vggish.pt",
        licence="Apache-2.0",
    ),
    _sam("b", "sam_vit_b_01ec64.pth", "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912"),
    _sam("l", "sam_vit_l_0b3195.pth", "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622"),
    _sam("h", "sam_vit_h_4b8939.pth", "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e"),
    *(_sam2(stem, sha256) for stem, sha256 in _SAM2_SHA256.items()),
    _resnet("resnet18", "resnet18-f37072fd.pth"),
    _resnet("resnet50", "resnet50-0676ba61.pth"),
    _resnet("resnet50-2017", "resnet50-19c8e357.pth"),
    _resnet("resnet101", "resnet101-63fe2227.pth"),
    KnownWeights(
        name="swin-l",
        kind="backbone",
        file_name="swin_large_patch4_window12_384_22k.pth",
        page="https://github.com/SwinTransformer/storage/releases/tag/v1.0.0",
        licence="MIT",
    ),
    KnownWeights(
        name="pvt-v2-b5",
        kind="backbone",
        file_name="pvt_v2_b5.pth",
        page="https://github.com/whai362/PVT/releases/tag/v2",
        licence="Apache-2.0",
    ),
)
"""Names are unique. SAM's file names end in the start of their MD5, so their SHA-256 is written out here."""


def known_by_name(name: str) -> KnownWeights | None:
    """The entry of that name."""
    return next((known for known in KNOWN if known.name == name), None)


def known_by_file_name(file_name: str) -> KnownWeights | None:
    """The entry whose published file is called so."""
    return next((known for known in KNOWN if known.file_name == file_name), None)

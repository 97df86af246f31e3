"""A convolutional network that was never trained, yet passes its input on: a comparison's floor.

Weights as He et al. 2015 (arXiv 1502.01852) draw them, fan out. Without training, the statistics of
batch normalisation would fit no layer and the signal would vanish on its way: so they are taken
from pictures of noise, as the first step of a training would take them from its batch.
"""

import torch
import torch.nn.functional as F
from torch import nn

NOISE_PX, NOISE_PICTURES = 128, 8
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@torch.no_grad()
def randomise_weights(net: nn.Module, *, seed: int) -> None:
    """Draw all convolutions of `net` from `seed`, and fit its batch normalisations; in eval mode.

    `net` takes pixels (V, 3, H, W) of zero mean and unit variance.
    """
    generator = torch.Generator().manual_seed(seed)
    norms = [module for module in net.modules() if isinstance(module, NORMS)]
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(
                module.weight, mode="fan_out", nonlinearity="relu", generator=generator
            )
    for norm in norms:
        norm.reset_parameters()
        norm.momentum = None  # running statistics become those of the one batch, not a blend
    net.eval()  # the norms alone train: no dropout
    for norm in norms:
        norm.train()
    net(noise_pictures(generator))
    net.eval()


def noise_pictures(generator: torch.Generator) -> torch.Tensor:
    """Normalised pixels (8, 3, 128, 128): noise of all scales alike, as photographs have."""
    scales = []
    for side in (4, 8, 16, 32, 64):
        coarse = torch.randn(NOISE_PICTURES, 3, side, side, generator=generator)
        scales.append(F.interpolate(coarse, NOISE_PX, mode="bilinear"))
    pictures = torch.stack(scales).sum(0)
    return (pictures - pictures.mean()) / pictures.std()

"""How the towers' weights move: Muon for the matrices inside the transformers, AdamW for the rest.

Muon makes its momentum orthogonal (Jordan et al. 2024). Adam moves every weight by about as much; a
matrix's gradient is dominated by few directions, and orthogonal steps move along all of them alike.
In float32, as bfloat16 is slow on CPUs.
https://kellerjordan.github.io/posts/muon
"""

import torch
from torch import nn
from torch.optim.optimizer import ParamsT

from diglot.studies.tower.config import TowerTrainingConfig

COEFFICIENTS = 3.4445, -4.7750, 2.0315  # of the quintic that is iterated, from the source
ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Nesterov momentum whose step for each matrix is made orthogonal; decoupled weight decay."""

    def __init__(
        self,
        params: ParamsT,
        *,
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take one step."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                mean = state.setdefault("momentum", torch.zeros_like(matrix))
                mean.lerp_(matrix.grad, 1 - group["momentum"])
                change = orthogonalise_matrix(matrix.grad.lerp(mean, group["momentum"]))
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                taller = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
                matrix.add_(change, alpha=-group["lr"] * taller)


def orthogonalise_matrix(matrix: torch.Tensor) -> torch.Tensor:
    """U V^T of the matrix U S V^T, nearly: singular values come out between .7 and 1.2."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = wide / (wide.norm() + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x if matrix.shape[0] <= matrix.shape[1] else x.T


def make_optimizers(
    model: nn.Module, config: TowerTrainingConfig
) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the matrices inside the transformers, AdamW for the rest; each with its peak."""
    inside, decayed, spared = [], [], []
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2 and (".layers." in name or ".vision_model.head." in name):
            inside.append(parameter)
        else:
            is_matrix = parameter.ndim > 1 and "embedding" not in name and "probe" not in name
            (decayed if is_matrix else spared).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay, "peak": config.lr},
        {"params": spared, "weight_decay": 0.0, "peak": config.lr},
    ]
    muon = [{"params": inside, "peak": config.matrix_lr}]
    return (
        Muon(muon, lr=config.matrix_lr, weight_decay=config.weight_decay),
        torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.98)),
    )


def rate_at(step: int, config: TowerTrainingConfig) -> float:
    """The share of the peak learning rates at a step: a rise, a plateau, a fall along a line.

    Before the fall it does not depend on the number of steps, so that is free until then.
    """
    rise = (step + 1) / config.rise_steps
    fall = (config.steps - step) / max(1, round(config.fall * config.steps))
    return min(1.0, rise, fall)

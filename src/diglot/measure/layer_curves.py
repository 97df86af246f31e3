"""Similarities of pooled states at every layer, with the interval of their mean."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from diglot.core.result import Estimate
from diglot.measure.hidden_states import LayerStates
from diglot.metrics.cka import kernel_cka
from diglot.metrics.cknna import Variant, kernel_cknna
from diglot.metrics.jackknife import jackknife_groups, jackknife_interval
from diglot.metrics.kernels import Centring, Preparation, inner_products, prepare_features
from diglot.metrics.mir import integration_rate, layer_distance
from diglot.metrics.mutual_knn import kernel_overlap

Kernels = tuple[np.ndarray, np.ndarray]  # of images and of captions, (N, N) each
Similarity = Callable[[np.ndarray, np.ndarray], float | None]


def layer_kernels(states: LayerStates, preparation: Preparation) -> list[Kernels | None]:
    """The kernels of every layer; None where half precision has overflowed."""
    return [
        _make_kernels(states.visual_LND[layer].numpy(), states.text_LND[layer].numpy(), preparation)
        for layer in range(states.layers)
    ]


def _make_kernels(
    visual_ND: np.ndarray, text_ND: np.ndarray, preparation: Preparation
) -> Kernels | None:
    if not (np.isfinite(visual_ND).all() and np.isfinite(text_ND).all()):
        return None
    visual, text = (prepare_features(side, preparation) for side in (visual_ND, text_ND))
    return inner_products(visual), inner_products(text)


def cka_of(unbiased: bool) -> Similarity:
    """CKA of two kernels."""
    return lambda visual, text: kernel_cka(visual, text, unbiased=unbiased)


def cknna_of(k: int, variant: Variant, centring: Centring) -> Similarity:
    """CKNNA of two kernels."""
    return lambda visual, text: kernel_cknna(visual, text, k=k, variant=variant, centring=centring)


def overlap_of(k: int) -> Similarity:
    """Mutual k-NN of two kernels."""
    return lambda visual, text: float(kernel_overlap(visual, text, k=k).mean())


def mean_of_layers(
    similarity: Similarity, kernels: Sequence[Kernels | None]
) -> tuple[Estimate, list[float | None]]:
    """The mean over the layers behind the input with its interval, and the value of every layer."""
    first = next((pair for pair in kernels if pair is not None), None)
    count = len(first[0]) if first else 0
    group_N = jackknife_groups(count)

    def of_layers(kept_N: np.ndarray) -> list[float | None]:
        chosen = np.flatnonzero(kept_N)
        cut = np.ix_(chosen, chosen)
        return [
            None if pair is None else similarity(pair[0][cut], pair[1][cut]) for pair in kernels
        ]

    def mean(kept_G: np.ndarray) -> float | None:
        values = [v for v in of_layers(kept_G[group_N])[1:] if v is not None]
        return float(np.mean(values)) if values else None

    return jackknife_interval(mean, count), of_layers(np.ones(count, dtype=bool))


def mir_of(states: LayerStates) -> tuple[Estimate, list[float | None]]:
    """MIR over the layers behind the input with its interval, and the distance of every layer.

    Whole tokens leave with their image's group. The interval is that of so many tokens: the
    distance of two sets falls as they grow.
    """
    count = states.visual_LND.shape[1]
    group_N = jackknife_groups(count)
    sides = [
        (_if_finite(visual_KD), _if_finite(text_KD))
        for visual_KD, text_KD in zip(states.visual_tokens_LKD, states.text_tokens_LKD, strict=True)
    ]

    def distances(kept_G: np.ndarray) -> list[float | None]:
        visual_K, text_K = (
            kept_G[group_N][image_K] for image_K in (states.visual_image_K, states.text_image_K)
        )
        return [
            None if v is None or t is None else layer_distance(v[visual_K], t[text_K])
            for v, t in sides
        ]

    def rate(kept_G: np.ndarray) -> float | None:
        return integration_rate(distances(kept_G)[1:])

    estimate = jackknife_interval(rate, count)
    tokens = states.visual_tokens_LKD.shape[1]
    return replace(estimate, n=tokens if estimate.value is not None else 0), distances(
        np.ones(len(np.unique(group_N)), dtype=bool)
    )


def _if_finite(token_KD: torch.Tensor) -> np.ndarray | None:
    """The tokens as float64; None where half precision has overflowed."""
    return token_KD.double().numpy() if bool(token_KD.isfinite().all()) else None

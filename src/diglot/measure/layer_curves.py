"""Similarities of pooled states at every layer, with the interval of their mean."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from diglot.core.result import Estimate
from diglot.measure.hidden_states import LayerStates
from diglot.metrics.cka import kernel_cka
from diglot.metrics.cknna import Variant, kernel_cknna
from diglot.metrics.jackknife import jackknife_groups, jackknife_interval
from diglot.metrics.kernels import Centring, Preparation, inner_products, prepare_features
from diglot.metrics.mir import TokenProducts, integration_rate, token_products
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

    def value_of(layer: int, kept_N: np.ndarray) -> float | None:
        pair, chosen = kernels[layer], np.flatnonzero(kept_N)
        cut = np.ix_(chosen, chosen)
        return None if pair is None else similarity(pair[0][cut], pair[1][cut])

    return _summarise_curve(value_of, _mean_value, len(kernels), len(first[0]) if first else 0)


def mir_of(states: LayerStates) -> tuple[Estimate, list[float | None]]:
    """MIR over the layers behind the input with its interval, and the distance of every layer.

    Whole tokens leave with their image's group. The interval is that of so many tokens: the
    distance of two sets falls as they grow. For it the tokens' products are kept, 3 L K^2 numbers
    of float64, and tokens of unusual length are those of the whole set.
    """
    products: dict[int, TokenProducts | None] = {}

    def distance_of(layer: int, kept_N: np.ndarray) -> float | None:
        if layer not in products:
            sides = (states.visual_tokens_LKD[layer], states.text_tokens_LKD[layer])
            # None where half precision has overflowed
            finite = all(bool(side_KD.isfinite().all()) for side_KD in sides)
            products[layer] = token_products(*(s.numpy() for s in sides)) if finite else None
        found = products[layer]
        visual_K, text_K = kept_N[states.visual_image_K], kept_N[states.text_image_K]
        return None if found is None else found.distance_of(visual_K, text_K)

    images, tokens = states.visual_LND.shape[1], states.visual_tokens_LKD.shape[1]
    estimate, distances = _summarise_curve(distance_of, integration_rate, states.layers, images)
    return replace(estimate, n=tokens if estimate.value is not None else 0), distances


def _summarise_curve(
    value_of: Callable[[int, np.ndarray], float | None],
    summarise: Callable[[Sequence[float | None]], float | None],
    layers: int,
    count: int,
) -> tuple[Estimate, list[float | None]]:
    """One figure of the layers behind the input with its jackknife interval, and the whole curve.

    `value_of(layer, kept)` takes which of `count` images count, bool (count,).
    """
    group_N = jackknife_groups(count)
    curve = [value_of(layer, np.ones(count, dtype=bool)) for layer in range(layers)]

    def statistic(kept_G: np.ndarray) -> float | None:
        if kept_G.all():
            return summarise(curve[1:])
        return summarise([value_of(layer, kept_G[group_N]) for layer in range(1, layers)])

    return jackknife_interval(statistic, count), curve


def _mean_value(values: Sequence[float | None]) -> float | None:
    measured = [value for value in values if value is not None]
    return float(np.mean(measured)) if measured else None

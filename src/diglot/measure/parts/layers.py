"""Alignment of images and captions layer by layer of the LLM: CKA, CKNNA, mutual k-NN and MIR.

Source: MMCS, section 5.1 and appendix B: image and caption in one forward pass, the hidden states
of each pooled, k = 10. Conventions are named options; the defaults follow MMCS: features as they
are, biased CKA (Eq. 6 to 8), row-wise neighbours for CKNNA ("in both representation spaces").
`platonic` follows Huh et al. 2024's code instead, for comparison with figures made by it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from diglot.core.errors import ConfigError
from diglot.core.result import NOT_MEASURED, Measure
from diglot.measure.config import check_scenes
from diglot.measure.hidden_states import LayerStates, open_documents, read_layers
from diglot.measure.layer_curves import (
    Kernels,
    Similarity,
    cka_of,
    cknna_of,
    layer_kernels,
    mean_of_layers,
    mir_of,
    overlap_of,
)
from diglot.measure.plan import Pass, Subject
from diglot.metrics.cknna import Variant
from diglot.metrics.kernels import Centring, Preparation

_POOLED = (
    "Image and caption go through the language model together; at every layer the hidden states "
    "of the visual tokens and of the caption's tokens are averaged, one vector a side and "
    "image, and the two sets of vectors are compared. The caption comes after the image and "
    "reads it, so a model that copies the image's state into the text scores too. The value is "
    "the mean over the layers behind the input; the curve by layer stands with it. The interval "
    "is a jackknife over images. "
)
WHAT = {
    "cka": f"{_POOLED}CKA compares all pairwise similarities (MMCS Eq. 6 to 8).",
    "cknna": f"{_POOLED}CKNNA compares those of common nearest neighbours (MMCS Eq. 9 and 10).",
    "mutual_knn": f"{_POOLED}Mutual k-NN counts common nearest neighbours (MMCS Eq. 11 and 12).",
    "mir": (
        "Modality integration rate (Huang et al. 2024): the Frechet distance between visual and "
        "text tokens at every layer, scaled by the text tokens' mean length; the value is log10 of "
        "the sum over layers behind the input, lower is nearer. Its interval is that of so many "
        "tokens: the distance falls with more. It falls where the text tokens grow long, too."
    ),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Pooled hidden states of images and captions."""

    scenes: int = 100
    """The first so many held-out samples; 0 leaves the measures without a value."""
    k: int = 10
    """Neighbours of CKNNA and mutual k-NN; there must be more samples than that."""
    preparation: Preparation = "none"
    """none: features as they are; platonic: clamped at the 95th percentile and of length 1."""
    unbiased: bool = False
    """CKA by the unbiased HSIC; where that is not positive nothing is measured."""
    cknna: Variant = "rowwise"
    """rowwise: neighbours in both spaces, the words of MMCS; printed: Eq. 10 as printed; platonic:
    the platonic-rep code."""
    centring: Centring = "rows"
    """Of CKNNA's kernels: rows as MMCS Eq. 6; double as the usual HSIC."""
    mir_tokens: int = 256
    """Whole tokens of each side that MIR compares, drawn at random over all samples. Its distance
    falls as they grow, and its time rises with their cube."""

    def __post_init__(self) -> None:
        check_scenes(self.scenes)
        if self.k < 1 or self.mir_tokens < 2:
            raise ConfigError("too few", expected="k of 1, mir_tokens of 2 or more")


def build(config: Config, *, subject: Subject, generator: np.random.Generator) -> Pass:
    """One pass over the images with their captions."""
    options = subject.options
    documents = open_documents(subject.vlm, subject.held_out[: config.scenes], options.frame)

    def run(done: Callable[[int], None]) -> list[Measure]:
        if not documents:
            return _make_measures(config, None)
        states = read_layers(
            subject.vlm,
            documents,
            tokens=config.mir_tokens,
            batch_tokens=options.batch_tokens,
            generator=generator,
            done=done,
        )
        return _make_measures(config, states)

    return Pass("layers", sum(len(d.encoded) for d in documents), run)


def _make_measures(config: Config, states: LayerStates | None) -> list[Measure]:
    kernels = layer_kernels(states, config.preparation) if states else []
    count = states.visual_LND.shape[1] if states else 0
    near: list[tuple[Literal["cknna", "mutual_knn"], str, Similarity]] = [
        ("cknna", "CKNNA by layer", cknna_of(config.k, config.cknna, config.centring)),
        ("mutual_knn", "Mutual k-NN by layer", overlap_of(config.k)),
    ]
    bounds = _least_and_most(config)
    cka = cka_of(config.unbiased)
    made = [_make_curve("cka", "CKA by layer", cka, kernels, None, bounds["cka"])]
    for key, title, similarity in near:
        # a tenth of the images is left out for the interval: k neighbours must still be there
        enough = count - -(-count // 10) > config.k
        chance = config.k / (count - 1) if key == "mutual_knn" and enough else None
        used = kernels if enough else []
        made.append(_make_curve(key, title, similarity, used, chance, bounds[key]))
    return [*made, _make_mir(states)]


def _least_and_most(config: Config) -> dict[str, tuple[float, float]]:
    """What each similarity can be; intervals of standard errors are cut there."""
    return {
        "cka": (-1.0 if config.unbiased else 0.0, 1.0),
        "cknna": (-math.inf, math.inf if config.cknna == "platonic" else 1.0),
        "mutual_knn": (0.0, 1.0),
    }


def _make_curve(
    key: str,
    title: str,
    similarity: Similarity,
    kernels: Sequence[Kernels | None],
    chance: float | None,
    bounds: tuple[float, float],
) -> Measure:
    estimate, values = mean_of_layers(similarity, kernels) if kernels else (NOT_MEASURED, [])
    return Measure(
        key=key,
        title=title,
        what=WHAT[key],
        unit="similarity",
        higher_is_better=True,
        chance=chance,
        estimate=estimate.within(*bounds),
        layers={title: values} if values else {},
        details={"layers not measured": sum(v is None for v in values)} if values else {},
    )


def _make_mir(states: LayerStates | None) -> Measure:
    estimate, distances = mir_of(states) if states else (NOT_MEASURED, [])
    return Measure(
        key="mir",
        title="Modality integration rate",
        what=WHAT["mir"],
        unit="log10 distance",
        higher_is_better=False,
        chance=None,
        estimate=estimate,
        layers={"Frechet distance by layer": distances} if distances else {},
        layers_unit="distance",
    )

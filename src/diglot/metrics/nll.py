"""Negative log-likelihood per token, in nats: all texts' nats over all texts' tokens."""

from collections.abc import Sequence

import numpy as np

from diglot.core.result import Estimate
from diglot.metrics.bootstrap import DRAWS, ratio_interval


def nll_interval(
    log_prob_N: Sequence[float] | np.ndarray,
    tokens_N: Sequence[int] | np.ndarray,
    cluster_N: Sequence[int] | np.ndarray,
    *,
    generator: np.random.Generator,
    draws: int = DRAWS,
) -> Estimate:
    """Nats per token over N texts, >= 0, with its interval; n is the number of texts.

    log_prob_N: each text's summed log-probability; tokens_N: its length, >= 1.
    """
    nats_N = -np.asarray(log_prob_N, np.float64)
    return ratio_interval(nats_N, tokens_N, cluster_N, generator=generator, draws=draws)

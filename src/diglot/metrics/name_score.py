"""How names of different lengths and frequencies are compared by their log-probabilities.

sum   log p(name | context): the likelihood itself. Favours short and frequent names, and a name
      never beats one that is its own beginning.
mean  per token: favours long names, whose last pieces are nearly certain once the first is there.
pmi   log p(name | context) - log p(name | context without the image): pointwise mutual
      information. What the language model expects anyway, by length or frequency, cancels.
Source of the comparison: Holtzman et al. 2021, arXiv 2104.08315 (domain-conditional PMI).
"""

from typing import Literal

import numpy as np

Length = Literal["sum", "mean", "pmi"]


def name_scores(
    log_prob_C: np.ndarray, prior_C: np.ndarray, tokens_C: np.ndarray, how: Length
) -> np.ndarray:
    """Scores of C names, float64 (C,), from summed log-probabilities with and without the image."""
    match how:
        case "sum":
            return log_prob_C
        case "mean":
            return log_prob_C / tokens_C
        case "pmi":
            return log_prob_C - prior_C

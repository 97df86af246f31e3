"""How candidate names of different lengths and frequencies are compared by their log-probabilities.

sum         log p(name | context): the likelihood itself. Favours short and frequent names, and a
            name never beats one that is its own beginning.
mean        per token: favours long names, whose last pieces are nearly certain after the first.
pmi         less log p(name | the same words without the image): pointwise mutual information with
            what the words alone lead to expect (Holtzman et al. 2021, arXiv 2104.08315). Fails
            where the words alone are no context for a name, such as a bare BOS.
calibrated  less log of the name's mean probability over all contexts at hand: pointwise mutual
            information under the model's own distribution, so that no name is favoured over all
            contexts together (in the spirit of Zhou et al. 2023, arXiv 2309.17249). It reads no
            labels, but a context's score depends on the others'; of one context it says nothing.

Legend: R contexts, C names.
"""

from typing import Literal, get_args

import numpy as np

Length = Literal["sum", "mean", "pmi", "calibrated"]
LENGTHS: tuple[Length, ...] = get_args(Length)


def name_scores(
    log_prob_RC: np.ndarray, prior_C: np.ndarray, tokens_C: np.ndarray, how: Length
) -> np.ndarray:
    """Scores, float64 (R, C), higher is better, to be compared within a row.

    log_prob_RC: summed log-probability of each name in each context; prior_C: without the image;
    tokens_C: tokens of each name, >= 1.
    """
    match how:
        case "sum":
            return log_prob_RC
        case "mean":
            return log_prob_RC / tokens_C
        case "pmi":
            return log_prob_RC - prior_C
        case "calibrated":
            return log_prob_RC - _log_mean_exp(log_prob_RC)


def _log_mean_exp(log_prob_RC: np.ndarray) -> np.ndarray:
    """log of the mean probability of each name, float64 (C,)."""
    if not len(log_prob_RC):
        return np.zeros(log_prob_RC.shape[1])
    highest_C = log_prob_RC.max(axis=0)
    return highest_C + np.log(np.exp(log_prob_RC - highest_C).mean(axis=0))

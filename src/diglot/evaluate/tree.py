"""Log-likelihoods of all candidates of all questions on one picture, in one forward pass.

The prompt up to the picture is the trunk, every question forks off it, and every candidate off its
question: key k is visible to query q iff k <= q, k's question is none or q's, and k's candidate is
none or q's. So the picture is computed once for all its questions, and a question once for all its
candidates. Equal to one forward pass per candidate; a model that does not honour such a mask is
found out on its first pictures, and takes the slower way of `measure.likelihood`.

Axes: B rows (a picture's questions each), T positions.
"""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from diglot.core.layout import Encoded, encode, expand_lines, pack
from diglot.core.segments import Segment, Tokens
from diglot.measure.likelihood import LikelihoodQuestion, log_likelihoods
from diglot.models.chat import ProjectedPicture
from diglot.models.decode import HALF_TOLERANCE, set_attention, sliding_window
from diglot.models.logprobs import target_log_probs
from diglot.models.vlm import VLM

log = logging.getLogger(__name__)

TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-6}  # relative, of a sum of log-probabilities


@dataclass(frozen=True)
class QuestionTokens:
    """A question's tokens, and those of its candidates, each at least one."""

    question: tuple[int, ...]
    candidates: tuple[tuple[int, ...], ...]

    @property
    def positions(self) -> int:
        """Positions of a row that it takes; a candidate's last token is a target only."""
        return len(self.question) + sum(len(ids) - 1 for ids in self.candidates)


@dataclass(frozen=True)
class Tree:
    """Questions on one picture, or on none, behind a common beginning."""

    before: tuple[Segment, ...]
    asked: tuple[QuestionTokens, ...]
    projected: ProjectedPicture | None = None

    def trunk(self) -> Encoded:
        """The document of what stands before the questions."""
        grids = [self.projected.grid] if self.projected else []
        counts = [len(grid) for grid in grids]
        return encode(expand_lines(self.before, grids), visual_counts=counts, terms=())


class TreeScorer:
    """Scores trees of one model. Raises nothing of its own: what it cannot do, the slow way does.

    `row_tokens`: questions of a picture are split over rows of about this length.
    """

    def __init__(self, vlm: VLM, *, row_tokens: int = 1024) -> None:
        self.vlm, self.row_tokens = vlm, row_tokens
        plain = sliding_window(vlm.language.model.config) is None
        self._honoured: bool | None = None if plain and vlm.attention != "separate" else False

    def score(self, tree: Tree) -> list[np.ndarray]:
        """Per question each candidate's summed log-probability, float64 (candidates,), in nats."""
        if self._honoured is None:
            self._honoured = self._agrees(tree)
        if not self._honoured:
            return self.score_slowly(tree)
        return [scores for part in self._parts(tree) for scores in _score_row(self.vlm, part)]

    def score_slowly(self, tree: Tree) -> list[np.ndarray]:
        """The same with one document for each question."""
        questions = [
            LikelihoodQuestion((*tree.before, Tokens(one.question)), one.candidates, tree.projected)
            for one in tree.asked
        ]
        return log_likelihoods(self.vlm, questions, row_tokens=128, batch_tokens=1024)

    def _agrees(self, tree: Tree) -> bool:
        """Whether both ways say the same of a first picture's first questions."""
        few = Tree(tree.before, tree.asked[:3], tree.projected)
        slow = np.concatenate(self.score_slowly(few))
        try:
            fast = np.concatenate(_score_row(self.vlm, few))
        except (RuntimeError, TypeError, ValueError, IndexError, AttributeError, KeyError) as error:
            log.info("questions of one picture are asked one by one: %s", error)
            return False
        dtype = self.vlm.language.input_embeddings.weight.dtype
        tolerance = TOLERANCE.get(dtype, HALF_TOLERANCE) * np.maximum(1, np.abs(slow))
        agrees = bool((np.abs(fast - slow) <= tolerance).all())
        if not agrees:
            log.info("questions of one picture are asked one by one: the model's masks differ")
        return agrees

    def _parts(self, tree: Tree) -> Iterator[Tree]:
        part: list[QuestionTokens] = []
        room = self.row_tokens
        for one in tree.asked:
            if part and sum(other.positions for other in part) + one.positions > room:
                yield Tree(tree.before, tuple(part), tree.projected)
                part = []
            part.append(one)
        if part:
            yield Tree(tree.before, tuple(part), tree.projected)


@dataclass
class _Row:
    """The positions behind the trunk, and the pairs that are scored."""

    token: list[int]
    position: list[int]
    question: list[int]  # its number from 1; 0 on the trunk
    candidate: list[int]  # its number from 1 over the row; 0 for none
    query: list[int]
    target: list[int]

    def extend(self, ids: Sequence[int], start: int, question: int, candidate: int) -> None:
        self.token += ids
        self.position += range(start, start + len(ids))
        self.question += [question] * len(ids)
        self.candidate += [candidate] * len(ids)


def _arrange_row(tree: Tree, trunk: int) -> _Row:
    """Every question behind the trunk, every candidate behind its question."""
    row, candidate = _Row([], [], [], [], [], []), 0
    for number, one in enumerate(tree.asked, start=1):
        row.extend(one.question, trunk, number, 0)
        fork = trunk + len(row.token) - 1
        for ids in one.candidates:
            candidate += 1
            own = trunk + len(row.token)
            row.extend(ids[:-1], trunk + len(one.question), number, candidate)
            row.query += [fork, *range(own, own + len(ids) - 1)]
            row.target += ids
    return row


@torch.inference_mode()
def _score_row(vlm: VLM, tree: Tree) -> list[np.ndarray]:
    device = vlm.language.input_embeddings.weight.device
    trunk = tree.trunk()
    row = _arrange_row(tree, len(trunk))
    embeds_1TD = _embed_trunk(vlm, tree, trunk, row)
    position_T = torch.cat([trunk.position_T, torch.tensor(row.position, dtype=torch.int64)])
    mask_11TT = tree_mask(row.question, row.candidate, len(trunk), embeds_1TD.dtype)
    with use_attention(vlm, "sdpa"):
        hidden_TD = vlm.language.decode(
            embeds_1TD,
            attention_mask=mask_11TT.to(device),
            position_ids=position_T[None].to(device),
        ).last_hidden_state[0]
    query_S, target_S = (torch.tensor(v, device=device) for v in (row.query, row.target))
    log_prob_S = target_log_probs(hidden_TD, query_S, target_S, vlm.language.head)
    return _sum_candidates(log_prob_S.double().cpu(), tree)


def _embed_trunk(vlm: VLM, tree: Tree, trunk: Encoded, row: _Row) -> torch.Tensor:
    """The input of the language model (1, T, D): the trunk with its picture, then words."""
    words = vlm.language.input_embeddings
    ids = torch.tensor(row.token, dtype=torch.int64, device=words.weight.device)
    parts = [words(ids)[None]]
    if len(trunk):
        visual = tree.projected.inputs_PD if tree.projected else words.weight[:0]
        packed = pack([trunk], row_tokens=1).to(words.weight.device)
        parts.insert(0, vlm.embed(packed, visual))
    return torch.cat(parts, dim=1)


def tree_mask(
    question: Sequence[int], candidate: Sequence[int], trunk: int, dtype: torch.dtype
) -> torch.Tensor:
    """The module's rule as an additive float mask (1, 1, T, T) over trunk and what is behind it."""
    question_T, candidate_T = (
        torch.cat([torch.zeros(trunk, dtype=torch.int64), torch.tensor(v, dtype=torch.int64)])
        for v in (question, candidate)
    )
    shown_TT = torch.ones(len(question_T), len(question_T), dtype=torch.bool).tril()
    for owner_T in (question_T, candidate_T):
        shown_TT &= (owner_T[None, :] == 0) | (owner_T[None, :] == owner_T[:, None])
    mask_TT = torch.zeros(shown_TT.shape, dtype=dtype)
    return mask_TT.masked_fill_(~shown_TT, torch.finfo(dtype).min)[None, None]


def _sum_candidates(log_prob_S: torch.Tensor, tree: Tree) -> list[np.ndarray]:
    """Pairs come candidate by candidate: add up each one's."""
    lengths = [len(ids) for one in tree.asked for ids in one.candidates]
    sums = np.array([part.sum().item() for part in log_prob_S.split(lengths)])
    ends = np.cumsum([len(one.candidates) for one in tree.asked])[:-1]
    return np.split(sums, ends)


@contextlib.contextmanager
def use_attention(vlm: VLM, form: str) -> Iterator[None]:
    """The language model's attention in another form within the block."""
    if vlm.attention in ("separate", "eager"):  # the model's own attention takes any mask
        yield
        return
    set_attention(vlm.language, form)  # type: ignore[arg-type]
    try:
        yield
    finally:
        set_attention(vlm.language, vlm.attention)

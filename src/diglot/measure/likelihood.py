"""How likely a model finds each of several texts behind one prompt, at the cost of one forward.

A question is a document: its trunk is the prompt, its candidates are branches (the layout that
training uses for MMCS), so all candidates of a prompt share its computation. A candidate of one
token costs no position of its own. Equal to one forward per candidate.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from diglot.core.distributed import map_over_processes
from diglot.core.errors import ConfigError
from diglot.core.layout import encode, expand_lines, pack
from diglot.core.segments import Branch, Encoded, Image, Patches, Segment, Separator, Tokens
from diglot.measure.projected import ProjectedSample
from diglot.models.chat import ProjectedPicture
from diglot.models.vlm import VLM

TERM = "name"


@dataclass(frozen=True)
class LikelihoodQuestion:
    """A prompt, and the texts whose likelihood behind it is asked."""

    trunk: tuple[Segment, ...]
    candidates: tuple[tuple[int, ...], ...]  # token ids; each at least one
    projected: ProjectedSample | ProjectedPicture | None = None  # whose tokens the trunk speaks of

    def __post_init__(self) -> None:
        if not all(self.candidates):
            raise ConfigError("a candidate has no tokens", expected="a name of visible characters")

    @property
    def tokens(self) -> int:
        """Positions that the LLM computes."""
        return _trunk_tokens(self) + sum(len(ids) - 1 for ids in self.candidates)


def without_image(question: LikelihoodQuestion) -> LikelihoodQuestion:
    """The same prompt and candidates with every visual token left out: what words alone expect.

    Raises ConfigError where nothing would stand before the candidates.
    """
    trunk = tuple(s for s in question.trunk if isinstance(s, Tokens))
    if not any(s.ids for s in trunk):
        raise ConfigError(
            "a prompt without its image is empty, so names have no prior",
            where="measure.frame.bos",
            fix="Keep the BOS, or give the prompt a text before the image.",
        )
    return LikelihoodQuestion(trunk, question.candidates)


def log_likelihoods(
    vlm: VLM,
    questions: Sequence[LikelihoodQuestion],
    *,
    row_tokens: int,
    batch_tokens: int,
    done: Callable[[int], None] = lambda tokens: None,
) -> list[np.ndarray]:
    """Per question, each candidate's log p(candidate | trunk), float64 (candidates,).

    In nats, summed over the candidate's tokens. `done` is called after every
    forward pass with the tokens it computed.
    """
    answers = map_over_processes(
        list(_make_batches(questions, batch_tokens)),
        lambda batch: _answer_questions(vlm, batch, row_tokens),
        done=lambda batch: done(sum(question.tokens for question in batch)),
    )
    return [answer for of_batch in answers for answer in of_batch]


def _make_batches(
    questions: Sequence[LikelihoodQuestion], batch_tokens: int
) -> Iterator[list[LikelihoodQuestion]]:
    """Consecutive questions of about batch_tokens together, at least one."""
    batch: list[LikelihoodQuestion] = []
    tokens = 0
    for question in questions:
        if batch and tokens + question.tokens > batch_tokens:
            yield batch
            batch, tokens = [], 0
        batch.append(question)
        tokens += question.tokens
    if batch:
        yield batch


@torch.inference_mode()
def _answer_questions(
    vlm: VLM, questions: list[LikelihoodQuestion], row_tokens: int
) -> list[np.ndarray]:
    images: dict[int, int] = {}
    width = vlm.levels * vlm.language.width
    visual = [vlm.language.input_embeddings.weight.new_zeros(0, width)]
    image_of = []
    for number, question in enumerate(questions):
        # A question without an image brings an empty one of its own.
        key = -1 - number if question.projected is None else id(question.projected)
        if key not in images:
            images[key] = len(images)
            if question.projected is not None:
                visual.append(question.projected.inputs_PD)
        image_of.append(images[key])
    packed = pack(
        [_encode_question(q) for q in questions], row_tokens=row_tokens, image_of=image_of
    )
    log_prob_S = vlm.log_probs(packed.to(visual[0].device), torch.cat(visual))
    return _sum_by_branch(log_prob_S.double().cpu(), questions)


def _trunk_tokens(question: LikelihoodQuestion) -> int:
    def positions(segment: Segment) -> int:
        match segment:
            case Image():
                return len(question.projected.grid) if question.projected else 0
            case Patches(index):
                return len(index)
            case Separator():
                return len(segment.ids) or 1
            case _:
                return len(segment.ids)

    return sum(positions(segment) for segment in _trunk_segments(question))


def _trunk_segments(question: LikelihoodQuestion) -> Sequence[Segment]:
    """The trunk with images of several lines as these."""
    return expand_lines(question.trunk, [question.projected.grid] if question.projected else [])


def _encode_question(question: LikelihoodQuestion) -> Encoded:
    branches = (Branch(ids, TERM) for ids in question.candidates)
    visual_counts = [len(question.projected.grid)] if question.projected else []
    return encode(
        (*_trunk_segments(question), *branches), visual_counts=visual_counts, terms=(TERM,)
    )


def _sum_by_branch(
    log_prob_S: torch.Tensor, questions: Sequence[LikelihoodQuestion]
) -> list[np.ndarray]:
    """Pairs come document by document, branch by branch: add up each branch's."""
    lengths = torch.tensor([len(ids) for q in questions for ids in q.candidates], dtype=torch.int64)
    branch_S = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    sums = torch.zeros(len(lengths), dtype=torch.float64).index_add(0, branch_S, log_prob_S)
    return [part.numpy() for part in sums.split([len(q.candidates) for q in questions])]

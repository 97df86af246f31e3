"""The images and captions that A scores are taken on: chosen once, tokenised once for all encoders.

Source: "Law of Vision Representation in MLLMs", section 5.2: images drawn at random.
"""

import hashlib
import json
from itertools import islice

import numpy as np
from transformers import PreTrainedTokenizerFast

from diglot.core.errors import DataError
from diglot.core.types import Sample
from diglot.data.features import sample_picture
from diglot.data.records import Dataset
from diglot.data.rejected import Rejected
from diglot.data.samples import usable_samples
from diglot.models.prompt import caption_of


class Captions:
    """Samples with their captions' tokens; to the feature cache, the samples of a dataset."""

    def __init__(
        self, samples: list[Sample], tokens: list[tuple[int, ...]], fingerprint: str
    ) -> None:
        self.samples, self.tokens, self.fingerprint = samples, tokens, fingerprint
        self.ids = [sample.id for sample in samples]
        self.sizes_hw = [sample.sizes_hw for sample in samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


def choose_captions(
    dataset: Dataset,
    tokenizer: PreTrainedTokenizerFast,
    rejected: Rejected,
    *,
    images: int,
    max_length: int,
    seed: int,
) -> Captions:
    """So many samples of a dataset, drawn at random without repeats; fewer where it has no more.

    A record without a readable picture or caption, or with one of `max_length` tokens or more, goes
    to `rejected` and another is drawn. Raises DataError where none is left.
    """
    drawn = np.random.default_rng(seed).permutation(len(dataset)).tolist()
    usable = usable_samples(
        dataset,
        lambda sample: _read_caption(sample, tokenizer, max_length),
        rejected.note,
        indices=drawn,
    )
    chosen = dict(islice(usable, images))
    if not chosen:
        raise DataError("no usable image with a caption", where=f"{dataset.folder}")
    chosen_text = json.dumps([dataset.fingerprint, sorted(chosen)])
    pairs = [chosen[index] for index in sorted(chosen)]
    return Captions(
        [sample for sample, _ in pairs],
        [tokens for _, tokens in pairs],
        hashlib.sha256(chosen_text.encode()).hexdigest(),
    )


def _read_caption(
    sample: Sample, tokenizer: PreTrainedTokenizerFast, max_length: int
) -> tuple[Sample, tuple[int, ...]]:
    sample_picture(sample)
    tokens = caption_of(sample, tokenizer).ids
    if len(tokens) >= max_length:
        raise DataError(
            "the caption is longer than the language model reads",
            expected=f"fewer than {max_length} tokens",
            got=len(tokens),
            where=f"sample {sample.id!r}, caption",
        )
    return sample, tokens

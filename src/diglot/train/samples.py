"""From a position in the order to an encoded sample; a bad record never stops a run."""

from dataclasses import replace
from typing import Any

import torch

from diglot.core.errors import DataError
from diglot.core.rng import generator
from diglot.data.collate import EncodedSample, encode_sample
from diglot.data.features import FeatureCache
from diglot.data.labels import Labels
from diglot.data.records import Dataset
from diglot.data.rejected import Rejection, rejection_of
from diglot.models.processor import Processor
from diglot.train.mixture import Mixture
from diglot.train.order import Key


class PreparedSamples(torch.utils.data.Dataset):
    """`samples[epoch, turn, index]` is an EncodedSample, or the Rejection of a bad record."""

    def __init__(
        self,
        dataset: Dataset,
        processor: Processor,
        objective: Mixture,
        seed: int,
        cache: FeatureCache | None,
        labels: Labels | None = None,
    ) -> None:
        self.dataset, self.objective, self.seed = dataset, objective, seed
        self.cache, self.labels = cache, labels
        self.processor = processor

    def __getstate__(self) -> dict[str, Any]:
        # a worker gets no weights: not those of the objectives' heads, which may be on a GPU
        return {**vars(self), "objective": self.objective.without_heads()}

    def __getitem__(self, key: Key) -> EncodedSample | Rejection:
        epoch, turn, index = key
        try:
            return self._encode(epoch, turn, index)
        except DataError as error:
            # a record may lack even its id
            return rejection_of(self.dataset.ids[index] or f"#{index}", error)

    def _encode(self, epoch: int, turn: int, index: int) -> EncodedSample:
        sample = self.dataset[index]
        if self.labels is not None:
            sample = replace(sample, patch_labels=self.labels[index])
        grids = self.processor.token_grids(sample)
        rng = generator(self.seed, "sample", epoch, index, *([turn] if turn else []))
        prepared = self.objective.prepare(sample, grids, self.processor.tokenizer, rng, turn=turn)
        views = self.cache.views(index) if self.cache else self.processor.sample_views(sample)
        made = encode_sample(
            sample.id,
            prepared.sequence,
            grids,
            views,
            views_are="features" if self.cache else "pixels",
            terms=self.objective.terms,
            targets=prepared.targets,
            counts=dict(prepared.counts),
            notes=dict(prepared.notes),
        )
        self._check_length(made)
        return made

    def _check_length(self, made: EncodedSample) -> None:
        most, position_T = self.processor.max_length, made.encoded.position_T
        if len(position_T) and int(position_T.max()) >= most:
            raise DataError(
                "longer than the language model reads",
                expected=f"at most {most} tokens, images and text",
                got=int(position_T.max()) + 1,
                where=f"sample {made.id!r}",
            )


def try_record(samples: PreparedSamples) -> None:
    """Prepare the first record in every turn, so that settings that cannot work fail before long
    work. A bad record says nothing. Raises ConfigError.
    """
    for turn in range(1 + len(samples.objective.shares)):
        samples[0, turn, 0]

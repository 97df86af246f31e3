"""From a position in the order to an encoded sample; a bad record never stops a run."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch

from diglot.core.errors import DataError
from diglot.core.rng import seeded_generator
from diglot.data.collate import EncodedSample, encode_sample
from diglot.data.features import FeatureCache
from diglot.data.rejected import Rejection, rejection_of
from diglot.models.processor import Processor
from diglot.train.datasets import TrainingData
from diglot.train.lanes import Lane
from diglot.train.mixture import Mixture
from diglot.train.order import Key


class PreparedSamples(torch.utils.data.Dataset):
    """`samples[pass, stream, index]` is an EncodedSample, or the Rejection of a bad record."""

    def __init__(
        self,
        data: TrainingData,
        processor: Processor,
        objective: Mixture,
        seed: int,
        caches: Sequence[FeatureCache] = (),
    ) -> None:
        self.data, self.objective, self.seed = data, objective, seed
        self.caches = tuple(caches)  # one a dataset, or none at all
        self.processor = processor

    def __getstate__(self) -> dict[str, Any]:
        # a worker gets no weights: not those of the objectives' heads, which may be on a GPU
        return {**vars(self), "objective": self.objective.without_heads()}

    def __getitem__(self, key: Key) -> EncodedSample | Rejection:
        number, stream, index = key
        try:
            return self._encode(number, stream, index)
        except DataError as error:
            rejection = rejection_of(self.data.id_of(index), error)
            return replace(rejection, dataset=self.data.name_of(index))

    def _encode(self, number: int, stream: int, index: int) -> EncodedSample:
        sample = self.data[index]
        source, inner = self.data.locate(index)
        labels = self.data.sources[source].labels
        if labels is not None:
            sample = replace(sample, patch_labels=labels[inner])
        grids = self.processor.token_grids(sample)
        rng = seeded_generator(self.seed, "sample", number, index, *([stream] if stream else []))
        prepared = self.objective.prepare(
            sample, grids, self.processor.tokenizer, rng, stream=stream
        )
        cache = self.caches[source] if self.caches else None
        views = cache.views(inner) if cache else self.processor.sample_views(sample)
        made = encode_sample(
            sample.id,
            prepared.sequence,
            grids,
            views,
            views_are="features" if cache else "pixels",
            terms=self.objective.terms,
            targets=prepared.targets,
            counts=dict(prepared.counts),
            notes=dict(Counter(prepared.notes) + Counter(sample.lost)),
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


def try_records(samples: PreparedSamples, lanes: Iterable[Lane]) -> None:
    """Prepare the first record of every lane, so that settings that cannot work fail before long
    work. A bad record says nothing. Raises ConfigError.
    """
    for lane in lanes:
        samples[0, lane.stream, int(lane.index_N[0])]

"""From a position in the order to an encoded sample; a bad record never stops a run."""

from collections.abc import Callable
from dataclasses import replace

import torch

from diglot.core.errors import DataError
from diglot.core.rng import generator
from diglot.core.types import Sample
from diglot.data.collate import EncodedSample, encode_sample
from diglot.data.features import FeatureCache, sample_pictures
from diglot.data.labels import Labels
from diglot.data.records import Dataset
from diglot.data.rejected import Rejection, rejection_of
from diglot.models.views import picture_views
from diglot.models.vlm import VLM
from diglot.train.mixture import Mixture
from diglot.train.order import Key


class PreparedSamples(torch.utils.data.Dataset):
    """`samples[epoch, turn, index]` is a EncodedSample sample, or the Rejection of a bad record."""

    def __init__(
        self,
        dataset: Dataset,
        vlm: VLM,
        objective: Mixture,
        seed: int,
        cache: FeatureCache | None,
        labels: Labels | None = None,
    ) -> None:
        self.dataset, self.objective, self.seed = dataset, objective, seed
        self.cache, self.labels = cache, labels
        self._tokenizer, self._longest = vlm.language.tokenizer, vlm.language.longest
        self._grid_of = vlm.token_grid
        self._pixels: Callable[[Sample], tuple[torch.Tensor, ...]] = lambda sample: tuple(
            view for picture in sample_pictures(sample) for view in picture_views(vlm, picture)
        )

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
        grids = tuple(self._grid_of(size_hw) for size_hw in sample.sizes_hw)
        rng = generator(self.seed, "sample", epoch, index, *([turn] if turn else []))
        prepared = self.objective.prepare(sample, grids, self._tokenizer, rng, turn=turn)
        views = self.cache.views(index) if self.cache else self._pixels(sample)
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
        if len(made.encoded) and int(made.encoded.position_T.max()) >= self._longest:
            raise DataError(
                "longer than the language model reads",
                expected=f"at most {self._longest} tokens, image and caption",
                got=int(made.encoded.position_T.max()) + 1,
                where=f"sample {sample.id!r}",
            )
        return made


def try_record(samples: PreparedSamples) -> None:
    """Prepare the first record in every turn, so that settings that cannot work fail before long
    work. A bad record says nothing. Raises ConfigError.
    """
    for turn in range(1 + len(samples.objective.shares)):
        samples[0, turn, 0]

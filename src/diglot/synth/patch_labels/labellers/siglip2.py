"""The words nearest to a patch under both towers of a SigLIP2 checkpoint (SEA section 3.1)."""

from dataclasses import dataclass
from pathlib import Path

from diglot.core.progress import Report
from diglot.data.records import Dataset
from diglot.data.rejected import Rejected
from diglot.synth.patch_labels.labellers._towers import TowersConfig, label_by_towers
from diglot.synth.patch_labels.word_labeller import WordLabeller


@dataclass(frozen=True, kw_only=True)
class Config(TowersConfig):
    """Options of the labeller; it needs `path` and `words`."""


def build(
    config: Config, *, dataset: Dataset, folder: Path, rejected: Rejected, report: Report
) -> WordLabeller:
    """The labeller. Raises ConfigError for another checkpoint, or without words."""
    return label_by_towers("siglip2", config, dataset, folder, rejected, report)

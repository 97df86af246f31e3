"""What a study of encoders trains on, scores with and measures on: composed, or the user's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from diglot.core.progress import Report, rename_stages
from diglot.data.pair_folder import read_pairs
from diglot.data.pairs import Pair
from diglot.data.records import open_dataset
from diglot.data.rejected import Rejected
from diglot.measure.correspondence.run import open_pairs
from diglot.select.c_scores import PAPER
from diglot.studies.encoder_sizes import StudySizes
from diglot.synth.scene_pairs.compose import ScenePairMaker
from diglot.synth.scene_pairs.config import ScenePairsConfig
from diglot.synth.scene_pairs.write import write_pairs
from diglot.synth.scenes.compose import SceneMaker
from diglot.synth.scenes.config import ScenesConfig
from diglot.synth.scenes.pools import Pool
from diglot.synth.scenes.write import write_scenes

# Seeds of what A and C are taken on: other pictures than the benchmark's.
CAPTION_SEED, PAIR_SEED = 1001, 1002


@dataclass(frozen=True, kw_only=True)
class StudyData:
    """The folders of a study's data; None: composed into its own folder."""

    out: Path
    size: StudySizes
    pools: Sequence[Pool]
    photos: Sequence[Path]
    data: Path | None = None
    pairs: Path | None = None

    @property
    def scenes(self) -> Path:
        """Dataset of the splits train and test."""
        return self.data or self.out / "scenes"

    @property
    def captions(self) -> Path:
        """Dataset whose test split A is taken on."""
        return self.data or self.out / "captions"

    def check_given(self, report: Report) -> None:
        """Raises ConfigError or DataError for what is given and cannot be used: before the work."""
        for split in ("train", "test") if self.data else ():
            open_dataset(self.scenes, split)
        if self.pairs is not None:
            self.open_pairs(report)

    def make(self, report: Report) -> None:
        """Compose what is not given; what is there stays."""
        if self.data is None:
            self._make_scenes(report)
        if self.pairs is None:
            write_pairs(
                ScenePairMaker(
                    list(self.pools), ScenePairsConfig(), seed=PAIR_SEED, photos=list(self.photos)
                ),
                self.out / "pairs",
                self.size.pairs,
                report=rename_stages(report, lambda _: "make pairs"),
            )

    def open_pairs(self, report: Report) -> list[Pair]:
        """The pairs that C is taken on. Raises ConfigError where the folder holds none."""
        rejected = Rejected(self.out / "pairs.rejected.jsonl")
        if self.pairs is None:
            return read_pairs(self.out / "pairs", rejected)
        return open_pairs(self.pairs, PAPER, rejected, report)

    def _make_scenes(self, report: Report) -> None:
        parts = (
            (self.scenes, "train", 0, self.size.scenes),
            (self.scenes, "test", 0, self.size.held_out),
            (self.captions, "test", CAPTION_SEED, self.size.images),
        )
        for folder, split, seed, count in parts:
            maker = SceneMaker(
                list(self.pools), ScenesConfig(), split=split, seed=seed, photos=list(self.photos)
            )
            stage = f"make {folder.name}, {split}"
            named = rename_stages(report, lambda _, stage=stage: stage)
            write_scenes(maker, folder, count, report=named)

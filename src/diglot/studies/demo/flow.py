"""The demo from start to end: scenes, two trainings, measures, report; it resumes if killed."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diglot.core.errors import ConfigError
from diglot.core.progress import Report, rename_stages
from diglot.core.seals import is_changed, seal_record
from diglot.core.types import Sample
from diglot.data.records import Dataset, open_dataset
from diglot.data.rejected import REJECTED
from diglot.files import check_own_folder, replace_text
from diglot.measure.checkpoint import Measures, Scenes, kept_measures, measure_run
from diglot.measure.groups import check_apart
from diglot.measure.probe import first_usable, make_probe
from diglot.studies.demo.sizes import RUNS, DemoSize, demo_stage
from diglot.synth.scenes.compose import SceneMaker
from diglot.synth.scenes.config import ScenesConfig
from diglot.synth.scenes.pools import Pool
from diglot.synth.scenes.write import write_scenes
from diglot.train.config import StageConfig
from diglot.train.loop import train

log = logging.getLogger(__name__)


@dataclass
class Demo:
    """The demo: scenes, two trainings from one start, their measures, and the page, in `out`."""

    out: Path
    size_name: str
    size: DemoSize
    seed: int
    pools: list[Pool]
    photos: list[Path]
    report: Report
    seconds: dict[str, float] = field(default_factory=dict)  # of each stage, all attempts together

    def run(self) -> dict[str, Measures]:
        """Do all of it; returns the measures of each run."""
        check_own_folder(self.out, marker="demo.json")
        self.out.mkdir(parents=True, exist_ok=True)
        self.take_up()
        with self.timed("scenes"):
            self._scenes()
        return {run: self._one_run(run) for run in RUNS}

    def dataset(self, split: str) -> Dataset:
        """One split of the demo's scenes."""
        return open_dataset(self.out / "scenes", split)

    def stage(self, run: str) -> StageConfig:
        """The settings of one run."""
        return demo_stage(run, self.size, self.out, seed=self.seed)

    @property
    def scenes(self) -> Scenes:
        """What the runs are measured with."""
        return Scenes(
            train=self.dataset("train"),
            held_out=self.dataset("test"),
            features=self.stage(RUNS[0]).features,
            rejected=self.out / REJECTED,
        )

    def _scenes(self) -> None:
        counts = {"train": self.size.train_scenes, "test": self.size.test_scenes}
        for split, count in counts.items():
            maker = SceneMaker(
                self.pools, ScenesConfig(), split=split, seed=self.seed, photos=self.photos
            )
            write_scenes(maker, self.out / "scenes", count, report=self.report)

    def _one_run(self, run: str) -> Measures:
        with self.timed(f"train {run}"):
            self._train(run)
        scenes, measure = self.scenes, self.size.measure
        if kept := kept_measures(self.out / run, scenes.fingerprints, measure, seed=self.seed):
            return kept
        with self.timed(f"measure {run}"):
            check_apart(list(scenes.held_out), list(self.dataset("train")))
            return measure_run(self.out / run, run, scenes, measure, self.report, seed=self.seed)

    def _train(self, run: str) -> Path:
        stages = {"features": "features, train", "train": f"train {run}"}
        report = rename_stages(self.report, lambda stage: stages.get(stage, stage))
        return train(self.stage(run), probe=make_probe(self._probe_samples()), report=report)

    def _probe_samples(self) -> list[Sample]:
        """The last test scenes, so that a measure on few scenes uses other scenes."""
        test = self.dataset("test")
        return first_usable(test, reversed(range(len(test))), self.size.probe_samples)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add what is done inside to the seconds of a stage, and keep them."""
        began = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - began
            self.seconds[stage] = self.seconds.get(stage, 0.0) + spent
            kept = seal_record(self._settings())
            replace_text(self.out / "demo.json", json.dumps(kept, indent=2) + "\n")

    def _settings(self) -> dict[str, Any]:
        return {"seed": self.seed, "scenes": self.size.train_scenes, "seconds": self.seconds}

    def take_up(self) -> None:
        """Read the times of an earlier attempt. Raises ConfigError where it was another demo."""
        path = self.out / "demo.json"
        if not path.exists():
            return
        try:
            kept = json.loads(path.read_bytes())
            whole = {"seed", "scenes", "seconds"} <= {*kept} and not is_changed(kept)
        except (ValueError, TypeError):
            kept, whole = {}, False
        if not whole:  # its runs and scenes know themselves of which demo they are
            log.warning("%s is damaged: the times of earlier attempts are lost", path)
            return
        self.seconds.update(kept["seconds"])
        if (kept["seed"], kept["scenes"]) != (self.seed, self.size.train_scenes):
            raise ConfigError(
                "this folder holds a demo of another size or seed",
                where=str(self.out),
                fix="Give another --out, or delete the folder to start over.",
            )

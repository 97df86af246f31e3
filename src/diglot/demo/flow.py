"""The demo from start to end: scenes, two trainings, measures, report. It goes on where it was."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diglot.core.errors import ConfigError
from diglot.core.types import Sample
from diglot.data.features import FeatureCache
from diglot.data.records import Dataset, open_dataset
from diglot.data.rejected import Rejected
from diglot.data.scenes.compose import SceneMaker
from diglot.data.scenes.config import ScenesConfig
from diglot.data.scenes.pools import Pool
from diglot.data.scenes.write import write_scenes
from diglot.data.shards import replace_text
from diglot.demo.sizes import RUNS, DemoSize, demo_stage
from diglot.measure.alignment import measure_alignment
from diglot.measure.groups import check_apart
from diglot.measure.probe import first_usable, make_probe
from diglot.measure.seen import Seen, see
from diglot.models.checkpoint import load_vlm
from diglot.models.vlm import VLM
from diglot.train.config import StageConfig
from diglot.train.features import open_features
from diglot.train.loop import Progress, train

Tell = Callable[[str, int, int, str], None]  # stage, done, total, note
Measures = dict[str, dict[str, Any]]  # of one run, by key, as `Measure.to_json` tells them


@dataclass
class Demo:
    """One demo in its folder."""

    out: Path
    size_name: str
    size: DemoSize
    seed: int
    pools: list[Pool]
    photos: list[Path]
    tell: Tell
    seconds: dict[str, float] = field(default_factory=dict)  # of each stage, all attempts together

    def run(self) -> dict[str, Measures]:
        """Do all of it; returns the measures of each run."""
        self.out.mkdir(parents=True, exist_ok=True)
        self._take_up()
        with self._timed("scenes"):
            self._scenes()
        return {run: self._one_run(run) for run in RUNS}

    @cached_property
    def names(self) -> list[str]:
        """Every name in the training scenes: the candidates of region naming."""
        labels = self.dataset("train").labels
        return sorted({label for scene in labels for label in scene if label})

    def dataset(self, split: str) -> Dataset:
        """One split of the demo's scenes."""
        return open_dataset(self.out / "scenes", split)

    def stage(self, run: str) -> StageConfig:
        """The settings of one run."""
        return demo_stage(run, self.size, self.out, seed=self.seed)

    def seen(self, vlm: VLM, split: str, count: int | None = None) -> list[Seen]:
        """The first scenes of a split as a model sees them, from the feature cache."""
        dataset = self.dataset(split)
        cache = self._features(vlm, dataset)
        place = {sample_id: index for index, sample_id in enumerate(dataset.ids)}
        samples = [dataset[i] for i in range(min(count or len(dataset), len(dataset)))]
        return see(vlm, samples, lambda sample: cache.views(place[sample.id]))

    def _scenes(self) -> None:
        counts = {"train": self.size.train_scenes, "test": self.size.test_scenes}
        for split, count in counts.items():
            maker = SceneMaker(
                self.pools, ScenesConfig(), split=split, seed=self.seed, photos=self.photos
            )
            stage = f"scenes, {split}"
            write_scenes(
                maker,
                self.out / "scenes",
                count,
                on_scene=lambda done, stage=stage, total=count: self.tell(stage, done, total, ""),
            )

    def _features(self, vlm: VLM, dataset: Dataset) -> FeatureCache:
        settings = self.stage(RUNS[0]).features
        assert settings is not None
        rejected = Rejected(self.out / "rejected.jsonl")
        stage = f"features, {dataset.split}"
        return open_features(
            vlm, dataset, settings, rejected, lambda d, t: self.tell(stage, d, t, "")
        )

    def _one_run(self, run: str) -> Measures:
        with self._timed(f"train {run}"):
            self._train(run)
        path, settings = self.out / run / "measures.json", asdict(self.size.measure)
        told = json.loads(path.read_text()) if path.exists() else {}
        if told.get("settings") == json.loads(json.dumps(settings)):
            return told["measures"]
        with self._timed(f"measure {run}"):
            measures = self._measure(run, self.load(run))
        told = {"settings": settings, "measures": measures}
        replace_text(path, json.dumps(told, indent=2) + "\n")
        return measures

    def load(self, run: str) -> VLM:
        """The model that a run ended with, on the GPU where there is one."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return load_vlm(self.out / run / "model").to(device)

    def _train(self, run: str) -> Path:
        def report(progress: Progress) -> None:
            note = "" if progress.loss is None else f"loss {progress.loss:.2f}"
            stage = "features, train" if progress.stage == "features" else f"train {run}"
            self.tell(stage, progress.done, progress.total, note)

        return train(self.stage(run), probe=make_probe(self._probe_samples()), report=report)

    def _probe_samples(self) -> list[Sample]:
        """The last test scenes, so that a measure on few scenes meets others."""
        test = self.dataset("test")
        return first_usable(test, reversed(range(len(test))), self.size.probe_samples)

    def _measure(self, run: str, vlm: VLM) -> Measures:
        held_out = self.seen(vlm, "test")
        check_apart([seen.sample for seen in held_out], list(self.dataset("train")))
        measures = measure_alignment(
            vlm,
            held_out,
            self.seen(vlm, "train", self.size.measure.threshold_scenes),
            self.names,
            self.size.measure,
            np.random.default_rng(self.seed),
            lambda done, total, what: self.tell(f"measure {run}", done, total, what),
        )
        return {key: measure.to_json(run) for key, measure in measures.items()}

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - began
            self.seconds[stage] = self.seconds.get(stage, 0.0) + spent
            replace_text(self.out / "demo.json", json.dumps(self._settings(), indent=2) + "\n")

    def _settings(self) -> dict[str, Any]:
        return {"seed": self.seed, "scenes": self.size.train_scenes, "seconds": self.seconds}

    def _take_up(self) -> None:
        """Read the times of an earlier attempt. Raises ConfigError where it was another demo."""
        path = self.out / "demo.json"
        if not path.exists():
            return
        told = json.loads(path.read_text())
        self.seconds.update(told["seconds"])
        if (told["seed"], told["scenes"]) != (self.seed, self.size.train_scenes):
            raise ConfigError(
                "this folder holds a demo of another size or seed",
                where=str(self.out),
                fix="Give another --out, or delete the folder to start over.",
            )

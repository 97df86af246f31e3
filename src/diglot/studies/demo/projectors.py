"""One page, the same pictures, three projectors: before training, by caption, by patch-aligned.

All start from one seed and see the same scenes; what each visual token means to the language model
is then shown side by side (Patch-aligned, Fig. 1 and 5, Tables 1 and 3). It resumes if killed.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from diglot.core.progress import Report, rename_stages
from diglot.data.records import Dataset, open_dataset
from diglot.data.rejected import REJECTED
from diglot.files import write_json
from diglot.measure.checkpoint import Scenes
from diglot.measure.config import MeasureConfig
from diglot.models.checkpoint import CONFIG, save_vlm
from diglot.models.config import EncoderPart
from diglot.models.vlm import build_vlm
from diglot.report.page import write_report
from diglot.report.results import MeasureFile, join_results
from diglot.studies.demo.sizes import DemoSize, demo_stage
from diglot.studies.measured import Measurement, keep_measurement
from diglot.synth.scenes.compose import SceneMaker
from diglot.synth.scenes.config import ScenesConfig
from diglot.synth.scenes.pools import Pool
from diglot.synth.scenes.write import write_scenes
from diglot.train.config import StageConfig
from diglot.train.loop import train

PROJECTORS = ("random", "caption", "patch_aligned")
# beta rises from 0 to 5 over the run (Patch-aligned Eq. 7 and section 5.1)
PATCH_ALIGNED = {"patch_aligned": {"weight": {"schedule": "linear", "start": 0, "end": 5}}}
# Not the demo's: a tower that was taught these scenes' names would show less of what is learned.
ENCODER = EncoderPart("efficientnet_lite0", {"image_px": 448})
MEASURES = MeasureConfig(
    measures={"embedding": {"pursuit_scenes": 4}, "attention": {"scenes": 8}, "caption_nll": {}}
)


@dataclass(frozen=True, kw_only=True)
class ProjectorStudy:
    """Projectors trained on the same scenes and measured alike; its files lie in `out`."""

    out: Path
    size_name: str
    size: DemoSize
    seed: int
    pools: Sequence[Pool]
    photos: Sequence[Path]
    report: Report

    def run(self) -> Path:
        """Do all of it; returns the page."""
        self._scenes()
        records = [self._record(name) for name in PROJECTORS]
        command = ["diglot", "demo", "--study", "projectors", "--size", self.size_name]
        command += ["--seed", str(self.seed), "--out", self.out.name]
        data = join_results(
            records, title="The same pictures under three projectors", command=shlex.join(command)
        )
        data["source"] = "report.json beside it"
        write_json(self.out / "report.json", data)
        return write_report(data, self.out / "report.html")

    def dataset(self, split: str) -> Dataset:
        """One split of the scenes."""
        return open_dataset(self.out / "scenes", split)

    def stage(self, name: str) -> StageConfig:
        """The settings of one projector's run; they differ in the objective alone."""
        stage = demo_stage("caption", self.size, self.out, seed=self.seed)
        model = replace(stage.model, encoder=ENCODER)
        plus = PATCH_ALIGNED if name == "patch_aligned" else {}
        return replace(stage, model=model, out=str(self.out / name), plus=plus, probe_every=0)

    def _scenes(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        counts = {"train": self.size.train_scenes, "test": self.size.test_scenes}
        for split, count in counts.items():
            maker = SceneMaker(
                self.pools, ScenesConfig(), split=split, seed=self.seed, photos=self.photos
            )
            write_scenes(maker, self.out / "scenes", count, report=self.report)

    def _record(self, name: str) -> MeasureFile:
        model = self._model(name)
        held_out, stage = self.dataset("test"), self.stage(name)
        job = Measurement(
            model=model,
            scenes=Scenes(
                train=None,
                held_out=held_out,
                features=stage.features,
                rejected=self.out / REJECTED,
            ),
            data="held-out scenes",
            chosen=MEASURES,
            labels=(name,),
            examples=self.size.examples,
            seed=self.seed,
        )
        record, _ = keep_measurement(job, self.out / f"{name}.json", self.report)
        return MeasureFile.model_validate(record)

    def _model(self, name: str) -> Path:
        """The folder of a projector's checkpoint; the random one is where the others start."""
        stage = self.stage(name)
        folder = Path(stage.out) / "model"
        if name == "random":
            if not (folder / CONFIG).is_file():
                folder.parent.mkdir(parents=True, exist_ok=True)
                vlm = build_vlm(stage.model, seed=self.seed)
                save_vlm(vlm, stage.model, folder, parts=("projector",))
            return folder
        stages = {"features": "features, train", "train": f"train {name}"}
        report = rename_stages(self.report, lambda stage: stages.get(stage, stage))
        return train(stage, report=report)

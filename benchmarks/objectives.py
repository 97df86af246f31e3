"""What each objective's step costs, against the caption step on the same samples.

Steps are timed alternately, forward and backward, on features that are already there, which makes
the caption step as cheap as it gets. What stands under `plus` is timed by itself too, from the
visual tokens on: it is a hundredth of a step, which the noise of whole steps hides. Preparing a
sample is work of the data loader's processes, if there are any. Masks and patch labels are made up.
"""

import itertools
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.machine import ON_CPU, Setting, interleaved, seconds
from benchmarks.shapes import EMBEDDED, PAPER, WORDS, Shape, features, models, samples
from diglot.core import masks
from diglot.core.batch import Batch, ForwardOutput
from diglot.core.preprocess import Preprocess
from diglot.core.types import PatchLabels, Region, Sample
from diglot.data.collate import collate_batch, encode_sample
from diglot.models.vlm import VLM
from diglot.train.config import ObjectivePart
from diglot.train.mixture import Mixture, build_mixture

ROW_TOKENS = 16384
REPEATS = {PAPER.name: 3, EMBEDDED.name: 15}
# The labelling encoder's grid, the labels of each patch, and the different ones in an image.
PATCHES_PX, PATCH_PX, LABELS, LABELS_IN_IMAGE = 336, 14, 10, 100


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The objectives of a stage, as a recipe has them."""

    objective: str = "caption"
    plus: Mapping[str, Any] = field(default_factory=dict)
    mix: Mapping[str, Any] = field(default_factory=dict)  # the same samples again

    def build(self) -> Mixture:
        """What the training loop would build of it."""
        return build_mixture(ObjectivePart.read(self.objective), self.plus, self.mix)


PATCH_ALIGNED = {"patch_aligned": {"weight": 0.5}}
STAGES = {
    "caption": Stage(),
    "caption + patch_aligned": Stage(plus=PATCH_ALIGNED),
    "caption + token_contrastive": Stage(plus={"token_contrastive": {"weight": 1.0}}),
    "caption, reconstruction": Stage(mix={"reconstruction": {"weight": 0.001}}),
    "code_switch": Stage(objective="code_switch"),
    "code_switch + patch_aligned": Stage(objective="code_switch", plus=PATCH_ALIGNED),
}


@dataclass(frozen=True)
class Work:
    """A stage's batch, ready for a step."""

    mixture: Mixture
    batch: Batch
    tokens: int
    prepare_s: float  # seconds to prepare a sample, in all its turns


def run(
    console: Console, *, layers: int, gemm_flops: float, setting: Setting = ON_CPU
) -> dict[str, Any]:
    """Time all stages on both shapes; prints a table each."""
    return {
        shape.name: _time_shape(console, shape, vlm, gemm_flops, setting)
        for shape, vlm in models(layers, setting)
    }


def _time_shape(
    console: Console, shape: Shape, vlm: VLM, gemm_flops: float, setting: Setting
) -> dict[str, Any]:
    rng = random.Random(0)
    made = [annotate_sample(sample, rng) for sample in samples(shape)]
    works = {name: prepare_work(vlm, stage.build(), made) for name, stage in STAGES.items()}
    steps = interleaved(
        {name: (lambda w=work: run_step(vlm, w, setting)) for name, work in works.items()},
        repeats=REPEATS[shape.name],
    )
    weights = sum(p.numel() for p in vlm.language.model.model.layers.parameters())
    figures = {}
    for name, work in works.items():
        spent, added = steps[name], seconds(_added(vlm, work, setting), repeats=15)
        figures[name] = {
            "tokens": work.tokens,
            "step_s": spent,
            "over_caption": spent / steps["caption"],
            # forward, and backward to the inputs: twice 2 operations a weight and token
            "gemm_share": 4 * weights * work.tokens / spent / gemm_flops,
            "plus_s": added,
            "plus_over_caption": added / steps["caption"],
            "prepare_s": work.prepare_s,
        }
    _print_figures(console, shape, figures)
    return figures


def annotate_sample(sample: Sample, rng: random.Random) -> Sample:
    """The sample with ellipses for masks, and labels for the patches of a grid of its own."""
    grid = Preprocess(image_px=PATCHES_PX).token_grid(sample.size_hw, patch_px=PATCH_PX)
    known = [" ".join(two) for two in itertools.permutations(WORDS, 2)]
    words = rng.sample(known, LABELS_IN_IMAGE)
    labels = PatchLabels(
        cells_M4=grid.cells_P4,
        words=tuple(tuple(rng.sample(words, LABELS)) for _ in range(len(grid))),
        scores=((1.0,) * LABELS,) * len(grid),
    )
    regions = tuple(_masked(region, sample.size_hw) for region in sample.regions)
    return replace(sample, regions=regions, patch_labels=labels)


def _masked(region: Region, size_hw: tuple[int, int]) -> Region:
    x0, y0, x1, y1 = region.box
    y, x = np.ogrid[: size_hw[0], : size_hw[1]]
    inside = ((2 * x - x0 - x1) / (x1 - x0)) ** 2 + ((2 * y - y0 - y1) / (y1 - y0)) ** 2 <= 1
    return replace(region, mask=masks.encode_mask(inside))


def prepare_work(vlm: VLM, mixture: Mixture, made: list[Sample]) -> Work:
    turns = 1 + len(mixture.shares)

    def prepare() -> list[Any]:
        return [
            (s, mixture.prepare(s, (vlm.token_grid(s.size_hw),), tokenizer, rng, stream=turn))
            for s in made
            for turn in range(turns)
        ]

    tokenizer, rng = vlm.language.tokenizer, torch.Generator()
    encoded_samples = [
        encode_sample(
            sample.id,
            prepared.sequence,
            (vlm.token_grid(sample.size_hw),),
            features(vlm, sample),
            views_are="features",
            terms=mixture.terms,
            targets=prepared.targets,
            counts=dict(prepared.counts),
        )
        for sample, prepared in prepare()
    ]
    batch = collate_batch(encoded_samples, row_tokens=ROW_TOKENS)
    batch = batch.to(vlm.language.input_embeddings.weight.device)
    tokens = sum(len(one.encoded) for one in encoded_samples)
    return Work(mixture, batch, tokens, seconds(prepare) / len(made))


def run_step(vlm: VLM, work: Work, setting: Setting = ON_CPU) -> None:
    """Forward and backward of a batch, with the choices that are made with all of it in sight."""
    vlm.projector.zero_grad(set_to_none=True)
    batch = work.mixture.select(work.batch, lambda value: [value])
    with setting.autocast():
        out = vlm(batch, work.mixture.reads)
    _loss(work.mixture, out, batch).backward()


def _added(vlm: VLM, work: Work, setting: Setting) -> Callable[[], None]:
    """The same of the objectives under `plus` alone, from the visual tokens on."""
    added = [i for i, member in enumerate(work.mixture.members) if member.stream is None]
    mixture = Mixture([work.mixture.members[i] for i in added])
    batch = replace(
        work.batch,
        targets=tuple(tuple(of_all[i] for i in added) for of_all in work.batch.targets),
        counts={term: n for term, n in work.batch.counts.items() if term in mixture.terms},
    )
    with torch.no_grad(), setting.autocast():
        out = vlm(batch, frozenset({"visual", "words"}))
    out.visual_ND.requires_grad_()

    def step() -> None:
        out.visual_ND.grad = None
        chosen = mixture.select(batch, lambda value: [value])
        if added:
            _loss(mixture, out, chosen).backward()

    return step


def _loss(mixture: Mixture, out: ForwardOutput, batch: Batch) -> torch.Tensor:
    """As the training loop sums it up: each term a mean over its items."""
    weights = mixture.weights_at(1.0)
    sums = mixture.loss(out, batch).sums
    return torch.stack([weights[t] * value / batch.counts[t] for t, value in sums.items()]).sum()


def _print_figures(
    console: Console, shape: Shape, figures: Mapping[str, Mapping[str, float]]
) -> None:
    title = f"objectives, {shape.name} shape, {len(shape.entities)} samples"
    table = Table(title=title, padding=0)
    table.add_column("stage", no_wrap=True)
    for column in (
        "tokens",
        "seconds",
        "x caption",
        "share of GEMM rate",
        "plus, of a caption step",
        "prepare, ms a sample",
    ):
        table.add_column(column, justify="right")
    for name, row in figures.items():
        table.add_row(
            name,
            f"{row['tokens']:,}",
            f"{row['step_s']:.2f}",
            f"{row['over_caption']:.2f}",
            f"{row['gemm_share']:.0%}",
            f"{row['plus_over_caption']:.1%}",
            f"{1000 * row['prepare_s']:.1f}",
        )
    console.print(table)

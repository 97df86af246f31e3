"""Encoder x projector x LLM: a step of each stage, and out to every container that holds it."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

from diglot.core.batch import Batch
from diglot.core.conversation import Turn
from diglot.core.types import Sample
from diglot.data.collate import collate_batch, encode_sample
from diglot.models.config import LanguageConfig, Trainable
from diglot.models.export import stock_run
from diglot.models.export.check import check_export
from diglot.models.export.container import compare_containers, load_container
from diglot.models.export.design import read_design
from diglot.models.export.folder import write_export
from diglot.models.trainable import set_trainable
from diglot.models.vlm import VLM, VLMConfig, build_vlm
from diglot.objectives import code_switch, instruct
from tests.models.adapters.tiny_stock import save_qwen
from tests.models.encoders.tiny_diffusion import save_pipeline
from tests.models.export.test_export import FITTING, export, make, pictures
from tests.models.tiny_families import tiny_family
from tests.tiny import tiny_sample, tiny_tokenizer

ENCODERS: dict[str, dict[str, Any]] = {
    "clip": {"name": "clip", "layer": -2},
    "siglip": {"name": "siglip", "layer": -1},
    "siglip2": {"name": "siglip2", "layer": "last"},
    "dinov2": {"name": "dinov2", "layer": -2},
    "dinov3": {"name": "dinov3", "layer": "last"},
    "qwen2_5_vl": {"name": "qwen2_5_vl", "image_px": 32},
    "efficientnet_lite0": {"name": "efficientnet_lite0", "image_px": 128, "weights": "random:0"},
    "combined": {"name": "combined"},
    "mobilesam": {"name": "mobilesam", "image_px": 64, "layer": "trunk"},
    "diffusion": {"name": "diffusion", "image_px": 16},
}
PROJECTORS: dict[str, dict[str, Any]] = {
    "linear": {"name": "linear", "unshuffle": 2},
    "mlp": {"name": "mlp", "activation": "gelu"},
    "unshuffled mlp": {"name": "mlp", "unshuffle": 2, "input_norm": True, "hidden": 24},
    "c_abstractor": {"name": "c_abstractor", "input_side": 4, "output_side": 2, "hidden": 16},
}
LANGUAGES = ("llama", "qwen2", "qwen3", "mistral", "gemma", "gemma3_text", "phi3", "olmo2")
LANGUAGES += ("granite", "cohere", "gpt2")
HELD = {("clip", "mlp"), ("siglip", "mlp"), ("dinov2", "mlp"), ("efficientnet_lite0", "mlp")}


def covering() -> list[tuple[str, str, str]]:
    """Every quick encoder and every projector at least once, of the language models as many."""
    projectors = ("mlp", "linear", "unshuffled mlp", "c_abstractor") * 2
    return list(zip(list(ENCODERS)[:8], projectors, LANGUAGES, strict=False))


# what stands in every container, beside LLMs whose heads all containers keep
PLAIN_HEADS = tuple(name for name in LANGUAGES if name not in ("granite", "cohere", "gpt2"))
HOLDING = [
    (row, PLAIN_HEADS[(number + shift) % len(PLAIN_HEADS)])
    for number, row in enumerate(FITTING)
    for shift in (1, 4)
]
EVERY = list(product(ENCODERS, PROJECTORS, LANGUAGES))
ROWS = [
    pytest.param(row, id="-".join(row), marks=[] if row in covering() else [pytest.mark.slow])
    for row in EVERY
]


@pytest.fixture(scope="session")
def parts(towers: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of every part by its name."""
    root = tmp_path_factory.mktemp("parts")
    languages = {name: root / name for name in LANGUAGES}
    others = {"qwen2_5_vl": save_qwen(root / "qwen2_5_vl"), "diffusion": root / "diffusion"}
    return {**languages, **towers, **others}


def save_diffusion(folder: Path) -> Path:
    """A tiny Stable Diffusion, made when first asked for."""
    return folder if folder.exists() else save_pipeline("StableDiffusionPipeline", folder)


def save_language(folder: Path) -> str:
    """A language model of the family that the folder is named by, made when first asked for."""
    if not folder.exists():
        tokenizer = tiny_tokenizer()
        ids = {"vocab_size": len(tokenizer), "bos_token_id": 0, "eos_token_id": 1}
        scaled = {"logits_scaling": 2.0} if folder.name == "granite" else {}
        tiny_family(folder.name, **ids, **scaled).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return str(folder)


def configure(parts: dict[str, Path], encoder: str, projector: str, language: str) -> VLMConfig:
    made = dict(ENCODERS[encoder])
    if encoder == "combined":
        two = ("clip", "dinov2")
        made["encoders"] = [{**ENCODERS[name], "path": str(parts[name])} for name in two]
    elif encoder == "diffusion":
        pytest.importorskip("diffusers")
        made["path"] = str(save_diffusion(parts["diffusion"]))
    elif "weights" not in made and encoder != "mobilesam":
        made["path"] = str(parts[encoder])
    language_config = LanguageConfig(path=save_language(parts[language]))
    return VLMConfig(encoder=made, projector=PROJECTORS[projector], language=language_config)


def conversation() -> Sample:
    picture = tiny_sample(1)
    turns = (
        Turn(role="user", text="<image>\nWhat is it?"),
        Turn(role="assistant", text="A dog.", learn=True),
    )
    return Sample(id="talk", images=(picture.image,), sizes_hw=picture.sizes_hw, turns=turns)


def make_batch(vlm: VLM, objective: Any, sample: Sample) -> Batch:
    """The batch of one record."""
    grids, tokenizer = vlm.processor.token_grids(sample), vlm.language.tokenizer
    prepared = objective.prepare(sample, grids, tokenizer, torch.Generator().manual_seed(0))
    encoded = encode_sample(
        sample.id,
        prepared.sequence,
        grids,
        vlm.processor.sample_views(sample),
        views_are="pixels",
        terms=objective.terms,
        counts=dict(prepared.counts),
    )
    return collate_batch([encoded], row_tokens=512)


def take_step(vlm: VLM, objective: Any, sample: Sample, trainable: Trainable) -> None:
    """One update; the loss is finite, and every part that learns gets a gradient."""
    set_trainable(vlm, trainable)
    batch = make_batch(vlm, objective, sample)
    sums = objective.loss(vlm(batch, objective.reads), batch).sums
    loss = torch.stack([value / batch.counts[term] for term, value in sums.items()]).sum()
    loss.backward()
    assert loss.isfinite()
    learning = [p for p in vlm.parameters() if p.requires_grad]
    for name in ("projector", "language") if trainable.language else ("projector",):
        gradients = [p.grad for p in getattr(vlm, name).parameters() if p.grad is not None]
        assert sum(gradient.abs().sum() for gradient in gradients) > 0, name
    torch.optim.AdamW(learning, lr=1e-3).step()


@pytest.mark.parametrize("row", ROWS)
def test_both_stages_and_out(parts: dict[str, Path], tmp_path: Path, row) -> None:
    config = configure(parts, *row)
    vlm = build_vlm(config)
    take_step(vlm, code_switch.build(code_switch.Config()), tiny_sample(1), Trainable())
    everything = Trainable(language=True)
    take_step(vlm, instruct.build(instruct.Config()), conversation(), everything)
    design = read_design(config)
    fitting = [name for name, reasons in compare_containers(design).items() if not reasons]
    other_head = row[2] in ("granite", "cohere", "gpt2")  # scaled, scaled, tied otherwise
    assert bool(fitting) == (row[:2] in HELD and not other_head), fitting
    for name in fitting:
        out, container = tmp_path / name, load_container(name)
        write_export(vlm.eval(), design, container, out, checkpoint=tmp_path)
        if not container.needs:
            result = check_export(out, vlm, pictures()[:1], run=stock_run.main)
            assert result.passed, result


@pytest.mark.slow
@pytest.mark.parametrize(("row", "language"), HOLDING, ids=lambda part: str(part[0:2]))
def test_every_container_with_other_language_models(
    parts: dict[str, Path], tmp_path: Path, row, language: str
) -> None:
    vlm, config = make(parts, Path(save_language(parts[language])), row)
    take_step(vlm, instruct.build(instruct.Config()), conversation(), Trainable(language=True))
    out = export(vlm.eval(), config, row[0], tmp_path / "out")
    result = check_export(out, vlm, pictures(), run=stock_run.main)
    assert result.passed, result

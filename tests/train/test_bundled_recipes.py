"""Every recipe bundled with diglot resolves, every ablation over its bases; none loads a model."""

import re
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    GemmaConfig,
    GemmaForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PhiConfig,
    PhiForCausalLM,
)

from diglot.config.recipes import read_recipe
from diglot.core.preprocess import Preprocess
from diglot.models.export.container import compare_containers
from diglot.models.export.design import read_design
from diglot.models.language import Language
from diglot.train.config import StageConfig, merge_stage, resolve_stage, stage_config
from tests.tiny import tiny_tokenizer

FOLDER = Path(str(files("diglot.recipes")))
EMBEDDED, FULL, ABLATIONS, SFT = (
    sorted(f"{kind}/{p.stem}" for p in (FOLDER / kind).glob("*.yaml"))
    for kind in ("embedded", "full", "ablations", "sft")
)
# Rows of an ablation that are the recipe itself.
OWN_ROWS = {"vdep_table4_alpha_0.001", "vdep_table5_ratio_1.0", "vdep_table8_l2"}
PATCH_PX = {
    "openai/clip-vit-large-patch14-336": 14,
    "google/siglip-so400m-patch14-384": 14,
    "google/siglip2-so400m-patch16-384": 16,
    "facebook/dinov2-large": 14,
}
RISING = {"schedule": "linear", "start": 0, "end": 5}


@cache
def stage(*names: str) -> StageConfig:
    recipe: Any = {}
    for name in names:
        recipe = merge_stage(recipe, read_recipe(name))
    return resolve_stage(stage_config({**recipe, "data": "d", "out": "o"}))


def bases(overlay: str) -> list[str]:
    """What the comment of an overlay says it lies over."""
    lines = (FOLDER / f"{overlay}.yaml").read_text("utf-8").splitlines()
    (names,) = [line.removeprefix("# Over: ") for line in lines if line.startswith("# Over: ")]
    return names.split(", ")


PAIRS = [(base, overlay) for overlay in ABLATIONS for base in bases(overlay)]


@pytest.mark.parametrize("name", EMBEDDED + FULL + SFT)
def test_a_recipe_resolves(name):
    assert stage(name) == resolve_stage(stage(name))


@pytest.mark.parametrize(("base", "overlay"), PAIRS)
def test_an_ablation_changes_its_base_in_what_it_names_alone(base, overlay):
    below, above = stage(base), stage(base, overlay)
    assert (above == below) == (overlay.removeprefix("ablations/") in OWN_ROWS)
    for field in StageConfig.__dataclass_fields__:
        if field not in read_recipe(overlay):
            assert getattr(above, field) == getattr(below, field), field


@pytest.mark.parametrize("overlay", ABLATIONS)
def test_an_ablation_says_its_paper_or_that_it_is_ours(overlay):
    paper, row = (
        overlay.removeprefix("ablations/").replace("patch_aligned_t", "patch_t").split("_", 1)
    )
    first = (FOLDER / f"{overlay}.yaml").read_text("utf-8").splitlines()[0]
    assert paper in ("mmcs", "vdep", "sea", "patch")
    if row.startswith("ours"):
        assert first.startswith("# Ours")
    else:
        title = {"patch": "Patch-aligned"}.get(paper, paper.upper())
        number = row.removeprefix("table").split("_")[0]
        assert first.startswith(f"# {title} Table")
        assert number in first


def members(name: str) -> dict[str, dict[str, Any]]:
    """Every objective of a recipe with its settings."""
    resolved = stage(name)
    return {resolved.objective.name: resolved.objective, **resolved.plus, **resolved.mix}


def test_the_recipes_of_each_objective_do_what_their_names_promise():
    assert set(members("embedded/caption")) == {"caption"}
    assert set(members("embedded/code_switch")) == {"code_switch"}
    switch = members("embedded/code_switch")["code_switch"]
    assert (switch["text_weight"], switch["entity_weight"]) == (1.0, 1.0)
    for name in ("embedded/patch_aligned", "full/llava15_7b_patch_aligned"):
        assert set(members(name)) == {"caption", "patch_aligned"}
        assert members(name)["patch_aligned"]["weight"] == RISING
    for name in ("embedded/sea", "embedded/sea_tower", "full/llava15_7b_sea"):
        assert set(members(name)) == {"caption", "token_contrastive"}
        config = members(name)["token_contrastive"]
        assert (config["labels_kept"], config["window"], config["logit_scale_init"]) == (10, 2, 0.0)
        assert config["weight"] == 1.0
        assert stage(name).labels == "data/labels"
    for name in ("embedded/vdep", "full/llava15_7b_vdep", "full/tinyllava_3b_vdep"):
        assert set(members(name)) == {"caption", "reconstruction"}
        config = members(name)["reconstruction"]
        assert (config["share"], config["weight"], config["loss"]) == (1.0, 0.001, "l2")


@pytest.mark.parametrize(
    ("overlay", "base", "objective", "fields"),
    [
        ("mmcs_table4_no_entity", "code_switch", "code_switch", {"entity_weight": 0}),
        ("mmcs_table4_no_text", "code_switch", "code_switch", {"text_weight": 0}),
        ("mmcs_table4_patch_aligned", "code_switch", "patch_aligned", {"weight": RISING}),
        ("mmcs_ours_plus_patch", "code_switch", "patch_aligned", {"weight": 0.5}),
        ("vdep_table4_alpha_0.01", "vdep", "reconstruction", {"weight": 0.01}),
        ("vdep_table5_ratio_0.8", "vdep", "reconstruction", {"share": 0.8, "weight": 0.001}),
        ("vdep_table8_inverse_l2", "vdep", "reconstruction", {"loss": "inverse_l2"}),
        ("sea_ours_n_3", "sea", "token_contrastive", {"labels_kept": 3, "window": 2}),
        ("sea_ours_k_3", "sea", "token_contrastive", {"window": 3}),
        ("sea_ours_lambda_0.1", "sea", "token_contrastive", {"weight": 0.1}),
    ],
)
def test_a_row_of_an_ablation(overlay, base, objective, fields):
    above = stage(f"embedded/{base}", f"ablations/{overlay}")
    config = {above.objective["name"]: above.objective, **above.plus, **above.mix}[objective]
    assert {field: config[field] for field in fields} == fields


def test_recipes_that_are_compared_differ_in_the_objective_alone():
    ours = ("objective", "plus", "mix", "labels")
    embedded = [name for name in EMBEDDED if not name.endswith(("_stock", "sft", "_tower"))]
    for names, free in ((embedded, ()), ([n for n in FULL if "llava15" in n], ("micro_batch",))):
        assert len(names) >= 4
        first, *others = (
            {k: v for k, v in vars(stage(n)).items() if k not in (*ours, *free)} for n in names
        )
        assert all(other == first for other in others)


@pytest.mark.parametrize("name", ["caption", "code_switch", "sea"])
def test_a_recipe_on_the_tower_has_another_encoder_alone(name):
    tower, cnn = stage(f"embedded/{name}_tower"), stage(f"embedded/{name}")
    assert (tower.model.encoder["path"], tower.model.encoder.name) == ("embedded_tower", "siglip")
    assert replace(tower, model=cnn.model) == cnn
    assert replace(tower.model, encoder=cnn.model.encoder) == cnn.model
    assert stage("embedded/sft_tower").model == tower.model


@pytest.mark.parametrize(
    ("names", "tokens"),
    [
        (["full/llava15_7b_caption"], 24 * 24),
        (["full/tinyllava_3b_vdep"], 27 * 27),
        (["full/mmcs_qwen25_3b"], 5 * 12 * 12),
        (["full/mmcs_qwen3_8b"], 5 * 12 * 12),
        (["full/mmcs_llama3_8b"], 5 * 12 * 12),
        (["full/llava15_7b_sea", "ablations/sea_table2_siglip"], 27 * 27),
        (["full/llava15_7b_sea", "ablations/sea_table5_dinov2"], 16 * 16),
    ],
)
def test_an_image_has_the_paper_s_number_of_tokens(names, tokens):
    model = stage(*names).model
    assert isinstance(model.preprocess, Preprocess)
    patch_px, merged = PATCH_PX[model.encoder["path"]], model.projector["unshuffle"]
    grid = model.preprocess.token_grid((960, 960), patch_px=patch_px, unshuffle=merged)
    assert len(grid) == tokens


@pytest.mark.parametrize("name", FULL)
def test_full_size_recipes_train_by_the_papers(name):
    resolved = stage(name)
    assert (resolved.optim.lr, resolved.optim.warmup, resolved.optim.weight_decay) == (
        1e-3,
        0.03,
        0.0,
    )
    assert (resolved.epochs, resolved.precision, resolved.model.language.dtype) == (
        1,
        "bf16",
        "bfloat16",
    )
    assert resolved.global_batch == (128 if "mmcs" in name else 256)
    assert resolved.global_batch % (8 * resolved.micro_batch) == 0  # on the papers' eight GPUs


@pytest.mark.parametrize("name", SFT)
def test_sft_recipes_train_by_the_papers(name):
    recipe = stage(name)
    assert recipe.objective.name == "instruct"
    assert (recipe.epochs, recipe.optim.warmup, recipe.optim.weight_decay) == (1, 0.03, 0.0)
    learns, by_lora = recipe.trainable, "mmcs" in name
    assert (recipe.optim.lr, recipe.global_batch) == ((2e-4, 64) if by_lora else (2e-5, 128))
    assert learns.projector
    assert learns.language != by_lora
    if by_lora:
        assert (learns.lora.rank, learns.lora.alpha, learns.lora.dropout) == (32, 64, 0.05)
    free = name in ("sft/sea_table4_encoder_free", "sft/sea_prime_llama3_8b")
    assert (learns.encoder, recipe.optim.encoder_lr) == ((True, 2e-6) if free else (False, None))
    assert recipe.max_samples == (200_000 if name.endswith("_200k") else None)
    # weights that learn are refused in half precision
    assert recipe.model.language.dtype == ("bfloat16" if by_lora else "float32")


@pytest.mark.parametrize("name", SFT)
def test_a_second_stage_has_the_model_of_the_first(name):
    """Each of its parts is one that a stage 1 it names has, but for the dtype."""
    text = (FOLDER / f"{name}.yaml").read_text("utf-8")
    named = re.findall(r"full/\w+", text.partition("--start_from")[2])
    overlays = re.findall(r"sea_table2_\w+", text)
    first = stage(named[0], *(f"ablations/{overlay}" for overlay in dict.fromkeys(overlays))).model
    second = stage(name).model
    for part in ("encoder", "projector", "preprocess"):
        assert getattr(second, part) == getattr(first, part), part
    assert second.language.path == first.language.path


SMALL = {
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "pad_token_id": 1,
}


@pytest.mark.parametrize(
    ("config", "model"),
    [
        (PhiConfig(**SMALL), PhiForCausalLM),
        (Phi3Config(**SMALL), Phi3ForCausalLM),
        (GemmaConfig(**SMALL, num_key_value_heads=4, head_dim=8), GemmaForCausalLM),
    ],
    ids=["Phi-2", "Phi-3", "Gemma"],
)
def test_language_models_of_the_recipes_can_be_taken_apart(config, model):
    """Phi-2's head has a bias and Gemma scales its words; Llama and Qwen are tested elsewhere."""
    torch.manual_seed(0)
    made = model(config).eval()
    if made.lm_head.bias is not None:
        torch.nn.init.normal_(made.lm_head.bias)
    assert isinstance(Language(made, tiny_tokenizer()).final_norm, torch.nn.Module)


CONTAINERS = {
    "embedded/caption_stock": ["fast_vlm"],
    "embedded/code_switch_stock": ["fast_vlm"],
    "embedded/sft": ["fast_vlm"],
    "embedded/caption": [],
    "embedded/caption_tower": ["aya_vision"],
    "embedded/code_switch_tower": ["aya_vision"],
    "embedded/sea_tower": ["aya_vision"],
    "embedded/sft_tower": ["aya_vision"],
    "full/llava15_7b_caption": ["llava"],
    "full/llava15_7b_sea": ["llava"],
    "full/mmcs_qwen25_3b": [],
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_recipe_fits_the_container_that_it_names(name, monkeypatch):
    """By its settings alone: the checkpoints' own configs are not here."""
    monkeypatch.setattr("diglot.models.export.design._read_config", lambda *args: None)
    assert fitting(name) == CONTAINERS[name]
    named = (FOLDER / f"{name}.yaml").read_text("utf-8").partition("Container: ")[2]
    for container in CONTAINERS[name]:
        assert named.lower().startswith(container.replace("_", ""))


def test_without_merging_mmcs_fits_llava_next(monkeypatch):
    monkeypatch.setattr("diglot.models.export.design._read_config", lambda *args: None)
    both = ["llava_next", "llava_onevision"]
    assert fitting("full/mmcs_qwen25_3b", "ablations/mmcs_ours_llava_next") == both


def test_with_tiles_behind_their_numbers_mmcs_fits_aya_vision(monkeypatch):
    monkeypatch.setattr("diglot.models.export.design._read_config", lambda *args: None)
    assert fitting("full/mmcs_qwen25_3b", "ablations/mmcs_ours_aya_vision") == ["aya_vision"]


def test_with_its_merger_and_positions_qwens_vit_fits_qwen2_5_vl(monkeypatch):
    monkeypatch.setattr("diglot.models.export.design._read_config", lambda *args: None)
    both = ("full/mmcs_qwen25_3b_qwen25vit", "ablations/mmcs_ours_qwen25vl")
    assert fitting(both[0]) == []
    assert fitting(*both) == ["qwen2_5_vl"]


def test_with_one_view_and_gemma_mmcs_fits_paligemma(monkeypatch):
    monkeypatch.setattr("diglot.models.export.design._read_config", lambda *args: None)
    assert fitting("full/mmcs_qwen25_3b", "ablations/mmcs_ours_paligemma") == ["paligemma"]


def fitting(*names):
    misfits = compare_containers(read_design(stage(*names).model))
    return [container for container, reasons in misfits.items() if not reasons]

"""The bundled recipes: every field is known, the order is the papers', the embedded ones run."""

import json
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from diglot.config.recipes import read_recipe
from diglot.core.errors import ConfigError
from diglot.data.records import open_dataset
from diglot.embedded.photos import photo_files
from diglot.synth.config import SynthConfig, merge_recipe, resolve_steps
from diglot.synth.run import run_synthesis
from diglot.synth.source import open_source

ORDER = {
    "mmcs": ["caption", "entities", "boxes", "filters", "filters", "masks", "filters", "spans"],
    "pad": ["tags", "boxes", "nms", "masks", "spans"],
}


@pytest.mark.parametrize("name", ["mmcs", "pad", "embedded", "text"])
def test_a_recipe_resolves(name: str) -> None:
    steps = resolve_steps(SynthConfig(**read_recipe(f"synth/{name}")).steps)
    if name in ORDER:
        assert [step["step"] for step in steps.values()] == ORDER[name]


def test_an_overlay_changes_a_field_takes_a_step_away_and_starts_an_annotator_anew() -> None:
    below = read_recipe("synth/embedded")
    over = {"steps": {"score": {"min_score": 0.9}, "nms": None, "masks": {"annotator": "grabcut"}}}
    steps = resolve_steps(merge_recipe(below, over)["steps"])
    assert steps["score"]["min_score"] == 0.9
    assert "nms" not in steps
    assert steps["masks"]["annotator"] == {"name": "grabcut", "iterations": 3, "max_px": 384}
    assert list(steps)[:2] == ["entities", "boxes"]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ({"boxs": {}}, "no part 'boxs'"),
        ({"boxes": {"annotator": "dino"}}, "no part 'dino'"),
        ({"boxes": {"annotator": {"name": "sam", "size": 3}}}, "unknown field 'size'"),
        ({"boxes": {"annotator": "sam"}}, "cannot do this step's work"),
        ({"f": {"step": "filters", "min_score": 3}}, "not a share"),
        ({}, "no steps"),
    ],
)
def test_a_wrong_step_is_refused(steps: dict, message: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("diglot.synth.annotators.sam.build", lambda config: object())
    (tmp_path / "in").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "in" / "a.png")
    with pytest.raises(ConfigError, match=message):
        run_synthesis(open_source(tmp_path / "in"), tmp_path / "out", SynthConfig(steps=steps))


@pytest.mark.slow
@pytest.mark.embedded
def test_photographs_become_a_dataset_that_trains(tmp_path: Path) -> None:
    from tests.tiny_folders import save_world, tiny_stage

    from diglot.train.loop import train

    photos = tmp_path / "photos"
    photos.mkdir()
    for path in [*photo_files("samples"), *photo_files("objects")[:10]]:
        Image.open(path).convert("RGB").resize((320, 320)).save(photos / f"{path.stem}.jpg")
    (photos / "coffee.txt").write_text("A cup of coffee with a spoon on a wooden table.")
    recipe = merge_recipe(
        read_recipe("synth/embedded"),
        {"steps": {"masks": {"annotator": {"image_px": 256}}, "score": {"min_score": 0.4}}},
    )
    funnel = run_synthesis(open_source(photos), tmp_path / "data", SynthConfig(**recipe))
    dataset = open_dataset(tmp_path / "data")
    assert len(dataset) == funnel["samples"] >= 6
    for sample in dataset:
        spans = [region for region in sample.regions if region.span]
        assert spans
        assert all(region.mask for region in sample.regions)
        assert {"boxes", "masks", "spans"} <= {line.step for line in sample.lineage}
    coffee = next(sample for sample in dataset if sample.id == "coffee.jpg")
    assert {region.phrase for region in coffee.regions} >= {"cup"} or "cup" in coffee.caption
    assert coffee.lineage[0].revision == "beside the image"
    others = [sample for sample in dataset if sample.id != "coffee.jpg"]
    assert any(line.revision == "written from detections" for line in others[0].lineage)

    world = save_world(tmp_path / "world")
    for objective in ("code_switch", "caption"):
        plus = {} if objective == "code_switch" else {"patch_aligned": {"weight": 1.0}}
        stage = tiny_stage(
            world,
            tmp_path / objective,
            data=str(tmp_path / "data"),
            objective=objective,
            plus=plus,
            max_samples=4,
        )
        checkpoint = train(stage)
        lines = (checkpoint.parent / "metrics.jsonl").read_text().splitlines()
        losses = [json.loads(line) for line in lines]
        assert any("loss" in line for line in losses)


@pytest.mark.slow
def test_scene_text_becomes_regions_whose_words_stand_in_the_caption(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr")
    (tmp_path / "in").mkdir()
    font = ImageFont.load_default(40)
    image = Image.new("RGB", (480, 240), "white")
    draw = ImageDraw.Draw(image)
    draw.text((30, 30), "OPEN DAILY", fill="black", font=font)
    draw.text((200, 150), "Coffee 3.50", fill="navy", font=font)
    image.save(tmp_path / "in" / "sign.png")
    (tmp_path / "in" / "sign.txt").write_text("A sign on a wall.")
    config = SynthConfig(**read_recipe("synth/text"))
    run_synthesis(open_source(tmp_path / "in"), tmp_path / "out", config)
    (sample,) = open_dataset(tmp_path / "out")
    assert sample.caption == 'A sign on a wall. Text that says "OPEN DAILY", "Coffee 3.50".'
    first, second = sample.regions
    assert (first.phrase, second.phrase) == ("OPEN DAILY", "Coffee 3.50")
    drawn = draw.textbbox((30, 30), "OPEN DAILY", font=font)
    assert max(abs(a - b) for a, b in zip(first.box, drawn, strict=True)) < 12

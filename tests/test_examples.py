"""Every example of a user's own part runs through diglot's own doors, by its dotted path."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from diglot.config.parts import build_part
from diglot.core.types import Lineage, Sample
from diglot.data.labels import open_labels
from diglot.data.records import open_dataset, write_dataset
from diglot.models.checkpoint import save_vlm
from diglot.models.config import EncoderPart, ProjectorPart
from diglot.models.language import LanguageConfig
from diglot.models.vlm import VLMConfig, build_vlm
from diglot.synth.step import Draft, Phrase
from diglot.synth.steps import boxes
from tests.cli_runner import run_diglot
from tests.tiny_folders import save_world

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _in_the_folder_above(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("own_*.py")), ids=lambda p: p.name)
def test_an_example_is_short(path):
    assert len(path.read_text("utf-8").splitlines()) < 70


def test_own_encoder_and_own_projector_train(tmp_path, capsys):
    world = save_world(tmp_path, samples=4)
    model = ["--model.encoder=examples.own_encoder", "--model.encoder.image_px=32"]
    model += ["--model.encoder.patch_px=4", "--model.projector=examples.own_projector"]
    model += ["--model.projector.unshuffle=2", f"--model.language.path={world}/language"]
    out = tmp_path / "run"
    assert (
        run_diglot("train", f"--data={world}/data", f"--out={out}", "--global_batch=2", *model) == 0
    )
    settings = json.loads((out / "config.json").read_text())["model"]
    assert settings["encoder"]["name"] == "examples.own_encoder"
    assert settings["projector"]["gain"] == 1.0
    assert (out / "model" / "projector.safetensors").exists()


def test_help_shows_the_options_of_ones_own_part(capsys):
    assert run_diglot("train", "--model.encoder.help=examples.own_encoder") == 0
    assert "Side of the square of pixels behind one feature" in " ".join(
        capsys.readouterr().out.split()
    )


def test_the_encoder_sees_the_colours_of_its_squares():
    encoder = EncoderPart("examples.own_encoder", {"image_px": 8, "patch_px": 4}).build()
    pixels_V3HW = torch.randn(2, 3, 8, 8)
    features = encoder(pixels_V3HW)
    assert features.shape == (2, 2, 2, 12)
    quarter = pixels_V3HW[1, :, 4:6, 2:4].mean(dim=(1, 2))  # of the square in row 1, column 0
    torch.testing.assert_close(features[1, 1, 0].unflatten(0, (3, 2, 2))[:, 0, 1], quarter)


def test_the_projector_starts_as_large_as_words():
    torch.manual_seed(0)
    part = ProjectorPart("examples.own_projector", {"gain": 2.0})
    projector = part.build(encoder_width=64, llm_width=256, embeddings_rms=0.1)
    rms = projector(torch.randn(2, 10, 10, 64)).square().mean().sqrt()
    assert rms.item() == pytest.approx(0.2, rel=0.1)


def test_own_format_is_converted(tmp_path):
    Image.new("RGB", (20, 10), "red").save(tmp_path / "a.png")
    (tmp_path / "lines.tsv").write_text("a.png\tA red field.\nno tab\n")
    out = tmp_path / "data"
    args = ["convert", str(tmp_path / "lines.tsv"), "--from", "examples.own_format"]
    assert run_diglot(*args, "--images", tmp_path, "--out", out) == 0
    (sample,) = open_dataset(out, "train")
    assert (sample.id, sample.caption) == ("a", "A red field.")
    assert "no tab" in (out / "rejected-train.jsonl").read_text()


def test_own_labeller_names_the_colours_of_patches(tmp_path):
    picture = Image.new("RGB", (64, 64), "blue")
    picture.paste("red", (0, 0, 32, 64))
    picture.save(tmp_path / "a.png")
    image = (tmp_path / "a.png").read_bytes()
    sample = Sample.captioned(id="a", image=image, caption="Two halves.", size_hw=(64, 64))
    write_dataset([sample], tmp_path / "data")
    args = ["label", str(tmp_path / "data"), "--labeller", "examples.own_labeller"]
    assert run_diglot(*args, "--out", tmp_path / "labels", "--labeller.side", "4") == 0
    labels = open_labels(tmp_path / "labels", open_dataset(tmp_path / "data"))
    assert [row[0] for row in labels[0].words] == ["red", "red", "blue", "blue"] * 4


def test_own_step_drops_blank_pictures(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (64, 64), "grey").save(photos / "blank.png")
    picture = Image.new("RGB", (64, 64), "blue")
    picture.paste("yellow", (0, 0, 32, 64))
    picture.save(photos / "full.png")
    (tmp_path / "r.yaml").write_text(
        "steps:\n  blank: {step: examples.own_step, least_spread: 4}\n"
    )
    args = ["synth", str(photos), "--out", str(tmp_path / "out"), "--config", f"{tmp_path}/r.yaml"]
    assert run_diglot(*args) == 0
    (sample,) = open_dataset(tmp_path / "out")
    assert "full" in sample.id
    assert Lineage(step="blank", revision="least spread 4.0") in sample.lineage
    assert "the picture is blank" in (tmp_path / "out" / "rejected-train.jsonl").read_text()


@pytest.mark.slow
def test_own_container_is_written_and_computes_the_same(tmp_path):
    world = save_world(tmp_path, samples=1)
    config = VLMConfig(
        encoder={"name": "clip", "path": str(world / "clip")},
        projector={"name": "mlp", "input_norm": True},
        language=LanguageConfig(path=str(world / "language")),
    )
    vlm = build_vlm(config)
    torch.nn.init.normal_(vlm.projector.norm.weight)  # not as it starts
    save_vlm(vlm, config, tmp_path / "model", parts=("projector",))
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        pixels = rng.integers(0, 255, (40, 64, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    args = ["export", f"{tmp_path}/model", "--to", "examples.own_container", "--check"]
    args += ["--out", f"{tmp_path}/out", "--json", f"{tmp_path}/check.json"]
    assert run_diglot(*args, "--images", f"{tmp_path}/a.png", f"{tmp_path}/b.png") == 0
    assert json.loads((tmp_path / "out" / "config.json").read_text())["model_type"] == "vipllava"
    found = json.loads((tmp_path / "check.json").read_text())
    assert (found["passed"], found["same_tokens"], found["images"]) == (True, True, 5)
    assert run_diglot("export", f"{tmp_path}/model", "--to", "examples.own_step", "--out", "x") == 2


def test_own_annotator_gives_boxes_to_the_step(tmp_path):
    pixels = np.full((40, 60, 3), 255, np.uint8)
    pixels[10:20, 30:50] = (200, 0, 0)
    picture = Image.fromarray(pixels)
    picture.save(tmp_path / "a.png")
    image = (tmp_path / "a.png").read_bytes()
    sample = Sample.captioned(id="a", image=image, caption="A red box.", size_hw=(40, 60))
    step = boxes.build(boxes.Config(annotator="examples.own_annotator"))
    (made,) = step(iter([Draft(sample=sample, picture=picture, phrases=(Phrase(text="box"),))]))
    (region,) = made.sample.regions
    assert (region.box, region.phrase) == ((30.0, 10.0, 50.0, 20.0), "box")
    detector = build_part("diglot.synth.annotators", "examples.own_annotator", where="annotator")
    assert detector.detect_objects([Image.new("RGB", (8, 8))], [["box"]]) == [[]]

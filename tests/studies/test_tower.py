"""The small image-text tower: its losses by hand, its resuming, its checkpoint in other hands."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize
from transformers import AutoModel, AutoProcessor

from diglot.core.errors import ConfigError
from diglot.data.records import open_dataset
from diglot.embedded.cifar10 import load_cifar10
from diglot.models.encoders import efficientnet_lite0
from diglot.studies.tower import teacher, train
from diglot.studies.tower.config import (
    PicturesConfig,
    TeacherConfig,
    TowerShape,
    TowerTrainingConfig,
)
from diglot.studies.tower.loss import LEAST_COVERAGE, Lesson, cell_coverage, tower_losses
from diglot.studies.tower.optim import Muon, rate_at
from diglot.studies.tower.pictures import KnownObject
from diglot.studies.tower.probe import name_objects, pool_objects, probe_linearly
from diglot.studies.tower.train import LOG, TowerTraining
from diglot.synth.patch_labels.towers import load_towers
from diglot.synth.scenes.compose import SceneMaker
from diglot.synth.scenes.config import ScenesConfig
from diglot.synth.scenes.embedded import embedded_pools
from diglot.synth.scenes.write import write_scenes

SHAPE = TowerShape(
    width=16, heads=2, image_layers=1, text_layers=1, image_px=64, patch_px=16, vocabulary=400
)
PICTURES = PicturesConfig(crowded=2, scenes=2, cells=(2, 2))


def small(steps: int = 4, **given: object) -> TowerTrainingConfig:
    settings = {"shape": SHAPE, "pictures": PICTURES, "steps": steps, "save_every": 2}
    settings["teacher"] = TeacherConfig(weight=0)
    return TowerTrainingConfig(**{**settings, **given})  # pyright: ignore[reportArgumentType]


def rows_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


def without_times(rows: list[dict]) -> list[dict]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_a_box_covers_its_part_of_each_patch() -> None:
    cover = cell_coverage([KnownObject(0, 0, (8, 16, 32, 24))], side_px=64, patch_px=16)
    expected = torch.zeros(4, 4)
    expected[1, 0], expected[1, 1] = 0.25, 0.5  # half the height; half and all of the width
    assert torch.allclose(cover.reshape(4, 4), expected)


@pytest.mark.parametrize("shape", [(16, 16), (64, 16), (16, 64)])
def test_muon_moves_a_matrix_along_all_its_directions_alike(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    steep = torch.diag(torch.logspace(0, -2, 16)) if shape[0] == 16 else torch.eye(shape[0])
    matrix = torch.nn.Parameter(torch.randn(shape, generator=generator))
    matrix.grad = steep @ torch.randn(shape, generator=generator)
    left, _, right = torch.linalg.svd(matrix.grad, full_matrices=False)
    before = matrix.detach().clone()
    Muon([matrix], lr=0.1, weight_decay=0.5).step()
    change = before * (1 - 0.1 * 0.5) - matrix.detach()
    taller = max(1, shape[0] / shape[1]) ** 0.5
    assert (torch.linalg.svdvals(change) / 0.1 / taller - 1).abs().max() < 0.4
    assert torch.allclose(change / 0.1 / taller, left @ right, atol=0.25)


def test_a_training_begins_with_the_weights_of_another(tmp_path: Path) -> None:
    first = TowerTraining(small(2), tmp_path / "first")
    first.run()
    second = TowerTraining(small(2, start=tmp_path / "first"), tmp_path / "second")
    second._load_state()
    assert second.step == 0
    weights = second.model.state_dict()
    assert all(value.equal(weights[name]) for name, value in first.model.state_dict().items())
    second.run()
    with pytest.raises(ConfigError, match="other settings"):
        TowerTraining(small(2), tmp_path / "second").run()


def test_losses_equal_the_definition(tmp_path: Path) -> None:
    training = TowerTraining(small(), tmp_path)
    model: Any = training.model.double().eval()
    batch = training.maker.batch(3)
    batch = type(batch)(batch.pixels_B3PP.double(), batch.objects, batch.captions)
    names = training._encode_texts(training.names)
    captions = training._encode_texts(list(batch.captions.values()))
    lesson = Lesson(torch.randn(50_000, 3).double(), torch.nn.Linear(16, 3).double())
    found = tower_losses(model, batch, names, captions, patch_px=16, lesson=lesson)

    with torch.no_grad():
        name_KC = model.get_text_features(input_ids=names).pooler_output
        caption_SC = model.get_text_features(input_ids=captions).pooler_output
        out = model.vision_model(pixel_values=batch.pixels_B3PP)
        scale, bias = model.logit_scale.exp(), model.logit_bias
        patch_terms, object_terms, errors = [], [], []
        for thing in batch.objects:
            covers = cell_coverage([thing], side_px=64, patch_px=16)[0].double()
            alone = [
                model.vision_model.head(out.last_hidden_state[thing.picture, i][None, None])[0]
                for i in range(16)
            ]
            for cover, vector in zip(covers, alone, strict=True):
                if cover >= LEAST_COVERAGE:
                    patch_terms.append(_surprise(vector, name_KC, scale, thing.name))
            mean = torch.stack([c * v for c, v in zip(covers, alone, strict=True)]).sum(0)
            object_terms.append(_surprise(mean, name_KC, scale, thing.name))
            if thing.photo is not None:
                tokens = zip(covers, out.last_hidden_state[thing.picture], strict=True)
                pooled = torch.stack([c * token for c, token in tokens]).sum(0) / covers.sum()
                errors.append((lesson.head(pooled) - lesson.target_NT[thing.photo]).square().mean())
        for picture in range(4):
            here = [thing for thing in batch.objects if thing.picture == picture]
            covers = cell_coverage(here, side_px=64, patch_px=16)
            for cell in (covers.sum(0) == 0).nonzero():
                token = out.last_hidden_state[picture, cell][None]
                vector = model.vision_model.head(token)
                patch_terms.append(_surprise(vector, name_KC, scale, len(names) - 1))
        pairs = []
        pooled = out.pooler_output[list(batch.captions)]
        for i, picture in enumerate(pooled):
            for j, caption in enumerate(caption_SC):
                cosine = normalize(picture, dim=0) @ normalize(caption, dim=0)
                sign = 1 if i == j else -1
                pairs.append(-torch.log(torch.sigmoid(sign * (scale * cosine + bias))))
    assert found.patches.item() == pytest.approx(torch.stack(patch_terms).mean().item())
    assert found.objects.item() == pytest.approx(torch.stack(object_terms).mean().item())
    assert found.teacher.item() == pytest.approx(torch.stack(errors).mean().item(), rel=1e-5)
    assert found.captions.item() == pytest.approx(torch.stack(pairs).sum().item() / len(pooled))


def _surprise(
    vector: torch.Tensor, name_KC: torch.Tensor, scale: torch.Tensor, name: int
) -> torch.Tensor:
    logits = scale * normalize(name_KC, dim=1) @ normalize(vector.flatten(), dim=0)
    return -torch.log_softmax(logits, 0)[name]


def test_a_photograph_is_known_by_its_place_in_the_training_split(tmp_path: Path) -> None:
    """In crowded pictures and in scenes; drawings are no photographs."""
    maker = TowerTraining(small(), tmp_path).maker
    label_N = load_cifar10("train")[1]
    photographs = sorted(maker.photos.names)
    things = [thing for index in range(3) for thing in maker.batch(index).objects]
    assert {thing.picture < 2 for thing in things if thing.photo is not None} == {True, False}
    for thing in things:
        name = maker.names[thing.name]
        assert (thing.photo is not None) == (name in photographs)
        if thing.photo is not None:
            assert photographs[label_N[thing.photo]] == name


def test_the_teacher_is_asked_once_and_its_first_directions_are_taught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teacher, "cache_root", lambda: tmp_path)
    monkeypatch.setattr(teacher, "CHUNK", 30)
    folder = teacher.teach_photos(64, count=60)
    second = teacher.chunk_path(folder, 30)
    before = second.stat().st_mtime_ns
    teacher.chunk_path(folder, 0).unlink()
    assert teacher.teach_photos(64, count=60) == folder
    assert second.stat().st_mtime_ns == before
    features = np.concatenate([np.load(path) for path in sorted(folder.glob("*.npy"))])

    photos = torch.from_numpy(load_cifar10("train")[0][:60].copy()).permute(0, 3, 1, 2).float()
    large = torch.nn.functional.interpolate(photos, (64, 64), mode="bicubic").clamp(0, 255)
    encoder = efficientnet_lite0.build(efficientnet_lite0.Config(image_px=64))
    with torch.no_grad():
        expected = encoder((large - 127) / 128).mean((1, 2))
    assert np.allclose(features, expected.numpy(), atol=2e-3)

    targets = teacher.principal_targets(folder, 4)
    centred = features.astype(np.float64) - features.mean(0, dtype=np.float64)
    ours = centred @ np.linalg.svd(centred, full_matrices=False)[2][:4].T
    ours /= np.sqrt((ours**2).mean())
    assert np.allclose(np.abs(targets), np.abs(ours), atol=1e-2)


@pytest.mark.slow
def test_a_stopped_training_resumes_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The teacher's head too, which is no part of the checkpoint."""
    target_NT = torch.randn(50_000, 3, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(train, "teach_photos", lambda side_px, report: tmp_path)
    monkeypatch.setattr(train, "principal_targets", lambda folder, width: target_NT)
    given = small(teacher=TeacherConfig(width=3))
    whole = TowerTraining(given, tmp_path / "whole").run()

    class Stopped(Exception):
        pass

    def stop(progress: object) -> None:
        if progress.done == 3:  # pyright: ignore[reportAttributeAccessIssue]
            raise Stopped

    parts = tmp_path / "parts"
    with pytest.raises(Stopped):
        TowerTraining(given, parts).run(stop)
    resumed = TowerTraining(given, parts).run()
    assert without_times(rows_of(parts)) == without_times(rows_of(tmp_path / "whole"))
    name = "model.safetensors"
    assert (resumed / name).read_bytes() == (whole / name).read_bytes()


def test_another_setting_is_refused(tmp_path: Path) -> None:
    TowerTraining(small(2), tmp_path).run()
    with pytest.raises(ConfigError, match="other settings"):
        TowerTraining(small(2, lr=2e-3), tmp_path).run()
    with pytest.raises(ConfigError, match="until its learning rate falls"):
        TowerTraining(small(4), tmp_path).run()


def test_the_rate_rises_and_falls_and_does_not_know_the_end_before() -> None:
    short, long = (small(steps, rise_steps=10, fall=0.3) for steps in (100, 200))
    rates = [rate_at(step, short) for step in range(100)]
    assert rates[:11] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.0])
    assert rates[10:71] == [1.0] * 61
    assert rates[71:73] == pytest.approx([29 / 30, 28 / 30])
    assert rates[99] == pytest.approx(1 / 30)
    assert [rate_at(step, long) for step in range(71)] == rates[:71]
    assert rate_at(0, small(1, rise_steps=1, fall=0.0)) > 0


@pytest.mark.slow
def test_a_training_may_be_given_more_steps_before_its_rate_falls(tmp_path: Path) -> None:
    whole = TowerTraining(small(8, rise_steps=2, fall=0.5), tmp_path / "whole").run()

    class Stopped(Exception):
        pass

    def stop(progress: Any) -> None:
        if progress.done == 3:
            raise Stopped

    parts = tmp_path / "parts"
    with pytest.raises(Stopped):
        TowerTraining(small(6, rise_steps=2, fall=0.5), parts).run(stop)
    longer = TowerTraining(small(8, rise_steps=2, fall=0.5), parts).run()
    name = "model.safetensors"
    assert (longer / name).read_bytes() == (whole / name).read_bytes()


def test_the_checkpoint_opens_with_stock_classes_and_labels(tmp_path: Path) -> None:
    training = TowerTraining(small(2), tmp_path / "run")
    folder = training.run()
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(folder)
    ids = processor.tokenizer(
        ["A Dog"], padding="max_length", truncation=True, return_tensors="pt"
    ).input_ids
    assert ids.equal(training._encode_texts(["a dog"]))
    towers = load_towers("siglip", str(folder))
    pixels = training.maker.batch(0).pixels_B3PP
    with torch.no_grad():
        hidden = model.vision_model(pixel_values=pixels).last_hidden_state
        alone = model.vision_model.head(hidden.reshape(-1, 1, 16)).reshape(hidden.shape)
    patches = towers.patches(pixels).flatten(1, 2)
    assert torch.allclose(patches, normalize(alone, dim=-1), atol=1e-5)


@pytest.mark.slow
def test_probe_and_names_split_by_source(tmp_path: Path) -> None:
    """An encoder that has learned nothing is near chance, and every object is counted once."""
    for split in ("train", "test"):
        maker = SceneMaker(
            embedded_pools(),
            ScenesConfig(image_px=64, object_px=(14, 22), texture_share=1.0),
            split=split,
        )
        write_scenes(maker, tmp_path / "data", 16, shard_samples=16)
    folder = TowerTraining(small(2), tmp_path / "run").run()
    towers = load_towers("siglip", str(folder))
    learned, unseen = (open_dataset(tmp_path / "data", split) for split in ("train", "test"))
    found = probe_linearly(
        pool_objects(towers.encoder, learned, 16), pool_objects(towers.encoder, unseen, 16)
    )
    assert found["all"].n == found["cifar10"].n + found["emoji"].n == 64
    assert 0 <= (found["all"].value or 0) < 0.6
    named, curve = name_objects(towers, unseen, 16)
    assert named["all"].n == 64
    assert curve.value is not None
    assert 0.2 < curve.value < 0.8

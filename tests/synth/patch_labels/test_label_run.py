"""Labelling a dataset: what labels are, which sign, what a stop and bad images do."""

import dataclasses

import numpy as np
import pytest
import torch
from tests.synth.patch_labels.labellers import word_labeller
from tests.tiny import NAMES
from tests.tiny_folders import tiny_samples
from tests.train.outcome import rows, write_rows
from torch.nn.functional import normalize

from diglot.core import masks
from diglot.core.progress import ignore_progress
from diglot.data.features import sample_picture
from diglot.data.labels import open_labels
from diglot.data.records import open_dataset, write_dataset
from diglot.data.rejected import Rejected
from diglot.synth.patch_labels import run, slices
from diglot.synth.patch_labels.labellers.regions import RegionLabeller
from diglot.synth.patch_labels.run import label_dataset
from diglot.synth.patch_labels.sign import choose_sign


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_dataset(tiny_samples(11), folder, shard_samples=4)
    return open_dataset(folder)


def labelled(dataset, labeller, folder):
    rejected = Rejected(folder / "rejected.jsonl")
    label_dataset(dataset, labeller, folder, rejected, ignore_progress)
    return open_labels(folder, dataset)


def test_patches_have_the_words_nearest_to_them(dataset, tmp_path):
    labeller = word_labeller()
    labels = labelled(dataset, labeller, tmp_path)
    vectors = torch.cat([piece for _, piece in labeller.pieces()])
    for index in (0, 10):
        patch_MC = labeller.vectors_of([sample_picture(dataset[index])])[0]
        for patch, words, scores in zip(
            patch_MC, labels[index].words, labels[index].scores, strict=True
        ):
            found = {NAMES[w]: float(patch @ vectors[w]) for w in range(len(NAMES))}
            best = sorted((w for w in found if found[w] > 0), key=lambda w: -found[w])[:3]
            assert words == tuple(best)
            assert scores == pytest.approx([found[w] for w in best], abs=1e-5)


def test_regions_name_what_they_cover_by_half(dataset, tmp_path):
    labels = labelled(dataset, RegionLabeller(dataset, keep=2, side=4), tmp_path)
    for index, sample in enumerate(dataset):
        cells = labels[index].cells_M4
        drawn = [(r.label, masks.decode_mask(r.mask)) for r in sample.regions]
        for (x0, y0, x1, y1), words in zip(cells.tolist(), labels[index].words, strict=True):
            # whole pixels for which the cell's borders are whole too, else the grid's own test
            if any(v != int(v) for v in (x0, y0, x1, y1)):
                continue
            part = (slice(int(y0), int(y1)), slice(int(x0), int(x1)))
            cover = {}
            for name, mask in drawn:
                share = mask[part].mean()
                if share >= 0.5:
                    cover[name] = max(share, cover.get(name, 0.0))
            assert set(words) <= set(cover)
            assert len(words) == min(2, len(cover))


def test_a_stopped_run_resumes_to_the_same_labels(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(slices, "BATCH_IMAGES", 3)
    monkeypatch.setattr(run, "SLICE_IMAGES", 6)
    whole = labelled(dataset, word_labeller(), tmp_path / "whole")
    stopping = word_labeller()
    real, calls = stopping.label, []

    def label(samples, pictures):
        calls.append(len(samples))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(samples, pictures)

    monkeypatch.setattr(stopping, "label", label)
    with pytest.raises(KeyboardInterrupt):
        labelled(dataset, stopping, tmp_path / "part")
    again = labelled(dataset, word_labeller(), tmp_path / "part")
    assert [labels.words for labels in again] == [labels.words for labels in whole]


def test_a_bad_image_is_rejected(tmp_path):
    payloads = rows(6)
    payloads[2]["images"] = [{"bytes": b"x"}]
    dataset = open_dataset(write_rows(tmp_path / "data", payloads))
    labels = labelled(dataset, word_labeller(), tmp_path / "labels")
    assert Rejected(tmp_path / "labels" / "rejected.jsonl").counts == {"not a picture": 1}
    with pytest.raises(ValueError, match="could not be labelled"):
        labels[2]
    assert len(labels[3].words) == 16


def test_the_sign_is_what_known_regions_agree_with(dataset):
    """Patches inside an object point at its name's vector, or away from it."""
    samples = [dataset[i] for i in range(6)]
    pictures = [sample_picture(sample) for sample in samples]
    for toward in (1, -1):
        labeller = word_labeller()
        vectors = torch.eye(len(NAMES))
        made = iter(samples)

        def patches(pixels, made=made, vectors=vectors, toward=toward, labeller=labeller):
            sample = next(made)
            grid = labeller.preprocess.token_grid(sample.size_hw, patch_px=8)
            out = torch.full((len(grid), len(NAMES)), 0.01)
            for region in sample.regions:
                inside = torch.from_numpy(grid.box_cover(region.box) >= 0.5)
                out[inside] += toward * vectors[NAMES.index(region.name)]
            return normalize(out, dim=1).reshape(1, 4, 4, -1)

        known = dataclasses.replace(
            labeller, patches=patches, pieces=lambda vectors=vectors: [(0, vectors)]
        )
        sign = choose_sign(known, samples, pictures, "clip")
        assert sign.value == toward
        assert sign.regions > 5
        assert f"sign {toward:+d}" in sign.describe()


@pytest.mark.parametrize(("family", "expected"), [("clip", -1), ("siglip", 1)])
def test_without_known_regions_the_papers_sign(dataset, family, expected):
    samples = [dataset[0]]
    labeller = word_labeller(("not", "in", "any", "of", "the", "scenes"))
    sign = choose_sign(labeller, samples, [sample_picture(samples[0])], family)
    assert (sign.value, sign.auc) == (expected, None)
    assert "the paper's" in sign.describe()
    assert np.isfinite(sign.value)

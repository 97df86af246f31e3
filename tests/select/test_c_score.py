"""`diglot select c-score` from folders to numbers, with an encoder of one's own."""

import io
import json
import os
import sys

import numpy as np
import pytest
from PIL import Image

from diglot.core.errors import ConfigError
from diglot.data.pair_folder import IMAGES, LINES, PairWriter, read_pairs
from diglot.data.pairs import Pair, PairImage
from diglot.data.rejected import Rejected
from diglot.measure.correspondence.config import CScoreConfig
from diglot.measure.correspondence.features import Features, Pictures
from diglot.measure.correspondence.run import score_pairs, split_parts
from tests.cli_runner import run_diglot

# Each 8-px square's mean colour: a feature by which the cells of the pictures below differ.
ENCODER = """
from dataclasses import dataclass
import torch
from torch import nn
from torch.nn.functional import avg_pool2d

CALLS = []

@dataclass(frozen=True, kw_only=True)
class Config:
    image_px: int = 32
    patch_px: int = 8

class Colours(nn.Module):
    mean, std, resample = (0.5, 0.4, 0.3), (0.2, 0.2, 0.2), "bilinear"

    def __init__(self, config):
        super().__init__()
        self.image_px, self.patch_px, self.width = config.image_px, config.patch_px, 4
        self.revision = f"colours {config}"
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, pixels):
        CALLS.append(pixels.clone())
        pooled = avg_pool2d(pixels, self.patch_px)
        return torch.cat([pooled, 2 * torch.ones_like(pooled[:, :1])], dim=1).permute(0, 2, 3, 1)

def build(config):
    return Colours(config)
"""
MODULE = "c_score_test_parts.colours"


@pytest.fixture
def encoder(tmp_path, monkeypatch):
    """The encoder's module, in a package of the working folder."""
    package = tmp_path / "c_score_test_parts"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "colours.py").write_text(ENCODER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield lambda: sys.modules[MODULE]
    for name in [n for n in sys.modules if n.startswith("c_score_test_parts")]:
        del sys.modules[name]


def mosaic(rng, size_hw=(32, 32)):
    """A PNG of 8-px squares, every one of another colour, and those colours' order."""
    rows, columns = (side // 8 for side in size_hw)
    colours = rng.integers(0, 256, (rows, columns, 3)).astype(np.uint8)
    return colours, png(colours)


def png(colours):
    stream = io.BytesIO()
    Image.fromarray(np.kron(colours, np.ones((8, 8, 1), np.uint8))).save(stream, "PNG")
    return stream.getvalue()


def write_pairs(folder, count=5, *, size_hw=(32, 32)):
    """Targets are the sources' squares in another order; points are squares' centres."""
    rng = np.random.default_rng(0)
    with PairWriter(folder, info={"seed": 0}) as writer:
        for number in range(len(writer), count):
            colours, source = mosaic(rng, size_hw)
            rows, columns, _ = colours.shape
            order = rng.permutation(rows * columns)
            moved = colours.reshape(-1, 3)[order].reshape(colours.shape)
            at = np.array(
                [[8 * x + 4, 8 * y + 4] for y in range(rows) for x in range(columns)], float
            )
            went = at[np.argsort(order)]
            writer.add(
                Pair(
                    id=f"mosaic-{number}",
                    category="even" if number % 2 == 0 else "odd",
                    groups=("all",),
                    source=PairImage(image=source, size_hw=size_hw, points_K2=at),
                    target=PairImage(image=png(moved), size_hw=size_hw, points_K2=went),
                    box=(0, 0, float(size_hw[1]), float(size_hw[0])),
                    visible_K=np.ones(len(at), bool),
                )
            )


def run(*args):
    return run_diglot("select", "c-score", *args)


@pytest.mark.parametrize("size_hw", [(32, 32), (16, 32), (32, 16)])
def test_what_is_plain_is_found(encoder, tmp_path, capsys, size_hw):
    """Wide and tall pictures are padded, their points with them: every square is found."""
    write_pairs(tmp_path / "pairs", size_hw=size_hw)
    out = tmp_path / "out.json"
    assert run("--pairs", tmp_path / "pairs", "--encoder", MODULE, "--json", out) == 0
    scores = json.loads(out.read_text())
    whole = scores["overall"]["0.1"]
    assert (whole["pooled"]["value"], whole["pair_mean"]["value"], whole["ceiling"]) == (1, 1, 1)
    assert whole["pooled"]["n"] == 5 * size_hw[0] * size_hw[1] // 64
    assert set(scores["categories"]) == {"even", "odd"}
    assert scores["encoders"] == [{"name": MODULE, "image_px": 32, "patch_px": 8}]
    assert scores["settings"]["geometry"] == "letterbox"
    printed = capsys.readouterr().out
    assert "PCK@0.1" in printed
    assert "pooled" in printed


def test_features_are_made_once(encoder, tmp_path):
    write_pairs(tmp_path / "pairs")
    run("--pairs", tmp_path / "pairs", "--encoder", MODULE)
    assert sum(len(pixels) for pixels in encoder().CALLS) == 10
    encoder().CALLS.clear()
    run("--pairs", tmp_path / "pairs", "--encoder", MODULE, "--upsample", 2, "--alpha", 0.2)
    assert not encoder().CALLS
    run("--pairs", tmp_path / "pairs", "--encoder", f"{{name: {MODULE}, image_px: 64}}")
    assert sum(len(pixels) for pixels in encoder().CALLS) == 10


def test_features_of_a_killed_run_are_kept(encoder, tmp_path):
    """Eight pictures are encoded at a time; the run that follows encodes the other two."""
    write_pairs(tmp_path / "pairs")
    pairs = read_pairs(tmp_path / "pairs", Rejected(tmp_path / "r.jsonl"))
    __import__(MODULE)
    built = encoder().build(encoder().Config())

    def killed(event):
        if event.done:
            raise KeyboardInterrupt

    features = Features(Pictures(pairs), [built], tmp_path / "f", geometry="letterbox")
    with pytest.raises(KeyboardInterrupt):
        features.build(Rejected(tmp_path / "r.jsonl"), killed)
    encoder().CALLS.clear()
    again = Features(Pictures(pairs), [built], tmp_path / "f", geometry="letterbox")
    again.build(Rejected(tmp_path / "r.jsonl"))
    assert [len(pixels) for pixels in encoder().CALLS] == [2]


def test_law_compat_squashes_and_normalises_in_its_own_way(encoder, tmp_path):
    write_pairs(tmp_path / "pairs", 1, size_hw=(16, 32))
    run("--pairs", tmp_path / "pairs", "--encoder", MODULE, "--geometry", "law_compat")
    (pixels,) = encoder().CALLS
    pair = read_pairs(tmp_path / "pairs", Rejected(tmp_path / "r.jsonl"))[0]
    picture = Image.open(pair.source.image).resize((32, 32))  # Pillow's own resampling
    expected = (np.asarray(picture, np.float32) / 255 - 0.5) / 0.5
    assert pixels[0].permute(1, 2, 0).numpy() == pytest.approx(expected, abs=1e-5)


def test_encoders_are_combined(encoder, tmp_path):
    write_pairs(tmp_path / "pairs")
    out = tmp_path / "out.json"
    two = f"[{MODULE}, {{name: {MODULE}, image_px: 64, patch_px: 8}}]"
    assert run("--pairs", tmp_path / "pairs", "--encoder", two, "--json", out) == 0
    scores = json.loads(out.read_text())
    assert [part["image_px"] for part in scores["encoders"]] == [32, 64]
    assert scores["overall"]["0.1"]["pooled"]["value"] > 0.9
    assert split_parts("clip, dinov2") == ["clip", "dinov2"]
    assert split_parts({"name": "clip"}) == [{"name": "clip"}]
    with pytest.raises(ConfigError, match="no encoder"):
        split_parts(",")


def test_a_broken_picture_takes_only_its_pairs_along(encoder, tmp_path, capsys):
    folder = tmp_path / "pairs"
    write_pairs(folder)
    (folder / IMAGES / "mosaic-2-target.png").write_bytes(b"no picture")
    os.replace(folder / IMAGES / "mosaic-0-source.png", folder / IMAGES / "mosaic-3-target.png")
    with open(folder / LINES, "a") as lines:
        lines.write("nonsense\n")
    out = tmp_path / "out.json"
    for _ in range(2):  # what was rejected once stays so
        assert run("--pairs", folder, "--encoder", MODULE, "--json", out) == 0
        scores = json.loads(out.read_text())
        assert scores["pairs"] == 2  # digests betray a picture that is another one's
        assert scores["rejected"]["line is no JSON"] == 1
        assert scores["rejected"]["no such picture"] == 1
        assert scores["rejected"]["the line or a picture of it was changed"] == 2
    assert "rejected:" in capsys.readouterr().out


def test_spair_is_scored_from_its_folders(encoder, tmp_path):
    rng = np.random.default_rng(0)
    colours, _ = mosaic(rng, (24, 40))
    root = tmp_path / "SPair-71k"
    for folder in ("JPEGImages/cat", "PairAnnotation/test", "Layout/large"):
        (root / folder).mkdir(parents=True)
    for name, picture in (("a", colours), ("b", colours[:, ::-1])):
        big = np.kron(picture, np.ones((8, 8, 1), np.uint8))
        Image.fromarray(big).save(root / "JPEGImages" / "cat" / f"{name}.jpg", quality=100)
    record = {
        **{"category": "cat", "src_imname": "a.jpg", "trg_imname": "b.jpg"},
        **{"src_imsize": [40, 24, 3], "trg_imsize": [40, 24, 3]},
        **{"src_bndbox": [0, 0, 40, 24], "trg_bndbox": [0, 0, 40, 24], "mirror": 0},
        **{"src_kps": [[4, 4], [20, 12]], "trg_kps": [[36, 4], [20, 12]], "kps_ids": ["0", "1"]},
        **{"viewpoint_variation": 0, "scale_variation": 0, "truncation": 0, "occlusion": 1},
    }
    (root / "PairAnnotation/test/1-a-b:cat.json").write_text(json.dumps(record))
    (root / "Layout/large/test.txt").write_text("1-a-b:cat\n")
    out = tmp_path / "out.json"
    own = f"{{name: {MODULE}, image_px: 40}}"
    assert run("--pairs", root, "--encoder", own, "--json", out) == 0
    scores = json.loads(out.read_text())
    assert scores["overall"]["0.1"]["pooled"]["value"] == 1
    assert set(scores["categories"]) == {"cat"}
    assert "occlusion 1" in scores["groups"]
    assert run("--pairs", root, "--encoder", own, "--split", "val") == 2


def test_a_score_repeats(encoder, tmp_path):
    write_pairs(tmp_path / "pairs")
    pairs = read_pairs(tmp_path / "pairs", Rejected(tmp_path / "r.jsonl"))
    __import__(MODULE)
    built = encoder().build(encoder().Config())
    scores = [
        score_pairs(
            pairs,
            [built],
            CScoreConfig(alphas=(0.01,)),
            features=tmp_path / "f",
            rejected=Rejected(tmp_path / "r.jsonl"),
        )
        for _ in range(2)
    ]
    assert scores[0] == scores[1]


MISTAKES = {
    "no pairs here": ["--pairs", "."],
    "alpha must be above 0": ["--pairs", "pairs", "--alpha", "0"],
    "upsample: must be above 0": ["--pairs", "pairs", "--upsample", "0"],
    "no part 'clap'": ["--pairs", "pairs", "--encoder", "clap"],
    "unknown field 'size'": ["--pairs", "pairs", "--encoder", f"{{name: {MODULE}, size: 3}}"],
    "pairs.json is a file": [
        "--pairs",
        "pairs",
        "--encoder",
        MODULE,
        "--features",
        "pairs/pairs.json",
    ],
}


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_are_one_message(encoder, tmp_path, capsys, message):
    write_pairs(tmp_path / "pairs", 1)
    assert run(*MISTAKES[message]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert message in said
    assert "Traceback" not in said


@pytest.mark.parametrize("verb", ["c-score", "scene-pairs"])
def test_help_shows_examples(capsys, verb):
    assert run_diglot("select", verb, "--help") == 0
    assert f"diglot select {verb}" in capsys.readouterr().out

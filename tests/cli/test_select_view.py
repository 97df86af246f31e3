"""`diglot select view`: correspondences of several encoders, from a folder of pairs to a page."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diglot.data.pair_folder import PairWriter
from diglot.data.pairs import Pair, PairImage
from tests.cli_runner import run_diglot
from tests.tiny_folders import save_clip

ODD = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    save_clip(root / "clip")
    rng = np.random.default_rng(0)
    with PairWriter(root / "pairs", info={"seed": 0}) as writer:
        for number in range(3):
            writer.add(_make_pair(number, rng))
    return root


def _make_pair(number: int, rng: np.random.Generator) -> Pair:
    stream = io.BytesIO()
    pixels_HW3 = rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels_HW3).save(stream, "PNG")
    points_K2 = np.array([[5.0, 5.0], [20.0, 30.0], [50.0, 9.0], [90.0, 9.0]])
    side = PairImage(image=stream.getvalue(), size_hw=(40, 60), points_K2=points_K2)
    return Pair(
        id=f"p{number}",
        category=("dog", "cat", "cat")[number],
        source=side,
        target=side,
        box=(0.0, 0.0, 60.0, 40.0),
        visible_K=np.array([True, True, False, True]),
        groups=(ODD,),
    )


def make_page(world: Path, out: Path, *options: str) -> str:
    clip = f"{{name: clip, path: {world / 'clip'}"
    encoders = ["--encoder", f"{clip}, layer: 1}}", f"--encoder={clip}, layer: 2}}"]
    folders = ["--out", str(out), "--features", str(out.parent / "features")]
    assert run_diglot("select", "view", world / "pairs", *encoders, *folders, *options) == 0
    return out.read_text("utf-8")


def test_every_point_under_every_encoder(world: Path, tmp_path: Path) -> None:
    page = make_page(world, tmp_path / "page.html")
    # a picture and its target, and for two points (the others do not count) two encoders
    assert page.count("<svg") == 3 * (2 + 2 * 2)
    assert page.count('class="heat"') == 3 * 2 * 2
    # the target is the source, and the second layer of noise still knows its own cells
    assert re.findall(r"clip \(layer (\d)\)</bdi></th><td[^>]*>(\d) of 6", page)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.slow  # matplotlib draws every cell
def test_every_pair_is_a_figure(world: Path, tmp_path: Path) -> None:
    options = ("--count", "1", "--files", str(tmp_path / "files"))
    ((_, pair),) = _drawn(make_page(world, tmp_path / "page.html", *options))
    files = sorted((tmp_path / "files").glob("[!.]*"))
    assert [path.name for path in files] == [f"pair_1_p{pair}.png", f"pair_1_p{pair}.svg"]
    assert Image.open(files[0]).width > 300


def _drawn(page: str) -> list[tuple[int, str]]:
    return list(enumerate(re.findall(r"<h3><bdi>p(\d)</bdi></h3>", page)))


def test_one_category_and_a_count(world: Path, tmp_path: Path) -> None:
    page = make_page(world, tmp_path / "page.html", "--category", "cat", "--count", "1")
    assert len(_drawn(page)) == 1
    assert "dog" not in page


def test_what_cannot_be_shown_is_one_message(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = str(world / "pairs")
    assert run_diglot("select", "view", pairs) == 2
    assert "encoder" in capsys.readouterr().err
    assert run_diglot("select", "view", pairs, "--encoder", "nobody") == 2
    assert "nobody" in capsys.readouterr().err
    options = ["--encoder", "clip", "--category", "cow", "--features", str(tmp_path)]
    assert run_diglot("select", "view", pairs, *options) == 2
    assert "cat, dog" in capsys.readouterr().err
    assert run_diglot("select", "view", pairs, "--encoder", "clip", "--count", "0") == 2

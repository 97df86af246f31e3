"""`diglot view` on datasets, image records and runs."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diglot.cli.view import view
from diglot.core import masks
from diglot.core.errors import ConfigError, DataError
from diglot.core.types import Lineage, Region, Sample
from diglot.data.pair_folder import PairWriter
from diglot.data.pairs import Pair, PairImage
from diglot.data.records import write_dataset
from tests.data.formats.foreign import make_conversation


def picture(number: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (60, 40), (number * 9 % 256, 90, 120)).save(data, "PNG")
    return data.getvalue()


def make_sample(number: int) -> Sample:
    mask = np.zeros((40, 60), dtype=bool)
    mask[5:20, 10:30] = True
    return Sample.captioned(
        id=f"s{number}",
        image=picture(number),
        size_hw=(40, 60),
        caption=f"a ball on field {number}",
        regions=(
            Region(
                phrase="a ball",
                label="ball",
                span=(0, 6),
                box=(10.0, 5.0, 30.0, 20.0),
                mask=masks.encode_mask(mask),
            ),
        ),
        lineage=(Lineage(step="scenes", revision="r1"),),
    )


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "scenes"
    write_dataset([make_sample(n) for n in range(30)], folder)
    return folder


def shown_ids(page: str) -> list[str]:
    return [part.split("</bdi>")[0] for part in page.split('<h3 class="muted"><bdi>')[1:]]


def test_a_dataset_becomes_a_page(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [{"id": f"r{n}", "reason": "too small", "where": ""} for n in range(3)]
    rejected = "".join(json.dumps(line) + "\n" for line in lines)
    (dataset / "rejected.jsonl").write_text(rejected + '{"id": "torn')
    view(dataset, count=5)
    out = Path(capsys.readouterr().out.strip())
    page = out.read_text("utf-8")
    assert out == dataset / "train.html"
    assert len(shown_ids(page)) == 5
    for text in ("5 of 30 samples, drawn at random with seed 0", "too small", "scenes r1"):
        assert text in page
    assert (dataset / "rejected.jsonl").read_text().endswith("torn")


def test_the_draw_follows_the_seed(dataset: Path, tmp_path: Path) -> None:
    pages = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        view(dataset, out=tmp_path / name, count=5, seed=seed)
        pages.append(shown_ids((tmp_path / name).read_text("utf-8")))
    assert pages[0] == pages[1] != pages[2]


def test_one_sample_by_its_id(dataset: Path, tmp_path: Path) -> None:
    view(dataset, out=tmp_path / "p.html", only="s7")
    assert shown_ids((tmp_path / "p.html").read_text("utf-8")) == ["s7"]
    with pytest.raises(ConfigError, match="no sample has the id 's99'"):
        view(dataset, only="s99")


def test_a_sample_that_cannot_be_drawn_is_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    whole = io.BytesIO()
    Image.fromarray(noise).save(whole, "JPEG", quality=95)
    torn = Sample.captioned(id="torn", image=whole.getvalue()[:2500], size_hw=(40, 60), caption="x")
    good = make_sample(1)
    write_dataset([good, torn], tmp_path / "d")
    view(tmp_path / "d", out=tmp_path / "p.html")
    page = (tmp_path / "p.html").read_text("utf-8")
    assert shown_ids(page) == ["s1"]
    assert "Samples that cannot be used" in page
    assert "torn" in page


def test_image_records(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(1))
    rows = [
        {"id": "one", "image": "a.png", "caption": "a ball"},
        {"id": "climbs", "image": "../a.png"},
        {"id": "gone", "image": "b.png"},
        {"id": "bare"},
    ]
    records = tmp_path / "records.jsonl"
    records.write_text("\n".join(json.dumps(row) for row in rows))
    view(records)
    page = (tmp_path / "records.html").read_text("utf-8")
    assert shown_ids(page) == ["one"]
    for reason in ("path leaves its folder", "no such image file", "no image in the record"):
        assert reason in page


def test_a_broken_line_is_a_line_on_the_page(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(1))
    good = json.dumps({"id": "a", "image": "a.png", "caption": "a ball"})
    (tmp_path / "r.jsonl").write_text(good + "\n{oops\n[1]\n")
    view(tmp_path / "r.jsonl")
    page = (tmp_path / "r.html").read_text("utf-8")
    assert shown_ids(page) == ["a"]
    for reason in ("line 2", "r.jsonl:2: not JSON", "r.jsonl:3: not a record"):
        assert reason in page


def test_the_funnel_of_a_synthesis(dataset: Path, tmp_path: Path) -> None:
    boxes = {
        "images": 30,
        "seconds": 1.0,
        "dropped": {"no box": 12},
        "lost": {"score too low": 1234},
    }
    funnel = {"images": 42, "samples": 30, "steps": {"boxes": boxes}}
    (dataset / "funnel-train.json").write_text(json.dumps(funnel))
    view(dataset, out=tmp_path / "p.html")
    page = (tmp_path / "p.html").read_text("utf-8")
    for text in (
        "What each step kept",
        "images read",
        "12 <bdi>no box",
        "1,234 <bdi>score too low",
    ):
        assert text in page


def test_a_folder_of_pairs(tmp_path: Path) -> None:
    points = np.array([[5.0, 5.0], [20.0, 30.0], [9.0, 9.0]])
    side = PairImage(image=picture(1), size_hw=(40, 60), points_K2=points)
    with PairWriter(tmp_path / "pairs", info={"seed": 3}) as writer:
        for number in range(3):
            visible_K = np.array([True, True, False])
            pair = Pair(
                id=f"p{number}",
                category="dog",
                source=side,
                target=side,
                box=(1.0, 2.0, 30.0, 31.0),
                visible_K=visible_K,
                groups=("turned",),
            )
            writer.add(pair)
    with open(tmp_path / "pairs/pairs.jsonl", "a") as lines:
        lines.write("{oops\n")
    view(tmp_path / "pairs", count=2)
    page = (tmp_path / "pairs/pairs.html").read_text("utf-8")
    assert len(shown_ids(page)) == 2
    assert page.count('data-entity="1"') == page.count('data-entity="2"') == 4
    for text in ("2 of 3 pairs", "line is no JSON", "turned"):
        assert text in page


def test_only_samples_with_a_phrase(dataset: Path, tmp_path: Path) -> None:
    view(dataset, out=tmp_path / "p.html", phrase="Ball", count=3)
    page = (tmp_path / "p.html").read_text("utf-8")
    assert len(shown_ids(page)) == 3
    assert "with &#39;Ball&#39;" in page
    with pytest.raises(ConfigError, match="no region has 'tower'"):
        view(dataset, out=tmp_path / "p.html", phrase="tower")


def test_conversations_with_several_images(tmp_path: Path) -> None:
    write_dataset([make_conversation(0), make_conversation(1, images=0)], tmp_path / "d")
    view(tmp_path / "d", out=tmp_path / "p.html")
    page = (tmp_path / "p.html").read_text("utf-8")
    assert page.count('<svg class="picture"') == 2
    assert page.count('class="turn assistant"') == 2
    for text in (
        "assistant, learned",
        "&lt;image&gt; and &lt;image&gt;",
        "no image",
        ">small dog</mark>",
    ):
        assert text in page


def test_a_run_is_rendered_anew(tmp_path: Path) -> None:
    report = {"title": "A run", "created": "", "summary": "", "runs": ["a"]}
    report |= {"settings": {}, "environment": {}}
    report |= {"measures": [], "curves": [], "timings": [], "examples": []}
    (tmp_path / "report.json").write_text(json.dumps(report))
    view(tmp_path)
    assert "A run" in (tmp_path / "report.html").read_text("utf-8")
    (tmp_path / "report.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"report\.json: not JSON"):
        view(tmp_path)


@pytest.mark.parametrize("name", ["", "missing", "file.txt"])
def test_nothing_to_view(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(ConfigError, match="nothing to view here"):
        view(tmp_path / name)

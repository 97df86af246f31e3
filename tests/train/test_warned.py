"""A run that works but cannot mean what was asked says so before its first step."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from diglot.data.checks.box_units import guess_box_unit
from diglot.models.checkpoint import save_vlm
from diglot.models.vlm import build_vlm
from tests.cli_runner import refusal_of, run_diglot
from tests.test_mistakes import RECIPE
from tests.tiny_folders import save_world, tiny_stage

Change = Callable[[list[float], int, int], list[float]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset and its copies with boxes of other units, labels, a model, and moved parts."""
    world = save_world(tmp_path_factory.mktemp("world"))
    (world / "recipe.yaml").write_text(RECIPE.format(world=world))
    stage = tiny_stage(world, world / "out")
    save_vlm(build_vlm(stage.model), stage.model, world / "model", parts=("projector",))
    parts = ("projector", "language")
    save_vlm(build_vlm(stage.model), stage.model, world / "model_language", parts=parts)
    change_boxes(world, "shares", lambda b, h, w: [b[0] / w, b[1] / h, b[2] / w, b[3] / h])
    change_boxes(world, "thousands", lambda b, h, w: [1e3 * v / max(h, w) for v in b])
    change_boxes(world, "xywh", lambda b, h, w: [b[0], b[1], b[2] - b[0], b[3] - b[1]])
    change_boxes(world, "empty", lambda b, h, w: b, most=0)
    shutil.copytree(world / "clip", world / "other_clip")
    shutil.copytree(world / "language", world / "other_language")
    for name, data in (("labels", "data"), ("no_labels", "shares")):
        words = ["label", world / data, "--out", world / name]
        assert run_diglot(*words, "--labeller=regions") == 0
    return world


def change_boxes(world: Path, name: str, change: Change, *, most: int | None = None) -> None:
    """A copy of the dataset as another tool would have written it."""
    (world / name).mkdir()
    for shard in (world / "data").glob("*.parquet"):
        table = pq.read_table(shard)
        rows: list[dict[str, Any]] = table.to_pylist()[:most]
        for row in rows:
            for region in row["regions"]:
                region |= {"box": change(region["box"], *row["sizes_hw"][0]), "mask": None}
        pq.write_table(pa.Table.from_pylist(rows, table.schema), world / name / shard.name)


UNITS = {
    "shares": "shares of the image's sides",
    "thousands": "thousandths of the image's sides",
    "xywh": "x, y, width and height",
    "data": None,
    "empty": None,
}


@pytest.mark.parametrize(("data", "unit"), UNITS.items())
def test_the_unit_of_boxes(world: Path, data: str, unit: str | None) -> None:
    found = guess_box_unit(world / data, "train", records=128)
    assert found is None if unit is None else unit in str(found)


# The options of `diglot train`, and what is said.
WARNED = {
    "--data W/shares": "W/shares: the boxes look like shares of the image's sides",
    "--data W/xywh": "W/xywh: the boxes look like x, y, width and height; expected xyxy pixels",
    "--global_batch 128": "one optimizer step in all: 20 documents, 128 a step",
    "--row_tokens 4": "row_tokens is 4 and a record has",
    "--labels W/labels": "labels are given, but no objective reads them",
    "--start_from W/model --model.encoder.path W/other_clip": (
        "trained with another encoder.path: clip there, other_clip here"
    ),
    "--start_from W/model --model.language.path W/other_language": (
        "trained with another language.path: language there, other_language here"
    ),
    "--start_language W/model_language --model.language.path W/other_language": (
        "the language model of W/model_language was trained with another language.path: "
        "language there, other_language here"
    ),
}
# Nothing of this is said of what is right.
SILENT = (
    "--start_from W/model",
    "--start_from W/model --start_language W/model_language",
    "--labels W/labels --plus.token_contrastive.weight 1",
    "--global_batch 128 --max_steps 1",
)
# What stops the run.
STOPPED = {
    "--data W/empty": "W/empty: the split 'train' has no records",
    "--data W/shares --labels W/no_labels --plus.token_contrastive.weight 1": (
        "labels: no patch of the first 20 images has a label: nothing would be learned. Label again"
    ),
    "--data W/thousands": "W/thousands: none of the first 20 records can be used",
}


def words_of(world: Path, options: str, out: Path) -> list[str]:
    words = f"train --config W/recipe.yaml --dry_run {options}".replace("W/", f"{world}/").split()
    return [*words, f"--out={out}"]


@pytest.mark.parametrize("options", WARNED)
def test_it_is_said_before_the_first_step(world: Path, tmp_path: Path, caplog, options) -> None:
    assert run_diglot(*words_of(world, options, tmp_path / "run")) == 0
    assert WARNED[options] in caplog.text.replace(f"{world}/", "W/")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("options", SILENT)
def test_nothing_is_said_of_what_is_right(world: Path, tmp_path: Path, caplog, options) -> None:
    assert run_diglot(*words_of(world, options, tmp_path / "run")) == 0
    said = [r for r in caplog.records if r.levelname == "WARNING" and "container" not in r.msg]
    assert not [record.getMessage() for record in said]


@pytest.mark.parametrize("options", STOPPED)
def test_it_stops(world: Path, tmp_path: Path, capsys, options: str) -> None:
    words = [word for word in words_of(world, options, tmp_path / "run") if word != "--dry_run"]
    message = refusal_of(capsys, *words)
    assert STOPPED[options] in message.replace(f"{world}/", "W/")


def test_a_run_says_how_large_it_is(world: Path, tmp_path: Path, caplog) -> None:
    words = words_of(world, "--max_steps 2", tmp_path / "run")
    assert run_diglot(*(word for word in words if word != "--dry_run")) == 0
    assert "20 records; 2 steps, 4 documents a step; the first record has 16" in caplog.text


# Other verbs that read boxes, as they begin.
READERS = {
    "measure": "measure W/model --data W/{} --split train --json W/OUT.json --examples 0 --points 0"
    ' --measure.measures {{"caption_nll":{{"scenes":2}}}}',
    "label": "label W/{} --out W/OUT --labeller=regions",
    "evaluate": "evaluate W/model --data W/{} --split train --out W/OUT --tasks counting",
}


@pytest.mark.parametrize("data", ["shares", "data"])
@pytest.mark.parametrize("verb", READERS)
def test_other_verbs_warn_too(world: Path, caplog, verb: str, data: str) -> None:
    words = READERS[verb].format(data).replace("OUT", f"out_{verb}_{data}")
    assert run_diglot(*words.replace("W/", f"{world}/").split()) == 0
    warning = "/shares: the boxes look like shares of the image's sides"
    assert caplog.text.count(warning) == (data == "shares")

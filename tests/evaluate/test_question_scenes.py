"""A scene that cannot be used is rejected with its reason; the others are asked about."""

import json
from pathlib import Path
from typing import Any

import pytest

from diglot.core.errors import DataError
from diglot.core.progress import ignore_progress
from diglot.evaluate.benchmark import Benchmark
from diglot.evaluate.config import TASK_SCENES
from diglot.evaluate.question_scenes import Questions, make_questions
from diglot.evaluate.task import load_tasks
from tests.train.outcome import rows, write_rows


def ask(data: Path, out: Path, task: str) -> Benchmark:
    questions = Questions(data=data, split="train", count=9, scene=TASK_SCENES, seed=0)
    return make_questions(load_tasks([task], {}), questions, out, ignore_progress)


def listed(out: Path) -> list[dict[str, str]]:
    path = out / "rejected.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def damage_picture(payloads: list[dict[str, Any]]) -> None:
    payloads[1]["images"] = [{"bytes": b"junk"}]


def cut_picture(payloads: list[dict[str, Any]]) -> None:
    content = payloads[1]["images"][0]["bytes"]
    payloads[1]["images"] = [{"bytes": content[: len(content) // 2]}]


def damage_mask(payloads: list[dict[str, Any]]) -> None:
    payloads[1]["regions"][0]["mask"]["counts"] = "0@"


def drop_picture(payloads: list[dict[str, Any]]) -> None:
    answer = {"role": "assistant", "text": "So.", "learn": True}
    turns = [{"role": "user", "text": "Why?"}, answer]
    payloads[1] |= {"images": [], "sizes_hw": [], "caption": "", "regions": [], "turns": turns}


DAMAGED = {
    damage_picture: ("not a picture", "images[0]"),
    cut_picture: ("picture cannot be read", "images[0]"),
    damage_mask: ("mask runs are corrupt", "regions[0].mask"),
    drop_picture: ("not a record of one image", "images"),
}


@pytest.mark.parametrize("task", ["presence", "counting", "region_naming"])
@pytest.mark.parametrize("damage", DAMAGED, ids=lambda damage: damage.__name__)
def test_a_bad_scene_is_rejected_and_the_others_asked(damage, task: str, tmp_path: Path) -> None:
    payloads = rows(6)
    damage(payloads)
    bad = payloads[1]["id"]
    benchmark = ask(write_rows(tmp_path / "data", payloads), tmp_path / "out", task)
    assert {item.scene for item in benchmark.items}
    assert bad not in {item.scene for item in benchmark.items}
    (one,) = listed(tmp_path / "out")
    reason, field = DAMAGED[damage]
    assert (one["id"], one["reason"], one["where"]) == (bad, reason, f"sample {bad!r}, {field}")


def test_of_scenes_with_one_id_the_first_is_asked(tmp_path: Path) -> None:
    payloads = rows(4)
    payloads[3]["id"] = payloads[0]["id"]
    benchmark = ask(write_rows(tmp_path / "data", payloads), tmp_path / "out", "counting")
    assert benchmark.items
    (one,) = listed(tmp_path / "out")
    assert (one["id"], one["reason"]) == (payloads[0]["id"], "repeated id")
    assert one["where"].endswith("record 3")


def test_a_clean_dataset_begins_the_list_anew(tmp_path: Path) -> None:
    payloads = rows(4)
    damage_picture(payloads)
    ask(write_rows(tmp_path / "bad", payloads), tmp_path / "out", "counting")
    assert listed(tmp_path / "out")
    ask(write_rows(tmp_path / "good", rows(4)), tmp_path / "out", "counting")
    assert not listed(tmp_path / "out")


def test_scenes_that_are_all_rejected_are_named_with_their_list(tmp_path: Path) -> None:
    payloads = rows(2)
    for payload in payloads:
        payload["images"] = [{"bytes": b"junk"}]
    data, out = write_rows(tmp_path / "data", payloads), tmp_path / "out"
    with pytest.raises(DataError, match=r"no record could be used.*out/rejected\.jsonl"):
        ask(data, out, "counting")
    assert len(listed(out)) == 2

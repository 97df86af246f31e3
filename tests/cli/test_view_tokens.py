"""`diglot view --tokens`: every token of a record, learned or not."""

import json
import re
from pathlib import Path

import pytest

from diglot.core.types import Sample
from diglot.data.records import write_dataset
from tests.cli_runner import run_diglot
from tests.models.test_chat_template import CHATML, chat
from tests.tiny import tiny_sample
from tests.tiny_folders import save_world

ODD = "<script>alert(1)</script>"


def write_recipe(world: Path, name: str, objective: dict[str, object]) -> Path:
    recipe = {
        "objective": objective,
        "model": {
            "encoder": {"name": "clip", "path": str(world / "clip")},
            "projector": {"name": "mlp", "hidden": 24},
            "language": {"path": str(world / "language")},
        },
    }
    path = world / name
    path.write_text(json.dumps(recipe))
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = save_world(tmp_path_factory.mktemp("world"), samples=2)
    (root / "chat.jinja").write_text(CHATML)
    picture = tiny_sample(3, size_hw=(32, 32)).image
    turns = chat(f"<image>\nWhat is {ODD}?", "A dog.")
    talk = Sample(id="one", images=(picture,), sizes_hw=((32, 32),), turns=turns)
    write_dataset([talk, tiny_sample(1, id="a caption")], root / "talk")
    return root


def tokens(page: str) -> list[tuple[str, str, str]]:
    """(classes, title, text) of every token."""
    return re.findall(r'<span class="(token[^"]*)" title="([^"]*)">([^<]*)</span>', page)


def test_the_answer_and_its_stop_token_are_learned(world: Path, tmp_path: Path) -> None:
    template = str(world / "chat.jinja")
    recipe = write_recipe(world, "sft.yaml", {"name": "instruct", "template": template})
    out = tmp_path / "page.html"
    args = ["view", str(world / "talk"), "--tokens", str(recipe), "--out", str(out)]
    assert run_diglot(*args) == 0
    page = out.read_text("utf-8")
    found = tokens(page)
    learned = "".join(text for kind, _, text in found if "learned" in kind)
    assert learned == "A·dog.&lt;|eos|&gt;"
    assert all("learned by text" in title for kind, title, _ in found if "learned" in kind)
    assert [text for kind, _, text in found if "picture" in kind] == ["image × 16"]
    assert ODD not in page  # tokens are escaped
    whole = "".join(text for _, _, text in found)
    assert "user⏎image × 16⏎What·is·&lt;script&gt;" in whole
    assert "rejected" in page
    assert "a caption" in page


def test_branches_of_code_switching_are_marked(world: Path, tmp_path: Path) -> None:
    recipe = write_recipe(world, "mmcs.yaml", {"name": "code_switch"})
    out = tmp_path / "page.html"
    args = ["view", str(world / "data"), "--tokens", str(recipe), "--out", str(out)]
    assert run_diglot(*args) == 0
    found = tokens(out.read_text("utf-8"))
    entity = [text for _, title, text in found if "learned by entity" in title]
    assert "".join(entity).replace("·", "")
    assert any("branch" in kind for kind, _, _ in found)
    assert any("learned by text" in title for _, title, _ in found)


def test_an_unknown_recipe_is_one_message(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_diglot("view", world / "talk", "--tokens", "no/such") == 2
    assert "--tokens" in capsys.readouterr().err

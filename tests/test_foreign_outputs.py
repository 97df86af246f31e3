"""Every verb refuses folders and files that it did not make, before any work, and changes none.

The options are read off the command line itself: one that names a path is an input by name here,
or is tried.
"""

import importlib
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from jsonargparse import ArgumentParser

from diglot.cli.main import USER_ERROR, VERBS, add_verb_arguments
from diglot.cli.select import SUB_VERBS, _find_function
from diglot.cli.verb import verb_parser
from diglot.models.checkpoint import save_vlm
from diglot.models.vlm import build_vlm
from tests.cli_runner import run_diglot
from tests.data.formats.foreign import save_image, save_json
from tests.tiny_folders import save_world, tiny_stage

INPUTS = {"source", "images", "image", "checkpoint", "checkpoints", "results", "table", "labels"}
INPUTS |= {"data", "pairs", "pictures", "fonts"}
# Each verb with what it needs; OUT stands for what is tried, W for the world.
REFUSED = "not of this command|made with other settings|no labels|no pairs"
LAW = "--settings select/embedded_settings"
CAPTION = "embedded/caption"
FOLDERS = {
    "demo --out": "demo --size tiny --out OUT",
    "synth --out": "synth W/photos --config synth/embedded --out OUT",
    "scenes --out": "scenes OUT --count 2",
    "convert --out": "convert W/data --from diglot --to coco --out OUT",
    "convert --out (ours)": "convert W/coco.json --from coco --images W/photos --out OUT",
    "check --fix": "check W/data --fix OUT",
    "label --out": "label W/data --labeller regions --out OUT",
    "train --out": "train --config W/recipe.yaml --data W/data --out OUT",
    "export --out": "export W/model --to llava --out OUT",
    "evaluate --out": "evaluate W/model --data W/data --tasks presence --out OUT",
    "report --files": "report W/result.json --out W/new.html --files OUT",
    "compare --out": "compare W/data --config compare/objectives --out OUT",
    "select paper --out": "select paper --runs 1 --out OUT",
    "select a-score --out": f"select a-score --data W/data {LAW} --recipe {CAPTION} --out OUT",
    "features --folder": f"features W/data --like '[{CAPTION}]' --folder OUT",
    "measure --features": "measure W/model --data W/data --json W/new.json --features OUT",
    "select a-score --features": f"select a-score --data W/data {LAW} --recipe {CAPTION} "
    "--out W/new --features OUT",
    "select c-score --features": "select c-score --pairs W/pairs --features OUT",
    "select view --features": "select view W/pairs --encoder efficientnet_lite0 --features OUT",
    "select view --files": "select view W/pairs --encoder efficientnet_lite0 --files OUT",
    "select scene-pairs --out": "select scene-pairs OUT --count 1",
    "select ocr-pairs --out": "select ocr-pairs OUT --count 1",
    "select study --out": f"select study {LAW} --out OUT",
}
SLOW = ("demo", "compare", "select a-score", "select ocr-pairs", "select paper")
FILES = {
    "check --rejected": "check W/data --rejected OUT",
    "words --out": "words W/data --out OUT",
    "chat --map": "chat W/model W/photos/0.jpg --map OUT",
    "evaluate --into": "evaluate W/model --data W/data --out W/new --into OUT",
    "evaluate --curve": "evaluate W/model --data W/data --out W/new --curve OUT",
    "report --out": "report W/result.json --out OUT",
    "view --out": "view W/data --out OUT",
    "select paper --details": "select paper --out W/new --details OUT",
    "select fit --plot": "select fit W/law.csv --results r --plot OUT",
    "select view --out": "select view W/pairs --encoder efficientnet_lite0 --out OUT",
    **{f"{verb} --json": "" for verb in VERBS if verb not in ("words", "report", "view", "select")},
    "words --json": "",
    **{f"select {verb} --json": "" for verb in ("paper", "fit", "plan", "a-score", "study")},
    "select c-score --json": "",
}
NEEDED = {  # of the verbs whose --json alone is tried
    "chat": "W/model W/photos/0.jpg",
    "fetch": "--list",
    "features": "W/data --like '[W/recipe.yaml]' --folder W/new/cache",
    "measure": "W/model --data W/data",
    "select plan": "W/law.csv --results r --budget 1",
    "select fit": "W/law.csv --results r",
    "select c-score": "--pairs W/pairs",
}


def parsers() -> Iterator[tuple[str, ArgumentParser]]:
    """The parser of every verb and sub-verb, as `diglot` builds it."""
    for verb in VERBS:
        module = importlib.import_module(f"diglot.cli.{verb}")
        parser = verb_parser(verb, getattr(module, verb))
        add_verb_arguments(parser, verb, module)
        yield verb, parser
    for name in SUB_VERBS:
        function = _find_function(name)
        parser = verb_parser(f"select {name}", function)
        parser.add_function_arguments(function, as_group=False, as_positional=True)
        yield f"select {name}", parser


def path_options() -> set[str]:
    """Every option whose value is a path or called "out", as "VERB --NAME"."""
    found = set()
    for verb, parser in parsers():
        for action in parser._actions:
            hint = str(getattr(action, "_typehint", action.type))
            if "Path" in hint or "paths." in hint or action.dest == "out":
                found.add((verb, action.dest))
    return {f"{verb} --{name}" for verb, name in found if name not in INPUTS}


def test_every_path_that_is_written_is_tried() -> None:
    assert path_options() == {name.removesuffix(" (ours)") for name in FOLDERS} | set(FILES)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = save_world(tmp_path_factory.mktemp("foreign"))
    projector = {"name": "mlp", "hidden": 32}  # as wide as the LLM, as a stock container has it
    config = replace(tiny_stage(root, root / "out").model, projector=projector)
    save_vlm(build_vlm(config), config, root / "model", parts=("projector",))
    (root / "recipe.yaml").write_text("objective: {name: caption}\nglobal_batch: 4\n")
    save_image(root / "photos/0.jpg")
    image = {"id": 0, "file_name": "0.jpg", "width": 32, "height": 24}
    save_json(root / "coco.json", {"images": [image], "annotations": [], "categories": []})
    (root / "result.json").write_text("{}")
    (root / "law.csv").write_text("setting,A,C,r\na,1,2,3\nb,2,3,4\n")
    (root / "pairs").mkdir()
    (root / "thesis").mkdir()
    (root / "thesis/thesis.tex").write_text("mine")
    return root


def command_of(name: str, text: str, world: Path, out: Path) -> list[str]:
    verb = name.rpartition(" ")[0]
    text = text or f"{verb} {NEEDED.get(verb) or needed_by(verb)} --json OUT"
    return [w.replace("OUT", str(out)).replace("W/", f"{world}/") for w in shlex.split(text)]


def make_inputs(words: list[str], world: Path) -> None:
    """Make a folder of everything that a command reads: paths are checked before other options."""
    for word in words:
        if word.startswith(f"{world}/") and "/new" not in word:
            Path(word).mkdir(parents=True, exist_ok=True)


def needed_by(verb: str) -> str:
    """The arguments of the verb's own line above, with a new folder to write to."""
    text = next(t for n, t in (FOLDERS | FILES).items() if t and n.startswith(f"{verb} --"))
    return text.removeprefix(verb).replace("OUT", "W/new/x")


def read_all(world: Path) -> dict[Path, bytes]:
    """Every file that is there but for hidden ones: locks, and digests that were found."""
    files = (path for path in world.rglob("*") if path.is_file() and path.name[0] != ".")
    return {path: path.read_bytes() for path in files}


@pytest.mark.parametrize(
    "folder",
    ["thesis", *(pytest.param(name, marks=pytest.mark.slow) for name in ("model", "data"))],
)
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n.startswith(SLOW) else n for n in FOLDERS],
)
def test_a_folder_of_others_is_left_as_it_is(world: Path, capsys, name: str, folder: str) -> None:
    if folder == "data" and name in ("scenes --out", "convert --out (ours)", "check --fix"):
        pytest.skip("a dataset: refused by what it was made with, in tests of their own")
    before = read_all(world)
    status = run_diglot(*command_of(name, FOLDERS[name], world, world / folder))
    error = " ".join(capsys.readouterr().err.split())
    assert status == USER_ERROR, error
    assert "Traceback" not in error
    assert str(world / folder) in error
    assert re.search(REFUSED, error), error
    assert read_all(world) == before


@pytest.mark.parametrize(
    "file",
    [
        "model/vlm.json",
        *(
            pytest.param(f, marks=pytest.mark.slow)
            for f in ("thesis/thesis.tex", "data/dataset.json")
        ),
    ],
)
@pytest.mark.parametrize("name", FILES)
def test_a_file_of_others_is_left_as_it_is(world: Path, capsys, name: str, file: str) -> None:
    before = read_all(world)
    status = run_diglot(*command_of(name, FILES[name], world, world / file))
    error = " ".join(capsys.readouterr().err.split())
    assert status == USER_ERROR, error
    assert f"{world / file}: the file is there and is not of this command" in error
    assert read_all(world) == before

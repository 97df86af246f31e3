"""Any one file that a verb wrote, damaged: the same command mends it, or refuses and names it.

Each command runs as a user types it, in this process. Training, datasets, and labels as a library
are in tests/test_damaged.py; features are in tests/data/test_features.py.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from diglot.core.errors import DiglotError
from diglot.synth.scene_pairs.write import write_pairs
from tests.cli_runner import USER_ERROR, run_diglot
from tests.damage import WAYS, contents
from tests.data.formats.foreign import save_image, save_json
from tests.synth.scene_pairs.test_scene_pairs import maker as pair_maker
from tests.tiny_folders import save_world

Command = Callable[[Path], int]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = save_world(tmp_path_factory.mktemp("damaged"))
    rows = []
    for number in range(3):
        save_image(root / f"val/{number}.jpg", seed=number)
        rows.append({"id": number, "file_name": f"{number}.jpg", "width": 32, "height": 24})
    boxes = [{"id": n, "image_id": n, "category_id": 1, "bbox": [1, 2, 3, 4]} for n in range(3)]
    categories = [{"id": 1, "name": "dog"}]
    save_json(root / "coco.json", {"images": rows, "annotations": boxes, "categories": categories})
    return root


def convert(world: Path) -> int:
    source, images = world / "coco.json", world / "val"
    return run_diglot(
        "convert", source, "--from", "coco", "--images", images, "--out", world / "convert"
    )


def label(world: Path) -> int:
    return run_diglot("label", world / "data", "--labeller", "regions", "--out", world / "label")


def words(world: Path) -> int:
    return run_diglot("words", world / "data", "--out", world / "words/words.tsv")


def scene_pairs(world: Path) -> int:
    write_pairs(pair_maker(), world / "scene_pairs", 3)
    return 0


QUICK = (convert, label, scene_pairs)
SLOW = (words,)
# What no later command relies on: a dataset's card is its owner's to edit.
VOLATILE = ("README.md",)


@pytest.mark.parametrize(
    ("verb", "ways"),
    [
        *((verb, ("flipped",)) for verb in QUICK),
        *(pytest.param(v, tuple(WAYS), marks=pytest.mark.slow) for v in (*QUICK, *SLOW)),
    ],
)
def test_a_damaged_file_is_mended_or_named(
    world: Path, capsys: pytest.CaptureFixture[str], verb: Command, ways: tuple[str, ...]
) -> None:
    out = world / verb.__name__
    shutil.rmtree(out, ignore_errors=True)
    assert verb(world) == 0
    whole, wrong = world / f"whole {verb.__name__}", list[str]()
    shutil.rmtree(whole, ignore_errors=True)
    shutil.copytree(out, whole)
    expected = contents(whole)
    for name, content in expected.items():
        for way in ways:
            if WAYS[way](content) == content:
                continue
            shutil.rmtree(out)
            shutil.copytree(whole, out)
            (out / name).write_bytes(WAYS[way](content))
            if problem := find_problem(verb, world, out, expected, capsys):
                wrong.append(f"{name} {way}: {problem}")
    assert not wrong, "\n".join(wrong)


def find_problem(
    verb: Command,
    world: Path,
    out: Path,
    expected: dict[str, bytes],
    capsys: pytest.CaptureFixture[str],
) -> str:
    """What is wrong with the answer to the damaged file; "" where it was mended or named."""
    capsys.readouterr()
    try:
        status = verb(world)
    except DiglotError as error:  # of a command that is called as a library
        return "" if any(Path(name).name in str(error) for name in expected) else str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    shown = capsys.readouterr().err
    if status == USER_ERROR:
        joined = "".join(shown.split())
        named = any("".join(Path(name).name.split()) in joined for name in expected)
        return "" if named else f"refused without naming a file: {shown}"
    if status:
        return f"exit status {status}: {shown}"
    found = contents(out)
    other = [n for n in expected if found.get(n) != expected[n] and not is_volatile(n)]
    return f"silently other: {', '.join(other)}" if other else ""


def is_volatile(name: str) -> bool:
    return Path(name).name.startswith(VOLATILE)

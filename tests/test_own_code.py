"""A checkpoint's own Python code is never run, and nobody is asked whether it should be."""

import ast
import json
import shlex
import shutil
from pathlib import Path

import pytest
from PIL import Image

import diglot
from tests.cli_runner import refusal_of
from tests.test_mistakes import RECIPE, read_files
from tests.tiny_folders import save_world

SOURCE = Path(diglot.__file__).parent
ROOTS = (SOURCE, *(Path(__file__).parents[1] / name for name in ("benchmarks", "examples")))
LOADERS = ("from_pretrained", "from_config")  # both may ask, and both may import
AUTO = ("Config", "Model", "ModelForCausalLM", "ModelForImageTextToText", "Processor")
AUTO = (*AUTO, "ImageProcessor", "ModelForZeroShotObjectDetection")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What commands need, and checkpoints that leave a file `ran` beside them once imported."""
    world = save_world(tmp_path_factory.mktemp("world"))
    (world / "recipe.yaml").write_text(RECIPE.format(world=world))
    (world / "words.txt").write_text("red\nblue\n")
    (world / "photos").mkdir()
    Image.new("RGB", (64, 48), "red").save(world / "photos" / "a.png")
    (world / "own").mkdir()
    shutil.copytree(world / "language", world / "own_tokenizer")
    for folder, kind in (("own", "mine"), ("own_tokenizer", "llama"), ("own_llava", "llava")):
        write_own_code(world / folder, kind)
    return world


def write_own_code(folder: Path, kind: str) -> None:
    """Make every class of the folder one of a file in it."""
    folder.mkdir(exist_ok=True)
    (folder / "mine.py").write_text(f"open({str(folder.parent / 'ran')!r}, 'w').close()\n")
    auto = {f"Auto{name}": "mine.Mine" for name in AUTO}
    settings = {
        "config.json": {"model_type": kind, "architectures": ["Mine"], "auto_map": auto},
        "tokenizer_config.json": {
            "tokenizer_class": "Mine",
            "auto_map": {"AutoTokenizer": ["mine.Mine", "mine.Mine"]},
        },
        "preprocessor_config.json": {"image_processor_type": "Mine", "auto_map": auto},
        "processor_config.json": {"processor_class": "Mine", "auto_map": auto},
    }
    for name, fields in settings.items():
        file = folder / name
        kept = json.loads(file.read_text()) if file.is_file() else {}
        file.write_text(json.dumps(kept | fields))


TRAIN = "train --config W/recipe.yaml "
SYNTH = "synth W/photos --out W/out --config synth/embedded "
LABEL = "label W/data --out W/out "
COMMANDS = [
    TRAIN + "--model.language.path W/own",
    TRAIN + "--model.language.path W/own_tokenizer",
    TRAIN + "--model.language.path W/own_llava",
    TRAIN + "--dry_run --model.language.path W/own",
    *(
        TRAIN + f"--model.encoder '{{name: {name}, path: W/own}}'"
        for name in ("auto", "clip", "siglip", "siglip2", "dinov2", "dinov3", "qwen2_5_vl")
    ),
    TRAIN + "--start_from W/own",
    TRAIN + "--start_from W/own_llava",
    "check W/data --tokenizer W/own --max_tokens 64",
    "check W/data --tokenizer W/own_tokenizer --max_tokens 64",
    *(
        LABEL + f"--labeller '{{name: {name}, path: W/own, words: W/words.txt}}'"
        for name in ("clip", "siglip", "siglip2")
    ),
    *(
        f"{verb.replace('W/it', f'W/{folder}')}"
        for folder in ("own", "own_llava")
        for verb in (
            "chat W/it W/photos/a.png",
            "export W/it --to llava --out W/out",
            "measure W/it --data W/data --json W/out/m.json",
            "evaluate W/it --data W/data --out W/out",
        )
    ),
    *(
        SYNTH + f"--steps.caption.annotator '{{name: {name}, path: W/own}}'"
        for name in ("transformers_chat", "florence2")
    ),
    *(
        SYNTH + f"--steps.boxes.annotator '{{name: {name}, path: W/own}}'"
        for name in ("owlv2", "grounding_dino")
    ),
    SYNTH + "--steps.masks.annotator '{name: sam, path: W/own}'",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_it_is_refused_in_one_message(
    world: Path, capsys, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question was asked"))
    shutil.rmtree(world / "out", ignore_errors=True)
    before = read_files(world)
    words = [word.replace("W/", f"{world}/") for word in shlex.split(command)]
    message = refusal_of(capsys, *words)
    assert "/own" in message
    assert read_files(world) == before  # `ran` is not there either


def test_the_message_says_what_to_do(world: Path, capsys) -> None:
    message = refusal_of(capsys, "chat", world / "own", world / "photos" / "a.png")
    assert "Python code of its own, which is never run" in message
    assert "Look for one that was converted" in message


def test_every_loader_is_given_no_trust() -> None:
    """peft's adapters are of its own kinds alone, and its loader has no such argument."""
    bare = [
        f"{path}:{call.lineno}"
        for root in ROOTS
        for path in root.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in LOADERS
        and ast.unparse(call.func.value) != "PeftModel"
        and "trust_remote_code=False" not in map(ast.unparse, call.keywords)
    ]
    assert not bare

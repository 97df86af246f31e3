"""Every verb of `diglot` with its small commands on tiny folders, and where each writes.

W stands for the world of `save_verb_world`, O for the folder that the command writes into.
"""

import json
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from diglot.models.checkpoint import save_vlm
from diglot.models.vlm import build_vlm
from diglot.synth.scene_pairs.write import write_pairs
from tests.cli_runner import run_diglot
from tests.data.formats.foreign import save_image, save_json
from tests.synth.pipeline import toy_annotators as toy
from tests.synth.scene_pairs.test_scene_pairs import maker as pair_maker
from tests.tiny_folders import save_world, tiny_stage

FEW = (
    "{regions: {scenes: 2}, localisation: {scenes: 4}, caption_nll: {scenes: 4},"
    " embedding: {scenes: 4, pursuit_scenes: 1}, layers: {scenes: 4, k: 2}, attention: {scenes: 2}}"
)
SMALL = f"--measure.measures '{FEW}' --measure.bootstrap_draws 20"
PRESENCE = "--tasks presence,counting,description --options '{description: {max_tokens: 4}}'"
LITE = "'{name: efficientnet_lite0, image_px: 64}'"
SIZE = "--size.scenes 4 --size.held_out 4 --size.images 3 --size.pairs 4"


@dataclass(frozen=True)
class VerbCase:
    """One command of a verb; `quick` ones take about a second."""

    words: str
    quick: bool = False
    writes: bool = True

    @property
    def name(self) -> str:
        """ "select fit", "convert"."""
        first, second = (*self.words.split(), "")[:2]
        return f"{first} {second}" if first == "select" else first


QUICK = [
    "convert W/coco.json --from coco --images W/val --out O/data --json O/convert.json",
    "convert W/data --to webdataset --out O/tars",
    "convert W/data --to llava_json --out O/llava",
    "check W/data --fix O/fixed --rejected O/rejected.txt --json O/check.json",
    "words W/data --out O/words.tsv --json O/words.json",
    "label W/data --labeller regions --out O/labels --json O/label.json",
    "view W/data --out O/page.html --count 3",
    "report W/result.json --out O/page.html",
    "select fit W/law.csv --results r --columns A --degree 1 --json O/fit.json",
    "select plan W/law.csv --results r --columns A --budget 4 --json O/plan.json",
    "select scene-pairs O/pairs --count 2",
    "features W/data --like [W/recipe.yaml] --folder O/cache --json O/features.json",
    "evaluate W/run --data W/data --count 3 --out O/eval --json O/eval.json "
    f"--into O/scores.csv --curve O/curve.svg {PRESENCE}",
    "measure W/run --data W/data --json O/m.json --features O/features --examples 1 --points 6 "
    f"--samples 4 {SMALL}",
    "train --config W/recipe.yaml --out O/run --max_samples 8 --keep_every 1 --json O/train.json",
    "chat W/run/model W/val/0.jpg --max_tokens 2 --point dog --map O/map.png --json O/chat.json",
    "synth W/toys --config W/synth.yaml --workers 0 --out O/data --json O/synth.json",
    "scenes O/scenes --count 4 --shard_samples 2 --json O/scenes.json",
    "fetch --list --json O/list.json",
]
SLOW = [
    "export W/model --to llava --out O/stock",
    "export --list W/model --json O/list.json",
    "report W/result.json --out O/page.html --files O/files",
    "scenes O/scenes --kind words --count 4 --shard_samples 2",
    "compare --config W/compare.yaml --out O/study --json O/written.json",
    "select fit W/law.csv --results r --columns A --plot O/law.svg",
    "select paper --runs 1 --out O/law --json O/law.json --details O/details.json",
    f"select c-score --pairs W/pairs --encoder {LITE} --features O/features --json O/c.json",
    f"select view W/pairs --encoder {LITE} --features O/features --out O/page.html --files O/files",
    "select ocr-pairs O/pairs --count 2",
    "select a-score --data W/data --settings W/settings.yaml --recipe W/recipe.yaml --images 3 "
    "--pairs W/pairs --features O/features --out O/a --json O/a.json",
    "select study --settings W/settings.yaml --recipe W/recipe.yaml --result_recipe W/recipe.yaml "
    f"--data W/data --pairs W/pairs --jobs 1 --out O/study --json O/written.json {SIZE}",
    "demo --size tiny --out O/demo --json O/written.json",
]
CASES = [
    *(VerbCase(words, quick=True) for words in QUICK),
    *(VerbCase(words) for words in SLOW),
]


def command_words(case: VerbCase, world: Path, out: Path) -> list[str]:
    """The words of the command with its folders."""
    text = case.words.replace("[W/", f"[{world}/")
    words = shlex.split(text)
    return [
        f"{world}{word[1:]}"
        if word.startswith("W/")
        else f"{out}{word[1:]}"
        if word.startswith("O/")
        else word
        for word in words
    ]


def save_verb_world(root: Path) -> Path:
    """Everything that the commands read, made by the same commands where they can."""
    save_world(root, samples=12)
    _save_models(root)
    _save_tables(root)
    write_pairs(pair_maker(), root / "pairs", 3)
    train = ["train", "--config", root / "recipe.yaml", "--out", root / "run"]
    assert run_diglot(*train, "--max_samples", 4) == 0
    measure = ["measure", root / "run", "--data", root / "data", "--json", root / "result.json"]
    assert run_diglot(*measure, "--examples", 1, "--samples", 4, *shlex.split(SMALL)) == 0
    return root


def _save_models(root: Path) -> None:
    clip = {"name": "clip", "path": f"{root}/clip"}
    model = {
        "encoder": clip,
        "projector": {"name": "mlp", "hidden": 24},
        "language": {"path": f"{root}/language"},
    }
    recipe = {
        "objective": {"name": "caption"},
        "model": model,
        "data": f"{root}/data",
        "optim": {"lr": 3e-3},
        "global_batch": 4,
        "micro_batch": 4,
        "checkpoint_every": 1,
    }
    (root / "recipe.yaml").write_text(json.dumps(recipe))
    settings = {"last": {"encoder": {**clip, "layer": -1}}, "first": {"encoder": clip}}
    (root / "settings.yaml").write_text(json.dumps(settings))
    projector = {"name": "mlp", "hidden": 32}  # as wide as the LLM, as a stock container has it
    config = replace(tiny_stage(root, root / "out").model, projector=projector)
    save_vlm(build_vlm(config), config, root / "model", parts=("projector",))


def _save_tables(root: Path) -> None:
    rows = []
    for number in range(3):
        save_image(root / f"val/{number}.jpg", seed=number)
        rows.append({"id": number, "file_name": f"{number}.jpg", "width": 32, "height": 24})
        (root / f"val/{number}.txt").write_text("A dog beside a person and a car.")
    boxes = [{"id": n, "image_id": n, "category_id": 1, "bbox": [1, 2, 3, 4]} for n in range(3)]
    categories = [{"id": 1, "name": "dog"}]
    save_json(root / "coco.json", {"images": rows, "annotations": boxes, "categories": categories})
    (root / "law.csv").write_text("setting,A,C,r\na,1,2,3\nb,2,3,4\nc,3,5,5\nd,4,7,\n")
    study = {
        "data": f"{root}/data",
        "rows": {
            "caption": f"{root}/recipe.yaml",
            "mmcs": {"config": f"{root}/recipe.yaml", "set": {"objective": "code_switch"}},
        },
        "samples": [8],
        "seeds": [0],
        "jobs": 1,
        "measure": {"measures": {"caption_nll": {}}, "bootstrap_draws": 20},
        "evaluate": {"tasks": ["presence"], "count": 3, "data": f"{root}/data"},
    }
    toy.write_pictures(root / "toys", 8)
    synth = {"steps": toy.QUICK_STEPS, "slice_images": 2, "shard_samples": 4}
    (root / "synth.yaml").write_text(json.dumps(synth))
    (root / "compare.yaml").write_text(json.dumps(study))

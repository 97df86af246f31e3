"""A catalogue of users' mistakes: each is one message that says what is wrong, where, what to do.

None ends in a traceback, none is silent, and none is found out after the work that it ruins.
"""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from PIL import Image

from diglot.cli.main import USER_ERROR
from diglot.models.checkpoint import save_vlm
from diglot.models.vlm import build_vlm
from tests.cli_runner import run_diglot
from tests.tiny_folders import save_world, tiny_stage

RECIPE = """
objective: {{name: code_switch}}
model:
  encoder: {{name: clip, path: {world}/clip}}
  projector: {{name: mlp, hidden: 24}}
  language: {{path: {world}/language}}
global_batch: 4
data: {world}/data
out: {world}/out
"""
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdef", "bcdefg", strict=True)
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, tiny models, a checkpoint, and files that are none of what they are taken for."""
    world = save_world(tmp_path_factory.mktemp("world"))
    stage = tiny_stage(world, world / "out")
    save_vlm(build_vlm(stage.model), stage.model, world / "model", parts=("projector",))
    (world / "recipe.yaml").write_text(RECIPE.format(world=world))
    (world / "list.yaml").write_text("- a\n- b\n")
    (world / "twice.yaml").write_text("optim: {lr: 1e-3}\nepochs: 1\noptim: {lr: 2e-3}\n")
    (world / "bomb.yaml").write_text(BOMB)
    (world / "lrr.yaml").write_text("optim: {lrr: 1e-3}\n")
    (world / "rate.yaml").write_text("learning_rate: 1e-3\n")
    (world / "loop").symlink_to("loop")
    (world / "text.txt").write_text("hello")
    (world / "bad.json").write_text("{not json")
    (world / "list.json").write_text("[]")
    (world / "other.json").write_text("{}")
    (world / "law.csv").write_text("setting,A,r\na,1,2\nb,2,3\n")
    (world / "broken").symlink_to("nothere")
    (world / "notes.png").write_bytes(b"no picture")
    Image.new("RGB", (64, 48), "red").save(world / "a.png")
    (world / "photos").mkdir()
    shutil.copy(world / "a.png", world / "photos")
    (world / "empty").mkdir()
    (world / "labels").mkdir()
    (world / "labels" / "labels.json").write_text("{}")
    (world / "labels" / "train-00000.parquet").write_bytes(b"words")
    shutil.copytree(world / "model", world / "ended" / "model")
    (world / "run").mkdir()
    (world / "run" / "thesis.tex").write_text("mine")
    (world / "bin").mkdir()
    for file in (world / "language").iterdir():
        if file.suffix == ".json" and "index" not in file.name:
            shutil.copy(file, world / "bin")
    (world / "bin" / "pytorch_model.bin").write_bytes(b"x" * 100)
    return world


TRAIN = "train --config W/recipe.yaml "
MEASURE = "measure W/model --data W/data --json W/m.json "
SYNTH = "synth W/photos --out W/y --config synth/embedded "
# The command (W is the world above), then what its message must match, in this order.
MISTAKES = [
    # paths: not there, of another kind, empty; a like name is offered
    (TRAIN + "--data W/dta", r"W/dta: no such dataset folder: .*has 'data'.*diglot scenes"),
    (TRAIN + "--data W/text.txt", r"W/text\.txt: no such dataset folder: a file"),
    (TRAIN + "--data W/empty", r"W/empty: no dataset here.*diglot scenes"),
    (TRAIN + "--data ~/nowhere", r"/nowhere: no such dataset folder: not there"),
    (TRAIN + "--data=", r"data: empty; expected a path"),
    (TRAIN + "--out=", r"out: empty; expected a path"),
    (TRAIN + "--data", r"--data needs a value"),
    (TRAIN + "--split trian", r"W/data: no split 'trian'; expected one of: test, train"),
    (TRAIN + "--model.language.path W/langauge", r"language\.path: cannot load .*has 'language'"),
    (TRAIN + "--model.language.path ~/nowhere", r"language\.path: .*no such folder: not there"),
    (TRAIN + "--model.encoder.path ~/nowhere", r"encoder\.path: .*no such folder: not there"),
    (TRAIN + "--model.language.path W/bin", r"language\.path.*\.bin files.*Convert it once"),
    (TRAIN + "--model.language.path W/clip", r"language\.path: cannot load"),
    (TRAIN + "--model.encoder.path W/clp", r"encoder\.path: cannot load.*has 'clip'"),
    (TRAIN + "--model.encoder.path W/language", r"encoder\.path: .*'llama'.*expected clip"),
    (TRAIN + "--start_from W/empty", r"W/empty: no checkpoint here: it has no projector"),
    (TRAIN + "--start_from W/modle", r"start_from: .*W/modle.* no such folder: .*has 'model'"),
    (TRAIN + "--start_language W/modle", r"start_language: .*W/modle.* no such folder"),
    (TRAIN + "--start_language W/model", r"W/model: its language model learned nothing"),
    (TRAIN + "--labels W/nolabels", r"W/nolabels: no patch labels.*diglot label"),
    (TRAIN + "--labels W/data", r"W/data: no patch labels.*diglot label"),
    (TRAIN + "--data https://hub.example/data", r"hub\.example/data: .*a web address.*download"),
    (
        TRAIN + "--model.language.path https://hub.example/x/y",
        r"language\.path: .*web address.*hub id",
    ),
    (
        TRAIN + "--model.language.path W/language/model.safetensors",
        r"language\.path: .*a file, not a",
    ),
    (TRAIN + "--start_from W/ended", r"W/ended: a run's folder.*Give .*--start_from W/ended/model"),
    ("train W/recipe.yaml --out W/out", r"recipe\.yaml: .*a file.*--config W/recipe\.yaml"),
    ("view W/labels", r"W/labels: nothing to view here.*diglot view DATA --labels W/labels"),
    ("view W/bad.json", r"W/bad\.json: not JSON"),
    ("measure W/model W/data --json W/m.json", r"'W/data': a dataset is given by --data"),
    ("view --data W/bad.json", r"W/bad\.json: not JSON"),
    (
        TRAIN + "--features.folder W/out",
        r"W/out: features need a folder of their own.*W/out/features",
    ),
    (
        "report W/model --out W/p.html",
        r"W/model: no run folder of `diglot train`: no metrics\.jsonl",
    ),
    ("synth W/empty --out W/y --config synth/embedded", r"W/empty: no pictures.*expected .*\.jpg"),
    ("words W/bad.json --out W/w.tsv", r"W/bad\.json: no captions here; expected .*another kind"),
    ("check W/text.txt", r"W/text\.txt: no such dataset folder: a file.*diglot scenes"),
    (
        "measure W/clip --data W/data --json W/m.json",
        r"W/clip: no checkpoint here: no vlm\.json.*Give",
    ),
    (
        "chat W/a.png W/model",
        r"W/a\.png: no such checkpoint: a file, not a folder.*Give the folder",
    ),
    # folders and files of others
    (TRAIN + "--out W/run", r"W/run: the folder holds files .*thesis\.tex.*another folder"),
    (TRAIN + "--out W/data", r"W/data: the folder holds files that are not of this command"),
    (TRAIN + "--out W/model", r"W/model: the folder holds files that are not of this command"),
    (TRAIN + "--out W/text.txt", r"W/text\.txt: no folder can be made here: W/text\.txt is a file"),
    (
        TRAIN + "--out W/text.txt/x",
        r"W/text\.txt/x: no folder can be made .*W/text\.txt is a file",
    ),
    ("scenes W/run --count 2", r"W/run: the folder holds files .*thesis\.tex"),
    ("demo --out W/data", r"W/data: the folder holds files that are not of this command"),
    ("label W/data --out W/data --labeller regions", r"W/data.*no labels.*another folder"),
    # parts and their options
    (TRAIN + "--model.encoder clpi", r"model\.encoder: no part 'clpi'.*expected .*clip"),
    (TRAIN + "--model.projector mpl", r"model\.projector: no part 'mpl'.*expected .*mlp"),
    (TRAIN + "--objective code_swich", r"objective: no part 'code_swich'.*code_switch"),
    (TRAIN + "--objective.text_wieght 1", r"objective: unknown field 'text_wieght'.*text_weight"),
    (TRAIN + "--objective.text_weight -1", r"objective.*nothing would be learned.*got"),
    (TRAIN + "--objective.text_weight many", r"objective: text_weight: expected number, got many"),
    (TRAIN + "--plus.patch_algined.weight 1", r"plus\.patch_algined: no part"),
    (TRAIN + "--mix.caption.share -1", r"mix\.caption\.share.*expected a number above 0.*got -1"),
    (TRAIN + "--objective token_contrastive", r"labels: .*none are given.*diglot label"),
    # numbers and words
    (TRAIN + "--optim.lr 0", r"optim\.lr: must be above 0; got 0"),
    (TRAIN + "--optim.lr nan", r"optim\.lr: must be above 0; got nan"),
    (TRAIN + "--optim.lr 1e-3x", r"optim\.lr: expected number above 0, got 1e-3x"),
    (TRAIN + "--optim.encoder_lr 1e-5", r"encoder has a learning rate .*trainable\.encoder"),
    (TRAIN + "--optim.schedule cosin", r"optim\.schedule: expected cosine or linear or constant"),
    (TRAIN + "--optim 1e-3", r"optim: expected fields; got 1e-3"),
    (TRAIN + "--global_batch 0", r"global_batch: must be above 0; got 0"),
    (TRAIN + "--global_batch 1.5", r"global_batch: expected whole number above 0, got 1\.5"),
    (TRAIN + "--epochs 1000000000000", r"epochs: must be .*at most 1000000; got"),
    (TRAIN + "--max_samples 0", r"max_samples: expected whole number above 0 or null, got 0"),
    (TRAIN + "--max_steps 0", r"max_steps: expected whole number above 0 or null, got 0"),
    (TRAIN + "--workers 100000", r"workers: must be .*at most 1024; got 100000"),
    (TRAIN + "--precision fp8", r"precision: expected no or bf16 or fp16 .*got fp8"),
    (TRAIN + "--seed -1", r"seed: must be at least 0.*got -1"),
    (TRAIN + "--features.dtype int3", r"features: dtype: expected float16 or float32, got int3"),
    (TRAIN + "--model.preprocess.mode sqash", r"model\.preprocess: mode: expected squash.*got sq"),
    (TRAIN + "--model.preprocess.image_px 1000000000", r"image_px: must be at most 16384"),
    # what cannot go together
    (TRAIN + "--trainable.projector false", r"trainable: no parameter would learn"),
    (
        TRAIN + "--trainable.lora.rank 4 --trainable.language true",
        r"trainable\.language, trainable\.lora: .*not both",
    ),
    (
        TRAIN + "--trainable.language true --model.language.dtype bf16",
        r"trainable\.language.*learns in bfloat16.*float32.*precision: bf16",
    ),
    # the words of other trainers
    (TRAIN + "--learning_rate 1e-3", r"'--learning_rate': here it is --optim\.lr"),
    (TRAIN + "--per_device_train_batch_size 4", r"here it is --micro_batch"),
    (TRAIN + "--model_max_length 4", r"'--model_max_length': records are never cut.*--row_tokens"),
    (TRAIN + "--lr_scheduler_type linear", r"here it is --optim\.schedule"),
    (TRAIN + "--bf16 true", r"'--bf16': write --precision bf16"),
    (TRAIN + "--optim.learning_rate 1e-3", r"'--optim\.learning_rate': here it is --optim\.lr"),
    (TRAIN + "--warmup_steps 5", r"'--warmup_steps': write --optim\.warmup, their share"),
    (TRAIN + "--logging_steps 5", r"'--logging_steps': every step is logged, in metrics\.jsonl"),
    (TRAIN + "--device cuda", r"'--device': .*CUDA_VISIBLE_DEVICES"),
    (TRAIN + "--load_in_4bit true", r"'--load_in_4bit': .*--model\.language\.dtype bf16"),
    (TRAIN + "--lora_r 8", r"'--lora_r': here it is --trainable\.lora\.rank"),
    (TRAIN + "--trainable.lora true", r"trainable\.lora: expected fields .*or null, got true"),
    (TRAIN + "--optim.warmup 3%", r"optim\.warmup: expected number from 0 to 1, got 3%"),
    (TRAIN + "--lengthen streched", r"lengthen: expected exact or stretch, got streched"),
    (
        TRAIN + "--probe_every 1 --probe_measures regions",
        r"probe_measures: expected fields .*regions",
    ),
    (TRAIN + "--model.attention flash_attention_2", r"model\.attention: expected split or sdpa"),
    (
        TRAIN + "--model.encoder org/clip",
        r"model\.encoder: no part 'org/clip'.*expected one of auto",
    ),
    ("train --recipe W/recipe.yaml", r"'--recipe': here it is --config"),
    (TRAIN + "--nonsense", r"unknown argument '--nonsense'"),
    # recipes
    ("train --config no_recipe", r"--config: no recipe 'no_recipe'.*embedded/caption"),
    ("train --config W/list.yaml", r"W/list\.yaml: not a recipe.*field: value"),
    (TRAIN + "--config compare/survives_sft", r"compare/survives_sft: unknown field 'title'"),
    (
        "train --config W/lrr.yaml",
        r"W/lrr\.yaml: unknown field 'optim\.lrr' \(did you mean 'optim\.lr",
    ),
    ("train --config W/rate.yaml", r"W/rate\.yaml: unknown field 'learning_rate': .*optim\.lr"),
    (TRAIN + "--out W/loop", r"W/loop: no folder can be made here: a link to loop"),
    (TRAIN + "--out W/caf\udce9", r"not text in UTF-8: W/caf\\xe9\. Rename"),
    ("train --config W/twice.yaml", r"W/twice\.yaml: the field 'optim' \(line 3\) is there twice"),
    ("train --config W/bomb.yaml", r"W/bomb\.yaml: more than 100,000 values"),
    ("train --config W/notes.png", r"W/notes\.png: not a recipe"),
    ("train --config W/empty", r"--config: no recipe 'W/empty'"),
    ("train", r"required: data, out"),
    # measures and pages
    ("measure W/model --data W/data", r"required: json"),
    ("measure W/empty --data W/data --json W/m.json", r"W/empty: no checkpoint here.*diglot train"),
    ("measure W/modle --data W/data --json W/m.json", r"W/modle: no such checkpoint.*has 'model'"),
    ("measure W/model --data W/dta --json W/m.json", r"no such dataset folder.*has 'data'"),
    ("measure W/model --data W/data --json W/text.txt/m", r"no file can be written.*is a file"),
    ("measure W/model --data W/data --json W/data", r"W/data: no file can be written.*a folder"),
    (MEASURE + "--measure.measures '{regoins: {}}'", r"no part 'regoins'.*expected .*regions"),
    (MEASURE + "--measure.measures '{regions: {scnes: 3}}'", r"unknown field 'scnes'.*scenes"),
    (MEASURE + "--samples 0", r"samples: expected whole number above 0 or null, got 0"),
    ("report W/bad.json --out W/p.html", r"W/bad\.json: not JSON"),
    ("report W/none.json --out W/p.html", r"W/none\.json: no such file or folder: not there"),
    ("report W/data --out W/p.html", r"W/data"),
    ("report --out W/p.html", r"required: results"),
    ("view W/none", r"W/none: no such file or folder: not there"),
    ("view W/empty", r"W/empty: nothing to view here"),
    ("view W/data --split valid", r"no split 'valid'; expected one of: test, train"),
    ("view W/data --count 0", r"count: must be above 0; got 0"),
    ("view W/data --only nobody --out W/p.html", r"no sample has the id 'nobody'"),
    ("view W/data --out W/empty", r"W/empty: no file can be written here: it is a folder"),
    # checkpoints out
    ("export W/model", r"nothing to do; expected CHECKPOINT --to"),
    ("export W/model --to lava --out W/e", r"to: no container 'lava'; expected .*llava"),
    ("export W/model --to llava --out W/e", r"cannot hold this model: .*--list"),
    ("export W/none --to llava --out W/e", r"W/none: no such checkpoint: not there"),
    ("export --check W/empty", r"W/empty: no export of diglot"),
    ("chat W/model W/none.png", r"W/none\.png: no such file or folder: not there"),
    ("chat W/model W/notes.png", r"W/notes\.png: cannot read the picture: not a picture"),
    ("chat W/model W/empty", r"W/empty: cannot read the picture: a folder"),
    ("chat W/none W/a.png", r"W/none: no such checkpoint: not there"),
    ("chat W/model W/a.png --max_tokens 0", r"max_tokens: must be above 0; got 0"),
    ("chat W/model", r"required: image"),
    ("chat W/model W/a.png --question ''", r"--question: the question is empty.*Leave it out"),
    (
        "export W/model --to llava --out W/e --shard_size big",
        r"--shard_size: no size; expected 5GB",
    ),
    ("view W/data --out W/p.pdf", r"W/p\.pdf: a page is HTML; expected .*\.html; got \.pdf"),
    (
        "evaluate W/model W/model --data W/data --out W/e",
        r"--labels: .*names of their own; expected 2",
    ),
    ("scenes W/s --count 1e9", r"count: expected whole number above 0, got 1e9"),
    # data in
    ("words W/none --out W/w.tsv", r"W/none: no such file or folder: not there"),
    ("words W/data --out W/empty", r"W/empty: no file can be written here"),
    ("label W/data --out W/l --labeller clipp", r"labeller: .*clipp"),
    ("label W/data --out W/l --labeller regions --keep 0", r"keep: must be .*got 0"),
    ("scenes W/s --count 0", r"count: must be above 0; got 0"),
    ("scenes W/s --scene.objects [5,2]", r"scenes: objects .*expected .*got \(5, 2\)"),
    ("scenes W/s --scene.image_px 0", r"scenes: image_px .*32 to 8192; got 0"),
    (
        "synth W/none --out W/y --config synth/embedded",
        r"W/none: no such file or folder: not there",
    ),
    ("synth W/photos --out W/y", r"steps: no steps; expected --config"),
    (SYNTH + "--engine spark", r"engine: expected local or ray, got spark"),
    (SYNTH + "--steps.boxes.threshold 2", r"steps\.boxes: unknown field 'threshold'"),
    (
        "convert W/none.json --from coco --out W/c",
        r"W/none\.json: no such file or folder: not there",
    ),
    ("convert W/bad.json --from cocoo --out W/c", r"no part 'cocoo'.*expected .*coco"),
    ("convert W/bad.json --out W/c", r"both formats are diglot.*--from or --to"),
    ("check W/none", r"W/none: no such dataset folder: not there"),
    ("check W/data --fix W/data", r"fix: the copy cannot be the dataset itself"),
    (
        "check W/data --workers 100000",
        r"workers: expected whole number from 0 to 1024 .*got 100000",
    ),
    ("check W/data --recipe nope", r"--recipe: no recipe 'nope'"),
    ("fetch smolm2", r"no embedded asset 'smolm2'; expected .*smollm2"),
    ("fetch --json W/empty", r"W/empty: no file can be written here"),
    # comparing and choosing
    ("compare W/data --out W/cmp", r"rows: nothing to compare; expected label: recipe"),
    ("compare W/data --config compare/objectives --out W/cmp --seeds []", r"seeds: no seed"),
    (
        "compare W/data --config compare/objectives --out W/cmp --samples [0]",
        r"samples: .*got \[0\]",
    ),
    # a file where a folder goes, a kind of file that is not written, a link that leads nowhere
    ("features W/data --like [W/recipe.yaml] --folder W/text.txt", r"W/text\.txt: no folder can"),
    ("label W/data --labeller regions --out W/text.txt", r"W/text\.txt is a file.*another folder"),
    ("scenes W/text.txt/x --count 2", r"W/text\.txt/x: no folder .*W/text\.txt is a file"),
    ("measure W/model --data W/data --json W/m.json --features W/text.txt", r"no folder can be"),
    ("check W/data --fix W/text.txt", r"W/text\.txt: no folder can be made here: .*is a file"),
    ("select paper --runs 1 --out W/text.txt", r"W/text\.txt: no folder can be made here"),
    ("demo --out W/text.txt", r"W/text\.txt: no folder can be made here"),
    (SYNTH.replace("W/y", "W/text.txt"), r"W/text\.txt: no folder can be made here"),
    ("features W/data --like [W/recipe.yaml] --folder W/broken", r"link to nothere, which leads"),
    ("check W/broken", r"W/broken: .*a link to nothere, which leads nowhere"),
    (
        "evaluate W/model --data W/data --out W/e --curve W/c.docx",
        r"W/c\.docx: unknown figure format; expected \.png, \.svg or \.pdf; got \.docx",
    ),
    ("select fit W/law.csv --results r --columns A --plot W/x.docx", r"unknown figure format"),
    ("chat W/model W/a.png --point dog --map W/m.jpg", r"W/m\.jpg: the picture is PNG"),
    # nothing named, nothing found
    ("features W/data --like [] --folder W/f", r"--like: no recipe is named; expected --like"),
    ("chat W/model W/a.png --point ' '", r"--point: no words to point at; expected a name"),
    ("view W/data --phrase zebra --out W/p.html", r"--phrase: no region has 'zebra'.*--scan"),
    # files of another kind
    ("select fit W/empty --results r --columns A", r"W/empty: .*a folder; expected a CSV file"),
    (
        "select fit W/a.png --results r --columns A",
        r"W/a\.png: .*not text in UTF-8; expected a CSV",
    ),
    ("view W/list.json --out W/p.html", r"W/list\.json: not a result of .*: no JSON object"),
    ("view W/other.json --out W/p.html", r"W/other\.json: not a result of .*has no field 'format'"),
    ("select fitt", r"no sub-verb 'fitt' \(did you mean 'fit'\?\)"),
    ("select", r"no sub-verb; expected one of paper, fit"),
    ("trian", r"no verb 'trian' \(did you mean 'train'\?\)"),
]


def test_there_are_at_least_150() -> None:
    assert len({command for command, _ in MISTAKES}) == len(MISTAKES) >= 150


@pytest.mark.parametrize(("command", "message"), MISTAKES, ids=[c for c, _ in MISTAKES])
def test_one_message(world: Path, capsys, command: str, message: str) -> None:
    before = read_files(world)
    words = [word.replace("W/", f"{world}/") for word in shlex.split(command)]
    assert run_diglot(*words) == USER_ERROR
    shown = capsys.readouterr().err.replace(f"{world}/", "W/").replace(str(world), "W")
    error = shown[shown.index("error: ") :]
    assert "Traceback" not in shown
    assert re.search(message, " ".join(error.split())), error
    assert read_files(world) == before  # nothing that was there has changed, and nothing is new


def test_a_home_is_spelled_out_wherever_a_path_stands(world: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(world))
    paths = "--data ~/data --model.language.path ~/language --model.encoder.path ~/clip"
    command = f"train --config ~/recipe.yaml {paths} --out ~/out --dry_run"
    assert run_diglot(*shlex.split(command)) == 0


def read_files(world: Path) -> dict[Path, int]:
    """When each file was written, but for those of the run that each command starts anew."""
    made = world / "out"
    files = (path for path in world.rglob("*") if path.is_file() and path.name[0] != ".")
    return {path: path.stat().st_mtime_ns for path in files if made not in path.parents}

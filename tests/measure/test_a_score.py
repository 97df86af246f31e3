"""A scores against a plain pass per image, and `diglot select a-score` from folders to numbers."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from diglot.core.errors import ConfigError, DataError
from diglot.core.progress import Progress
from diglot.core.types import Sample
from diglot.data.records import open_dataset
from diglot.data.rejected import Rejected
from diglot.measure.a_score import AScoreConfig, a_score, average_score
from diglot.measure.a_score_captions import Captions, choose_captions
from diglot.models.checkpoint import load_vlm
from diglot.models.config import Frame
from diglot.models.vlm import VLM
from diglot.select.settings import read_settings
from diglot.select.table import read_table
from diglot.synth.scene_pairs.compose import ScenePairMaker
from diglot.synth.scene_pairs.config import ScenePairsConfig
from diglot.synth.scene_pairs.write import write_pairs
from tests.cli_runner import run_diglot
from tests.synth.scenes.shapes import pools
from tests.tiny import tiny_sample, tiny_views, tiny_vlm
from tests.tiny_folders import save_world

EXACT = {"rel": 1e-5, "abs": 1e-6}


def captions_of(samples: list[Sample], vlm: VLM) -> Captions:
    ids = [tuple(vlm.language.tokenizer(s.caption)["input_ids"]) for s in samples]
    return Captions(samples, ids, "fingerprint")


@torch.no_grad()
def slow_log_probs(vlm: VLM, sample: Sample, *, end: bool) -> list[float]:
    """log p of every caption token, by one plain forward of one image (the paper's Eq. of A)."""
    tokenizer, model = vlm.language.tokenizer, vlm.language.model
    (view,) = tiny_views(sample, vlm)
    visual = vlm.projector(vlm.encoder(view[None])).flatten(0, 2)
    caption_ids = tokenizer(sample.caption)["input_ids"]
    caption_ids += [tokenizer.eos_token_id] if end else []
    before = model.get_input_embeddings()(torch.tensor([tokenizer.bos_token_id]))
    after = model.get_input_embeddings()(torch.tensor(tokenizer("\n")["input_ids"] + caption_ids))
    embeds = torch.cat([before, visual, after])
    model.set_attn_implementation("eager")
    logits = model(inputs_embeds=embeds[None], use_cache=False).logits[0]
    found = []
    for t, token in enumerate(caption_ids):
        row = logits[len(embeds) - len(caption_ids) + t - 1]
        found.append(float(row[token] - torch.logsumexp(row, 0)))
    return found


@pytest.mark.parametrize("end", [False, True])
def test_is_the_papers_formula(end: bool) -> None:
    vlm = tiny_vlm()
    samples = [tiny_sample(i, objects=1 + 2 * i) for i in range(3)]
    slow = [slow_log_probs(tiny_vlm(), sample, end=end) for sample in samples]
    chosen = captions_of(samples, vlm)
    events: list[Progress] = []

    def score(how):
        config = AScoreConfig(average=how, end=end, bootstrap_draws=100)
        with torch.no_grad():
            return a_score(vlm, chosen, features(vlm), config, report=events.append)

    by_image, by_token = score("images"), score("tokens")
    per_image = [sum(log_probs) / len(log_probs) for log_probs in slow]
    assert by_image.estimate.value == pytest.approx(sum(per_image) / 3, **EXACT)
    everything = [value for log_probs in slow for value in log_probs]
    assert by_token.estimate.value == pytest.approx(sum(everything) / len(everything), **EXACT)
    assert by_image.estimate.value != pytest.approx(by_token.estimate.value, rel=1e-3)
    assert (by_image.estimate.n, by_image.tokens, by_image.visual_tokens) == (
        3,
        len(everything),
        16,
    )
    assert by_image.estimate.low <= by_image.estimate.value <= by_image.estimate.high <= 0
    assert events[-1] == Progress("A score", 3, 3)


def features(vlm: VLM):
    """What a cache of features gives."""
    return lambda sample: vlm.features([v for v in tiny_views(sample, vlm)])


def test_the_interval_draws_images() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(5, 40, 60)
    means = rng.normal(-2, 0.5, 60)
    found = average_score(means * tokens, tokens, AScoreConfig(bootstrap_draws=4000))
    assert found.value == pytest.approx(means.mean())
    half = 1.96 * means.std() / math.sqrt(60)
    assert found.low == pytest.approx(means.mean() - half, abs=0.02)
    assert found.high == pytest.approx(means.mean() + half, abs=0.02)
    again = average_score(means * tokens, tokens, AScoreConfig(bootstrap_draws=4000))
    assert again == found


def test_text_around_the_image_counts_for_nothing_but_is_read() -> None:
    vlm, samples = tiny_vlm(), [tiny_sample(0)]
    chosen = captions_of(samples, vlm)

    def score(**frame):
        config = AScoreConfig(frame=Frame(**frame), bootstrap_draws=1)
        with torch.no_grad():
            return a_score(vlm, chosen, features(vlm), config)

    plain, asked = score(), score(before="What is it?")
    assert plain.tokens == asked.tokens
    assert plain.estimate.value != asked.estimate.value


def test_a_caption_that_does_not_fit_behind_its_image_is_named() -> None:
    vlm = tiny_vlm()
    vlm.language.model.config.max_position_embeddings = 20
    with pytest.raises(DataError, match=r"'tiny/0'.*longer than the language model reads"):
        a_score(vlm, captions_of([tiny_sample(0)], vlm), features(vlm), AScoreConfig())


def test_an_image_of_features_that_are_not_finite_is_left_out_and_noted() -> None:
    vlm, samples, config = tiny_vlm(), [tiny_sample(n) for n in range(4)], AScoreConfig()
    plain, noted = features(vlm), []

    def overflowing(sample: Sample) -> list[torch.Tensor]:
        views = [view.clone() for view in plain(sample)]
        views[0][0, 0] = torch.nan if sample.id == "tiny/2" else views[0][0, 0]
        return views

    with torch.no_grad():
        found = a_score(vlm, captions_of(samples, vlm), overflowing, config, note=noted.append)
        others = captions_of([s for s in samples if s.id != "tiny/2"], vlm)
        assert found == a_score(vlm, others, plain, config)
        assert [one.id for one in noted] == ["tiny/2"]
        alone = captions_of([tiny_sample(2)], vlm)
        with pytest.raises(DataError, match="visual tokens are not finite; got those of all 1"):
            a_score(vlm, alone, overflowing, config)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_world(tmp_path_factory.mktemp("a_world"), samples=12)


def choose(world: Path, rejected: Path, **options) -> Captions:
    tokenizer = tiny_vlm().language.tokenizer
    settings = {"images": 5, "max_length": 500, "seed": 0} | options
    dataset = open_dataset(world / "data", "train")
    return choose_captions(dataset, tokenizer, Rejected(rejected), **settings)


def test_images_are_drawn_by_seed(world: Path, tmp_path: Path) -> None:
    rejected = tmp_path / "rejected.jsonl"
    first = choose(world, rejected)
    assert len(set(first.ids)) == 5
    assert first.ids == choose(world, rejected).ids
    assert first.ids != choose(world, rejected, seed=1).ids
    assert first.fingerprint != choose(world, rejected, seed=1).fingerprint
    assert len(choose(world, rejected, images=100)) == 12
    tokenizer = tiny_vlm().language.tokenizer
    assert first.tokens[2] == tuple(tokenizer(first.samples[2].caption)["input_ids"])
    assert not rejected.exists()


def test_captions_that_are_too_long_are_rejected_and_others_drawn(
    world: Path, tmp_path: Path
) -> None:
    rejected = tmp_path / "rejected.jsonl"
    lengths = [len(tokens) for tokens in choose(world, rejected, images=100).tokens]
    limit = sorted(lengths)[6]
    kept = choose(world, rejected, max_length=limit)
    assert len(kept) == 5
    assert all(len(tokens) < limit for tokens in kept.tokens)
    assert "longer than the language model reads" in rejected.read_text()
    with pytest.raises(DataError, match="no usable image"):
        choose(world, rejected, max_length=1)


RECIPE = """
model:
  language: {{path: {language}}}
  projector: {{name: mlp, hidden: 12}}
optim: {{lr: 3e-3}}
max_samples: 8
global_batch: 4
"""
SETTINGS = """
last: {{encoder: &tower {{name: clip, path: {clip}, layer: -1}}}}
early: {{encoder: {{name: clip, path: {clip}, layer: 0}}, projector: {{unshuffle: 2}}}}
SD1.5: {{refused: there is no diffusion encoder}}
"""


@pytest.fixture
def files(world: Path, tmp_path: Path) -> dict[str, Path]:
    """recipe, settings, and the other options of a call."""
    places = {"language": world / "language", "clip": world / "clip"}
    for name, text in (("recipe", RECIPE), ("settings", SETTINGS)):
        (tmp_path / f"{name}.yaml").write_text(text.format(**places))
    return {
        "data": world / "data",
        "recipe": tmp_path / "recipe.yaml",
        "settings": tmp_path / "settings.yaml",
        "out": tmp_path / "out",
        "json": tmp_path / "a.json",
    }


def run(files: dict[str, Path], *more: str, without: str = "") -> int:
    options = [f"--{name}={path}" for name, path in files.items() if name != without]
    return run_diglot("select", "a-score", *options, *more)


def test_missing_projectors_are_trained_and_kept(files, capsys) -> None:
    assert run(files, "--images", "3") == 0
    scores = json.loads(files["json"].read_text())
    assert list(scores["settings"]) == ["last", "early"]
    last, early = scores["settings"].values()
    assert (scores["images"], last["n"]) == (3, 3)
    assert (last["visual_tokens"], early["visual_tokens"]) == (16, 4)
    assert last["tokens"] == early["tokens"] > 0
    assert all(score["low"] <= score["value"] <= score["high"] < 0 for score in (last, early))
    shown = capsys.readouterr().out
    assert "differ in visual tokens" in shown
    assert scores["refused"] == {"SD1.5": "there is no diffusion encoder"}
    assert "refused  SD1.5: there is no diffusion encoder" in " ".join(shown.split("\n"))
    # the score is that of the checkpoint, taken as anyone would
    vlm = load_vlm(files["out"] / "early" / "model")
    tokenizer = vlm.language.tokenizer
    chosen = choose_captions(
        open_dataset(files["data"], "test"),
        tokenizer,
        Rejected(files["out"] / "rejected.jsonl"),
        images=3,
        max_length=vlm.language.max_length,
        seed=0,
    )
    with torch.no_grad():
        want = a_score(vlm, chosen, features(vlm), AScoreConfig(images=3))
    assert early["value"] == pytest.approx(want.estimate.value, rel=1e-3)  # float16 features
    assert (files["out"] / "last" / "a_score.json").exists()


def test_c_scores_stand_beside_in_the_table_that_fit_reads(files, world, tmp_path, capsys) -> None:
    small = ScenePairsConfig(image_px=96, object_px=(40, 60), other_px=(20, 30), keypoints=6)
    write_pairs(ScenePairMaker(pools(), small), tmp_path / "pairs", 4)
    assert run(files, f"--pairs={tmp_path}/pairs") == 0
    shown = capsys.readouterr().out
    table = read_table(files["out"] / "scores.csv")
    scores = table.complete(["A", "C"])
    assert table.settings == ("last", "early")
    assert (scores[:, 0] < 0).all()
    assert ((scores[:, 1] >= 0) & (scores[:, 1] <= 1)).all()
    results = json.loads(files["json"].read_text())
    alone = tmp_path / "c.json"
    encoder = json.dumps({"name": "clip", "path": str(world / "clip"), "layer": 0})
    arguments = ["--pairs", f"{tmp_path}/pairs", "--encoder", encoder, "--alpha", "0.1"]
    kept = [*arguments, "--features", f"{tmp_path}/other", "--json", str(alone)]
    assert run_diglot("select", "c-score", *kept) == 0
    same = json.loads(alone.read_text())["overall"]["0.1"]["pooled"]["value"]
    assert results["c_scores"]["early"]["value"] == pytest.approx(same)
    assert f"{same:.3f}" in shown
    assert run(files, f"--pairs={tmp_path}/none") == 2


def test_given_again_it_neither_trains_nor_measures(files, monkeypatch) -> None:
    assert run(files) == 0
    first = files["json"].read_text()
    weights = (files["out"] / "last/model/projector.safetensors").stat().st_mtime_ns

    def refuse(*args, **kwargs):
        raise AssertionError("measured again")

    with monkeypatch.context() as patched:
        patched.setattr("diglot.select.a_scores.a_score", refuse)
        assert run(files) == 0
    assert files["json"].read_text() == first
    assert (files["out"] / "last/model/projector.safetensors").stat().st_mtime_ns == weights
    assert run(files, "--average", "tokens") == 0  # another score of the same checkpoint
    assert files["json"].read_text() != first


def test_a_checkpoint_is_taken_as_it_is(files, tmp_path: Path) -> None:
    assert run(files) == 0
    trained = json.loads(files["json"].read_text())["settings"]["last"]
    run_folder = files["out"] / "last"
    lines = [f"mine: {{checkpoint: {run_folder / 'model'}}}", f"run: {{checkpoint: {run_folder}}}"]
    files["settings"].write_text("\n".join(lines))
    files["out"] = tmp_path / "other"
    assert run(files, without="recipe") == 0
    scores = json.loads(files["json"].read_text())["settings"]
    for name in ("mine", "run"):
        assert scores[name]["value"] == pytest.approx(trained["value"], rel=1e-6)
    assert not (tmp_path / "other/mine/model").exists()


def test_one_that_fails_stops_no_other(files, monkeypatch, capsys) -> None:
    from diglot.select import a_scores

    whole = a_scores.train

    def train(stage, **options):
        if stage.out.endswith("last"):
            raise RuntimeError("out of memory")
        return whole(stage, **options)

    monkeypatch.setattr(a_scores, "train", train)
    assert run(files) == 2
    scores = json.loads(files["json"].read_text())["settings"]
    assert scores["last"] == {"error": "RuntimeError: out of memory"}
    assert scores["early"]["value"] < 0
    said = " ".join(capsys.readouterr().err.split())
    assert "1 of 2 settings have no score (last); the first: RuntimeError: out of memory" in said


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("x: {{encoder: {{name: clip, path: {clip}/none}}}}", r"setting 'x'.*clip/none"),
        ("x: {{encoder: nope}}", r"setting 'x'.*no part 'nope'"),
        ("x: {{encoder: {{name: clip, path: {clip}}}, projector: {{unshuffle: 3}}}}", "unshuffled"),
        ("x: {{encoder: {{name: clip, path: {clip}}}, lr: 3}}", r"setting 'x'.*not a setting"),
        ("x: {{checkpoint: {clip}}}", r"setting 'x'.*no vlm.json"),
        ("a/b: {{encoder: {{name: clip, path: {clip}}}}}", "not a label"),
        ("", "no settings"),
        ("x: {{refused: 3}}", r"without its reason.*setting 'x'|setting 'x'.*without its reason"),
    ],
)
def test_mistakes_stop_before_anything_is_trained(
    files, world: Path, text: str, match: str, capsys
) -> None:
    good = "good: {{encoder: {{name: clip, path: {clip}}}}}\n" if text else ""
    files["settings"].write_text((good + text).format(clip=world / "clip"))
    assert run(files) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert re.search(match, said), said
    assert not (files["out"] / "good").exists()


def test_settings_under_unlike_language_models_are_refused(
    files, world: Path, tmp_path: Path
) -> None:
    assert run(files) == 0
    checkpoint = files["out"] / "last/model"
    payload = json.loads((checkpoint / "vlm.json").read_text())
    payload["language"]["path"] = "elsewhere"
    (checkpoint / "vlm.json").write_text(json.dumps(payload))
    files["settings"].write_text(
        f"new: {{encoder: {{name: clip, path: {world / 'clip'}}}}}\n"
        f"old: {{checkpoint: {checkpoint}}}"
    )
    places = {"data": world / "data", "split": "train", "out": tmp_path, "features": tmp_path}
    with pytest.raises(ConfigError, match=r"'old'.*another language model"):
        read_settings(str(files["settings"]), str(files["recipe"]), **places)
    with pytest.raises(ConfigError, match="no recipe to train one by"):
        read_settings(str(files["settings"]), None, **places)
    frozen = files["recipe"].read_text() + "trainable: {language: true}\n"
    files["recipe"].write_text(frozen)
    with pytest.raises(ConfigError, match="a projector alone"):
        read_settings(str(files["settings"]), str(files["recipe"]), **places)

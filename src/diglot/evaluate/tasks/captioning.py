"""Captions against references: METEOR, ROUGE-L, CIDEr and SPICE, also after pretraining alone.

By pycocoevalcap, the scorers of COCO's captions (Chen et al. 2015, arXiv 1504.00325), which
lmms-eval uses too. METEOR and COCO's tokenizer are Java programs inside it. METEOR is the mean over
pictures here; the whole set's own figure differs a little, as it sums its parts before it divides.
SPICE is a Java program too, over Stanford CoreNLP's models, which pycocoevalcap fetches apart.
"""

import importlib.util
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from diglot.config.read import expand_home
from diglot.core.errors import ConfigError, DataError
from diglot.core.types import Sample
from diglot.evaluate.items import Item
from diglot.evaluate.task import AskConfig, Scores, Task, Way

Metric = Literal["METEOR", "ROUGE-L", "CIDEr", "SPICE"]


@dataclass(frozen=True, kw_only=True)
class Config(AskConfig):
    """Captions of the data's pictures; the records' own captions are the references."""

    question: str | None = None
    """What is asked; left out, a caption is asked for as in pretraining (`ask.frame`)."""
    references: str = ""
    """A JSON file {sample id: [captions]} in place of the records' own captions."""
    metrics: tuple[Metric, ...] = ("METEOR", "ROUGE-L", "CIDEr")
    """Of METEOR, ROUGE-L, CIDEr, SPICE; the first stands for the task."""
    tokens: Literal["ptb", "plain"] = "ptb"
    """COCO's tokenizer (ptb, needs Java), or lower-case words (plain), whose figures compare with
    nobody else's."""
    limit: int = 1000
    """At most so many pictures, drawn at random."""
    ways: tuple[Way, ...] = ("generate",)
    """generate: captions have no candidates."""
    max_tokens: int = 64
    """Longest caption."""

    def __post_init__(self) -> None:
        super().__post_init__()
        expand_home(self, "references")
        needs_java = "METEOR" in self.metrics or self.tokens == "ptb"
        if not self.metrics or (needs_java and shutil.which("java") is None):
            raise ConfigError(
                "METEOR and COCO's tokenizer are Java programs, and there is no java here",
                fix="Install it, or set metrics: [ROUGE-L, CIDEr] and tokens: plain.",
                where="options.captioning",
            )
        if "SPICE" in self.metrics:
            check_spice()


def build(config: Config) -> Task:
    """Scores in [0, 1], CIDEr in [0, 10]."""
    return Task(
        title="Captions",
        what="How near is the caption to the references?"
        + ("" if config.tokens == "ptb" else " Plain words in place of COCO's tokens."),
        make=lambda scenes, generator: _make_items(scenes, config),
        scorer=lambda items, answers: score_captions(items, answers, config),
        asked=config,
        metric=config.metrics[0],
    )


def check_spice() -> None:
    """Raises ConfigError where Java or the models that SPICE parses with are not there."""
    if shutil.which("java") is None:
        raise ConfigError(
            "SPICE is a Java program, and there is no java here", where="options.captioning"
        )
    found = importlib.util.find_spec("pycocoevalcap")
    places = list(found.submodule_search_locations or ()) if found else []
    folder = Path(places[0]) / "spice" if places else None
    if folder is None or not list(folder.glob("lib/stanford-corenlp-*-models.jar")):
        raise ConfigError(
            "SPICE parses with Stanford CoreNLP's models (400 MB), and they are not here",
            expected=f"stanford-corenlp-*-models.jar in {folder / 'lib' if folder else 'its lib'}",
            fix="pip install 'diglot[captions]', then python -c 'from pycocoevalcap.spice."
            "get_stanford_models import get_stanford_models; get_stanford_models()'; "
            "or leave SPICE out of metrics.",
            where="options.captioning",
        )


def _make_items(scenes: Sequence[Sample], config: Config) -> Iterator[Item]:
    given = read_references(Path(config.references)) if config.references else None
    for scene in scenes:
        own = [scene.caption] if scene.caption.strip() else []
        references = own if given is None else given.get(scene.id, [])
        if references:
            yield Item(
                id=scene.id,
                task="",
                question=config.question,
                answer=references[0],
                scene=scene.id,
                truth={"references": references},
            )


def read_references(path: Path) -> Mapping[str, list[str]]:
    """The captions of a file by sample. Raises ConfigError where it is none."""
    try:
        content = json.loads(path.read_text("utf-8"))
        texts = [text for captions in content.values() for text in captions]
        if not all(isinstance(text, str) and text.strip() for text in texts):
            raise ValueError("a caption is no text, or empty")
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"no references: {error}", expected="{sample id: [captions]}", where=str(path)
        ) from error
    return content


def score_captions(items: Sequence[Item], answers: Sequence[str], config: Config) -> Scores:
    """By metric the score of every caption; 0 for one without a word."""
    names = [str(number) for number in range(len(items))]
    references = {n: list(i.truth["references"]) for n, i in zip(names, items, strict=True)}
    # a line break would end a caption in what the Java programs read
    written = {n: [" ".join(text.split())] for n, text in zip(names, answers, strict=True)}
    tokenize = _ptb_tokens if config.tokens == "ptb" else _plain_tokens
    truth, made = tokenize(references), tokenize(written)
    filled = [name for name in names if made[name][0].strip()]
    found: dict[str, list[float | None]] = {}
    for metric in config.metrics:
        values = dict.fromkeys(names, 0.0)
        if filled:
            scored = _score_metric(
                metric, {n: truth[n] for n in filled}, {n: made[n] for n in filled}
            )
            values |= dict(zip(filled, map(float, scored), strict=True))
        found[metric] = [values[name] for name in names]
    return found


def _score_metric(metric: Metric, truth: Any, made: Any) -> Sequence[float]:
    try:
        from pycocoevalcap.cider.cider import Cider
        from pycocoevalcap.meteor.meteor import Meteor
        from pycocoevalcap.rouge.rouge import Rouge
        from pycocoevalcap.spice.spice import Spice
    except ImportError as error:
        raise ConfigError(
            "captions need pycocoevalcap", fix="pip install 'diglot[captions]'"
        ) from error
    scorers: dict[Metric, Any] = {"METEOR": Meteor, "ROUGE-L": Rouge, "CIDEr": Cider}
    scorers["SPICE"] = Spice
    _, values = scorers[metric]().compute_score(truth, made)
    if metric == "SPICE":
        values = read_spice(values, list(made))
    if len(values) != len(made):
        raise DataError(f"{metric} gave {len(values)} scores for {len(made)} captions")
    return np.asarray(values, np.float64).tolist()


def read_spice(values: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[float]:
    """The F-score over all tuples of the caption of each name; 0 where it is undefined.

    SPICE gives its values in the order of the sorted names.
    """
    scores = {n: float(v["All"]["f"]) for n, v in zip(sorted(names), values, strict=True)}
    return [scores[name] if np.isfinite(scores[name]) else 0.0 for name in names]


def _ptb_tokens(captions: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """COCO's tokens, joined by blanks."""
    try:
        from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer
    except ImportError as error:
        raise ConfigError(
            "captions need pycocoevalcap", fix="pip install 'diglot[captions]'"
        ) from error
    given = {name: [{"caption": text} for text in texts] for name, texts in captions.items()}
    return PTBTokenizer().tokenize(given)


def _plain_tokens(captions: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Lower-case words, joined by blanks."""
    return {
        name: [" ".join(re.findall(r"\w+", text.lower())) for text in texts]
        for name, texts in captions.items()
    }

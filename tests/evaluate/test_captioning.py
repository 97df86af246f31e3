"""Captions scored by pycocoevalcap are what the definitions give, on hand-counted words."""

import json
import math
import shutil
from collections import Counter

import numpy as np
import pytest

from diglot.core.errors import ConfigError
from diglot.evaluate.benchmark import make_benchmark
from diglot.evaluate.items import Item
from diglot.evaluate.task import load_tasks
from diglot.evaluate.tasks import captioning
from tests.tiny import tiny_sample

PAIRS = [
    ("a dog and a red car", ["a dog beside a red car", "there is a dog"]),
    ("two green frogs", ["the frog sits on a leaf", "a green frog"]),
    ("", ["a guitar"]),
    ("a cat sits on the guitar", ["a cat sits on the guitar"]),
]
ITEMS = [
    Item(id=str(n), task="captioning", question=None, truth={"references": references})
    for n, (_, references) in enumerate(PAIRS)
]
TEXTS = [text for text, _ in PAIRS]
PLAIN = captioning.Config(metrics=("ROUGE-L", "CIDEr"), tokens="plain")


def lcs(a, b):
    table = np.zeros((len(a) + 1, len(b) + 1), int)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1, j + 1] = (
                table[i, j] + 1 if x == y else max(table[i, j + 1], table[i + 1, j])
            )
    return table[-1, -1]


def test_rouge_l_against_its_definition():
    got = captioning.score_captions(ITEMS, TEXTS, PLAIN)["ROUGE-L"]
    for (text, references), value in zip(PAIRS, got, strict=True):
        words = text.split()
        if not words:
            assert value == 0
            continue
        common = [(lcs(words, r.split()), len(r.split())) for r in references]
        p, r = max(c / len(words) for c, _ in common), max(c / n for c, n in common)
        want = (1 + 1.2**2) * p * r / (r + 1.2**2 * p) if p and r else 0
        assert value == pytest.approx(want)


def test_cider_against_its_definition():
    """CIDEr-D of Vedantam et al. 2015: clipped tf-idf cosine over n = 1..4, a length penalty."""
    got = captioning.score_captions(ITEMS, TEXTS, PLAIN)["CIDEr"]
    filled = [(t.split(), [r.split() for r in rs]) for t, rs in PAIRS if t]

    def grams(words, n):
        return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))

    def vector(words, n):
        found = {}
        for gram, count in grams(words, n).items():
            df = sum(any(gram in grams(r, n) for r in rs) for _, rs in filled)
            found[gram] = count * (math.log(len(filled)) - math.log(max(1, df)))
        return found

    want = []
    for words, references in filled:
        total = 0.0
        for reference in references:
            # pycocoevalcap's length is the number of bigrams
            delta = (len(words) - 1) - (len(reference) - 1)
            for n in range(1, 5):
                a, b = vector(words, n), vector(reference, n)
                dot = sum(min(v, b.get(g, 0)) * b.get(g, 0) for g, v in a.items())
                norms = [math.sqrt(sum(v * v for v in x.values())) for x in (a, b)]
                cosine = dot / (norms[0] * norms[1]) if all(norms) else dot
                total += cosine * math.exp(-(delta**2) / (2 * 6**2))
        want.append(10 * total / 4 / len(references))
    assert [v for v, t in zip(got, TEXTS, strict=True) if t] == pytest.approx(want)
    assert got[2] == 0


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("java") is None, reason="no java")
def test_meteor_and_cocos_tokens():
    got = captioning.score_captions(ITEMS, TEXTS, captioning.Config())
    assert list(got) == ["METEOR", "ROUGE-L", "CIDEr"]
    assert got["METEOR"][3] == pytest.approx(1.0, abs=0.01)  # the reference itself
    assert got["METEOR"][2] == 0
    assert 0 < got["METEOR"][1] < got["METEOR"][3]
    plain = captioning.score_captions(ITEMS, TEXTS, PLAIN)["ROUGE-L"]
    assert got["ROUGE-L"] == pytest.approx(plain)  # no punctuation in these


def test_references_come_from_records_or_a_file(tmp_path):
    scenes = [tiny_sample(i) for i in range(3)]
    options = {"captioning": {"metrics": ["CIDEr"], "tokens": "plain"}}
    made = make_benchmark(
        tmp_path / "a", load_tasks(["captioning"], options), scenes, data="", seed=0
    )
    assert [i.truth["references"] for i in made.items] == [[s.caption] for s in scenes]
    assert all(item.question is None and item.image for item in made.items)
    path = tmp_path / "r.json"
    path.write_text(json.dumps({scenes[1].id: ["one", "another"]}))
    options["captioning"]["references"] = str(path)
    made = make_benchmark(
        tmp_path / "b", load_tasks(["captioning"], options), scenes, data="", seed=0
    )
    assert [i.truth["references"] for i in made.items] == [["one", "another"]]
    path.write_text('{"x": [""]}')
    with pytest.raises(ConfigError, match="no references"):
        make_benchmark(tmp_path / "c", load_tasks(["captioning"], options), scenes, data="", seed=0)


def test_without_java_it_says_so(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ConfigError, match="there is no java here"):
        captioning.Config()
    assert captioning.Config(metrics=("CIDEr",), tokens="plain").metrics == ("CIDEr",)

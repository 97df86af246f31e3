"""The offline questions by likelihood: all on a picture in one pass, and the naive ways.

The naive form is one plain forward for every candidate, picture and question included; between the
two, one document for each question with its candidates as branches. All three give the same scores
(tests/evaluate/test_tree.py); the largest difference is printed.
"""

from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.machine import interleaved
from benchmarks.shapes import EMBEDDED, PAPER, Shape, features, models, samples
from diglot.core.layout import encode, expand_lines, pack
from diglot.core.segments import Tokens
from diglot.core.types import Sample
from diglot.evaluate.benchmark import make_items
from diglot.evaluate.prompts import answer_ids, question_prompt
from diglot.evaluate.task import GROUPS, load_tasks
from diglot.evaluate.tree import QuestionTokens, Tree, TreeScorer
from diglot.models.chat import ProjectedPicture
from diglot.models.logprobs import target_log_probs
from diglot.models.vlm import VLM

REPEATS = {PAPER.name: 1, EMBEDDED.name: 3}
QUESTIONS = 12  # of one picture, of all tasks


def run(console: Console, *, layers: int, gemm_flops: float) -> dict[str, Any]:
    """Seconds of one picture's questions in each way, for both shapes."""
    table = Table("shape", "questions", "candidates", "way", "seconds", "times one pass")
    figures = {}
    for shape, vlm in models(layers):
        figures[shape.name] = _measure(shape, vlm, table)
    console.print(table)
    return figures


def _measure(shape: Shape, vlm: VLM, table: Table) -> dict[str, Any]:
    tree = _tree(vlm, samples(shape))
    scorer = TreeScorer(vlm)
    ways = {
        "one pass": lambda: scorer.score(tree),
        "a document a question": lambda: scorer.score_slowly(tree),
        "a forward a candidate": lambda: score_naively(vlm, tree),
    }
    answers = {name: np.concatenate(way()) for name, way in ways.items()}
    worst = max(float(np.abs(a - answers["one pass"]).max()) for a in answers.values())
    assert scorer._honoured, "the model does not honour the mask, so nothing is compared"
    took = interleaved(ways, repeats=REPEATS[shape.name])
    candidates = sum(len(one.candidates) for one in tree.asked)
    for name, value in took.items():
        ratio = f"{value / took['one pass']:.1f}"
        table.add_row(
            shape.name, str(len(tree.asked)), str(candidates), name, f"{value:.3f}", ratio
        )
    return {"seconds": took, "questions": len(tree.asked), "candidates": candidates, "worst": worst}


def _tree(vlm: VLM, scenes: list[Sample]) -> Tree:
    """The first questions of every task on one picture."""
    chosen = load_tasks(list(GROUPS["offline"]), {})
    items = []
    for one in chosen:
        try:
            own = list(make_items(one, scenes, seed=0))
        except ValueError:  # such scenes have no colours
            continue
        items += [i for i in own if i.scene == scenes[0].id and i.candidates][:3]
    prompts = [question_prompt(str(i.question), vlm.language.tokenizer, image=True) for i in items]
    asked = [
        QuestionTokens(
            p.question, tuple(answer_ids(c, p, vlm.language.tokenizer) for c in i.candidates)
        )
        for i, p in zip(items, prompts, strict=True)
    ]
    inputs_PD = vlm.project(features(vlm, scenes[0])).detach()
    picture = ProjectedPicture(vlm.token_grid(scenes[0].size_hw), inputs_PD)
    return Tree(prompts[0].before, tuple(asked[:QUESTIONS]), picture)


@torch.inference_mode()
def score_naively(vlm: VLM, tree: Tree) -> list[np.ndarray]:
    """One plain causal forward for each candidate, logits at the candidate's tokens alone."""
    assert tree.projected is not None
    found = []
    for one in tree.asked:
        scores = []
        for ids in one.candidates:
            segments = (*tree.before, Tokens((*one.question, *ids[:-1])))
            sequence = expand_lines(segments, [tree.projected.grid])
            document = encode(sequence, visual_counts=[len(tree.projected.grid)], terms=())
            packed = pack([document], row_tokens=1)
            hidden_TD = vlm.decode(packed, tree.projected.inputs_PD).last_hidden_state[0]
            query_S = torch.arange(len(hidden_TD) - len(ids), len(hidden_TD))
            head = vlm.language.head
            scores.append(
                float(target_log_probs(hidden_TD, query_S, torch.tensor(ids), head).sum())
            )
        found.append(np.array(scores))
    return found

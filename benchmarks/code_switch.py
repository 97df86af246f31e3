"""What a code-switching step costs: against the same trunk without branches, and the naive form.

The naive form runs the trunk once and every entity once more, on the text before it and its object
(Eq. 4 by the letter), each a plain causal forward of `transformers` without a mask. It too gets its
logits at the supervised positions alone, so the ratio is due to the branches.
"""

from dataclasses import replace
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.machine import ON_CPU, Setting, interleaved
from benchmarks.shapes import Shape, features, models, samples
from diglot.core.layout import encode, pack
from diglot.core.segments import Branch, Encoded, Sequence, Tokens
from diglot.models.logprobs import target_log_probs
from diglot.models.vlm import VLM
from diglot.objectives import caption, code_switch

TERMS = ("text", "entity")
NAIVE = "naive (each alone)"
ROW_TOKENS = 16384  # all in one row: no padding, and split attention keeps documents apart


def run(
    console: Console, *, layers: int, gemm_flops: float, setting: Setting = ON_CPU
) -> dict[str, Any]:
    """Time all forms on both shapes; prints a table each."""
    return {
        shape.name: _time_shape(console, shape, vlm, gemm_flops, setting)
        for shape, vlm in models(layers, setting)
    }


def _time_shape(
    console: Console, shape: Shape, vlm: VLM, gemm_flops: float, setting: Setting
) -> dict[str, Any]:
    prepared = [_sequences(vlm, sample) for sample in samples(shape)]
    views = [[v.to(setting.device) for v in features(vlm, sample)] for sample in samples(shape)]
    forms = {
        "caption": [[p["caption"]] for p in prepared],
        "trunk without branches": [[_without_branches(p["mmcs"])] for p in prepared],
        "code_switch": [[p["mmcs"]] for p in prepared],
        NAIVE: [[_without_branches(p["mmcs"]), *_entity_documents(p["mmcs"])] for p in prepared],
    }
    packed_rows = {
        name: [
            [encode(s, visual_counts=[p["visual"]], terms=TERMS) for s in of]
            for of, p in zip(sequences, prepared, strict=True)
        ]
        for name, sequences in forms.items()
    }
    works = {
        name: (lambda d=documents, naive=name == NAIVE: _step(vlm, d, views, setting, naive=naive))
        for name, documents in packed_rows.items()
    }
    times = interleaved(works)
    tokens = {name: sum(len(d) for of in packed_rows[name] for d in of) for name in packed_rows}
    return _print_figures(console, shape, vlm, times, tokens, gemm_flops)


def _sequences(vlm: VLM, sample: Any) -> dict[str, Any]:
    grid = vlm.token_grid(sample.size_hw)
    arguments = (sample, (grid,), vlm.language.tokenizer, torch.Generator())
    return {
        "visual": len(grid),
        "caption": caption.build(caption.Config()).prepare(*arguments).sequence,
        "mmcs": code_switch.build(code_switch.Config()).prepare(*arguments).sequence,
    }


def _without_branches(sequence: Sequence) -> Sequence:
    return tuple(s for s in sequence if not isinstance(s, Branch))


def _entity_documents(sequence: Sequence) -> list[Sequence]:
    """For every entity a document of its own: what stands before it, its object, its words."""
    documents = []
    for index, segment in enumerate(sequence):
        if isinstance(segment, Branch):
            before = _without_branches(sequence[:index])
            silent = tuple(replace(s, learn=None) if isinstance(s, Tokens) else s for s in before)
            documents.append((*silent, Tokens(segment.ids, "entity")))
    return documents


def _step(
    vlm: VLM,
    documents: list[list[Encoded]],
    views: list[list[torch.Tensor]],
    setting: Setting,
    *,
    naive: bool,
) -> None:
    """Forward and backward of a batch: packed, or for the naive form one document at a time."""
    vlm.projector.zero_grad(set_to_none=True)
    with setting.autocast():
        loss = _loss(vlm, documents, views, naive=naive)
    loss.backward()


def _loss(
    vlm: VLM, documents: list[list[Encoded]], views: list[list[torch.Tensor]], *, naive: bool
) -> torch.Tensor:
    visual = vlm.project([view for of_sample in views for view in of_sample])
    counts = [of_sample[0].visual_count for of_sample in documents]
    if naive:
        own = visual.split(counts)
        nll = [
            -_plain_log_probs(vlm, document, tokens).sum()
            for of_sample, tokens in zip(documents, own, strict=True)
            for document in of_sample
        ]
        return torch.stack(nll).sum()
    packed = pack([d for of_sample in documents for d in of_sample], row_tokens=ROW_TOKENS)
    return -vlm.log_probs(packed.to(visual.device), visual).sum()


def _plain_log_probs(vlm: VLM, document: Encoded, visual: torch.Tensor) -> torch.Tensor:
    """A causal forward as anybody would write it: no mask, so the fastest attention there is."""
    packed = pack([document], row_tokens=1).to(visual.device)
    hidden = vlm.language.decode(vlm.embed(packed, visual)).last_hidden_state.flatten(0, 1)
    return target_log_probs(hidden, packed.query_S, packed.target_S, vlm.language.head)


def _print_figures(
    console: Console,
    shape: Shape,
    vlm: VLM,
    times: dict[str, float],
    tokens: dict[str, int],
    gemm_flops: float,
) -> dict[str, Any]:
    weights = sum(p.numel() for p in vlm.language.model.model.layers.parameters())
    table = Table(title=f"code-switching, {shape.name} shape, a batch of {len(shape.entities)}")
    for column in ("form", "tokens", "seconds", "x caption", "x trunk", "share of GEMM rate"):
        table.add_column(column, justify="left" if column == "form" else "right")
    for name, spent in times.items():
        # forward, and backward to the inputs: twice 2 operations a weight and token
        share = 4 * weights * tokens[name] / spent / gemm_flops
        table.add_row(
            name,
            f"{tokens[name]:,}",
            f"{spent:.2f}",
            f"{spent / times['caption']:.2f}",
            f"{spent / times['trunk without branches']:.2f}",
            f"{share:.0%}",
        )
    console.print(table)
    ratios = {
        "step_over_trunk": times["code_switch"] / times["trunk without branches"],
        "naive_over_step": times[NAIVE] / times["code_switch"],
    }
    console.print(
        f"step / trunk without branches {ratios['step_over_trunk']:.2f} "
        f"(tokens {tokens['code_switch'] / tokens['trunk without branches']:.2f});  "
        f"naive / step {ratios['naive_over_step']:.2f} "
        f"(tokens {tokens[NAIVE] / tokens['code_switch']:.2f})\n"
    )
    return {"seconds": times, "tokens": tokens, **ratios}

"""MMCS by the letter: one causal forward for L_LM and one more per entity; no masks, no packing.

Written from Eq. 1-5 alone; shares nothing with diglot.core.layout, attention or logprobs.
"""

from dataclasses import dataclass

import numpy as np
import torch

from diglot.core.types import Sample
from diglot.models.vlm import VLM


@dataclass
class NaiveLosses:
    """Summed negative log-likelihoods in nats, and how many tokens each is over."""

    text: torch.Tensor
    entity: torch.Tensor
    text_tokens: int
    entity_tokens: int


def object_tokens(vlm: VLM, sample: Sample, box: tuple[float, ...]) -> list[int]:
    """Eq. 1, cell by cell."""
    inside = []
    for index, (x0, y0, x1, y1) in enumerate(vlm.token_grid(sample.size_hw).cells_P4):
        width = min(x1, box[2], sample.size_hw[1]) - max(x0, box[0], 0)
        height = min(y1, box[3], sample.size_hw[0]) - max(y0, box[1], 0)
        if width > 1e-6 and height > 1e-6:
            inside.append(index)
    return inside


def entities(vlm: VLM, sample: Sample) -> tuple[list[int], list[tuple[int, int, list[int]]]]:
    """Caption token ids, and the disjoint (start, stop, visual tokens) to switch, left to right."""
    out = vlm.language.tokenizer(
        sample.caption, add_special_tokens=False, return_offsets_mapping=True
    )
    offsets, found = out["offset_mapping"], []
    for region in sample.regions:
        if region.span is None:
            continue
        hit = [t for t, (a, b) in enumerate(offsets) if a < region.span[1] and b > region.span[0]]
        visual = object_tokens(vlm, sample, region.box)
        if hit and visual:
            found.append((region.score, hit[0], hit[-1] + 1, visual))
    kept: list[tuple[int, int, list[int]]] = []
    for _, start, stop, visual in sorted(found, key=lambda f: (-f[0], f[1], -f[2])):
        if all(stop <= a or b <= start for a, b, _ in kept):
            kept.append((start, stop, visual))
    return out["input_ids"], sorted(kept, key=lambda k: k[0])


def naive_losses(
    vlm: VLM, sample: Sample, visual_PD: torch.Tensor, *, prefix: bool = True
) -> NaiveLosses:
    """L_LM and L_entity of one sample, by 1 + (number of entities) forwards."""
    tokenizer = vlm.language.tokenizer
    newline = tokenizer("\n", add_special_tokens=False)["input_ids"]
    ids, switched = entities(vlm, sample)

    def word(token: int) -> torch.Tensor:
        return vlm.language.input_embeddings.weight[token]

    trunk = [word(tokenizer.bos_token_id)]
    labels: list[int | None] = [None]
    if prefix:
        trunk += [*visual_PD, *(word(t) for t in newline)]
        labels += [None] * (len(visual_PD) + len(newline))
    entity_sum = torch.zeros((), dtype=visual_PD.dtype)
    entity_tokens = at = 0
    for start, stop, visual in switched:
        trunk += [word(t) for t in ids[at:start]] + [visual_PD[v] for v in visual]
        labels += [*ids[at:start], *([None] * len(visual))]
        entity_sum = entity_sum + _nll_after(vlm, trunk, ids[start:stop])
        entity_tokens += stop - start
        at = stop
    tail = [*ids[at:], tokenizer.eos_token_id]
    trunk += [word(t) for t in tail]
    labels += tail
    log_probs = _log_probs(vlm, trunk)
    text_sum = torch.zeros(())
    for position, label in enumerate(labels):
        if label is not None:
            text_sum = text_sum - log_probs[position - 1, label]
    return NaiveLosses(
        text_sum, entity_sum, sum(label is not None for label in labels), entity_tokens
    )


def _nll_after(vlm: VLM, context: list[torch.Tensor], tokens: list[int]) -> torch.Tensor:
    """-log p(tokens | context) by one forward of its own (Eq. 4)."""
    inputs = context + [vlm.language.input_embeddings.weight[t] for t in tokens]
    log_probs = _log_probs(vlm, inputs)
    start = len(context) - 1
    return -sum((log_probs[start + i, t] for i, t in enumerate(tokens)), torch.zeros(()))


def _log_probs(vlm: VLM, inputs: list[torch.Tensor]) -> torch.Tensor:
    logits = vlm.language.model(inputs_embeds=torch.stack(inputs)[None], use_cache=False).logits
    return torch.log_softmax(logits[0], dim=-1)


def random_sample_boxes(rng: np.random.Generator, size_hw: tuple[int, int]) -> tuple[float, ...]:
    """A random box inside an image, at least a pixel wide."""
    height, width = size_hw
    x0, y0 = rng.uniform(0, width - 2), rng.uniform(0, height - 2)
    return (x0, y0, rng.uniform(x0 + 1, width), rng.uniform(y0 + 1, height))

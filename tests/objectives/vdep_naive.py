"""VDEP's image mode by the letter (Eq. 6): one forward per image, its tokens one by one.

Shares nothing with diglot.core.layout, attention or the objective.
"""

import math
from typing import Any

import torch

from diglot.core.types import Sample
from diglot.models.vlm import VLM

Pair = tuple[torch.Tensor, torch.Tensor]  # a target x and the hidden state x^h that is to be it


def hidden_states(vlm: VLM, inputs: list[torch.Tensor], *, hidden: str) -> torch.Tensor:
    """(T, D): what leaves the decoder, or what enters its final norm, of a plain causal forward."""
    entering: list[torch.Tensor] = []
    decoder: Any = vlm.language.model.base_model
    hook = decoder.norm.register_forward_pre_hook(lambda module, args: entering.append(args[0]))
    out = decoder(inputs_embeds=torch.stack(inputs)[None], use_cache=False).last_hidden_state
    hook.remove()
    return (out if hidden == "normed" else entering[0])[0]


def text_ids(vlm: VLM, text: str) -> list[int]:
    return vlm.language.tokenizer(text, add_special_tokens=False)["input_ids"]


def prompt(vlm: VLM, before: str, visual_PD: torch.Tensor) -> list[torch.Tensor]:
    """BOS, the text before the image, the image."""
    words = vlm.language.input_embeddings.weight
    start = [vlm.language.tokenizer.bos_token_id, *text_ids(vlm, before)]
    return [*(words[t] for t in start), *visual_PD]


def pairs(
    vlm: VLM, visual_PD: torch.Tensor, *, shift: int, hidden: str, detach: bool, before: str = ""
) -> list[Pair]:
    inputs = prompt(vlm, before, visual_PD)
    states = hidden_states(vlm, inputs, hidden=hidden)
    first = len(inputs) - len(visual_PD)
    found = []
    for p in range(len(visual_PD) - shift):
        x = visual_PD[p + shift]
        found.append((x.detach() if detach else x, states[first + p]))
    return found


def naive_image_loss(images: list[list[Pair]], **config: Any) -> torch.Tensor:
    """L_i of a batch: by the config's `loss`, `reduction`, `channels` and `eps`."""
    tokens_of = []  # of every image, the L2 of every token
    for image in images:
        l2 = [(x - h) @ (x - h) for x, h in image]
        tokens_of.append([d / len(image[0][0]) if config["channels"] == "mean" else d for d in l2])
    if config["loss"] == "l2" and config["reduction"] == "mean":
        every = [d for tokens in tokens_of for d in tokens]
        return sum(every, torch.zeros(())) / len(every)
    total = torch.zeros(())
    for tokens in tokens_of:
        l2 = sum(tokens, torch.zeros(()))
        if config["reduction"] == "mean":
            l2 = l2 / len(tokens)
        if config["loss"] == "inverse_l2":
            l2 = 1 / (l2 + config["eps"])
        elif config["loss"] == "sigmoid_l2":
            l2 = 1 / (1 + torch.exp(-l2))
        total = total + l2
    return total / len(tokens_of)


def naive_text_loss(vlm: VLM, samples: list[Sample], visual: list[torch.Tensor]) -> torch.Tensor:
    """Mean negative log-likelihood of captions and their ends, behind image and newline."""
    words, tokenizer = vlm.language.input_embeddings.weight, vlm.language.tokenizer
    losses = []
    for sample, visual_PD in zip(samples, visual, strict=True):
        learned = [*text_ids(vlm, sample.caption), tokenizer.eos_token_id]
        inputs = prompt(vlm, "", visual_PD) + [words[t] for t in text_ids(vlm, "\n")]
        first = len(inputs)
        inputs += [words[t] for t in learned]
        logits = vlm.language.model(inputs_embeds=torch.stack(inputs)[None]).logits[0]
        for i, token in enumerate(learned):
            losses.append(-torch.log_softmax(logits[first + i - 1], dim=-1)[token])
    assert all(math.isfinite(loss.item()) for loss in losses)
    return sum(losses, torch.zeros(())) / len(losses)

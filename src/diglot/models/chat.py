"""Asking a VLM about a picture: a question through the chat template, or a caption."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as Picture

from diglot.core.conversation import Turn
from diglot.core.errors import ConfigError
from diglot.core.geometry import TokenGrid
from diglot.core.layout import encode, expand_lines, pack
from diglot.core.run_files import SETTINGS
from diglot.core.segments import Image, Segment, Tokens
from diglot.models.chat_template import tokenize_prompt
from diglot.models.export.container import IMAGE_TOKEN
from diglot.models.export.generation import generation_config
from diglot.models.prompt import Frame, open_segments
from diglot.models.rule_decoding import continue_by_rule
from diglot.models.views import picture_views
from diglot.models.vlm import VLM
from diglot.models.words import label_ids, label_means

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProjectedPicture:
    """A picture behind the projector: its grid, and what of its tokens enters the LLM."""

    grid: TokenGrid
    inputs_PD: torch.Tensor  # of models with DeepStack each has more levels (`VLM.project`)


@torch.no_grad()
def project_picture(vlm: VLM, picture: Picture.Image) -> ProjectedPicture:
    """Encode and project one RGB picture."""
    grid = vlm.token_grid((picture.height, picture.width))
    device = vlm.language.input_embeddings.weight.device
    views = [view.to(device) for view in picture_views(vlm, picture)]
    return ProjectedPicture(grid, vlm.project(vlm.features(views)))


def caption_prompt(vlm: VLM, frame: Frame) -> list[Segment]:
    """The picture framed as in pretraining: a caption follows."""
    return open_segments(frame, vlm.language.tokenizer, image=True)


def question_prompt(vlm: VLM, question: str) -> list[Segment]:
    """One user's turn with the picture and a question, by the chat template.

    Raises ConfigError for a question that spells the image token.
    """
    if IMAGE_TOKEN in question:
        raise ConfigError(f"the question spells {IMAGE_TOKEN}", where="--question")
    turn = Turn(role="user", text=f"{IMAGE_TOKEN}\n{question}")
    ids_T = tokenize_prompt([turn], vlm.language.tokenizer)
    (image,) = (ids_T < 0).nonzero()[0]
    before, after = tuple(ids_T[:image].tolist()), tuple(ids_T[image + 1 :].tolist())
    return [Tokens(before), Image(), Tokens(after)]


@torch.no_grad()
def generate_text(
    vlm: VLM, projected: ProjectedPicture, prompt: Sequence[Segment], *, max_tokens: int = 64
) -> str:
    """The likeliest continuation of the prompt, token by token, without special tokens.

    It ends where the language model's window does, which is logged. Raises ConfigError for a
    prompt that fills the window.
    """
    sequence = expand_lines(prompt, [projected.grid])
    document = encode(sequence, visual_counts=[len(projected.grid)], terms=())
    max_tokens = _fit_window(len(document.token_T), max_tokens, vlm.language.max_length)
    packed = pack([document], row_tokens=1).to(projected.inputs_PD.device)
    embeds_BTD = vlm.embed(packed, projected.inputs_PD)
    model, tokenizer = vlm.language.model, vlm.language.tokenizer
    if not vlm.language.rule.is_plain:
        return continue_by_rule(vlm, packed, embeds_BTD, max_tokens=max_tokens)
    chosen = generation_config(model, tokenizer, None)
    chosen.update(max_new_tokens=max_tokens, do_sample=False)
    ids = model.generate(
        inputs_embeds=embeds_BTD,
        attention_mask=torch.ones_like(packed.token_BT),
        generation_config=chosen,
    )
    answer: Any = tokenizer.decode(ids[0], skip_special_tokens=True)
    return answer.strip()


def _fit_window(prompt: int, wanted: int, window: int) -> int:
    """How many tokens may be written behind a prompt of `prompt` tokens."""
    if prompt >= window:
        raise ConfigError(
            "the picture and the question fill the language model's window",
            expected=f"fewer than {window} tokens",
            got=prompt,
            fix="Ask in fewer words, or encode the picture in fewer tokens (model.preprocess).",
        )
    if prompt + wanted > window:
        log.warning(
            "the language model reads %d tokens, %d of them are the prompt: an answer ends there",
            window,
            prompt,
        )
    return min(wanted, window - prompt)


@torch.no_grad()
def point_at(vlm: VLM, projected: ProjectedPicture, phrase: str) -> np.ndarray:
    """Cosine of every visual token with the phrase's mean word vector, float32 (P,) in [-1, 1].

    No language model runs: it shows what the projector has put near these words.
    """
    ids = label_ids(phrase, vlm.language.tokenizer)
    if not ids:
        raise ConfigError("nothing to point at", got=repr(phrase), where="--point")
    word_1D = label_means(vlm.language.input_embeddings.weight, [ids]).float()
    visual_PD = projected.inputs_PD[:, : vlm.language.width].float()
    cosine_P = torch.cosine_similarity(visual_PD, word_1D)
    return cosine_P.cpu().numpy()


def heat_map(grid: TokenGrid, value_P: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """The tokens' values on a picture of this size (H, W), fine cells on top; NaN elsewhere."""
    height, width = size_hw
    scale = np.array([width / grid.size_hw[1], height / grid.size_hw[0]] * 2)
    cells_P4 = np.rint(grid.cells_P4 * scale).astype(int).clip(0)
    areas_P = (grid.cells_P4[:, 2] - grid.cells_P4[:, 0]) * (
        grid.cells_P4[:, 3] - grid.cells_P4[:, 1]
    )
    heat_HW = np.full(size_hw, np.nan, np.float32)
    for token in np.argsort(-areas_P, kind="stable"):
        x0, y0, x1, y1 = cells_P4[token]
        heat_HW[y0:y1, x0:x1] = value_P[token]
    return heat_HW


def read_frame(checkpoint: Path) -> Frame:
    """The frame that a checkpoint's run learned captions in; the default where none is known."""
    try:
        run = json.loads((checkpoint.parent / SETTINGS).read_text("utf-8"))
        return Frame(**run["objective"]["frame"])
    except (OSError, ValueError, KeyError, TypeError):
        return Frame()

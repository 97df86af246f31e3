"""What a container has to hold: a model's settings, and what its checkpoints' own configs say.

No weights are read, so a recipe can be compared with every container before step 0.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from diglot.core.errors import ConfigError
from diglot.core.preprocess import Preprocess
from diglot.models.config import VLMConfig
from diglot.models.encoders.auto import find_family
from diglot.models.language import find_decoder
from diglot.models.logits import LogitChange, possible_changes
from diglot.models.pretrained import read_pretrained
from diglot.models.visual_rules import VisualRule, read_rule


@dataclass(frozen=True, kw_only=True)
class Design:
    """A model by its settings, every default spelled out.

    `tower` and `text` are the configs of the vision tower and of the language model; None where
    the checkpoint could not be read, which `unread` explains.
    """

    encoder: Mapping[str, Any]
    projector: Mapping[str, Any]
    preprocess: Preprocess | None
    tower: Any
    text: Any
    head_bias: bool = False
    """Whether the language model's head adds a bias, which no stock container keeps."""
    ties_unknown: bool = False
    """Whether its head is its input embeddings, under a name that stock containers do not tie."""
    changes_logits: bool = False
    """Whether the language model scales or caps its logits, which no stock container does."""
    rule: VisualRule = VisualRule()  # noqa: RUF009  frozen
    """What it does with visual tokens beside reading them like words."""
    read_bos: Callable[[], str | None] = lambda: None
    """Its tokenizer's BOS; None where it has none, or cannot be read."""
    unread: tuple[str, ...] = ()

    @property
    def text_width(self) -> int | None:
        """The width of the language model."""
        return None if self.text is None else self.text.get_text_config().hidden_size

    @property
    def activation(self) -> str | None:
        """The projector's activation, None where it has none."""
        return self.projector.get("activation")


def read_design(config: VLMConfig) -> Design:
    """The design of a model. Raises ConfigError for settings that are wrong in themselves."""
    unread: list[str] = []
    encoder, projector = config.encoder.as_dict(), config.projector.as_dict()
    tower = text = None
    if "path" in encoder:
        tower = _read_config(encoder["path"], encoder.get("revision"), "encoder.path", unread)
        if encoder["name"] == "auto" and tower is not None:
            encoder = {**encoder, "name": find_family(tower, encoder["path"])}
        tower = getattr(tower, "vision_config", tower)
    path, revision = config.language.path, config.language.revision
    text = _read_config(path, revision, "language.path", unread)
    head_bias, ties_unknown = (False, False) if text is None else _read_head(text)
    return Design(
        encoder=encoder,
        projector=projector,
        preprocess=config.preprocess or _squash_preprocess(encoder, tower),
        tower=tower,
        text=text,
        head_bias=head_bias,
        ties_unknown=ties_unknown,
        changes_logits=text is not None and _changes_logits(text),
        rule=read_rule(config.language),
        read_bos=lambda: None if text is None else _read_bos(path, revision),
        unread=tuple(unread),
    )


def _read_config(path: str, revision: str | None, where: str, unread: list[str]) -> Any:
    """A checkpoint's config, or None with the reason added to `unread`."""
    try:
        return read_pretrained(AutoConfig, path, where=where, revision=revision)
    except ConfigError as error:
        unread.append(str(error))
        return None


def _read_bos(path: str, revision: str | None) -> str | None:
    try:
        tokenizer = read_pretrained(AutoTokenizer, path, where="language.path", revision=revision)
    except ConfigError:  # where the model is loaded, it says so
        return None
    bos: Any = tokenizer.bos_token  # a str or None; its own annotation is wider
    return bos


def _squash_preprocess(encoder: Mapping[str, Any], tower: Any) -> Preprocess | None:
    """What a model without `preprocess` does: the whole image, squashed to the encoder's size."""
    side = encoder.get("image_px") or getattr(tower, "image_size", None)
    return None if side is None else Preprocess(mode="squash", image_px=side)


def _changes_logits(text: Any) -> bool:
    changes = possible_changes(text.get_text_config())
    return any(change != LogitChange() for change in changes)


def _read_head(text: Any) -> tuple[bool, bool]:
    """(adds a bias, is tied to embeddings that are not the decoder's `embed_tokens`).

    Of a config that is no causal LM's, False twice: loading its model says so.
    """
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(text, trust_remote_code=False)
    except ValueError:
        return False, False
    biased = getattr(model.get_output_embeddings(), "bias", None) is not None
    tied = model.config.get_text_config().tie_word_embeddings
    return biased, tied and not hasattr(find_decoder(model), "embed_tokens")

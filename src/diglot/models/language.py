"""Any causal LM of `transformers` as the language model: its embeddings, decoder and head apart."""

from typing import Any

import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from diglot.core.errors import ConfigError
from diglot.models.config import LanguageConfig
from diglot.models.logits import ChangedHead, LogitChange, possible_changes
from diglot.models.pretrained import load_pretrained, read_pretrained
from diglot.models.visual_rules import VisualRule, describe_rule

FINAL_NORMS = ("norm", "final_layernorm", "final_layer_norm", "ln_f")  # as model families name it


class Language(nn.Module):
    """A causal LM taken apart: input_embeddings, decoder (hidden states), head (logits)."""

    def __init__(self, model: Any, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__()
        self.model, self.tokenizer = model, tokenizer
        self.lora: Any = None  # the settings of the adapters in it (models.lora)
        self.merged = False  # its weights hold adapters that were merged into them
        self.learned_template: str | None = None
        self.rule = VisualRule()  # how it reads visual tokens (models.adapters set it)
        self._change = LogitChange()
        self._change = _find_logit_change(self)

    def use_template(self, template: str) -> None:
        """Put a chat template in place of the tokenizer's own; checkpoints and exports keep it."""
        self.learned_template = self.tokenizer.chat_template = template

    @property
    def input_embeddings(self) -> nn.Embedding:
        """The input embeddings (V, D)."""
        return self.model.get_input_embeddings()

    @torch.no_grad()
    def embeddings_rms(self) -> float:
        """Root mean square of the word vectors that enter the LLM.

        Not of the embedding's weights alone: Gemma's embedding scales them on their way.
        """
        first = torch.arange(
            min(1024, self.input_embeddings.num_embeddings),
            device=self.input_embeddings.weight.device,
        )
        scale = _root_mean_square(self.input_embeddings(first)) / _root_mean_square(
            self.input_embeddings.weight[first]
        )
        return (scale * _root_mean_square(self.input_embeddings.weight)).item()

    @property
    def decoder(self) -> Any:
        """The model without its head: token vectors in, hidden states out."""
        return find_decoder(self.model)

    @property
    def width(self) -> int:
        """D, channels of a hidden state and of a word embedding."""
        return self.input_embeddings.embedding_dim

    @property
    def head_width(self) -> int:
        """Channels of one head of attention."""
        config = self.model.config.get_text_config()
        own = getattr(config, "head_dim", None)
        return own or config.hidden_size // config.num_attention_heads

    @property
    def max_length(self) -> int:
        """The most tokens of one document.

        Long-RoPE chooses its factors by the largest position in sight, so beyond the original
        window a document's loss would depend on its neighbours: it ends there.
        """
        config = self.model.config.get_text_config()
        rope = getattr(config, "rope_parameters", None) or {}
        original = rope.get("original_max_position_embeddings") or getattr(
            config, "original_max_position_embeddings", None
        )
        if rope.get("rope_type") == "longrope" and original:
            return min(config.max_position_embeddings, original)
        return config.max_position_embeddings

    @property
    def head_matrix(self) -> nn.Module:
        """The head's own weights, (V, D), named as the model names them."""
        return self.model.get_output_embeddings()

    @property
    def head(self) -> nn.Module:
        """Hidden state to logits, scaled and capped as the model does."""
        plain = self._change == LogitChange()
        return self.head_matrix if plain else ChangedHead(self.head_matrix, self._change)

    @property
    def final_norm(self) -> nn.Module:
        """The norm between the last layer and the head. Raises ConfigError where none is known."""
        for name in FINAL_NORMS:
            if isinstance(found := getattr(self.decoder, name, None), nn.Module):
                return found
        raise ConfigError(
            f"no final norm is known in {type(self.model).__name__}",
            expected="a module called " + " or ".join(FINAL_NORMS),
            where="language.path",
        )

    def decode(self, embeds_BTD: torch.Tensor, *, by_rule: bool = False, **kwargs: Any) -> Any:
        """The decoder's output, without the head. kwargs: attention_mask, position_ids, ...

        Behind the first D channels lies what is added to each position's state behind the first
        layers, one after another (DeepStack); zeros behind words. `by_rule` says that these are as
        the model's visual rule has them. Raises ConfigError where it has one and they are not:
        plain positions or masks would be silently wrong.
        """
        if not self.rule.is_plain and not by_rule:
            raise ConfigError(
                f"this model reads images with {describe_rule(self.rule)}, which is not known here",
                where="model",
                fix="Leave this measure or task out for this model.",
            )
        own_BTD, *deep = embeds_BTD.split(self.width, dim=-1)
        if deep:
            kwargs["visual_pos_masks"] = embeds_BTD.new_ones(embeds_BTD.shape[:2], dtype=torch.bool)
            kwargs["deepstack_visual_embeds"] = [level_BTD.flatten(0, 1) for level_BTD in deep]
        return self.decoder(inputs_embeds=own_BTD, **{"use_cache": False, **kwargs})


def find_decoder(model: Any) -> Any:
    """A causal LM without its head: what it calls so or, where it has nothing under that name (the
    text models of Llama 4 and Mllama), the one model within.
    """
    if model.base_model is not model:
        return model.base_model
    inner = [module for module in model.children() if isinstance(module, PreTrainedModel)]
    return inner[0] if len(inner) == 1 else model


def _root_mean_square(values: torch.Tensor) -> torch.Tensor:
    return values.float().square().mean().sqrt()


def load_language(config: LanguageConfig) -> Language:
    """The model and its tokenizer. Raises ConfigError where the path holds none."""
    where = "language.path"
    tokenizer = read_pretrained(AutoTokenizer, config.path, where=where, revision=config.revision)
    if not tokenizer.is_fast:
        raise ConfigError(
            "the tokenizer gives no character offsets",
            expected="a fast tokenizer",
            where=where,
        )
    model = load_pretrained(
        AutoModelForCausalLM,
        config.path,
        where=where,
        revision=config.revision,
        dtype=getattr(torch, config.dtype),
    )
    _check_vocabulary(model.get_input_embeddings().num_embeddings, tokenizer, where)
    return Language(model, tokenizer)


def _check_vocabulary(embeddings: int, tokenizer: PreTrainedTokenizerFast, where: str) -> None:
    """Raises ConfigError where the tokenizer writes ids that the model has no vectors of."""
    if tokenizer.vocab_size > embeddings:  # without added tokens, which no text becomes
        raise ConfigError(
            "the tokenizer is another model's: it knows more tokens than the model has",
            expected=f"at most {embeddings:,}",
            got=f"{tokenizer.vocab_size:,}",
            where=where,
            fix="Put the model's own tokenizer files beside its weights.",
        )


@torch.no_grad()
def _find_logit_change(language: Language) -> LogitChange:
    """What the model does to its logits behind the head: read off its settings, then checked.

    decoder + head must give the model's own logits. Raises ConfigError where they do not.
    """
    device = language.input_embeddings.weight.device
    ids = torch.arange(4, device=device)[None] % language.input_embeddings.num_embeddings
    whole = language.model(input_ids=ids, use_cache=False).logits
    hidden = language.decode(language.input_embeddings(ids)).last_hidden_state
    tolerance = 1e-4 if whole.dtype == torch.float32 else 5e-2
    matrix = language.model.get_output_embeddings()
    for change in possible_changes(language.model.config.get_text_config()):
        logits = ChangedHead(matrix, change)(hidden)
        if torch.allclose(whole, logits, rtol=tolerance, atol=tolerance):
            return change
    raise ConfigError(
        f"{type(language.model).__name__} changes its logits after the head in a way that is not "
        "known, so its loss cannot be computed at the supervised positions alone",
        where="language.path",
        fix="Choose a model whose logits are its head's, scaled or capped at most.",
    )

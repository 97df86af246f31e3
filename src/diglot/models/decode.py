"""Packed documents through the LLM's decoder under the one attention rule, in the form chosen.

split     causal trunks without a mask, then the few branch tokens (models.attention)
sdpa      one dense mask over each row (core.attention)
flex      FlexAttention's block mask (a CPU has no backward of it)
eager     the dense mask in the model's own eager attention, which knows what some models do to the
          scores, such as capping them; scores of a whole row are kept, so it takes more memory
separate  a plain forward a document and a branch, in the same attention (models.separate)

The numbers are the same, as long as the language model honours what the form leans on; `build`
asks it (`choose_attention`) and falls back to the next form that does.
"""

import logging
from collections.abc import Callable
from typing import Any

import torch

from diglot.core.attention import additive_mask, block_mask
from diglot.core.errors import ConfigError
from diglot.core.layout import Packed, encode, pack
from diglot.core.segments import Branch, Tokens
from diglot.models.attention import NAME, pieces_of, register_attention
from diglot.models.config import Attention
from diglot.models.language import Language
from diglot.models.separate import decode_separately
from diglot.models.visual_rules import VisualRule, describe_rule, position_inputs, rule_mask

log = logging.getLogger(__name__)

# Largest difference of hidden states, relative to their root mean square. Half precision rounds a
# packed row and a plain forward differently; a wrong mask moves them by half of it and more.
TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-6}
HALF_TOLERANCE = 0.1
FLEX_HEAD_WIDTH = 16  # the least that FlexAttention's kernels take
# Settings by which attention depends on where in a row a token stands.
BY_ROW = ("attention_chunk_size", "attn_temperature_tuning")


def set_attention(language: Language, attention: Attention) -> None:
    """Make the LLM's layers compute attention in this form.

    A dense mask goes the way of `split` without its pieces: SDPA, by kernels for any length.
    """
    register_attention()
    names = {"split": NAME, "sdpa": NAME, "flex": "flex_attention", "separate": "eager"}
    language.model.set_attn_implementation(names.get(attention, attention))


def decode_packed(
    language: Language,
    packed: Packed,
    embeds_BTD: torch.Tensor,
    attention: Attention,
    *,
    every_layer: bool = False,
) -> Any:
    """The decoder's output: `last_hidden_state` (B, T, D), and `hidden_states` if `every_layer`.

    The language model must have been given the form by `set_attention`.
    """
    if not language.rule.is_plain:
        return language.decode(
            embeds_BTD,
            by_rule=True,
            **rule_inputs(language, packed, embeds_BTD, attention),
            output_hidden_states=every_layer,
        )
    if attention == "separate":
        return decode_separately(language.decode, packed, embeds_BTD, every_layer=every_layer)
    return language.decode(
        embeds_BTD,
        **_attention_inputs(packed, embeds_BTD, attention, language.model.config),
        position_ids=packed.position_BT,
        output_hidden_states=every_layer,
    )


def rule_inputs(
    language: Language, packed: Packed, embeds_BTD: torch.Tensor, attention: Attention
) -> dict[str, Any]:
    """The decoder's masks and positions for a model with a visual rule."""
    rule, config = language.rule, language.model.config
    inputs = position_inputs(rule, packed)
    both_ways = rule.both_ways
    if both_ways is None:
        return inputs | _attention_inputs(packed, embeds_BTD, attention, config)
    masks = _masks_of_kinds(
        config, lambda window: rule_mask(packed, both_ways, embeds_BTD.dtype, window)
    )
    return inputs | {"attention_mask": masks}


def _attention_inputs(
    packed: Packed, embeds_BTD: torch.Tensor, attention: Attention, config: Any
) -> dict[str, Any]:
    if attention == "flex":
        masks = _masks_of_kinds(config, lambda window: block_mask(packed, window=window))
        return {"attention_mask": masks}
    if attention in ("sdpa", "eager"):
        return {"attention_mask": _dense_masks(packed, embeds_BTD.dtype, config)}
    # a 4D mask, of whatever size, keeps transformers from making one of its own
    unused = embeds_BTD.new_zeros(1, 1, 1, 1)
    return {"attention_mask": unused, "pieces": pieces_of(packed, embeds_BTD.dtype)}


def sliding_window(config: Any) -> int | None:
    """The window of the layers that slide; None where every layer sees everything."""
    text = config.get_text_config()
    window = getattr(text, "sliding_window", None)
    kinds = getattr(text, "layer_types", None)
    slides = kinds is None or "sliding_attention" in kinds
    return window if slides and getattr(text, "use_sliding_window", True) else None


def _dense_masks(packed: Packed, dtype: torch.dtype, config: Any) -> Any:
    return _masks_of_kinds(config, lambda window: additive_mask(packed, dtype, window=window))


def _masks_of_kinds(config: Any, make_mask: Callable[[int | None], Any]) -> Any:
    """One mask for all layers, or one for each kind of layer where only some slide."""
    window = sliding_window(config)
    if window is None:
        return make_mask(None)
    kinds = set(getattr(config.get_text_config(), "layer_types", None) or ())
    sliding = make_mask(window)
    if kinds <= {"sliding_attention"}:
        return sliding
    return {"full_attention": make_mask(None), "sliding_attention": sliding}


def choose_rule(language: Language, rule: VisualRule, wanted: Attention) -> Attention:
    """The form for a model with a visual rule, which is set on it; a block needs a dense mask.

    Raises ConfigError where its decoder honours no packing: then only plain forwards are right.
    """
    language.rule = VisualRule()  # the checks below are of plain documents
    if rule.is_plain:
        return choose_attention(language, wanted)
    if rule.both_ways and wanted != "sdpa":
        log.info("attention: sdpa, for this model has %s", describe_rule(rule))
        wanted = "sdpa"
    form = choose_attention(language, "split" if wanted == "flex" else wanted)
    if form == "separate":
        raise ConfigError(
            f"{type(language.decoder).__name__} with {describe_rule(rule)} runs packed "
            "alone, and its decoder does not honour packing",
            where="model.attention",
            fix="Set it to split, or choose another checkpoint.",
        )
    if rule.both_ways:
        _check_both_ways(language)
    language.rule = rule
    return form


@torch.no_grad()
def _check_both_ways(language: Language) -> None:
    """Raises ConfigError where a mask does not let a token see what stands behind it."""
    weight_VD = language.input_embeddings.weight
    packed = probe_documents(len(weight_VD)).to(weight_VD.device)
    embeds_BTD = language.input_embeddings(packed.token_BT)

    def decode_first(make_mask: Callable[[int | None], torch.Tensor]) -> torch.Tensor:
        masks = _masks_of_kinds(language.model.config, make_mask)
        inputs = {"attention_mask": masks, "position_ids": packed.position_BT}
        return language.decode(embeds_BTD, **inputs).last_hidden_state[0, 0]

    dtype = embeds_BTD.dtype
    causal_D = decode_first(lambda window: additive_mask(packed, dtype, window=window))
    if causal_D.equal(decode_first(lambda window: rule_mask(packed, "prefix", dtype, window))):
        raise ConfigError(
            f"{type(language.decoder).__name__} reads every mask as a causal one",
            where="model.language.both_ways",
            fix="Set it to null, or choose another language model.",
        )


@torch.no_grad()
def choose_attention(language: Language, wanted: Attention) -> Attention:
    """`wanted`, or the next form down that gives what plain forwards give; set on the LLM.

    Some decoders drop the keywords of packing, some carry state along the row: both would train
    wrongly without a word. So two short documents in one row, one with a branch, are compared with
    plain forwards of the model itself. Another form than `wanted` is logged in one line.

    Raises ConfigError where a plain forward itself cannot be made.
    """
    weight_VD = language.input_embeddings.weight
    packed = probe_documents(len(weight_VD)).to(weight_VD.device)
    embeds_BTD = language.input_embeddings(packed.token_BT)
    if wanted == "flex":
        wanted = _flex_or_split(language.head_width)
    was_training, form = language.model.training, wanted
    language.model.eval()
    try:
        want_BTD = _try_decode(language, packed, embeds_BTD, "separate", strict=True)
        plain_BTD = language.decode(embeds_BTD[:1]).last_hidden_state
        _check_causal(language, embeds_BTD[:1], plain_BTD)
        _check_no_ids(language, packed.token_BT[:1], embeds_BTD[:1], plain_BTD)
        for form in _forms_from(wanted, language.model.config):
            if _outputs_agree(_try_decode(language, packed, embeds_BTD, form), want_BTD, packed):
                break
    finally:
        language.model.train(was_training)
    if form != wanted:
        log.warning(
            "attention: %s is not what %s computes alone; %s is, and is used",
            wanted,
            type(language.model).__name__,
            form,
        )
    return form


def _flex_or_split(width: int) -> Attention:
    """flex, or split where its kernels would end the first step."""
    if width >= FLEX_HEAD_WIDTH:
        return "flex"
    log.warning(
        "attention: flex needs heads of %d channels and more, these have %d; split is used",
        FLEX_HEAD_WIDTH,
        width,
    )
    return "split"


def _forms_from(wanted: Attention, config: Any) -> list[Attention]:
    """The form that was asked for, then the slower ones that lean on less.

    SDPA caps no scores. Where the model does, short documents may be too tame to show it. Nor do
    they reach to where Llama 4 cuts a row into chunks and scales scores by the place in the row.
    """
    text = config.get_text_config()
    if any(getattr(text, name, None) for name in BY_ROW):
        return ["separate"]
    order: list[Attention] = ["split", "sdpa", "eager", "separate"]
    forms: list[Attention] = [wanted, *order[order.index(wanted) + 1 if wanted in order else 1 :]]
    if getattr(text, "attn_logit_softcapping", None):
        return [form for form in forms if form not in ("split", "sdpa")]
    return forms


def probe_documents(vocabulary: int) -> Packed:
    """Two documents in one row, the first with a branch in its middle."""

    def ids(*numbers: int) -> tuple[int, ...]:
        return tuple(number % vocabulary for number in numbers)

    first = (Tokens(ids(1, 2, 3, 4)), Branch(ids(5, 6, 7), "t"), Tokens(ids(8, 9), "t"))
    second = (Tokens(ids(10, 11, 12, 13, 14)), Tokens(ids(15), "t"))
    documents = [encode(s, visual_counts=(), terms=("t",)) for s in (first, second)]
    return pack(documents, row_tokens=64)


def _try_decode(
    language: Language,
    packed: Packed,
    embeds_BTD: torch.Tensor,
    form: Attention,
    *,
    strict: bool = False,
) -> torch.Tensor | None:
    """The hidden states, or None where the decoder does not run this way (an error if `strict`)."""
    try:
        set_attention(language, form)
        return decode_packed(language, packed, embeds_BTD, form).last_hidden_state
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError, KeyError) as error:
        if not strict:
            log.info("attention %s does not run: %s", form, error)
            return None
        raise ConfigError(
            f"{type(language.model).__name__} does not run on embeddings alone: {error}",
            expected="a plain decoder, model(inputs_embeds=...)",
            where="model.language.path",
            fix="Choose another language model.",
        ) from error


def _check_causal(language: Language, embeds_BTD: torch.Tensor, plain_BTD: torch.Tensor) -> None:
    """Raises ConfigError where what comes later changes what came before."""
    part = language.decode(embeds_BTD[:, :3]).last_hidden_state
    if not _is_near(part.float(), plain_BTD[:, :3].float(), part.dtype):
        raise ConfigError(
            f"{type(language.model).__name__} is not causal: it sees the words it is to predict",
            expected="a decoder",
            where="model.language.path",
            fix="Choose a causal language model.",
        )


def _check_no_ids(
    language: Language, token_BT: torch.Tensor, embeds_BTD: torch.Tensor, plain_BTD: torch.Tensor
) -> None:
    """Raises ConfigError where word vectors are not all that the decoder reads of its words.

    Gemma 3n leaves its per-layer inputs out where it is given no ids; Gemma 4 finds the ids of
    the vectors, which visual tokens have none of.
    """
    want = language.decoder(input_ids=token_BT, use_cache=False).last_hidden_state
    try:
        language.decode(embeds_BTD.roll(1, dims=-1))  # vectors of no word, as visual tokens are
        suffice = _is_near(plain_BTD.float(), want.float(), want.dtype)
    except RuntimeError:
        suffice = False
    if not suffice:
        raise ConfigError(
            f"{type(language.model).__name__} reads ids of words beside their vectors, and visual "
            "tokens have none",
            expected="a decoder that reads embeddings alone",
            where="model.language.path",
            fix="Choose a language model without per-layer inputs.",
        )


def _is_near(got: torch.Tensor, want: torch.Tensor, dtype: torch.dtype) -> bool:
    tolerance = TOLERANCE.get(dtype, HALF_TOLERANCE) * want.square().mean().sqrt()
    return bool((got - want).abs().max() <= tolerance)


def _outputs_agree(
    got_BTD: torch.Tensor | None, want_BTD: torch.Tensor | None, packed: Packed
) -> bool:
    if got_BTD is None or want_BTD is None:
        return False
    inside_BT = packed.document_BT >= 0
    return _is_near(got_BTD[inside_BT].float(), want_BTD[inside_BT].float(), want_BTD.dtype)

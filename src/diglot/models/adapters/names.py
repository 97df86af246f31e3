"""Where each stock class keeps its parts, and what it does with its tower and its visual tokens."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from diglot.core.errors import ConfigError
from diglot.models.visual_rules import VisualRule

WHERE = "model.stock"
Takes = Literal["blocks", "merged", "grids", "mean"]


@dataclass(frozen=True, kw_only=True)
class StockNames:
    """Where a stock class keeps its parts, and what it reads of its tower."""

    tower: str = "vision_tower"
    projector: str = "multi_modal_projector"
    text: str = "language_model"
    factor: str | None = None
    """The config's name for the side of the blocks that its projector merges."""
    takes: Takes = "blocks"
    """What its projector takes: the features of each block in a row, as one vector, as a grid, or
    their mean."""
    reads_last: bool = False
    """Reads the normed last state, else `hidden_states[vision_feature_layer]`."""
    deep: str | None = None
    """The list of projectors of its tower's middle features, which the language model adds to the
    visual tokens behind its first layers (DeepStack)."""
    rule: VisualRule = VisualRule()  # noqa: RUF009  frozen
    pixels_like: str | None = None
    """The container whose class takes pixels as it does, where no container is of its class."""
    caps_logits: bool = False
    """Does to its logits what the language model's own class does; the others do nothing."""


IDEFICS = StockNames(
    tower="vision_model",
    projector="connector",
    text="text_model",
    factor="scale_factor",
    reads_last=True,
)
QWEN2_5 = StockNames(
    tower="visual",
    projector="visual.merger",
    factor="spatial_merge_size",
    reads_last=True,
    rule=VisualRule(grid_positions=True),
)
QWEN3 = replace(QWEN2_5, deep="visual.deepstack_merger_list", pixels_like="qwen2_5_vl")
KNOWN = {
    "llava": StockNames(),
    "llava_next": StockNames(),
    "llava_onevision": StockNames(),
    "aya_vision": StockNames(factor="downsample_factor"),
    "cohere2_vision": StockNames(factor="downsample_factor", reads_last=True),
    "lfm2_vl": StockNames(factor="downsample_factor", takes="grids", reads_last=True),
    "internvl": StockNames(factor="downsample_ratio", takes="merged"),
    "idefics3": IDEFICS,
    "smolvlm": replace(IDEFICS, pixels_like="idefics3"),
    "paligemma": StockNames(reads_last=True, caps_logits=True, rule=VisualRule(both_ways="prefix")),
    "gemma3": StockNames(
        factor="pooling",
        takes="mean",
        reads_last=True,
        rule=VisualRule(both_ways="image"),
        pixels_like="llava",
    ),
    "qwen2_5_vl": QWEN2_5,
    "qwen3_vl": QWEN3,
    "qwen3_vl_moe": QWEN3,
    "fast_vlm": StockNames(reads_last=True),
}


def find_names(config: Any) -> StockNames:
    """The names of a checkpoint's class. Raises ConfigError for one that cannot be taken apart."""
    kind = config.model_type
    if kind not in KNOWN:
        raise ConfigError(
            f"a {kind!r} checkpoint cannot be taken apart",
            expected="one of " + ", ".join(KNOWN),
            where=WHERE,
        )
    return KNOWN[kind]


def merge_factor(config: Any, names: StockNames) -> int:
    """The side of the blocks that the projector merges; InternVL has it as a share."""
    if names.factor is None:
        return 1
    if names.factor == "pooling":  # Gemma 3: down to a square of mm_tokens_per_image
        vision = config.vision_config
        return vision.image_size // vision.patch_size // int(config.mm_tokens_per_image**0.5)
    value = getattr(config, names.factor, None) or getattr(config.vision_config, names.factor)
    return value if isinstance(value, int) else round(1 / value)

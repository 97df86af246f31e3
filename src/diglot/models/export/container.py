"""What a container is: a stock vision-language class of `transformers`, and how a VLM goes into it.

Each file of `containers/` holds one, as `CONTAINER`. `find_misfits` compares settings alone, so it
can be asked before training; `convert` moves the weights, and is exact or refuses.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from transformers import PreTrainedTokenizerFast

from diglot.config.parts import import_own, known_parts
from diglot.core.errors import ConfigError
from diglot.core.types import SizeHW
from diglot.models.export.design import Design
from diglot.models.visual_rules import VisualRule
from diglot.models.vlm import VLM

PACKAGE = "diglot.models.export.containers"
IMAGE_TOKEN = "<image>"
State = dict[str, torch.Tensor]
PLAIN_RULE = VisualRule()

# encoder -> the strategy by which the Llava family drops what stands before the patches
STRATEGY = {"clip": "default", "dinov2": "default", "siglip": "full"}
PREFIX_TOKENS = {"clip": 1, "dinov2": 1, "siglip": 0}


class Container(ABC):
    """One stock class: what fits it, and how the parts of a VLM are named in it."""

    name: ClassVar[str]
    model_class: ClassVar[str]
    """The class of `transformers` that loads the folder."""
    tower_at: ClassVar[str] = "model.vision_tower."
    projector_at: ClassVar[str] = "model.multi_modal_projector."
    text_at: ClassVar[str] = "model.language_model."
    image_token: ClassVar[str] = IMAGE_TOKEN
    """What stands for one visual token in the processor's text."""
    image_text: ClassVar[str] = IMAGE_TOKEN
    """How an image is written in a prompt, with what the processor does not add by itself."""
    needs: ClassVar[tuple[str, ...]] = ()
    """Packages that the stock model needs beside `transformers`."""
    chat_template: ClassVar[str | None] = None
    """By which its processor reads messages, where that is not the language model's own."""
    note: ClassVar[str] = ""
    """What the stock class does otherwise, where that hangs on what it is asked."""

    @abstractmethod
    def find_misfits(self, design: Design) -> list[str]:
        """Why this container cannot hold the design exactly; empty where it can."""

    @abstractmethod
    def make_config(self, vlm: VLM, design: Design, image_token_id: int) -> Any:
        """The stock config. `image_token_id` is that of `image_token` in the tokenizer.

        It holds copies of the parts' configs: making a model of it changes them.
        """

    @abstractmethod
    def projector_state(self, vlm: VLM, design: Design) -> State:
        """The projector's weights under the container's names, without `projector_at`."""

    @abstractmethod
    def make_processor(self, vlm: VLM, design: Design, tokenizer: PreTrainedTokenizerFast) -> Any:
        """The stock processor around a tokenizer that knows the container's tokens."""

    def tower_state(self, vlm: VLM) -> State:
        """The vision tower's weights under the container's names, without `tower_at`."""
        return vlm.encoder.tower.state_dict()

    def extra_state(self, vlm: VLM) -> State:
        """Weights beside tower, projector and language model, by their full names."""
        return {}

    def pixel_inputs(self, vlm: VLM, pixels_V3HW: torch.Tensor, size_hw: SizeHW) -> State:
        """The stock model's inputs for one image of this size, out of our views' pixels.

        `--check` takes them where the stock processor cannot be loaded.
        """
        return {"pixel_values": pixels_V3HW}

    def extra_tokens(self, design: Design) -> list[str]:
        """Special tokens beside `image_token` that the processor writes."""
        return []


def known_containers() -> list[str]:
    """Names of all containers, sorted."""
    return known_parts(PACKAGE)


def load_container(name: str) -> Container:
    """The container of this name, or of the user's own module. Raises ConfigError for neither."""
    if "." in name:
        own = getattr(import_own(name, "to"), "CONTAINER", None)
        if not isinstance(own, Container):
            raise ConfigError(f"module {name!r} has no CONTAINER", got=own, where="to")
        return own
    if name not in known_containers():
        known = ", ".join(known_containers())
        raise ConfigError(
            f"no container {name!r}",
            expected=f"one of {known}, or a dotted path of your own",
            where="to",
        )
    return importlib.import_module(f"{PACKAGE}.{name}").CONTAINER


def compare_containers(design: Design) -> Mapping[str, list[str]]:
    """Every container's reasons against a design, those that fit first."""
    misfits = {name: load_container(name).find_misfits(design) for name in known_containers()}
    return dict(sorted(misfits.items(), key=lambda item: (bool(item[1]), item[0])))


def nearest_container(misfits: Mapping[str, list[str]]) -> str:
    """The container with the fewest reasons against a design; first those that have its tower."""
    return min(misfits, key=lambda name: (_lacks_tower(misfits[name]), len(misfits[name])))


def _lacks_tower(reasons: list[str]) -> bool:
    return any(reason.startswith("encoder ") for reason in reasons)  # as encoder_misfits writes


def language_misfits(
    design: Design, *, rule: VisualRule = PLAIN_RULE, changes_logits: bool = False
) -> list[str]:
    """What the container does not keep of a language model, and another rule of visual tokens.

    `changes_logits`: it scales and caps logits as the language model's own class does.
    """
    reasons = ["the language model's head has a bias, the container's none"] * design.head_bias
    if design.ties_unknown:
        reasons.append("its head is tied to embeddings that are no `embed_tokens` of its decoder")
    if design.changes_logits and not changes_logits:
        reasons.append("the language model scales or caps its logits, which the container does not")
    if design.rule.grid_positions != rule.grid_positions:
        way = "in rows and columns" if rule.grid_positions else "like words"
        reasons.append(f"language.grid_positions: it counts the positions of visual tokens {way}")
    if design.rule.both_ways != rule.both_ways:
        sees = f"both ways within the {rule.both_ways}" if rule.both_ways else "what is before them"
        reasons.append(f"language.both_ways {design.rule.both_ways}: its tokens see {sees}")
    return reasons


def encoder_misfits(design: Design, families: tuple[str, ...]) -> list[str]:
    """An encoder of another family than the container's tower."""
    name = design.encoder["name"]
    if name not in families:
        return [f"encoder {name}: its tower is {' or '.join(families)}"]
    registers = getattr(design.tower, "num_register_tokens", 0)
    return ["a tower with registers: they would enter the language model"] if registers else []


def layer_misfits(design: Design, *, reads_last: bool) -> list[str]:
    """An encoder layer that the container does not read."""
    layer = design.encoder.get("layer")
    if design.encoder["name"] == "clip":  # its last state is not normed: both are one
        layers = getattr(design.tower, "num_hidden_layers", None)
        is_last, is_hidden = layer in ("last", -1, layers), True
    else:
        is_last, is_hidden = layer == "last", layer != "last"
    if reads_last and not is_last:
        return [f"encoder.layer {layer}: it reads the last state, layer: last"]
    if not reads_last and not is_hidden:
        return [f"encoder.layer {layer}: it reads hidden_states[k], a number"]
    return []


def hidden_layer(design: Design) -> int:
    """The number of the hidden state that the design reads."""
    layer = design.encoder["layer"]
    return -1 if layer == "last" else layer


def size_misfits(design: Design) -> list[str]:
    """A view of another size than the tower was trained on, where the container has but that."""
    preprocess, trained = design.preprocess, getattr(design.tower, "image_size", None)
    if preprocess is None or trained is None or design.encoder["name"] == "dinov2":
        return []  # DINOv2 interpolates its positions by itself
    if preprocess.image_px != trained:
        return [f"image_px {preprocess.image_px}: its tower sees {trained} px alone"]
    return []


def mode_misfits(design: Design, modes: tuple[str, ...]) -> list[str]:
    """A way of preparing images that the stock processor does not have."""
    if design.preprocess is None or design.preprocess.mode in modes:
        return []
    return [f"preprocess.mode {design.preprocess.mode}: it has {' or '.join(modes)}"]


def thumbnail_misfits(design: Design, mode: str) -> list[str]:
    """Tiles of this mode without the whole image beside them, which the stock processor adds."""
    preprocess = design.preprocess
    if preprocess is None or preprocess.mode != mode or preprocess.thumbnail:
        return []
    return ["preprocess.thumbnail false: its tiles always have one"]

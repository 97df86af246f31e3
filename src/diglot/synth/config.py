"""The configuration of a synthesis: which steps in which order, and how they are run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from diglot.config.parts import Part, as_plain
from diglot.config.recipes import merge_recipes
from diglot.core.errors import ConfigError

EngineName = Literal["local", "ray"]


class StepPart(Part):
    """A step: a file of synth/steps, or a module of the user's."""

    package = "diglot.synth.steps"
    where = "steps"


class AnnotatorPart(Part):
    """An annotator: a file of synth/annotators, or a module of the user's."""

    package = "diglot.synth.annotators"
    where = "annotator"


@dataclass(frozen=True, kw_only=True)
class SynthConfig:
    """A synthesis recipe: its steps in order, and how they are run."""

    steps: dict[str, Any] = field(default_factory=dict)
    """Steps in order, by a name of your own, each with the fields of its part; `step` names the
    part where the name does not (`large: {step: filters, max_box_share: 0.5}`). null takes one
    away."""
    slice_images: int = 64
    """Images that are done, kept and resumed together."""
    shard_samples: int = 256
    """Samples in a Parquet file of the output."""
    max_images: int | None = None
    """Use the first so many images."""
    engine: EngineName = "local"
    """local: this machine; ray: Ray Data with a pool of actors, on a cluster if there is one."""
    workers: int | None = None
    """Processes, each with its own models, and each with as many threads as this one has
    (OMP_NUM_THREADS): 0 = in this one. Default: one for each GPU, else 0 (ray: 1)."""
    cache: str | None = None
    """Folder of endpoint answers and of what came out of each step, for several runs: one with a
    step changed redoes that step and those behind it alone. Default: answers alone, in the
    output."""

    def __post_init__(self) -> None:
        for name in ("slice_images", "shard_samples", "max_images"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError("must be at least 1", got=value, where=name)
        if self.workers is not None and self.workers < 0:
            raise ConfigError("below 0", got=self.workers, where="workers")


def merge_recipe(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below` overridden by `above`; an annotator of another name starts anew."""
    given = {**dict(below.get("steps") or {}), **dict(above.get("steps") or {})}
    parts = {
        f"steps.{name}.annotator": {}
        for name in given
        if any(_has_annotator(recipe, name) for recipe in (below, above))
    }
    return merge_recipes(below, above, parts=parts)


def _has_annotator(recipe: Mapping[str, Any], name: str) -> bool:
    step = (recipe.get("steps") or {}).get(name)
    return isinstance(step, Mapping) and "annotator" in step


def resolve_steps(steps: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Every step with all its fields spelled out, its annotator's too.

    Raises ConfigError for a step or annotator that is none, or a field of theirs that is wrong.
    """
    resolved = {name: _resolve_step(name, step) for name, step in steps.items() if step is not None}
    if not resolved:
        raise ConfigError(
            "no steps", expected="--config synth/mmcs, or a recipe with steps", where="steps"
        )
    return resolved


def _resolve_step(name: str, fields: Any) -> dict[str, Any]:
    where = f"steps.{name}"
    if not isinstance(fields, Mapping):
        raise ConfigError("not a step", expected="its fields", got=fields, where=where)
    settings = dict(fields)
    part = settings.pop("step", name)
    config = StepPart(part, settings, where=where).config
    resolved = {"step": part, **as_plain(config)}
    if "annotator" in resolved:
        annotator = AnnotatorPart.read(resolved["annotator"], where=f"{where}.annotator")
        resolved["annotator"] = annotator.as_dict()
    return resolved

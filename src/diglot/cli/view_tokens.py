"""`diglot view DATA --tokens RECIPE`: the records as training reads them, token by token."""

import json
from pathlib import Path
from typing import Any

from diglot.config.recipes import read_recipe
from diglot.core.errors import ConfigError
from diglot.core.run_files import RUN_ALONE, SETTINGS
from diglot.models.checkpoint import load_template
from diglot.models.vlm import build_vlm
from diglot.train.config import StageConfig, resolve_stage, stage_config
from diglot.train.datasets import open_data
from diglot.train.mixture import build_mixture
from diglot.train.samples import PreparedSamples
from diglot.train.token_listing import list_tokens


def token_documents(
    name: str, data: Path, split: str, indexes: list[int]
) -> tuple[list[dict[str, Any]], str]:
    """Records of a dataset as a recipe, or a run's settings, train them, and a note on the page.

    With `mix` a record comes once for each objective that it goes to. Raises ConfigError for a
    recipe that is wrong.
    """
    config = resolve_stage(_read_stage(name, data, split))
    objective = build_mixture(config.objective, config.plus, config.mix)
    vlm = build_vlm(config.model, seed=config.seed)
    for start in filter(None, (config.start_from, config.start_language)):
        load_template(vlm.language, Path(start))
    objective.adopt_template(vlm.language)
    samples = PreparedSamples(open_data(config.sources), vlm.processor, objective, config.seed)
    turns = range(1 + len(objective.shares))
    documents = [
        list_tokens(samples[0, turn, index], vlm.processor.tokenizer)
        for index in indexes
        for turn in turns
    ]
    return documents, f"{name}: objective {config.objective.name}"


def _read_stage(name: str, data: Path, split: str) -> StageConfig:
    kept = Path(name) / SETTINGS
    settings: Any = (
        json.loads(kept.read_text("utf-8"))
        if kept.is_file()
        else read_recipe(name, option="--tokens")
    )
    if not isinstance(settings, dict):
        raise ConfigError("not the settings of a stage", where="--tokens", got=name)
    own = {"data": str(data), "split": split, "out": "out", "labels": None, "features": None}
    known = {key: value for key, value in settings.items() if key not in RUN_ALONE}
    return stage_config({**known, **own}, where=name)

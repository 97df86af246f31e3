"""What lmms-eval calls for a local task; this text follows `evaluate.scoring` in its utils.py."""

import io
import json
from collections.abc import Mapping
from typing import Any

SCORERS = (
    *("score_choice", "score_yes_no", "score_count", "score_box"),
    *("score_text", "score_value", "score_description"),
)


def doc_to_visual(doc: Mapping[str, Any]) -> list[Any]:
    """The picture of a row, if it has one."""
    from PIL import Image  # in lmms-eval's environment

    content = doc["picture"]
    return [Image.open(io.BytesIO(content)).convert("RGB")] if content else []


def doc_to_text(doc: Mapping[str, Any], lmms_eval_specific_kwargs: Any = None) -> str:
    """The question of a row."""
    return json.loads(doc["item"])["question"]


def doc_to_target(doc: Mapping[str, Any]) -> str:
    """The right answer of a row."""
    return json.loads(doc["item"])["answer"]


def process_results(doc: Mapping[str, Any], results: list[str]) -> dict[str, float]:
    """The scores of an answer, by the function of `evaluate.scoring` that the row names."""
    if doc["scorer"] not in SCORERS:
        raise ValueError(f"no scorer {doc['scorer']!r}")
    return globals()[doc["scorer"]](results[0], json.loads(doc["item"]))

"""Items of questions with a few possible answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from diglot.core.types import Sample
from diglot.evaluate.items import Item
from diglot.measure.groups import group_of


def choice_item(
    sample: Sample,
    number: int,
    *,
    question: str,
    candidates: Sequence[str],
    answer: str,
    source: str = "",
    truth: Mapping[str, Any] | None = None,
) -> Item:
    """An item of one right candidate; `source` is that of the region that it asks for."""
    return Item(
        id=f"{sample.id}/{number}",
        task="",
        question=question,
        answer=answer,
        scene=sample.id,
        group=group_of(source) if source else "",
        candidates=tuple(candidates),
        right=tuple(candidate == answer for candidate in candidates),
        truth=dict(truth or {}),
    )

"""Scores of written answers: what an answer means, and whether it is right.

Only the standard library is used, so that the file also goes as it is into a folder of tasks for
lmms-eval, whose scores are then these.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

NUMBERS = (
    *("zero", "one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)
_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
_BOX = re.compile(rf"\[{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}\]")


def read_box(text: str) -> tuple[float, float, float, float] | None:
    """The first [x0, y0, x1, y1] of an answer, as lmms-eval reads RefCOCO's; None for none."""
    found = _BOX.search(text)
    if not found:
        return None
    x0, y0, x1, y1 = (float(number) for number in found.groups())
    return x0, y0, x1, y1


def box_iou(first: Sequence[float], second: Sequence[float]) -> float:
    """Intersection over union of two xyxy boxes, in [0, 1]; 0 where one is empty or turned over."""
    areas = [max(0.0, b[2] - b[0]) * max(0.0, b[3] - b[1]) for b in (first, second)]
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(0.0, width) * max(0.0, height) if min(areas) > 0 else 0.0
    return shared / (sum(areas) - shared) if shared else 0.0


def first_mention(text: str, choices: Sequence[str]) -> str | None:
    """The choice that an answer names first as whole words, whatever its case; None for none.

    Of several that begin at one place the longest counts ("red car" before "red").
    """
    best: tuple[int, int, str] | None = None
    for choice in choices:
        pattern = rf"(?<!\w){re.escape(choice.lower())}(?!\w)"
        if found := re.search(pattern, text.lower()):
            key = (found.start(), -len(choice), choice)
            best = key if best is None or key < best else best
    return best[2] if best else None


def names_right(text: str, choices: Sequence[str], answer: str) -> float:
    """1 where the choice that an answer names first is the right one, else 0."""
    return float(first_mention(text, choices) == answer)


def read_count(text: str) -> int | None:
    """The first number of an answer, in digits or in words up to twelve; None for none."""
    words = first_mention(text, NUMBERS)
    digits = re.search(r"(?<![\w.])\d+(?!\w|\.\d)", text)
    if words is None:
        return int(digits.group()) if digits else None
    at = text.lower().find(words)
    return int(digits.group()) if digits and digits.start() < at else NUMBERS.index(words)


def count_right(text: str, answer: str) -> float:
    """1 where the first number of an answer is the right one, else 0."""
    return float(read_count(text) == int(answer))


def mentioned_choices(text: str, choices: Sequence[str]) -> list[str]:
    """The choices that a text names as whole words, also in their plain plural."""
    low = text.lower()
    return [c for c in choices if re.search(rf"(?<!\w){re.escape(c.lower())}(?:e?s)?(?!\w)", low)]


def mention_scores(text: str, answers: Sequence[str], absent: Sequence[str]) -> dict[str, float]:
    """What a description names: recall of what is there, precision among all names, and F1.

    answers: names of what the picture shows; absent: names that it does not show. A text that names
    nothing has precision 0.
    """
    right, wrong = mentioned_choices(text, answers), mentioned_choices(text, absent)
    # "red panda" holds "panda": a name inside a longer one that is named is no mention of its own
    wrong = [w for w in wrong if not any(w != r and w.lower() in r.lower() for r in right)]
    recall = len(right) / len(answers) if answers else 0.0
    precision = len(right) / (len(right) + len(wrong)) if right else 0.0
    both = recall + precision
    return {
        "recall": recall,
        "precision": precision,
        "f1": 2 * recall * precision / both if both else 0.0,
    }


# Scores of an answer to an item, which is plain JSON here: by metric a value in [0, 1].


def score_choice(text: str, item: Mapping[str, Any]) -> dict[str, float]:
    """Whether the candidate that is named first is the right one."""
    return {"accuracy": names_right(text, item["candidates"], item["answer"])}


def score_yes_no(text: str, item: Mapping[str, Any]) -> dict[str, float]:
    """As `score_choice`, and whether the answer is yes."""
    yes = first_mention(text, item["candidates"]) == "Yes"
    return {**score_choice(text, item), "share of yes": float(yes)}


def score_count(text: str, item: Mapping[str, Any]) -> dict[str, float]:
    """Whether the first number is the right one."""
    return {"accuracy": count_right(text, item["answer"])}


def score_box(text: str, item: Mapping[str, Any]) -> dict[str, float]:
    """Acc@0.5 of the first box, and its IoU with the true one."""
    iou = box_iou(read_box(text) or (0.0,) * 4, item["truth"]["box"])
    return {"accuracy": float(iou >= 0.5), "mean IoU": iou}


def score_text(text: str, item: Mapping[str, Any]) -> dict[str, float]:
    """Whether the words stand in the answer, whatever its case, as OCRBench counts."""
    return {"accuracy": names_right(text, [item["answer"]], item["answer"])}


def score_value(text: str, item: Mapping[str, Any]) -> dict[str, float]:
    """Whether the first number is within 5% of the right one: ChartQA's relaxed accuracy."""
    found = re.search(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?", text)
    value = float(found.group().replace(",", "")) if found else float("inf")
    true = float(item["answer"])
    return {"accuracy": float(abs(value - true) <= 0.05 * abs(true) * (1 + 1e-9))}


def score_description(text: str, item: Mapping[str, Any]) -> dict[str, float]:
    """F1, recall and precision of the names."""
    return mention_scores(text, item["truth"]["names"], item["truth"]["absent"])

"""What a labeller learns once from the first images, kept beside the labels: their mean, the sign.

Kept, so that a run that goes on, and every further split, labels in the very same way.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from diglot.core.errors import DataError
from diglot.files import locked, replace_text
from diglot.synth.patch_labels.run import Usable
from diglot.synth.patch_labels.sign import choose_sign
from diglot.synth.patch_labels.word_labeller import Centre, WordLabeller

FILE = "settled.json"


def settle(
    labeller: WordLabeller,
    folder: Path,
    first_images: Callable[[], list[Usable]],
    *,
    sign: int | None,
    centre: bool,
) -> None:
    """Set the labeller's centre, sign (of itself, where `sign` is None) and `about`."""
    labeller.about = {**labeller.about, "centre": centre, "sign": sign or "auto"}
    labeller.sign = sign or 1
    if sign is not None and not centre:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".settled.lock", wait=True):
        told = _read(folder / FILE, labeller.about) or _find(labeller, first_images(), sign, centre)
        replace_text(folder / FILE, json.dumps({"of": labeller.about, **told}) + "\n")
    labeller.sign = told["sign"]
    if centre:
        labeller.centre = _centre(labeller, told["patch_mean"])
    labeller.about = {**labeller.about, "sign": told["sign"], "why": told["why"]}


def _read(path: Path, about: Mapping[str, Any]) -> dict[str, Any] | None:
    """What was found before, if it was of the same labeller."""
    if not path.exists():
        return None
    try:
        told = json.loads(path.read_text("utf-8"))
        of = told.pop("of")
        return told if of == json.loads(json.dumps(dict(about))) and "sign" in told else None
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise DataError("not what diglot label left", where=str(path), fix="Delete it.") from error


def _find(
    labeller: WordLabeller, seen: list[Usable], sign: int | None, centre: bool
) -> dict[str, Any]:
    samples, pictures = [s for s, _ in seen], [p for _, p in seen]
    mean = None
    if centre:
        means = [labeller.vectors_of([picture]).mean(dim=(0, 1)) for picture in pictures]
        mean = torch.stack(means).mean(dim=0).tolist()
        labeller.centre = _centre(labeller, mean)
    if sign is not None:
        return {"sign": sign, "why": f"sign {sign:+d}: as told", "patch_mean": mean}
    chosen = choose_sign(labeller, samples, pictures, labeller.about["labeller"])
    return {"sign": chosen.value, "why": chosen.describe(), "patch_mean": mean}


def _centre(labeller: WordLabeller, patch_mean: list[float]) -> Centre:
    """With the mean over the words, which one pass over their vectors gives."""
    total, count = torch.zeros(len(patch_mean), dtype=torch.float64), 0
    for _, piece in labeller.pieces():
        total += piece.double().sum(dim=0).cpu()
        count += len(piece)
    return Centre(patch_C=torch.tensor(patch_mean), word_C=(total / count).float())

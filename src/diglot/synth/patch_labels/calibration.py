"""What a labeller learns once from the first images, kept beside the labels: their mean, the sign.

Kept, so that a resumed run, and every further split, labels in the very same way.
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

FILE, FILE_BEFORE = "calibration.json", "settled.json"  # the second: written before 0.2


def calibrate(
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
    with locked(folder / ".calibration.lock", wait=True):
        path = folder / FILE
        kept = _read(path if path.exists() else folder / FILE_BEFORE, labeller.about)
        found = kept or _find(labeller, first_images(), sign, centre)
        replace_text(path, json.dumps({"of": labeller.about, **found}) + "\n")
    labeller.sign = found["sign"]
    if centre:
        labeller.centre = _centre(labeller, found["patch_mean"])
    labeller.about = {**labeller.about, "sign": found["sign"], "why": found["why"]}


def _read(path: Path, about: Mapping[str, Any]) -> dict[str, Any] | None:
    """What was found before, if it was of the same labeller."""
    if not path.exists():
        return None
    try:
        fields = json.loads(path.read_text("utf-8"))
        of = fields.pop("of")
        return fields if of == json.loads(json.dumps(dict(about))) and "sign" in fields else None
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise DataError("not what diglot label left", where=str(path), fix="Delete it.") from error


def _find(
    labeller: WordLabeller, usable: list[Usable], sign: int | None, centre: bool
) -> dict[str, Any]:
    samples, pictures = [s for s, _ in usable], [p for _, p in usable]
    mean = None
    if centre:
        means = [labeller.vectors_of([picture]).mean(dim=(0, 1)) for picture in pictures]
        mean = torch.stack(means).mean(dim=0).tolist()
        labeller.centre = _centre(labeller, mean)
    if sign is not None:
        return {"sign": sign, "why": f"sign {sign:+d}: as given", "patch_mean": mean}
    chosen = choose_sign(labeller, samples, pictures, labeller.about["labeller"])
    return {"sign": chosen.value, "why": chosen.describe(), "patch_mean": mean}


def _centre(labeller: WordLabeller, patch_mean: list[float]) -> Centre:
    """With the mean over the words, which one pass over their vectors gives."""
    total, count = torch.zeros(len(patch_mean), dtype=torch.float64), 0
    for _, piece in labeller.pieces():
        total += piece.double().sum(dim=0).cpu()
        count += len(piece)
    return Centre(patch_C=torch.tensor(patch_mean), word_C=(total / count).float())

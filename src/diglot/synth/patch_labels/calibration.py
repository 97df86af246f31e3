"""What a labeller learns once from the first images, kept beside the labels: their mean, the sign.

Kept, so that a resumed run, and every further split, labels in the very same way.
"""

import contextlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from diglot.files import reuse_or_make, write_kept
from diglot.synth.patch_labels.sign import choose_sign
from diglot.synth.patch_labels.usable import Usable
from diglot.synth.patch_labels.word_labeller import Centre, WordLabeller

FILE, FILE_BEFORE = "calibration.json", "settled.json"  # the second: written before 0.2


def fit_calibration(
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
    _adopt_older(folder, labeller.about)
    found = reuse_or_make(
        folder / FILE,
        labeller.about,
        lambda: _calibrate_on(labeller, first_images(), sign, centre),
    )
    labeller.sign = found["sign"]
    if centre:
        labeller.centre = _measure_centre(labeller, found["patch_mean"])
    labeller.about = {**labeller.about, "sign": found["sign"], "why": found["why"]}


def _adopt_older(folder: Path, about: Mapping[str, Any]) -> None:
    """Take over what diglot before 0.3 kept, if it was of the same labeller."""
    for path in (folder / FILE, folder / FILE_BEFORE):
        with contextlib.suppress(OSError, ValueError, AttributeError, KeyError, TypeError):
            found = json.loads(path.read_text("utf-8"))
            if found.pop("of") == json.loads(json.dumps(dict(about))) and "sign" in found:
                write_kept(folder / FILE, about, found)
                return


def _calibrate_on(
    labeller: WordLabeller, usable: list[Usable], sign: int | None, centre: bool
) -> dict[str, Any]:
    samples, pictures = [s for s, _ in usable], [p for _, p in usable]
    mean = None
    if centre:
        means = [labeller.vectors_of([picture]).mean(dim=(0, 1)) for picture in pictures]
        mean = torch.stack(means).mean(dim=0).tolist()
        labeller.centre = _measure_centre(labeller, mean)
    if sign is not None:
        return {"sign": sign, "why": f"sign {sign:+d}: as given", "patch_mean": mean}
    chosen = choose_sign(labeller, samples, pictures, labeller.about["labeller"])
    return {"sign": chosen.value, "why": chosen.describe(), "patch_mean": mean}


def _measure_centre(labeller: WordLabeller, patch_mean: list[float]) -> Centre:
    """With the mean over the words, which one pass over their vectors gives."""
    total, count = torch.zeros(len(patch_mean), dtype=torch.float64), 0
    for _, piece in labeller.pieces():
        total += piece.double().sum(dim=0).cpu()
        count += len(piece)
    return Centre(patch_C=torch.tensor(patch_mean), word_C=(total / count).float())

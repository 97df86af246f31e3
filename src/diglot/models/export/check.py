"""Does an exported folder do what the checkpoint does? Stock `transformers` runs it, we compare.

The folder runs in a process of its own that imports nothing of ours, on real images of odd shapes
through the stock processor; token ids must be the same, and logits equal to 1e-4 in float32.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image as Picture
from safetensors.torch import load_file, save_file

from diglot.core.errors import ConfigError
from diglot.core.layout import encode, expand_lines, pack
from diglot.core.segments import Image, Segment, Tokens
from diglot.data.images import open_picture
from diglot.models.adapters.names import KNOWN
from diglot.models.config import Frame
from diglot.models.export import stock_run
from diglot.models.export.container import Container, load_container
from diglot.models.export.folder import ORIGIN
from diglot.models.prompt import begin_tokens, read_image_text, tokenize_caption
from diglot.models.views import picture_views
from diglot.models.vlm import VLM

TOLERANCE = {"float32": 1e-4, "bfloat16": 0.1, "float16": 0.02}
"""Largest difference, absolute and relative; half precision rounds the weights themselves."""
SIZES_HW = ((427, 640), (640, 427), (333, 333), (97, 511), (250, 61))
PROMPT = "\nThe picture shows"
QUESTION = "What is in the picture?"
NEW_TOKENS = 8
IMAGE_ID = stock_run.IMAGE_ID

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ExportCheck:
    """How an exported folder, run by stock transformers alone, compares with its model."""

    images: int
    largest_difference: float | None
    """Of the logits at all text positions; None where the tokens differ."""
    tolerance: float
    computed_in: str
    """float32, or float64 where rounding may have been at fault there."""
    same_tokens: bool
    """Whether text tokens and the number of visual tokens are the same for every image."""
    answers: tuple[str, ...]
    """What the folder generated; empty where the processor could not be loaded."""
    lacking: str | None
    """Why the stock processor could not be loaded; then it ran on our pixels."""
    pixel_difference: float | None
    """Of the stock processor's normalised pixels from ours, the largest. Of those that resize by
    PIL as training does it is rounding; of the others (then logits are compared on our pixels) the
    resizing's own. None where the processor could not be loaded."""
    equal: bool

    @property
    def passed(self) -> bool:
        """Whether the folder does what the checkpoint does, as far as could be checked."""
        same_shapes = self.pixel_difference != float("inf")
        return self.equal and self.same_tokens and same_shapes


def odd_pictures(files: Sequence[Path]) -> list[Picture.Image]:
    """Crops of real photographs in five odd shapes, some larger than the photograph."""
    pictures = []
    for number, (height, width) in enumerate(SIZES_HW):
        photo = open_picture(files[number % len(files)])
        scale = max(height / photo.height, width / photo.width, 0.5)
        photo = photo.resize((round(photo.width * scale), round(photo.height * scale)))
        pictures.append(photo.crop((0, 0, width, height)))
    return pictures


def check_export(
    folder: Path,
    vlm: VLM,
    pictures: Sequence[Picture.Image],
    *,
    dtype: str = "float32",
    run: Callable[[Path], None] | None = None,
) -> ExportCheck:
    """Run the folder in a new process and compare it with `vlm` in float32.

    Where logits differ by more than allowed, both run again in float64: rounding, of which deep
    models add up much, is less there, and a wrong weight is not. `dtype` is that of the folder's
    weights; `run` takes the place of the new process. Raises ConfigError where the folder cannot
    be run.
    """
    found = _compare(folder, vlm.float().eval(), pictures, dtype, run)
    if found.equal or not found.same_tokens or dtype != "float32":
        return found
    log.info(
        "logits differ by %.1e in float32; both sides run again in float64",
        found.largest_difference,
    )
    try:
        return _compare(folder, vlm.double(), pictures, dtype, run)
    finally:
        vlm.float()


def _compare(
    folder: Path,
    vlm: VLM,
    pictures: Sequence[Picture.Image],
    dtype: str,
    run: Callable[[Path], None] | None,
) -> ExportCheck:
    """The check in the number format that `vlm` is in."""
    computed_in = str(vlm.language.input_embeddings.weight.dtype).removeprefix("torch.")
    ours = [picture_logits(vlm, picture) for picture in pictures]
    with tempfile.TemporaryDirectory() as made:
        request = Path(made)
        _write_request(request, folder, vlm, pictures, ours, computed_in)
        (run or run_isolated)(request)
        result = json.loads((request / "result.json").read_text("utf-8"))
        theirs = load_file(request / "logits.safetensors")
    same_tokens = all(theirs[f"ids.{i}"].equal(mine.ids_T) for i, mine in enumerate(ours))
    pairs = [(mine.logits_TV, theirs[f"logits.{i}"]) for i, mine in enumerate(ours)]
    return ExportCheck(
        images=len(ours),
        largest_difference=max(map(_logit_difference, pairs)) if same_tokens else None,
        tolerance=TOLERANCE[dtype],
        computed_in=computed_in,
        same_tokens=same_tokens,
        answers=tuple(result["answers"]),
        lacking=result["lacking"],
        pixel_difference=result["pixels"],
        equal=same_tokens and all(_are_equal(pair, TOLERANCE[dtype]) for pair in pairs),
    )


Pair = tuple[torch.Tensor, torch.Tensor]  # logits (T, V) of ours and (T, V or more) of stock


def _logit_difference(pair: Pair) -> float:
    ours_TV, theirs_TV = pair
    return (ours_TV - theirs_TV[:, : ours_TV.shape[1]]).abs().max().item()


def _are_equal(pair: Pair, tolerance: float) -> bool:
    ours_TV, theirs_TV = pair  # theirs may have rows for added tokens
    got_TV = theirs_TV[:, : ours_TV.shape[1]]
    return torch.allclose(got_TV, ours_TV, rtol=tolerance, atol=tolerance)


@dataclass(frozen=True)
class PictureLogits:
    """Our side of one image: token ids, IMAGE_ID at visual tokens, and logits at the others."""

    ids_T: torch.Tensor
    logits_TV: torch.Tensor
    pixels_V3HW: torch.Tensor


@torch.no_grad()
def picture_logits(vlm: VLM, picture: Picture.Image) -> PictureLogits:
    """Logits of [BOS] V PROMPT at its text positions, V BOS PROMPT where V comes first."""
    tokenizer = vlm.language.tokenizer
    grid = vlm.token_grid((picture.height, picture.width))
    views = picture_views(vlm, picture)
    kept = vlm.language.input_embeddings.weight.dtype
    visual_ND = vlm.project(vlm.features([view.to(kept) for view in views]))
    sequence = expand_lines(_prompt_segments(tokenizer), [grid])
    packed = pack([encode(sequence, visual_counts=[len(grid)], terms=())], row_tokens=1)
    hidden_TD = vlm.decode(packed, visual_ND).last_hidden_state[0]
    is_text = (packed.visual_BT[0] < 0) & (packed.separator_BT[0] < 0)
    ids_T = packed.token_BT[0].where(is_text, torch.tensor(IMAGE_ID))
    logits_TV = vlm.language.head(hidden_TD[is_text])
    logits_TV = logits_TV.to(torch.promote_types(logits_TV.dtype, torch.float32))
    return PictureLogits(ids_T, logits_TV, torch.stack(list(views)))


def _open_prompt(tokenizer: Any) -> tuple[int, ...]:
    """The BOS before an image, where the image does not come first."""
    comes_first = read_image_text(tokenizer).starts_document
    return () if comes_first else begin_tokens(Frame(), tokenizer)


def _prompt_segments(tokenizer: Any) -> list[Segment]:
    """[BOS] V PROMPT with what the stock processor writes around the image, as text."""
    image_text = read_image_text(tokenizer)
    ends = "\n" * image_text.starts_document  # PaliGemma's processor ends a prompt by a newline
    before = tokenize_caption(image_text.before, tokenizer).ids
    after = tokenize_caption(image_text.after + PROMPT + ends, tokenizer).ids
    return [Tokens(_open_prompt(tokenizer) + before), Image(), Tokens(after)]


def _write_request(
    request: Path,
    folder: Path,
    vlm: VLM,
    pictures: Sequence[Picture.Image],
    ours: Sequence[PictureLogits],
    computed_in: str,
) -> None:
    tokenizer = vlm.language.tokenizer
    container, written = _read_container(folder, tokenizer)
    start = "".join(tokenizer.convert_ids_to_tokens(list(_open_prompt(tokenizer))))
    fields = {
        "folder": str(folder.resolve()),
        "computed_in": computed_in,
        "texts": [start + written + PROMPT] * len(pictures),
        "question": QUESTION,
        "bare_question": f"{start}{written}\n{QUESTION}",
        "new_tokens": NEW_TOKENS,
    }
    (request / "request.json").write_text(json.dumps(fields), "utf-8")
    for number, picture in enumerate(pictures):
        picture.save(request / f"{number}.png")
        mine, size_hw = ours[number], (picture.height, picture.width)
        inputs = container.pixel_inputs(vlm, mine.pixels_V3HW, size_hw)
        inputs = {"input_ids": mine.ids_T[None], **inputs}
        save_file(inputs, request / f"inputs.{number}.safetensors")


def _read_container(folder: Path, tokenizer: Any) -> tuple[Container, str]:
    """The container that the folder was written as, or one that takes pixels in the same way; and
    how an image is written in a prompt.
    """
    name = json.loads((folder / ORIGIN).read_text("utf-8"))["container"]
    if name in KNOWN and (like := KNOWN[name].pixels_like):
        return load_container(like), read_image_text(tokenizer).written
    container = load_container(name)
    return container, container.image_text


def run_isolated(request: Path) -> None:
    """The stock side in a process that has no import of ours.

    Raises ConfigError with its last words where it fails.
    """
    command = [sys.executable, "-I", str(stock_run.__file__), str(request)]
    quiet = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    ran = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | quiet
    )
    if ran.returncode:
        message = ran.stderr.strip()[-600:]
        raise ConfigError(f"stock transformers cannot run the export: {message}", where="--check")
    modules = json.loads((request / "result.json").read_text("utf-8"))["modules"]
    assert not any(name.split(".")[0] == "diglot" for name in modules)

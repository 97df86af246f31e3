"""What `diglot chat` does once its options are read; this loads the model libraries."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console

from diglot.cli.console import open_console
from diglot.core.errors import ConfigError
from diglot.core.geometry import TokenGrid
from diglot.data.images import open_picture
from diglot.files import replace_file, write_json
from diglot.measure.checkpoint import checkpoint_folder
from diglot.models.chat import (
    caption_prompt,
    generate_text,
    heat_map,
    point_at,
    project_picture,
    question_prompt,
    read_frame,
)
from diglot.models.device_map import move_to_devices
from diglot.models.export.flow import load_checkpoint, open_config

SHADES = " .:-=+*#%@"

MAP_COLUMNS = 48


def run_chat(
    *,
    checkpoint: Path,
    image: Path,
    question: str | None,
    point: str | None,
    map: Path | None,
    max_tokens: int,
    json: Path | None,
) -> None:
    """Ask a checkpoint, of `diglot train` or a stock one, about a picture."""
    if map and not point:
        raise ConfigError("there is no map without --point", where="--map")
    if point is not None and not point.strip():
        raise ConfigError("no words to point at", expected="a name, as dog", where="--point")
    picture = open_picture(image)
    if question is not None and not question.strip():
        raise ConfigError(
            "the question is empty", where="--question", fix="Leave it out for a caption."
        )
    checkpoint = checkpoint_folder(checkpoint)
    vlm = move_to_devices(load_checkpoint(checkpoint, open_config(checkpoint)))
    projected = project_picture(vlm, picture)
    prompt = (
        question_prompt(vlm, question) if question else caption_prompt(vlm, read_frame(checkpoint))
    )
    answer = generate_text(vlm, projected, prompt, max_tokens=max_tokens)
    console = open_console(file=sys.stdout, highlight=False)
    console.print(answer, soft_wrap=True)
    result: dict[str, object] = {"question": question, "answer": answer}
    if point:
        cosine_P = point_at(vlm, projected, point)
        result |= _show_point(point, cosine_P, projected.grid, picture, console)
        if map:
            size_hw = picture.height, picture.width
            _write_overlay(picture, heat_map(projected.grid, cosine_P, size_hw), map)
    if json:
        write_json(json, result)


def _show_point(
    point: str, cosine_P: np.ndarray, grid: TokenGrid, picture: Image.Image, console: Console
) -> dict[str, object]:
    """Print where the tokens are nearest to the words `point`; what the record holds of it."""
    best = grid.cells_P4[int(cosine_P.argmax())].round(1).tolist()
    rows = max(1, round(MAP_COLUMNS / 2 * picture.height / picture.width))
    console.print(_shade_map(heat_map(grid, cosine_P, (rows, MAP_COLUMNS))))
    console.print(
        f"{point!r}: nearest token {best} (xyxy px), cosine {cosine_P.max():.2f}; "
        f"mean {cosine_P.mean():.2f}",
    )
    return {
        "point": point,
        "nearest_xyxy": best,
        "cosine": cosine_P.tolist(),
        "cells_xyxy": grid.cells_P4.tolist(),
    }


def _scale_heat(heat_HW: np.ndarray) -> np.ndarray:
    """Scaled to [0, 1]; 0 where no token lies, or all are alike."""
    low, high = np.nanmin(heat_HW), np.nanmax(heat_HW)
    return np.nan_to_num((heat_HW - low) / max(high - low, 1e-6))


def _shade_map(heat_HW: np.ndarray) -> str:
    levels = (_scale_heat(heat_HW) * (len(SHADES) - 1)).round().astype(int)
    return "\n".join("".join(SHADES[level] for level in row) for row in levels)


def _write_overlay(picture: Image.Image, heat_HW: np.ndarray, path: Path) -> None:
    """The picture, red where tokens are near; the file is whole or not there."""
    alpha = Image.fromarray((_scale_heat(heat_HW) * 170).astype(np.uint8))
    painted = Image.composite(Image.new("RGB", picture.size, (220, 30, 30)), picture, alpha)
    with replace_file(path) as temporary:
        painted.save(temporary, format="PNG")

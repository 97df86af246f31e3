"""Scene text by RapidOCR (PP-OCRv6 small, in its own package), on the CPU, offline."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from PIL import Image

from diglot.config.ranges import PositiveInt
from diglot.core.errors import ConfigError
from diglot.synth.annotator import ReadWord


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the reader."""

    threads: PositiveInt = 1
    """CPU threads of a model."""


class RapidOcr:
    """Words with boxes and lines, top to bottom and left to right as the model orders lines."""

    model = "rapidocr"

    def __init__(self, engine: Any, revision: str) -> None:
        self._engine, self.revision = engine, revision

    def read_words(self, pictures: Sequence[Image.Image]) -> list[list[ReadWord]]:
        """The words of each picture; none where nothing is written."""
        return [self._read(picture) for picture in pictures]

    def _read(self, picture: Image.Image) -> list[ReadWord]:
        bgr_HW3 = np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])
        result = self._engine(bgr_HW3, return_word_box=True)
        if result.txts is None:
            return []
        return [
            ReadWord(text=text, box=_bounding_box(corners), score=float(score), line=number)
            for number, line in enumerate(result.word_results)
            for text, score, corners in line
        ]


def _bounding_box(corners: Sequence[Sequence[float]]) -> tuple[float, float, float, float]:
    """The upright box around four corners, xyxy px."""
    points_42 = np.asarray(corners, np.float64)
    (x0, y0), (x1, y1) = points_42.min(0), points_42.max(0)
    return float(x0), float(y0), float(x1), float(y1)


def build(config: Config) -> RapidOcr:
    """The reader. Raises ConfigError where RapidOCR is not installed."""
    try:
        from rapidocr import RapidOCR
    except ImportError as error:
        raise ConfigError(
            "RapidOCR is needed to read text", fix='Install it: pip install "diglot[synth]".'
        ) from error
    params = {
        "Global.log_level": "error",
        "EngineConfig.onnxruntime.intra_op_num_threads": config.threads,
        "EngineConfig.onnxruntime.inter_op_num_threads": config.threads,
    }
    return RapidOcr(RapidOCR(params=params), version("rapidocr"))

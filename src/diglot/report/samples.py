"""Samples as the JSON that a dataset page is made of."""

from collections.abc import Sequence
from typing import Any

from PIL import Image

from diglot.core import masks
from diglot.core.errors import DataError
from diglot.core.types import PatchLabels, Region, Sample
from diglot.report.thumbnails import jpeg_uri, mask_uri


def sample_json(sample: Sample, picture: Image.Image, *, max_px: int = 640) -> dict[str, Any]:
    """A captioned `sample` with its decoded `picture` as a thumbnail (`scene_schema.Scene`).

    Raises DataError where the picture has another size than the record says, or a mask is corrupt.
    """
    scene = _scene_json(sample, 0, picture, max_px)
    return scene | {"caption": sample.caption, "lineage": _lineage_json(sample)}


def record_json(
    sample: Sample,
    pictures: Sequence[Image.Image],
    labels: PatchLabels | None = None,
    *,
    max_px: int = 640,
) -> dict[str, Any]:
    """Any sample with its pictures as thumbnails (`dataset_schema.SampleView`).

    Raises DataError as `sample_json` does.
    """
    scenes = [_scene_json(sample, n, picture, max_px) for n, picture in enumerate(pictures)]
    for scene in scenes:
        scene["caption"] = sample.caption
    return {
        "id": sample.id,
        "caption": sample.caption,
        "scenes": scenes,
        "turns": _turns_json(sample),
        "lineage": _lineage_json(sample),
        "labels": _labels_json(labels) if labels else None,
    }


def _turns_json(sample: Sample) -> list[dict[str, Any]]:
    """The turns; a span names its region by its number, as counted over the pictures in order."""
    order = sorted(range(len(sample.regions)), key=lambda n: sample.regions[n].image)
    numbered = [sample.regions[n] for n in order]
    return [
        {
            "role": turn.role,
            "text": turn.text,
            "learn": turn.learn,
            "spans": [
                [number, *region.span]
                for number, region in enumerate(numbered)
                if region.turn == index and region.span is not None
            ],
        }
        for index, turn in enumerate(sample.turns)
    ]


def _labels_json(labels: PatchLabels) -> dict[str, Any]:
    return {
        "boxes": labels.cells_M4.tolist(),
        "words": [list(words) for words in labels.words],
        "scores": [list(scores) for scores in labels.scores],
    }


def _lineage_json(sample: Sample) -> list[dict[str, str]]:
    return [
        {"step": made.step, "revision": " ".join(filter(None, (made.model, made.revision)))}
        for made in sample.lineage
    ]


def _scene_json(sample: Sample, number: int, picture: Image.Image, max_px: int) -> dict[str, Any]:
    height, width = sample.sizes_hw[number]
    if picture.size != (width, height):
        raise DataError(
            "picture and record differ in size (height, width)",
            expected=(height, width),
            got=(picture.height, picture.width),
            where=f"sample {sample.id!r}",
        )
    regions = [region for region in sample.regions if region.image == number]
    return {
        "id": sample.id,
        "image": jpeg_uri(picture, max_px=max_px),
        "size_hw": [height, width],
        "regions": [_region_json(region, max_px) for region in regions],
    }


def _region_json(region: Region, max_px: int) -> dict[str, Any]:
    in_caption = region.span is not None and region.turn is None
    return {
        "phrase": region.phrase,
        "label": region.name,
        "span": list(region.span or ()) if in_caption else None,
        "box": list(region.box),
        "mask": mask_uri(masks.decode_mask(region.mask), max_px=max_px) if region.mask else None,
        "score": region.score,
        "source": region.source,
    }

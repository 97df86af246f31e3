"""Samples as the JSON that a dataset page is made of."""

from typing import Any

from PIL import Image

from diglot.core import masks
from diglot.core.errors import DataError
from diglot.core.types import Region, Sample
from diglot.report.thumbnails import jpeg_uri, mask_uri


def sample_json(sample: Sample, picture: Image.Image, *, max_px: int = 640) -> dict[str, Any]:
    """`sample` with its decoded `picture` as a thumbnail (`dataset_schema.SampleView`).

    Raises DataError where the picture has another size than the record says, or a mask is corrupt.
    """
    height, width = sample.size_hw
    if picture.size != (width, height):
        raise DataError(
            "picture and record differ in size (height, width)",
            expected=sample.size_hw,
            got=(picture.height, picture.width),
            where=f"sample {sample.id!r}",
        )
    return {
        "id": sample.id,
        "image": jpeg_uri(picture, max_px=max_px),
        "size_hw": [height, width],
        "caption": sample.caption,
        "regions": [_region_json(region, max_px) for region in sample.regions],
        "lineage": [{"step": made.step, "revision": made.revision} for made in sample.lineage],
    }


def _region_json(region: Region, max_px: int) -> dict[str, Any]:
    return {
        "phrase": region.phrase,
        "label": region.name,
        "span": None if region.span is None else list(region.span),
        "box": list(region.box),
        "mask": mask_uri(masks.decode(region.mask), max_px=max_px) if region.mask else None,
        "score": region.score,
        "source": region.source,
    }

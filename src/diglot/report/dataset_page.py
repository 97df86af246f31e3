"""Samples of a dataset as one self-contained HTML page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diglot.report.dataset_schema import DatasetPage, read_dataset_page
from diglot.report.render import render, write_page
from diglot.report.scenes import view_scene


def write_dataset_page(data: Mapping[str, Any], out: Path) -> Path:
    """Write the page of `data` (`dataset_schema.DatasetPage`) to `out`; equal data, equal bytes.

    The page asks nothing of the network, runs no script, and is written whole or not at all.
    Raises DataError naming the field that cannot be used, ConfigError where `out` cannot be
    written.
    """
    return write_page(render_dataset_page(read_dataset_page(data)), out)


def render_dataset_page(page: DatasetPage) -> str:
    """The page as text."""
    samples = [{"view": view_scene(s.scene), "lineage": s.lineage} for s in page.samples]
    return render("dataset.html.j2", {"page": page, "samples": samples})

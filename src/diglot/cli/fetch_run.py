"""What `diglot fetch` does once its options are read; this loads the model libraries."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from diglot.cli.console import open_console
from diglot.embedded.asset import Asset
from diglot.embedded.cache import asset_folder, cache_root, is_cached
from diglot.embedded.catalog import find_assets
from diglot.embedded.fetch import fetch_assets
from diglot.files import write_json


def run_fetch(*, names: Sequence[str], list: bool, json: Path | None) -> None:
    """Fetch the small real models and pictures that diglot runs on without a model hub."""
    assets = find_assets(names)
    if not list:
        fetch_assets(assets)
    rows = [_asset_row(a) for a in assets]
    open_console().print(_assets_table(rows))
    if json is not None:
        write_json(json, rows)


def _asset_row(asset: Asset) -> dict[str, Any]:
    cached = is_cached(asset)
    return {
        "name": asset.name,
        "what": asset.what,
        "use": asset.use,
        "source": f"{asset.registry} {asset.source}",
        "licence": asset.licence,
        "sha256": asset.sha256,
        "download_bytes": asset.download_bytes,
        "cached_bytes": asset.cached_bytes,
        "folder": str(asset_folder(asset)) if cached else None,
    }


def _assets_table(rows: Sequence[dict[str, Any]]) -> Table:
    here = sum(r["folder"] is not None for r in rows)
    table = Table(
        title="Embedded models and pictures",
        caption=f"{here} of {len(rows)} in the cache, {cache_root()}",
        show_lines=True,
    )
    table.add_column("name", no_wrap=True)
    table.add_column("what it is, package, licence", overflow="fold")
    table.add_column("download\non disk", justify="right", no_wrap=True)
    table.add_column("in cache")
    for r in rows:
        size = f"{r['download_bytes'] / 1e6:.0f} MB\n{r['cached_bytes'] / 1e6:.0f} MB"
        about = f"{r['what']}\n{r['source']}\n{r['licence']}"
        table.add_row(r["name"], about, size, "yes" if r["folder"] else "no")
    return table

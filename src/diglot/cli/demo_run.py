"""What `diglot demo` does once its options are read; this loads torch and the model libraries."""

import json as json_text
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from diglot.cli.console import open_console
from diglot.cli.progress import show_progress
from diglot.files import replace_text
from diglot.measure.checkpoint import Measures
from diglot.studies.demo.flow import Demo
from diglot.studies.demo.projectors import ProjectorStudy
from diglot.studies.demo.results import write_results
from diglot.studies.demo.sizes import RUNS, demo_size
from diglot.studies.demo.stock import StockFolder, write_stock_folder
from diglot.synth.scenes.embedded import embedded_backgrounds, embedded_pools
from diglot.synth.scenes.pools import Pool


def run_demo(size: str, study: str, out: Path, seed: int, json: Path | None) -> None:
    """Run a study with progress on stderr, and show its measures and where its files lie."""
    chosen = demo_size(size)
    pools, photos = embedded_pools(), embedded_backgrounds()
    if study == "projectors":
        _run_projectors(size, out, seed, json, pools, photos)
        return
    with show_progress() as report:
        running = Demo(out, size, chosen, seed, pools, photos, report)
        measures = running.run()
        stock = write_stock_folder(running)
        results = write_results(running, measures)
    console = open_console()
    console.print(_measures_table(measures))
    console.print(f"took      {sum(running.seconds.values()) / 60:.1f} minutes")
    console.print(f"figures   {out / 'results.json'}", soft_wrap=True)
    console.print(f"report    {out / 'report.html'}  (open it in a browser)", soft_wrap=True)
    _print_stock(console, stock)
    if json:
        replace_text(json, json_text.dumps(results, indent=2) + "\n")


def _print_stock(console: Console, stock: StockFolder) -> None:
    made_from = "the code-switched run as AyaVision, of stock transformers"
    console.print(f"export    {stock.folder}  ({made_from})", soft_wrap=True)
    console.print(f"check     {stock.check}", soft_wrap=True)


def _run_projectors(
    size: str, out: Path, seed: int, json: Path | None, pools: list[Pool], photos: list[Path]
) -> None:
    with show_progress() as report:
        running = ProjectorStudy(
            out=out,
            size_name=size,
            size=demo_size(size),
            seed=seed,
            pools=pools,
            photos=photos,
            report=report,
        )
        page = running.run()
    open_console().print(f"report    {page}  (open it in a browser)", soft_wrap=True)
    if json:
        replace_text(json, (out / "report.json").read_text("utf-8"))


def _measures_table(measures: Mapping[str, Measures]) -> Table:
    table = Table(title="Held-out scenes: value [95% interval]")
    table.add_column("measure")
    table.add_column("chance", justify="right")
    for run in RUNS:
        table.add_column(run, justify="right")
    for key, entry in measures[RUNS[0]].items():
        arrow = "higher is better" if entry["higher_is_better"] else "lower is better"
        chance = "" if entry["chance"] is None else f"{entry['chance']:.2f}"
        cells = [_format_result(measures[run][key]["results"][run]) for run in RUNS]
        table.add_row(f"{entry['title']} ({arrow})", chance, *cells)
    return table


def _format_result(result: Mapping[str, Any]) -> str:
    if result["value"] is None:
        return "not measured"
    return f"{result['value']:.2f} [{result['low']:.2f}, {result['high']:.2f}]"

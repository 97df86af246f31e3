"""What `diglot check` does once its settings are read; with a recipe this loads its model."""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

from rich.table import Table
from transformers import AutoTokenizer

from diglot.cli.console import open_console
from diglot.cli.progress import show_progress
from diglot.core.errors import ConfigError
from diglot.core.progress import Report
from diglot.data.check import DatasetCheck, check_dataset
from diglot.data.checks.clean import clean_dataset
from diglot.data.checks.fault import LEVELS, Fault
from diglot.data.checks.model_limits import Grid, ModelLimits
from diglot.data.checks.rows import Settings
from diglot.files import replace_file, write_json
from diglot.models.pretrained import read_pretrained
from diglot.models.vlm import build_vlm
from diglot.train.config import stage_of_recipes

DUPLICATE = "near duplicate of another image"
_LEVEL_TEXT = {"record": "unusable", "region": "part unusable", "note": "note"}
_MOST_BITS = 7


def run_check(
    data: Path,
    split: str,
    *,
    recipe: str | None,
    tokenizer: str | None,
    max_tokens: int | None,
    grid: Grid | None,
    duplicate_bits: int,
    max_pixels: int,
    rejected: Path | None,
    fix: Path | None,
    drop_duplicates: bool,
    strict: bool,
    workers: int | None,
    json: Path | None,
) -> None:
    """Check the dataset, print the table, and write what was asked for."""
    _check_options(data, duplicate_bits, fix)
    limits = _model_limits(recipe, tokenizer, max_tokens, grid)
    found = _DroppedRecords(drop_duplicates)
    with show_progress() as report:
        result = check_dataset(
            data,
            split,
            settings=Settings(limits=limits, max_pixels=max_pixels),
            note=found.add,
            duplicate_bits=duplicate_bits,
            workers=workers,
            report=report,
        )
        chosen = {"max_pixels": max_pixels, "drop_duplicates": drop_duplicates and duplicate_bits}
        fixed = _write_cleaned(data, split, fix, found, chosen, report) if fix else None
    _print_result(result, fixed, fix)
    if rejected:
        _write_ids(found.ids, rejected)
    if json:
        write_json(json, result.as_json() | ({"fixed": dict(fixed)} if fixed is not None else {}))
    if strict and not result.clean:
        sys.exit(1)


def _check_options(data: Path, duplicate_bits: int, fix: Path | None) -> None:
    if not -1 <= duplicate_bits <= _MOST_BITS:
        raise ConfigError("duplicate_bits must be -1 to 7", got=duplicate_bits)
    if fix and fix.is_dir() and data.is_dir() and fix.samefile(data):
        raise ConfigError("the copy cannot be the dataset itself", where="fix", got=str(fix))


class _DroppedRecords:
    """The records that a cleaned copy leaves out, and the ids of the unusable ones."""

    def __init__(self, drop_duplicates: bool) -> None:
        self._drop_duplicates = drop_duplicates
        self.faults: dict[int, list[Fault]] = {}
        self.ids: dict[str, str] = {}

    def add(self, index: int, id: str, fault: Fault) -> None:
        """Note one fault."""
        dropped = fault.level == "record" or (self._drop_duplicates and fault.kind == DUPLICATE)
        if dropped:
            self.faults.setdefault(index, []).append(fault)
        if fault.level != "note":
            self.ids.setdefault(id or f"record {index}", fault.kind)


def _write_cleaned(
    data: Path,
    split: str,
    out: Path,
    found: _DroppedRecords,
    chosen: dict[str, Any],
    report: Report,
) -> Counter[str]:
    return clean_dataset(data, split, out, drop=found.faults, settings=chosen, report=report)


def _model_limits(
    recipe: str | None, tokenizer: str | None, max_tokens: int | None, grid: Grid | None
) -> ModelLimits | None:
    """What records are measured against, or None. Raises ConfigError for half of it."""
    if recipe is not None:
        return _recipe_limits(recipe)
    if (tokenizer is None) != (max_tokens is None):
        raise ConfigError("tokenizer and max_tokens go together")
    loaded = tokenizer and read_pretrained(AutoTokenizer, tokenizer, where="tokenizer")
    if loaded is None and grid is None:
        return None
    return ModelLimits(grid=grid, max_tokens=max_tokens, tokenizer=loaded)


def _recipe_limits(recipe: str) -> ModelLimits:
    vlm = build_vlm(stage_of_recipes([recipe], option="--recipe").model)
    grid = Grid(preprocess=vlm.preprocess, patch_px=vlm.encoder.patch_px, unshuffle=vlm.unshuffle)
    language = vlm.language
    return ModelLimits(grid=grid, max_tokens=language.max_length, tokenizer=language.tokenizer)


def _write_ids(ids: dict[str, str], path: Path) -> None:
    with replace_file(path) as temporary:
        lines = (f"{id}\t{kind}\n" for id, kind in ids.items())
        temporary.write_text("".join(lines), "utf-8", "backslashreplace")


def _print_result(result: DatasetCheck, fixed: Counter[str] | None, fix: Path | None) -> None:
    console = open_console(highlight=False)
    cost = "with a fault that costs training the record or a part"
    counts = f"{result.records:,} records, {result.unusable:,} {cost}"
    console.print(counts, soft_wrap=True)
    if result.faults:
        table = Table("fault", "", "records", "faults", "first")
        for kind in LEVELS:
            if result.faults[kind]:
                number = (f"{result.affected[kind]:,}", f"{result.faults[kind]:,}")
                table.add_row(kind, _LEVEL_TEXT[LEVELS[kind]], *number, result.examples[kind])
        console.print(table)
    for what, count in sorted((fixed or {}).items()):
        console.print(f"{count:,} {what}", soft_wrap=True)
    if fix:
        console.print(f"cleaned copy in {fix}", soft_wrap=True)

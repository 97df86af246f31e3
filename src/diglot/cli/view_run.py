"""What `diglot view` does once its options are read; this loads the model libraries."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from diglot.cli.progress import show_progress
from diglot.cli.report import report as report_results
from diglot.cli.view_pairs import holds_pairs, pairs_page
from diglot.cli.view_tokens import token_documents
from diglot.config.paths import read_page_path
from diglot.core.errors import ConfigError, DataError
from diglot.core.progress import Progress, Report
from diglot.core.run_files import METRICS, REPORT
from diglot.core.types import Sample
from diglot.data.browse import draw_samples, find_page, open_samples
from diglot.data.images import decode_image
from diglot.data.json_stream import parse_line
from diglot.data.labels import Labels, open_labels
from diglot.data.records import Dataset
from diglot.data.rejected import REJECTED, rejected_name
from diglot.data.samples import Samples
from diglot.report.dataset_page import write_dataset_page
from diglot.report.dataset_stats import DatasetStats
from diglot.report.page import write_report
from diglot.report.samples import record_json
from diglot.report.token_page import write_token_page
from diglot.synth.commit import funnel_name

_REASONS, _UNUSABLE = 20, 200


def run_view(
    *,
    source: Path,
    out: Path | None,
    count: int,
    seed: int,
    split: str,
    only: str | None,
    phrase: str | None,
    labels: Path | None,
    tokens: str | None,
    scan: int,
) -> None:
    """Make one HTML page, which needs no network, of a dataset or of a finished run."""
    if (source / REPORT).is_file():
        print(write_report(_read_json(source / REPORT), out or source / "report.html"))
        return
    if (source / METRICS).is_file() or (source.is_file() and source.suffix == ".json"):
        page = source / "report.html" if source.is_dir() else source.with_suffix(".html")
        report_results([source], out=out or page)
        return
    if holds_pairs(source):
        titles = {"title": source.resolve().name, "created": _current_time()}
        page = pairs_page(source, count, seed) | titles
        print(write_dataset_page(page, out or read_page_path(source / "pairs.html")))
        return
    if out is None and not any(source.glob("*.parquet")) and (page := find_page(source)):
        print(page)
        return
    samples = open_samples(source, split)
    opened = _open_labels(labels, samples) if labels else None
    out = out or read_page_path(_default_page(source, split, tokens))
    if only is None:
        drawn = sorted(draw_samples(samples, count, seed, phrase=phrase, most=scan))
        if phrase is not None and not drawn:
            raise ConfigError(
                f"no region has {phrase!r} in its phrase or label",
                where="--phrase",
                fix=f"Look among more than {scan} samples by --scan, or for another phrase.",
            )
    else:
        drawn = [_find_index(samples, only)]
    if tokens is not None:
        print(_tokens_page(tokens, source, split, drawn, out))
        return
    page = _dataset_page(source, split, samples, drawn, scan, opened)
    page["title"] = f"{source.resolve().name}, {split}" if source.is_dir() else source.name
    page["note"] = (
        f"{len(drawn)} of {len(samples):,} samples, {_describe_choice(only, phrase, seed)}."
    )
    print(write_dataset_page(page, out))


def _tokens_page(tokens: str, source: Path, split: str, drawn: list[int], out: Path) -> Path:
    if not source.is_dir():
        raise ConfigError("tokens are shown of a dataset folder", where="--tokens", got=str(source))
    documents, note = token_documents(tokens, source, split, drawn)
    page = {
        "title": f"{source.resolve().name}, {split}: tokens",
        "created": _current_time(),
        "note": note,
    }
    return write_token_page(page | {"documents": documents}, out)


def _default_page(source: Path, split: str, tokens: str | None) -> Path:
    if not source.is_dir():
        return source.with_suffix(".html")
    return source / (f"{split}.html" if tokens is None else f"{split}.tokens.html")


def _current_time() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _describe_choice(only: str | None, phrase: str | None, seed: int) -> str:
    if only is not None:
        return f"the one with id {only}"
    where = f" of those with {phrase!r}" if phrase else ""
    return f"drawn at random{where} with seed {seed}"


def _open_labels(folder: Path, samples: Samples) -> Labels:
    if not isinstance(samples, Dataset):
        raise ConfigError("labels belong to a dataset folder", where="labels", got=str(folder))
    return open_labels(folder, samples)


def _find_index(samples: Samples, only: str) -> int:
    ids = samples.ids
    if only not in ids:
        raise ConfigError(f"no sample has the id {only!r}", fix="Ids stand on the page.")
    return ids.index(only)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON ({error})", where=str(path)) from error


def _dataset_page(
    source: Path,
    split: str,
    samples: Samples,
    drawn: list[int],
    scan: int,
    labels: Labels | None,
) -> dict[str, Any]:
    """The page's JSON. What cannot be used stands on the page with its reason."""
    stats, unusable, shown = DatasetStats(), _UnreadableRecords(samples), []
    with show_progress() as report:
        for index in _count_indices("reading samples", _spread_indices(len(samples), scan), report):
            with unusable.noting(index):
                stats.add(samples[index])
        for index in _count_indices("drawing samples", drawn, report):
            with unusable.noting(index):
                shown.append(_sample_json(samples[index], labels[index] if labels else None))
    facts = {"samples": f"{len(samples):,}"}
    if stats.samples < len(samples):
        facts["samples read for these figures"] = f"{stats.samples:,}"
    return {
        "created": _current_time(),
        "facts": facts | stats.facts(),
        "charts": stats.charts(),
        "rejected": _rejected_reasons(source, split),
        "funnel": _read_funnel(source, split),
        "unusable": unusable.lines(),
        "samples": shown,
    }


class _UnreadableRecords:
    """The records that raised, each once, with its reason."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._reasons: dict[int, str] = {}

    @contextmanager
    def noting(self, index: int) -> Iterator[None]:
        """A DataError of the block becomes a line."""
        try:
            yield
        except DataError as error:
            self._reasons[index] = str(error)

    def lines(self) -> list[list[str]]:
        """[id, reason] of each, at most 200, and how many more there are."""
        ids = self._samples.ids if self._reasons else []
        lines = [[ids[n] or f"#{n}", reason] for n, reason in sorted(self._reasons.items())]
        rest = len(lines) - _UNUSABLE
        return lines[:_UNUSABLE] + ([["others", f"{rest:,} more"]] if rest > 0 else [])


def _count_indices(stage: str, indices: Sequence[int], report: Report) -> Iterator[int]:
    for done, index in enumerate(indices, start=1):
        yield index
        report(Progress(stage, done, len(indices)))


def _spread_indices(size: int, most: int) -> list[int]:
    """At most `most` indices below `size`, evenly apart."""
    return [index * size // min(size, most) for index in range(min(size, most))]


def _sample_json(sample: Sample, labels: Any) -> dict[str, Any]:
    pictures = [
        decode_image(image, where=f"sample {sample.id!r}, images[{n}]")
        for n, image in enumerate(sample.images)
    ]
    return record_json(sample, pictures, labels)


def _rejected_reasons(source: Path, split: str) -> list[list[Any]]:
    """Count of each reason in the split's list of rejected records, the commonest first.

    Datasets of earlier versions have one list for all splits. The files are only read: another
    process may be adding to one, so a torn last line is left out.
    """
    lists = [path for name in (rejected_name(split), REJECTED) if (path := source / name).is_file()]
    whole = [path.read_bytes().rpartition(b"\n")[0] for path in lists]
    counts = Counter(
        _read_reason(line) for text in whole for line in text.splitlines() if line.strip()
    ).most_common()
    rest = sum(count for _, count in counts[_REASONS:])
    bars = [list(bar) for bar in counts[:_REASONS]]
    return [*bars, ["other reasons", rest]] if rest else bars


def _read_funnel(source: Path, split: str) -> list[dict[str, Any]]:
    """What each step of `diglot synth` kept and dropped, from the split's funnel."""
    path = source / funnel_name(split)
    if not path.is_file():
        return []
    read = _read_json(path)
    steps = read.get("steps", {}) if isinstance(read, dict) else {}
    first = {"step": "images read", "images": read.get("images", 0), "dropped": [], "lost": []}
    return [first, *({"step": name, **_funnel_step(made)} for name, made in steps.items())]


def _funnel_step(made: dict[str, Any]) -> dict[str, Any]:
    counts = {kind: Counter(made.get(kind) or {}).most_common() for kind in ("dropped", "lost")}
    return {"images": made.get("images", 0), **counts}


def _read_reason(line: bytes) -> str:
    try:
        return str(parse_line(line).get("reason", "no reason given"))
    except DataError:
        return "no reason given"

"""`diglot words`: the list of words that `diglot label` chooses a patch's labels from."""

import json as json_format
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from jsonargparse import ArgumentParser

from diglot.cli.console import open_console
from diglot.cli.progress import show_progress
from diglot.config.paths import InPath, OutFile, OutJson
from diglot.config.ranges import PositiveInt
from diglot.files import replace_text

_SHOWN = 12


def words(
    data: Sequence[InPath],
    *,
    out: OutFile,
    split: str = "train",
    common: str | None = None,
    min_count: PositiveInt = 1,
    max_words: PositiveInt | None = None,
    not_objects: str = "not_objects",
    json: OutJson | None = None,
) -> None:
    """Count the noun phrases, nouns and adjectives of captions, and write them as a list.

    The list is a text file, "word<tab>count" on each line, commonest first. Any number of captions
    and words: what does not fit in memory is counted on the disk. Needs diglot[words].

    Examples:
        diglot words data/scenes --out data/words.tsv

        diglot words data/scenes --common 5000 --min_count 2 --out data/words.tsv

    A run that was stopped starts over (5,000 to 15,000 short captions a second).

    Args:
        data: Dataset folders, .txt files of a caption a line, or .jsonl files with "caption".
        out: The list to write.
        split: Which split of the dataset folders.
        common: Add so many of the most frequent English nouns and adjectives, or all words of a
            file, whatever their count.
        min_count: Leave out words of the captions that are rarer.
        max_words: Keep so many, the commonest.
        not_objects: A bundled list, or a text file, of words that name nothing a patch can show
            ("right", "top", "picture"); a phrase that is one or ends with one is left out. "" =
            none is left out.
        json: Write the summary to this file too.
    """
    from diglot.data.rejected import Rejected  # slow to load: not for --help
    from diglot.synth.words.word_list import build_word_list

    out.parent.mkdir(parents=True, exist_ok=True)
    rejected = Rejected.begin(out.with_name(f"{out.name}.rejected.jsonl"))
    with show_progress() as report:
        count = build_word_list(
            list(data),
            out,
            split=split,
            min_count=min_count,
            max_words=max_words,
            common=_read_common(common),
            not_objects=not_objects,
            rejected=rejected,
            report=report,
        )
    first = _first_words(out)
    summary = {"out": str(out), "words": count, "first": first, "rejected": rejected.counts}
    console = open_console(soft_wrap=True, highlight=False)
    console.print(f"{count:,} words in {out}: {', '.join(first)} ...")
    for reason, number in rejected.counts.items():
        console.print(f"{number:,} records rejected, {rejected.path}: {reason}")
    if json:
        replace_text(json, json_format.dumps(summary, indent=2) + "\n")


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments by hand: a list of positional paths is not to be had from a signature."""
    parser.add_argument(
        "data", nargs="+", type=InPath, help="dataset folders, .txt or .jsonl files"
    )
    parser.add_function_arguments(words, as_group=False, skip={"data"})


def _first_words(path: Path) -> list[str]:
    """The commonest words of a list just written."""
    with open(path, encoding="utf-8") as file:
        return [line.partition("\t")[0] for line in islice(file, _SHOWN)]


def _read_common(common: str | None) -> int | Path | None:
    if common is None or not common.isdigit():
        return None if common is None else Path(common)
    return int(common)

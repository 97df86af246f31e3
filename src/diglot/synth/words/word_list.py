"""The word list of SEA (appendix C): words of the captions and common words, with their counts.

A file of "word<tab>count" lines, commonest first. Everything streams: a list of millions of words
is neither built nor read as Python objects. Building reads 5 to 15 thousand short captions a
second, so a build that was killed starts over.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv

from diglot.core.errors import ConfigError, DataError
from diglot.core.progress import Progress, Report, ignore_progress
from diglot.data.rejected import Rejected
from diglot.files import explain_missing, replace_file
from diglot.synth.phrase_filter import PhraseFilter
from diglot.synth.words.captions import check_source, read_captions
from diglot.synth.words.counts import MEMORY_WORDS, WordCounts
from diglot.synth.words.phrases import EXTRA, find_phrases, is_content_word

_REPORT_EVERY = 1000


def build_word_list(
    sources: list[Path],
    out: Path,
    *,
    split: str,
    min_count: int,
    max_words: int | None,
    common: int | Path | None,
    not_objects: str = "",
    rejected: Rejected,
    report: Report = ignore_progress,
    memory_words: int = MEMORY_WORDS,
) -> int:
    """Write the list of all `sources`' words to `out`, whole or not at all; returns its length.

    Common words are there whatever their count, 0 too; `min_count` holds for the others. Phrases
    of the captions that `not_objects` lists ("right", "picture") are left out.
    """
    listed = PhraseFilter.read(not_objects, where="not_objects")
    sizes = [check_source(source, split) for source in sources]
    extra = list(common_words(common)) if common else []
    with WordCounts(memory_words=memory_words) as counts:
        for source, size in zip(sources, sizes, strict=True):
            stage = f"captions {source.name}"
            for done, caption in enumerate(read_captions(source, split, rejected), start=1):
                counts.add(filter(listed.may_name_object, find_phrases(caption)))
                if done % _REPORT_EVERY == 0:
                    report(Progress(stage, done, size))
            report(Progress(stage, size, size))
        counts.add(extra, times=0)
        kept = set(extra)
        found = (
            pair for pair in counts.commonest() if pair[1] >= max(1, min_count) or pair[0] in kept
        )
        return _write_list(out, islice(found, max_words))


def _write_list(out: Path, found: Iterator[tuple[str, int]]) -> int:
    written = 0
    with replace_file(out) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for word, count in found:
            file.write(f"{word}\t{count}\n")
            written += 1
    return written


def common_words(common: int | Path) -> Iterator[str]:
    """The `common` most frequent English nouns and adjectives, or all words of a file, a line each.

    The paper takes those of the 2of12 list; the numbers here are wordfreq's (Speer 2022).
    """
    if isinstance(common, Path):
        if not common.is_file():
            reason = explain_missing(common)
            raise ConfigError(
                f"no file of common words: {reason}",
                expected="a number, or a text file of a word a line",
                where=str(common),
            )
        return iter([str(word) for word in read_word_list(common).to_pylist()])
    try:
        from wordfreq import iter_wordlist
    except ImportError as error:
        raise ConfigError("the package wordfreq is needed for --common", fix=EXTRA) from error
    return islice(filter(is_content_word, iter_wordlist("en")), common)


def read_word_list(path: Path) -> pa.StringArray:
    """The words of a list, each once, in its order; counts after a tab are not read.

    Raises ConfigError where there is no such file, DataError where it is no list of words.
    """
    if not path.is_file():
        reason = explain_missing(path)
        raise ConfigError(
            f"no such word list: {reason}", where=str(path), fix="Make one: diglot words."
        )
    with open(path, "rb") as file:
        columns = ["word", "count"][: 1 + file.readline().count(b"\t")]
    try:
        table = csv.read_csv(
            path,
            read_options=csv.ReadOptions(column_names=columns),
            parse_options=csv.ParseOptions(delimiter="\t", quote_char=False),
            convert_options=csv.ConvertOptions(
                include_columns=["word"], column_types={"word": pa.string()}
            ),
        )
    except pa.ArrowInvalid as error:
        raise DataError(f"not a list of words ({error})", where=str(path)) from error
    return table.filter(pc.field("word") != "").column("word").unique()

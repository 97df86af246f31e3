"""Which occurrence in the caption belongs to which of the phrases that were extracted from it.

The longest phrases choose first. A repeated phrase takes its occurrences in order; of more
occurrences than mentions, the one that keeps the phrases in the order they were listed in. A
phrase stands inside another's words only as a noun phrase of its own ("red hat" in "man in a red
hat"), never as part of a compound ("dog" in "hot dog").
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from diglot.core.types import Span
from diglot.synth.phrases.find import (
    EXACT,
    INFLECTED,
    OPENING,
    Candidate,
    CaptionWords,
    find_candidates,
)
from diglot.synth.phrases.inflection import base_form
from diglot.synth.phrases.tables import read_words
from diglot.synth.phrases.words import split_words

# What may stand beside a noun phrase within a longer one.
_BETWEEN = frozenset(read_words("beside noun phrases"))
# What stands before a Chinese noun: a measure word, or the particle of an attribute.
_BEFORE_HAN = frozenset(read_words("before chinese nouns"))


@dataclass(frozen=True)
class WantedPhrase:
    """A phrase to be found. `occurrence`: its how-manieth, from 1, where the extractor said so."""

    text: str
    occurrence: int | None = None


def assign_spans(
    caption: str, mentions: Sequence[WantedPhrase], *, known: Sequence[Span | None] | None = None
) -> list[Span | None]:
    """The characters of each mention in `caption`, or None where it is not there (again).

    `known`: the spans that are certain already. No two other mentions share a span; one lies inside
    another's only as a noun phrase of its own.
    """
    board = _Board(CaptionWords.of(caption), mentions)
    given = list(known or [None] * len(mentions))
    for index, span in enumerate(given):
        if span is not None:
            board.take_known(index, span)
    for group in board.groups_longest_first():
        board.assign_group([index for index in group if given[index] is None])
    taken = [board.taken.get(index) for index in range(len(mentions))]
    return [
        span if span is not None else (candidate.span if candidate else None)
        for span, candidate in zip(given, taken, strict=True)
    ]


class _Board:
    """The caption, the candidates of every mention, and what is taken so far."""

    def __init__(self, caption: CaptionWords, mentions: Sequence[WantedPhrase]) -> None:
        self.caption, self.mentions = caption, mentions
        self.candidates = [find_candidates(mention.text, caption) for mention in mentions]
        self.taken: dict[int, Candidate] = {}
        # A mention that can stand in one place only orders the others.
        self._anchors = {
            index: options[0].first
            for index, options in enumerate(self.candidates)
            if len(options) == 1
        }

    def take_known(self, index: int, span: Span) -> None:
        """Keep the words of `span` for the mention that they are known to belong to."""
        inside = [
            number
            for number, word in enumerate(self.caption.words)
            if word.end > span[0] and word.start < span[1]
        ]
        if inside:
            self.taken[index] = Candidate(span, inside[0], inside[-1], EXACT)

    def groups_longest_first(self) -> list[list[int]]:
        """Mentions of the same words together, in the order listed."""
        groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for index, mention in enumerate(self.mentions):
            words = split_words(mention.text)
            groups[tuple(base_form(word.folded) for word in words)].append(index)
        return [groups[key] for key in sorted(groups, key=lambda key: (-len(key), groups[key][0]))]

    def assign_group(self, group: list[int]) -> None:
        """Give every mention of the group an occurrence, as long as there are any."""
        chosen = [index for index in group if self.mentions[index].occurrence is not None]
        for index in chosen:
            number = self.mentions[index].occurrence or 0
            options = self.candidates[index]
            if 1 <= number <= len(options) and self._is_free(options[number - 1]):
                self.taken[index] = options[number - 1]
        self._assign_in_order([index for index in group if index not in self.taken])

    def _assign_in_order(self, group: list[int]) -> None:
        """The occurrences that cost least, in the order listed; one each as far as they reach."""
        for done, index in enumerate(group):
            options = [option for option in self.candidates[index] if self._is_free(option)]
            others = len(group) - done - 1  # leave each of them one, behind this
            before = [self.taken[i].first for i in group[:done] if i in self.taken]
            later = [option for option in options if option.first > max(before, default=-1)]
            reachable = later[: max(len(later) - others, 1)] or options
            if reachable:
                self.taken[index] = min(reachable, key=lambda option: self._cost(index, option))

    def _is_free(self, option: Candidate) -> bool:
        return all(self._fits(option, other) for other in self.taken.values())

    def _fits(self, option: Candidate, other: Candidate) -> bool:
        """Apart from `other`, or a noun phrase of its own within it."""
        if option.last < other.first or other.last < option.first:
            return True
        inside = other.first <= option.first and option.last <= other.last
        if not inside or (option.first, option.last) == (other.first, other.last):
            return False
        quoted = self.caption.text[option.span[0]] in OPENING
        before = option.first == other.first or quoted or self._parts(option.first - 1)
        after = option.last == other.last or self._parts(option.last + 1)
        return before and after

    def _parts(self, index: int) -> bool:
        word = self.caption.words[index]
        return word.folded in _BETWEEN or word.kind == "possessive" or word.raw in _BEFORE_HAN

    def _cost(self, index: int, option: Candidate) -> tuple[bool, int, int, bool, bool, int]:
        """Smaller is better: inflected, out of order, in another case, unlikely, nested, later."""
        anchors = {**self._anchors, **{i: taken.first for i, taken in self.taken.items()}}
        inversions = sum(
            (index < other) != (option.first < first)
            for other, first in anchors.items()
            if other != index and first != option.first
        )
        inflected, unlikely = option.difference == INFLECTED, self._is_unlikely(option)
        nested = any(
            other.first <= option.first and option.last <= other.last
            for other in self.taken.values()
        )
        return inflected, inversions, option.difference, unlikely, nested, option.first

    def _is_unlikely(self, option: Candidate) -> bool:
        """Within a longer Chinese word, as far as the character before it shows."""
        words = self.caption.words
        if words[option.first].kind != "sign" or option.first == 0:
            return False
        before = words[option.first - 1]
        adjacent = before.end == words[option.first].start
        return adjacent and before.kind == "sign" and before.raw not in _BEFORE_HAN

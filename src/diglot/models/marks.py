"""The marks between an image's views as tokens: what a tokenizer makes of `core.view_marks`."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerFast

from diglot.core.errors import ConfigError
from diglot.core.geometry import View
from diglot.core.view_marks import ViewMarks

WHERE = "preprocess.marks"


def mark_ids(
    marks: ViewMarks, views: Sequence[View], tokenizer: PreTrainedTokenizerFast
) -> tuple[tuple[int, ...], ...]:
    """Token ids before each view, and last those behind all views."""
    return tuple(spell_mark(text, tokenizer) for text in marks.texts(views))


def spell_mark(text: str, tokenizer: PreTrainedTokenizerFast) -> tuple[int, ...]:
    """A mark's token ids; special tokens in it are these."""
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"]) if text else ()


def check_marks(marks: ViewMarks, tokenizer: PreTrainedTokenizerFast) -> None:
    """Marks must be tokens of their own whatever text stands beside the image.

    A stock processor tokenises the whole text at once, and only special tokens part it. Raises
    ConfigError for a new token that is unknown, or an outer mark that could merge with the text.
    """
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    for token in marks.new_tokens:
        if tokenizer.convert_tokens_to_ids(token) not in special:
            raise ConfigError("not a token of the model", got=token, where=f"{WHERE}.new_tokens")
    for text in (marks.start + marks.image, marks.start + marks.tile):
        before = spell_mark(text, tokenizer)
        if before and before[0] not in special:
            _refuse_seam("start", text, "begin")
    for text in (marks.view_end + marks.end, marks.view_end + marks.row_end + marks.end):
        after = spell_mark(text, tokenizer)
        if after and after[-1] not in special:
            _refuse_seam("end", text, "end")


def _refuse_seam(name: str, text: str, verb: str) -> None:
    raise ConfigError(
        "the mark could merge with the text beside it",
        expected=f"marks that {verb} with a special token of the tokenizer",
        got=repr(text),
        where=f"{WHERE}.{name}",
        fix=f"Set {name} to a special token, or name one in new_tokens.",
    )

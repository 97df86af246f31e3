"""Documents of training as a page: every token, learned or not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diglot.report.fields import Count, Record, Text, read_record
from diglot.report.render import render_page, write_page


class TokenEntry(Record):
    """One token, or visual tokens in a row."""

    text: Text
    id: Count | None
    terms: tuple[Text, ...]
    branch: Count
    count: Count

    @property
    def shown(self) -> str:
        """The text with blanks that can be seen."""
        if self.id is None:
            return f"{self.text} × {self.count}"
        return self.text.replace(" ", "·").replace("\n", "⏎").replace("\t", "⇥")


class TokenDocument(Record):
    """One record as it is trained."""

    id: Text
    rejected: Text
    tokens: tuple[TokenEntry, ...]
    counts: Mapping[str, float]
    notes: Mapping[str, int]


class TokenPage(Record):
    """What `diglot view --tokens` shows: the documents of training token by token."""

    title: Text
    created: Text
    note: Text
    documents: tuple[TokenDocument, ...]


def write_token_page(page: Mapping[str, Any], out: Path) -> Path:
    """Write the page, which needs no network. Raises DataError for fields that are wrong."""
    return write_page(
        render_page("token_page.html.j2", {"page": read_record(TokenPage, page, where="page")}), out
    )

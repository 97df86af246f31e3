"""Text that the language model reads around and between the views of an image.

Stock containers with tiles write such marks (AyaVision's TILE_1, Idefics3's <row_1_col_1>), so a
model that is to be served in one is trained with the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from diglot.core.geometry import View


@dataclass(frozen=True, kw_only=True)
class ViewMarks:
    """The marks, as text. Special tokens of the tokenizer are recognised in it."""

    start: str = ""
    """Before an image's first view."""
    image: str = ""
    """Before the view of an image that has only one."""
    tile: str = ""
    """Before each tile; {number}, {row} and {column} in it are the tile's, counted from 1."""
    row_end: str = ""
    """Behind the last tile of each row of tiles."""
    thumbnail: str = ""
    """Before the whole image beside its tiles."""
    view_end: str = ""
    """Behind each view."""
    end: str = ""
    """Behind an image's last view."""
    new_tokens: tuple[str, ...] = ()
    """Special tokens in these texts that the language model's vocabulary lacks: they are added,
    each a row of its words that starts as the mean of the others."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "new_tokens", tuple(self.new_tokens))

    def texts(self, views: Sequence[View]) -> tuple[str, ...]:
        """The text before each of an image's views, and last the one behind them all."""
        columns = len({view.window[0] for view in views if view.kind == "tile"})
        pieces = [self.start]
        for number, view in enumerate(views):
            pieces[-1] += self._before(view, number, columns)
            is_row_end = view.kind == "tile" and (number + 1) % columns == 0
            pieces.append(self.view_end + self.row_end * is_row_end)
        pieces[-1] += self.end
        return tuple(pieces)

    def _before(self, view: View, number: int, columns: int) -> str:
        if view.kind != "tile":
            return self.image if view.kind == "image" else self.thumbnail
        row, column = divmod(number, columns)
        numbers = {"{number}": number, "{row}": row, "{column}": column}
        text = self.tile
        for name, value in numbers.items():
            text = text.replace(name, str(value + 1))
        return text

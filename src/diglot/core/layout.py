"""From segments to tensors: a trunk of text and visual tokens, branches behind it, and packing.

Supervision is explicit (query, target, term) triples instead of shifted labels, so a query may have
two targets (the next word and the entity's first word) and packing needs no special case.
"""

from collections.abc import Sequence as Seq
from dataclasses import dataclass, replace
from itertools import accumulate

import torch

from diglot.core.geometry import TokenGrid
from diglot.core.segments import (
    Branch,
    Encoded,
    Image,
    Patches,
    Segment,
    Separator,
    Sequence,
    Tokens,
)

CELL_ROW = 2**16
"""A visual token's cell is its row times this, plus its column."""


@dataclass
class _Rows:
    """Columns of the document under construction, position by position."""

    token: list[int]
    visual: list[int]
    separator: list[int]
    cell: list[int]
    position: list[int]
    branch: list[int]
    fork: list[int]
    query: list[int]
    target: list[int]
    term: list[int]

    def add(
        self,
        token: int,
        position: int,
        *,
        visual: int = -1,
        separator: int = -1,
        cell: int = -1,
        branch: int = 0,
        fork: int | None = None,
    ) -> None:
        self.token.append(token)
        self.visual.append(visual)
        self.separator.append(separator)
        self.cell.append(cell)
        self.position.append(position)
        self.branch.append(branch)
        self.fork.append(len(self.token) - 1 if fork is None else fork)

    def learn(self, query: int, target: int, term: int) -> None:
        self.query.append(query)
        self.target.append(target)
        self.term.append(term)


def encode(sequence: Sequence, *, visual_counts: Seq[int], terms: tuple[str, ...]) -> Encoded:
    """The document of a sequence: the trunk first, then its branches in order.

    `visual_counts` is how many visual tokens each image has; they are numbered image by image.

    A learned trunk token is predicted by the trunk position before it; a branch's first token by
    the position it forks from. A branch's last token is a target only and takes no position.
    Raises ValueError for a learned token or a branch that nothing stands before, and for an image
    or a patch that is not there (packed, it would be another document's).
    """
    rows = _Rows([], [], [], [], [], [], [], [], [], [])
    forks: list[tuple[int, Branch]] = []
    for segment in sequence:
        match segment:
            case Branch():
                forks.append((len(rows.token) - 1, segment))
            case _:
                _add_trunk(rows, segment, visual_counts, terms)
    for number, (fork, branch) in enumerate(forks, start=1):
        _add_branch(rows, branch, number, fork, terms.index(branch.learn))
    if min(rows.query, default=0) < 0:
        raise ValueError("a learned token has nothing before it: start the sequence with a BOS")
    return _to_tensors(rows, sum(visual_counts), terms)


def expand_lines(sequence: Seq[Segment], grids: Seq[TokenGrid]) -> Sequence:
    """The sequence with every image spelled out: its lines or views, and what stands between.

    Behind a line stands the projector's first separator (LLaVA-NeXT's `image_newline`), around
    views their marks, which are tokens.
    """
    expanded: list[Segment] = []
    for segment in sequence:
        if isinstance(segment, Image) and grids:
            expanded += _spell_out(segment, grids[segment.index])
        else:
            expanded.append(segment)
    return tuple(expanded)


def _spell_out(image: Image, grid: TokenGrid) -> list[Segment]:
    if grid.marks:
        return _marked_views(image, grid)
    spelled: list[Segment] = []
    for line in grid.lines:
        spelled += [Patches(line, image.index), Separator(vector=0)]
    if spelled or len(grid.views) != 1:
        return spelled or [image]
    return [replace(image, columns=grid.views[0].grid_hw[1])]


def _marked_views(image: Image, grid: TokenGrid) -> list[Segment]:
    """Each view's tokens behind its mark, and the last mark."""
    *before, last = [[Separator(ids=mark)] if mark else [] for mark in grid.marks]
    spelled: list[Segment] = []
    at = 0
    for mark, view in zip(before, grid.views, strict=True):
        rows, columns = view.grid_hw
        count = rows * columns
        spelled += [*mark, Patches(tuple(range(at, at + count)), image.index, columns)]
        at += count
    return [*spelled, *last]


def _add_trunk(
    rows: _Rows,
    segment: Image | Tokens | Patches | Separator,
    visual_counts: Seq[int],
    terms: tuple[str, ...],
) -> None:
    match segment:
        case Tokens():
            for token in segment.ids:
                if segment.learn is not None:
                    rows.learn(len(rows.token) - 1, token, terms.index(segment.learn))
                rows.add(token, len(rows.token))
        case Separator(vector=None):
            for token in segment.ids:
                rows.add(token, len(rows.token))
        case Separator():
            assert segment.vector is not None
            rows.add(0, len(rows.token), separator=segment.vector)
        case Image() | Patches():
            for number, visual in enumerate(_visual_tokens(segment, visual_counts)):
                row, column = divmod(number, segment.columns) if segment.columns else (0, 0)
                rows.add(0, len(rows.token), visual=visual, cell=row * CELL_ROW + column)


def _visual_tokens(segment: Image | Patches, visual_counts: Seq[int]) -> list[int]:
    """Their numbers among the visual tokens of all the document's images."""
    image = segment.index if isinstance(segment, Image) else segment.image
    if not 0 <= image < len(visual_counts):
        raise ValueError(f"no image {image} in a document of {len(visual_counts)}")
    own = range(visual_counts[image]) if isinstance(segment, Image) else segment.index
    for visual in own:
        if not 0 <= visual < visual_counts[image]:
            raise ValueError(f"no visual token {visual} in an image of {visual_counts[image]}")
    before = sum(visual_counts[:image])
    return [before + visual for visual in own]


def _add_branch(rows: _Rows, branch: Branch, number: int, fork: int, term: int) -> None:
    query = fork
    for offset, token in enumerate(branch.ids):
        rows.learn(query, token, term)
        query = len(rows.token)
        if offset < len(branch.ids) - 1:
            rows.add(token, fork + 1 + offset, branch=number, fork=fork)


def _to_tensors(rows: _Rows, visual_count: int, terms: tuple[str, ...]) -> Encoded:
    def tensor(values: list[int]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.int64)

    return Encoded(
        token_T=tensor(rows.token),
        visual_T=tensor(rows.visual),
        separator_T=tensor(rows.separator),
        cell_T=tensor(rows.cell),
        position_T=tensor(rows.position),
        document_T=torch.zeros(len(rows.token), dtype=torch.int64),
        branch_T=tensor(rows.branch),
        fork_T=tensor(rows.fork),
        query_S=tensor(rows.query),
        target_S=tensor(rows.target),
        term_S=tensor(rows.term),
        terms=terms,
        visual_count=visual_count,
    )


@dataclass(frozen=True)
class Packed:
    """Documents side by side in B rows of T positions. All tensors int64.

    Queries index the flattened (B * T) positions; visual_BT the visual tokens of all documents
    stacked in the order they were given.
    """

    token_BT: torch.Tensor
    visual_BT: torch.Tensor
    separator_BT: torch.Tensor
    cell_BT: torch.Tensor
    position_BT: torch.Tensor
    document_BT: torch.Tensor
    branch_BT: torch.Tensor
    fork_BT: torch.Tensor
    query_S: torch.Tensor
    target_S: torch.Tensor
    term_S: torch.Tensor
    document_S: torch.Tensor  # index of the pair's document in the order given
    terms: tuple[str, ...]

    def to(self, device: torch.device) -> "Packed":
        """The same documents with their tensors on `device`."""
        tensors = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, torch.Tensor)}
        return replace(self, **tensors)


def assign_rows(lengths: Seq[int], row_tokens: int) -> list[list[int]]:
    """Which documents share a row: longest first, each to the first row it fits (first-fit).

    A document longer than row_tokens gets a row of its own. Deterministic.
    """
    rows: list[list[int]] = []
    room: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        row = next((r for r, left in enumerate(room) if left >= lengths[i]), None)
        if row is None:
            row = len(rows)
            rows.append([])
            room.append(max(row_tokens, lengths[i]))
        rows[row].append(i)
        room[row] -= lengths[i]
    return rows


def pack(documents: Seq[Encoded], *, row_tokens: int, image_of: Seq[int] | None = None) -> Packed:
    """Pack documents into rows of at most row_tokens (or the longest document's length).

    `image_of` gives each document's images by a number, where several documents speak of the same
    ones; by default every document brings its own, in order. Numbers count from 0, each first met
    in order. Raises ValueError for no documents, or where two differ on their common tokens.
    """
    if not documents:
        raise ValueError("no document to pack")
    rows = assign_rows([len(d) for d in documents], row_tokens)
    width = max(sum(len(documents[i]) for i in row) for row in rows)
    visual_start = _visual_starts(documents, image_of or range(len(documents)))
    start = {}  # document -> its first flattened position
    blank = {"token": 0, "visual": -1, "separator": -1, "cell": -1, "position": 0}
    blank |= {"document": -1, "branch": 0, "fork": 0}
    columns = {k: torch.full((len(rows), width), v) for k, v in blank.items()}
    columns["fork"] += torch.arange(width)
    for r, row in enumerate(rows):
        at = branches = 0
        for number, i in enumerate(row):
            document = documents[i]
            _write_document(columns, r, at, number, branches, visual_start[i], document)
            start[i] = r * width + at
            at += len(document)
            branches += int(document.branch_T.max()) if len(document) else 0
    return Packed(
        **{f"{name}_BT": values for name, values in columns.items()},
        query_S=torch.cat([d.query_S + start[i] for i, d in enumerate(documents)]),
        target_S=torch.cat([d.target_S for d in documents]),
        term_S=torch.cat([d.term_S for d in documents]),
        document_S=torch.cat([torch.full_like(d.query_S, i) for i, d in enumerate(documents)]),
        terms=documents[0].terms,
    )


def _visual_starts(documents: Seq[Encoded], image_of: Seq[int]) -> list[int]:
    """Where each document's visual tokens begin among those of all images, stacked."""
    counts: dict[int, int] = {}
    for document, image in zip(documents, image_of, strict=True):
        if counts.setdefault(image, document.visual_count) != document.visual_count:
            raise ValueError(f"documents differ on the number of visual tokens of image {image}")
    starts = dict(zip(counts, accumulate(counts.values(), initial=0), strict=False))
    return [starts[image] for image in image_of]


def _write_document(
    columns: dict[str, torch.Tensor],
    row: int,
    at: int,
    number: int,
    branches: int,
    visual_start: int,
    document: Encoded,
) -> None:
    """Write one document into its row, its indices shifted to the row's and the batch's."""
    here = (row, slice(at, at + len(document)))
    is_visual, on_branch = document.visual_T >= 0, document.branch_T > 0
    columns["token"][here] = document.token_T
    columns["visual"][here] = torch.where(is_visual, document.visual_T + visual_start, -1)
    columns["separator"][here] = document.separator_T
    columns["cell"][here] = document.cell_T
    columns["position"][here] = document.position_T
    columns["document"][here] = number
    columns["branch"][here] = torch.where(on_branch, document.branch_T + branches, 0)
    columns["fork"][here] = document.fork_T + at

"""What the LLM reads of one sample: segments, and the document that `core.layout` makes of them."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Image:
    """Segment: every visual token of one of the sample's images, in its grid's order."""

    index: int = 0
    columns: int | None = None
    """Columns of the grid that its tokens stand in; None: of none that a model should know."""


@dataclass(frozen=True)
class Tokens:
    """Segment: text. `learn` names the loss term that learns these tokens, or is None."""

    ids: tuple[int, ...]
    learn: str | None = None


@dataclass(frozen=True)
class Patches:
    """Segment: some visual tokens of one image, by their index in its grid (one object)."""

    index: tuple[int, ...]
    image: int = 0
    columns: int | None = None
    """Columns of the grid that these tokens fill row by row; None: each stands alone."""


@dataclass(frozen=True)
class Separator:
    """Segment: a mark inside or between images, never learned by the text: one of the two.

    A learned vector, by its row in the projector's `separators` (the newline of LLaVA-NeXT), or
    tokens of the vocabulary (the line break of Cohere2Vision, the tile tokens of AyaVision).
    """

    vector: int | None = None
    ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if (self.vector is None) == (not self.ids):
            raise ValueError(f"a separator is a vector or tokens, got {self}")


@dataclass(frozen=True)
class Branch:
    """Segment: text that forks off the trunk here; the trunk never sees it."""

    ids: tuple[int, ...]
    learn: str


Segment = Image | Tokens | Patches | Separator | Branch
Sequence = tuple[Segment, ...]


@dataclass(frozen=True)
class Encoded:
    """One document encoded for the LLM. All tensors int64; T positions, S supervised pairs.

    A query may carry several targets. Position t is a visual token where visual_T[t] >= 0, a
    learned separator where separator_T[t] >= 0, else the word token_T[t].
    """

    token_T: torch.Tensor  # word id; 0 at visual tokens and learned separators
    visual_T: torch.Tensor  # index into the visual tokens of all the document's images; -1 = none
    separator_T: torch.Tensor  # row of the projector's `separators`; -1 = none
    cell_T: (
        torch.Tensor
    )  # a visual token's row * CELL_ROW + column in its view; -1 = no visual token
    position_T: torch.Tensor  # rotary position; a branch counts on from its fork
    document_T: torch.Tensor  # which document of the row; -1 = padding
    branch_T: torch.Tensor  # 0 = trunk, else the branch's number within the row
    fork_T: torch.Tensor  # row index of the last trunk position seen; itself on the trunk
    query_S: torch.Tensor  # row index whose output predicts the target
    target_S: torch.Tensor  # word id
    term_S: torch.Tensor  # index into `terms`
    terms: tuple[str, ...]
    visual_count: int  # visual tokens that all images of this document bring

    def __len__(self) -> int:
        return self.token_T.numel()

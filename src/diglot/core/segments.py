"""What the LLM reads of one sample: segments, and the document that `core.layout` makes of them."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Image:
    """Segment: every visual token of one of the sample's images, in its grid's order."""

    index: int = 0


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


@dataclass(frozen=True)
class Branch:
    """Segment: text that forks off the trunk here; the trunk never sees it."""

    ids: tuple[int, ...]
    learn: str


Segment = Image | Tokens | Patches | Branch
Sequence = tuple[Segment, ...]


@dataclass(frozen=True)
class Encoded:
    """One document laid out for the LLM. All tensors int64; T positions, S supervised pairs.

    A query may carry several targets. Position t is a visual token where visual_T[t] >= 0.
    """

    token_T: torch.Tensor  # word id; 0 at visual tokens
    visual_T: torch.Tensor  # index into the document's visual tokens, -1 = text
    position_T: torch.Tensor  # rotary position; a branch goes on from its fork
    document_T: torch.Tensor  # which document of the row; -1 = padding
    branch_T: torch.Tensor  # 0 = trunk, else the branch's number within the row
    fork_T: torch.Tensor  # row index of the last trunk position seen; itself on the trunk
    query_S: torch.Tensor  # row index whose output predicts the target
    target_S: torch.Tensor  # word id
    term_S: torch.Tensor  # index into `terms`
    terms: tuple[str, ...]
    visual_count: int  # visual tokens this document brings

    def __len__(self) -> int:
        return self.token_T.numel()

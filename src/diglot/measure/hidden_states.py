"""Hidden states of images and captions at every layer of the LLM, pooled in one forward pass.

Source: MMCS, section 5.1 and Fig. 5: the states of an image-caption pair are split by modality and
pooled. Kept are one mean a modality, layer and image, and for distances of sets a few whole tokens:
2 (L + 1) D (N + K) numbers for N images and K tokens, whatever the length of images and captions.
For N = 1,000, K = 256, L = 32 and D = 4096 that is 1.4 GB in float32. The states of one batch,
(L + 1) D batch_tokens numbers, come to .6 GB, the kernels made of the means, 2 (L + 1) N^2, to .5,
the products of the whole tokens, 3 (L + 1) K^2, to .05.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from diglot.core.distributed import iterate_over_processes
from diglot.core.layout import encode, expand_lines, pack
from diglot.core.segments import Encoded, Tokens
from diglot.measure.projected import ProjectedSample
from diglot.models.prompt import Frame, caption_of, open_segments
from diglot.models.vlm import VLM

# of one document: means of image and caption (L, 1, D), and whole tokens of both (L, k, D)
States = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Document:
    """An image with its caption as the LLM reads them, and where each stands."""

    scene: ProjectedSample
    encoded: Encoded
    text_start: int  # the caption's tokens are the last ones


@dataclass
class LayerStates:
    """States of N images by layer: float32, on the CPU. Layer 0 is what enters the LLM."""

    visual_LND: torch.Tensor  # mean over an image's visual tokens
    text_LND: torch.Tensor  # mean over its caption's tokens
    visual_tokens_LKD: torch.Tensor  # whole tokens, drawn at random
    text_tokens_LKD: torch.Tensor
    visual_image_K: np.ndarray  # the image, of the N, that each whole token is of
    text_image_K: np.ndarray

    @property
    def layers(self) -> int:
        """L + 1."""
        return len(self.visual_LND)


def open_documents(vlm: VLM, scenes: Sequence[ProjectedSample], frame: Frame) -> list[Document]:
    """[BOS] V newline caption of every scene that has a caption and visual tokens."""
    tokenizer = vlm.language.tokenizer
    start = tuple(open_segments(frame, tokenizer, image=True))
    documents = []
    for scene in scenes:
        if scene.sample.caption.strip() and len(scene.grid):
            caption = caption_of(scene.sample, tokenizer).ids
            sequence = expand_lines((*start, Tokens(caption)), [scene.grid])
            encoded = encode(sequence, visual_counts=[len(scene.grid)], terms=())
            documents.append(Document(scene, encoded, len(encoded) - len(caption)))
    return documents


@torch.no_grad()
def read_layers(
    vlm: VLM,
    documents: Sequence[Document],
    *,
    tokens: int,
    batch_tokens: int,
    generator: np.random.Generator,
    done: Callable[[int], None],
) -> LayerStates:
    """One forward pass over all documents; `tokens` whole tokens of each side are kept in all.

    `done` is called with the tokens of every batch. An image gives at most its share of the whole
    tokens, the same ones whatever the batches.
    """
    share = -(-tokens // max(1, len(documents)))
    chosen = {id(d): _draw_tokens(d, share, generator) for d in documents}

    def read(batch: Sequence[Document]) -> list[States]:
        visual_ND = torch.cat([document.scene.inputs_PD for document in batch])
        # every document has a row of its own, so its positions are the row's first ones
        packed = pack([d.encoded for d in batch], row_tokens=1, image_of=range(len(batch)))
        hidden = vlm.decode(packed.to(visual_ND.device), visual_ND, every_layer=True).hidden_states
        return [
            _split_states([h[row] for h in hidden], document, chosen[id(document)])
            for row, document in _document_rows(batch)
        ]

    of_batches = iterate_over_processes(
        list(batch_documents(documents, batch_tokens)),
        read,
        done=lambda batch: done(sum(len(document.encoded) for document in batch)),
    )
    return _collect_states((part for of_batch in of_batches for part in of_batch), chosen, tokens)


def _collect_states(
    parts: Iterable[States], chosen: Mapping[int, tuple[np.ndarray, np.ndarray]], tokens: int
) -> LayerStates:
    """The parts of all documents in one array a side, filled as they come."""
    counts = [[len(side[i]) for side in chosen.values()] for i in (0, 1)]
    images = [np.repeat(np.arange(len(chosen)), count)[:tokens] for count in counts]
    sizes = (len(chosen), len(chosen), *map(len, images))
    arrays: list[torch.Tensor] = []
    filled = [0] * 4
    for part in parts:
        if not arrays:
            arrays = [part[0].new_empty(len(part[0]), n, part[0].shape[-1]) for n in sizes]
        for i, (array, own_LkD) in enumerate(zip(arrays, part, strict=True)):
            end = min(filled[i] + own_LkD.shape[1], sizes[i])
            array[:, filled[i] : end] = own_LkD[:, : end - filled[i]]
            filled[i] = end
    means, whole = arrays[:2], arrays[2:]
    return LayerStates(*means, *whole, visual_image_K=images[0], text_image_K=images[1])


def _document_rows(batch: Sequence[Document]) -> Iterator[tuple[int, Document]]:
    """Row of each document: packing puts the longest first, equals in order."""
    order = sorted(range(len(batch)), key=lambda i: (-len(batch[i].encoded), i))
    rows = {document: row for row, document in enumerate(order)}
    return ((rows[i], document) for i, document in enumerate(batch))


def _draw_tokens(
    document: Document, share: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Which of the document's visual and of its caption's tokens are kept whole."""
    visual = int((document.encoded.visual_T >= 0).sum())
    counts = (visual, len(document.encoded) - document.text_start)
    one, other = (np.sort(generator.permutation(count)[:share]) for count in counts)
    return one, other


def _split_states(
    state_TD: Sequence[torch.Tensor], document: Document, chosen: tuple[np.ndarray, np.ndarray]
) -> States:
    """Of every layer's states in a row: means of image and caption, and the chosen tokens."""
    length = len(document.encoded)
    of_side = (
        torch.from_numpy(np.flatnonzero(document.encoded.visual_T >= 0)),
        torch.arange(document.text_start, length),
    )
    means, whole = [], []
    for index_P, own in zip(of_side, chosen, strict=True):
        # one layer's tokens of one side at a time leave the model's device and precision
        sides = [state[index_P.to(state.device)].float() for state in state_TD]
        means.append(torch.stack([side_PD.mean(dim=0, keepdim=True) for side_PD in sides]).cpu())
        whole.append(torch.stack([side_PD[torch.from_numpy(own)].cpu() for side_PD in sides]))
    return means[0], means[1], whole[0], whole[1]


def batch_documents(documents: Sequence[Document], batch_tokens: int) -> Iterator[list[Document]]:
    """Consecutive documents of about batch_tokens together, at least one."""
    batch: list[Document] = []
    for document in documents:
        row_length = max(len(d.encoded) for d in (*batch, document))
        if batch and row_length * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(document)
    if batch:
        yield batch

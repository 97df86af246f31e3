"""The samples of a stage as stock classes want them, in the order that our run takes them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.peers.stage import Stage
from diglot.data.collate import EncodedSample
from diglot.models.vlm import build_vlm
from diglot.train.datasets import open_data
from diglot.train.lanes import make_lanes
from diglot.train.mixture import build_mixture
from diglot.train.order import make_order
from diglot.train.samples import PreparedSamples

IGNORED = -100


@dataclass(frozen=True)
class Row:
    """One sample: token ids with placeholders for the image, labels, pixels."""

    input_ids: torch.Tensor
    labels: torch.Tensor
    pixel_values: torch.Tensor


def save_rows(stage: Stage) -> None:
    """Write the samples of all steps for the peers."""
    config = stage.config("unused")
    data = open_data(config.sources)
    objective = build_mixture(config.objective, config.plus, config.mix)
    vlm = build_vlm(config.model)
    order = make_order(config, make_lanes(data, objective.shares, objective.takes))
    samples = PreparedSamples(data, vlm.processor, objective, config.seed)
    image_token: Any = vlm.language.tokenizer.convert_tokens_to_ids("<image>")
    made = [
        _row(samples[key], image_token) for step in range(stage.steps) for key in order.step(step)
    ]
    torch.save([vars(row) for row in made], Path(stage.folder) / "rows.pt")


def load_rows(stage: Stage) -> list[Row]:
    """What `save_rows` wrote."""
    return [Row(**row) for row in torch.load(Path(stage.folder) / "rows.pt")]


def _row(sample: object, image_token: int) -> Row:
    assert isinstance(sample, EncodedSample)
    document = sample.encoded
    ids = torch.where(document.visual_T >= 0, image_token, document.token_T)
    labels = torch.full_like(ids, IGNORED)
    labels[document.query_S + 1] = document.target_S
    assert (labels == ids)[labels != IGNORED].all()  # stock classes shift their labels themselves
    return Row(ids, labels, sample.views[0])


def pad_batch(rows: list[Row], *, pad_token: int = 0) -> dict[str, torch.Tensor]:
    """Rows side by side, padded on the right to the longest."""
    pad = torch.nn.utils.rnn.pad_sequence
    return {
        "input_ids": pad([r.input_ids for r in rows], True, pad_token),
        "labels": pad([r.labels for r in rows], True, IGNORED),
        "attention_mask": pad([torch.ones_like(r.input_ids) for r in rows], True, 0),
        "pixel_values": torch.stack([r.pixel_values for r in rows]),
    }

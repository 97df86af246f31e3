"""A plain PyTorch loop over a padded batch, as small VLM trainers such as nanoVLM are described.

The description: features of the vision backbone go through a projection, take the places of the
image tokens among the word embeddings, and run through the decoder; the loss is the cross-entropy
of all logits with an ignored index; AdamW, autocast, gradients clipped at 1. The modules are the
stock model's own, so that the weights are the same.
"""

import contextlib
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from benchmarks.peers.gate import Gate
from benchmarks.peers.rows import IGNORED, load_rows, pad_batch
from benchmarks.peers.stage import Stage, load_model


class PlainVLM(torch.nn.Module):
    """Vision backbone, projection, decoder, head."""

    def __init__(self, stock: Any) -> None:
        super().__init__()
        self.vision, self.projection = stock.model.vision_tower, stock.model.multi_modal_projector
        self.decoder, self.head = stock.model.language_model, stock.lm_head
        self.layer, self.image_token = (
            stock.config.vision_feature_layer,
            stock.config.image_token_id,
        )

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """The loss, a mean over the learned tokens."""
        states = self.vision(batch["pixel_values"], output_hidden_states=True).hidden_states
        # the patches of the layer that Llava reads, without the class token
        visual = self.projection(states[self.layer][:, 1:])
        embeds = self.decoder.embed_tokens(batch["input_ids"])
        is_image = batch["input_ids"] == self.image_token
        embeds = embeds.masked_scatter(is_image[..., None], visual.to(embeds.dtype))
        mask = batch["attention_mask"]
        hidden = self.decoder(inputs_embeds=embeds, attention_mask=mask, use_cache=False)
        logits = self.head(hidden.last_hidden_state)[:, :-1].float()
        return cross_entropy(
            logits.flatten(0, 1), batch["labels"][:, 1:].flatten(), ignore_index=IGNORED
        )


def run(stage: Stage, gate: Gate) -> None:
    """Train the stage, a step a turn."""
    rows = load_rows(stage)
    gate.before_model()
    model = PlainVLM(load_model(stage)).train().to(stage.device)
    learn = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learn, lr=stage.lr, weight_decay=0.0)
    loader = torch.utils.data.DataLoader(rows, batch_size=stage.batch, collate_fn=pad_batch)  # type: ignore[arg-type]
    half = torch.autocast(stage.device, torch.bfloat16) if stage.precision == "bf16" else None
    gate.before_steps()
    for batch in loader:
        with half or contextlib.nullcontext():
            loss = model({name: value.to(stage.device) for name, value in batch.items()})
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learn, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        gate.after_step(loss.item())

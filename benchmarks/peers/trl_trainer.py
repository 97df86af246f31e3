"""TRL's SFTTrainer. Of its defaults one is changed: it recomputes activations, we do not."""

import tempfile
from typing import Any

from datasets import Dataset
from transformers import AutoProcessor
from trl import SFTConfig, SFTTrainer

from benchmarks.peers.gate import Gate
from benchmarks.peers.hf_trainer import GateCallback, settings
from benchmarks.peers.rows import load_rows, pad_batch
from benchmarks.peers.stage import Stage, load_model


def run(stage: Stage, gate: Gate) -> None:
    """Train the stage, a step a turn."""
    rows = load_rows(stage)
    processor: Any = AutoProcessor.from_pretrained(
        stage.model, backend="pil", trust_remote_code=False
    )
    gate.before_model()
    with tempfile.TemporaryDirectory() as folder:
        arguments = SFTConfig(
            **settings(stage, folder),
            gradient_checkpointing=False,
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
        )
        SFTTrainer(
            model=load_model(stage),
            args=arguments,
            train_dataset=Dataset.from_dict({"number": list(range(len(rows)))}),
            data_collator=lambda items: pad_batch([rows[item["number"]] for item in items]),
            processing_class=processor,
            callbacks=[GateCallback(gate)],
        ).train()

"""The Trainer of transformers on LlavaForConditionalGeneration, with its defaults."""

import tempfile
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

from benchmarks.peers.gate import Gate
from benchmarks.peers.rows import load_rows, pad_batch
from benchmarks.peers.stage import Stage, load_model


class GateCallback(TrainerCallback):
    """Stops at the gate before the first step and after each one."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        """The trainer is ready."""
        self.gate.before_steps()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """A step is over: every one is logged."""
        if "loss" in logs:
            self.gate.after_step(float(logs["loss"]))


class Numbers(torch.utils.data.Dataset):
    """The numbers of the rows; the collator takes the rows themselves."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, int]:
        return {"number": index}


def settings(stage: Stage, folder: str) -> dict[str, Any]:
    """The arguments that make it the same work as ours."""
    return {
        "output_dir": folder,
        "per_device_train_batch_size": stage.batch,
        "num_train_epochs": 1,
        "learning_rate": stage.lr,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "train_sampling_strategy": "sequential",
        "remove_unused_columns": False,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": stage.device == "cpu",
        "bf16": stage.precision == "bf16",
    }


def run(stage: Stage, gate: Gate) -> None:
    """Train the stage, a step a turn."""
    rows = load_rows(stage)
    gate.before_model()
    with tempfile.TemporaryDirectory() as folder:
        Trainer(
            model=load_model(stage),
            args=TrainingArguments(**settings(stage, folder)),
            train_dataset=Numbers(len(rows)),
            data_collator=lambda items: pad_batch([rows[item["number"]] for item in items]),
            callbacks=[GateCallback(gate)],
        ).train()

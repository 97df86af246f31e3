"""Training the towers: step by step from seeded batches, resumable at any moment."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedTokenizerFast, SiglipModel

from diglot.core.errors import ConfigError
from diglot.core.progress import Progress, Report, ignore_progress
from diglot.files import (
    append_lines,
    lock_file,
    read_lines,
    read_object,
    replace_file,
    replacing_folder,
    write_json,
)
from diglot.studies.tower.build import TEMPLATES, build_model, build_tokenizer
from diglot.studies.tower.config import TowerTrainingConfig
from diglot.studies.tower.loss import BACKGROUND, Lesson, TowerLosses, tower_losses
from diglot.studies.tower.optim import make_optimizers, rate_at
from diglot.studies.tower.pictures import PictureMaker
from diglot.studies.tower.teacher import principal_targets, teach_photos

LOG, STATE, SETTINGS, MODEL = "metrics.jsonl", "state.safetensors", "config.json", "model"
MOMENTS = ("exp_avg", "exp_avg_sq", "momentum")  # of AdamW and of Muon
FREE_BEFORE_FALL = ("steps", "fall")  # settings that the rate does not depend on before
LARGEST_SCALE = 100.0  # of the logits, as in CLIP


class TowerTraining:
    """One training of the towers in a folder; `run` resumes from the last state there."""

    def __init__(
        self, config: TowerTrainingConfig, folder: Path, report: Report = ignore_progress
    ) -> None:
        self.config, self.folder = config, folder
        torch.manual_seed(config.seed)
        self.maker = PictureMaker(config.pictures, config.shape, seed=config.seed)
        self.tokenizer: PreTrainedTokenizerFast = build_tokenizer(config.shape, self.maker)
        self.model: SiglipModel = build_model(config.shape, self.tokenizer)
        self.lesson: Lesson | None = None
        self.learned = nn.ModuleDict({"model": self.model})
        if config.teacher.weight:
            folder = teach_photos(config.teacher.side_px, report)
            head = nn.Linear(config.shape.width, config.teacher.width)
            self.lesson = Lesson(principal_targets(folder, config.teacher.width), head)
            self.learned["teacher_head"] = head
        self.optimizers = make_optimizers(self.learned, config)
        self.names = [*self.maker.names, BACKGROUND]
        self.step = 0

    def run(self, report: Report = ignore_progress) -> Path:
        """Train to the last step and save; the folder of the finished checkpoint.

        Raises ConfigError where the folder holds a training with other settings.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with lock_file(self.folder / ".lock", wait=False):
            self._check_settings()
            self._load_state()
            self.model.train()
            while self.step < self.config.steps:
                self._train_step(report)
                if self.step % self.config.save_every == 0 or self.step == self.config.steps:
                    self._save_state()
            return self._save_model()

    def _train_step(self, report: Report) -> None:
        began, config = time.perf_counter(), self.config
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * rate_at(self.step, config)
        batch = self.maker.batch(self.step)
        template = TEMPLATES[self.step % len(TEMPLATES)]
        names = self._encode_texts([template.format(name) for name in self.names])
        captions = self._encode_texts(list(batch.captions.values()))
        patch_px = config.shape.patch_px
        losses = tower_losses(
            self.model, batch, names, captions, patch_px=patch_px, lesson=self.lesson
        )
        loss = losses.patches + losses.objects + config.caption_weight * losses.captions
        loss = loss + config.teacher.weight * losses.teacher
        self.learned.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.learned.parameters(), config.clip)
        if not torch.isfinite(norm):
            raise ConfigError(
                "the gradient is not finite", got=f"step {self.step}", fix="Lower lr."
            )
        for optimizer in self.optimizers:
            optimizer.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(max=torch.tensor(LARGEST_SCALE).log())
        self._log_step(losses, float(norm), time.perf_counter() - began)
        self.step += 1
        note = f"objects {losses.objects.item():.2f}, right {losses.accuracy:.2f}"
        report(Progress("tower", self.step, config.steps, note))

    def _encode_texts(self, texts: list[str]) -> torch.Tensor:
        """Padded token ids (T, L)."""
        if not texts:
            return torch.zeros(0, self.config.shape.text_tokens, dtype=torch.long)
        encoded = self.tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")
        return encoded["input_ids"]

    def _log_step(self, losses: TowerLosses, norm: float, seconds: float) -> None:
        row = {
            "step": self.step,
            "patches": losses.patches.item(),
            "objects": losses.objects.item(),
            "captions": losses.captions.item(),
            "teacher": losses.teacher.item(),
            "accuracy": losses.accuracy,
            "grad_norm": norm,
            "scale": self.model.logit_scale.exp().item(),
            "seconds": seconds,
        }
        append_lines(self.folder / LOG, [json.dumps(row)])

    def _check_settings(self) -> None:
        path = self.folder / SETTINGS
        now = json.loads(json.dumps(asdict(self.config), default=str))
        if not path.exists():
            write_json(path, now)
            return
        before = read_object(path)
        if before | {name: now[name] for name in FREE_BEFORE_FALL} != now:
            raise ConfigError(
                "the folder holds a training with other settings",
                where=str(path),
                fix="Give the same settings, or another folder.",
            )
        if before != now:
            self._check_length(before)
            write_json(path, now)

    def _check_length(self, before: Mapping[str, Any]) -> None:
        """Raises ConfigError where the rate has fallen already, or would have to."""
        done = _read_step(self.folder / STATE) if (self.folder / STATE).exists() else 0
        now = asdict(self.config)
        latest = min(round((1 - given["fall"]) * given["steps"]) for given in (before, now))
        if done > latest:
            raise ConfigError(
                "the end of a training is free only until its learning rate falls",
                expected=f"a training at step {latest} at most",
                got=f"one at step {done}",
                where="steps, fall",
                fix="Give the same settings, or another folder.",
            )

    def _save_state(self) -> None:
        """Weights, moments and the step, in one file that is whole or not there."""
        tensors = {f"value.{name}": value for name, value in self.learned.state_dict().items()}
        for name, parameter in self.learned.named_parameters():
            for moment, value in self._moments_of(parameter).items():
                tensors[f"{moment}.{name}"] = value
        tensors = {name: value.detach().clone().contiguous() for name, value in tensors.items()}
        with replace_file(self.folder / STATE) as temporary:
            save_file(tensors, temporary, metadata={"step": str(self.step)})

    def _moments_of(self, parameter: nn.Parameter) -> dict[str, torch.Tensor]:
        states = (o.state[parameter] for o in self.optimizers if parameter in o.state)
        return {m: value for state in states for m, value in state.items() if m in MOMENTS}

    def _load_state(self) -> None:
        path = self.folder / STATE
        if not path.exists():
            if start := self.config.start:
                values = _strip(load_file(start / STATE), "value.")
                self.learned.load_state_dict(values)
            self._cut_log()
            return
        tensors = load_file(path)
        self.step = _read_step(path)
        self.learned.load_state_dict(_strip(tensors, "value."))
        for name, parameter in self.learned.named_parameters():
            for optimizer in self.optimizers:
                if any(parameter is one for g in optimizer.param_groups for one in g["params"]):
                    found = {m: tensors.get(f"{m}.{name}") for m in MOMENTS}
                    state = {m: value for m, value in found.items() if value is not None}
                    optimizer.state[parameter] = state | {"step": torch.tensor(float(self.step))}
        self._cut_log()

    def _cut_log(self) -> None:
        """Drop the lines of steps that will be made again."""
        lines = [
            line for line in read_lines(self.folder / LOG) if json.loads(line)["step"] < self.step
        ]
        with replace_file(self.folder / LOG) as temporary:
            temporary.write_bytes(b"".join(line + b"\n" for line in lines))

    def _save_model(self) -> Path:
        """The checkpoint for stock `transformers`, in float16."""
        target = self.folder / MODEL
        with replacing_folder(target) as folder:
            state = {name: value.half() for name, value in self.model.state_dict().items()}
            self.model.config.dtype = torch.float16
            self.model.save_pretrained(folder, state_dict=state)
            self.tokenizer.save_pretrained(folder)
            _image_processor(self.config.shape.image_px).save_pretrained(folder)
        return target


def _image_processor(side_px: int) -> Any:
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    return SiglipImageProcessorPil(size={"height": side_px, "width": side_px})


def _read_step(path: Path) -> int:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return int(file.metadata()["step"])


def _strip(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

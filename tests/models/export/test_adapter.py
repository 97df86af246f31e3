"""LoRA as a peft folder beside the base: stock peft gives what the merged export gives."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from diglot.core.errors import ConfigError
from diglot.models.checkpoint import save_vlm
from diglot.models.config import LoraConfig
from diglot.models.export import stock_run
from diglot.models.export.check import check_export
from diglot.models.export.flow import export_checkpoint, load_checkpoint, open_config
from diglot.models.trainable import Trainable, set_trainable
from tests.models.export.test_export import FITTING, make, pictures

LORA = LoraConfig(rank=2, alpha=8.0, dropout=0.0, extra={"use_rslora": True})


@pytest.fixture
def checkpoint(towers: dict[str, Path], language_folder: Path, tmp_path: Path) -> Path:
    vlm, config = make(towers, language_folder, FITTING[0])
    set_trainable(vlm, Trainable(lora=LORA))
    with torch.no_grad():
        for name, parameter in vlm.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
    save_vlm(vlm, config, tmp_path / "model", parts=("projector",))
    return tmp_path / "model"


@torch.no_grad()
def test_the_adapter_on_its_base_is_the_merged_model(checkpoint: Path, tmp_path: Path) -> None:
    from peft import PeftModel

    export_checkpoint(checkpoint, "llava", tmp_path / "merged")
    export_checkpoint(checkpoint, "llava", tmp_path / "base", adapter=True)
    pixels = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    merged, base = (
        AutoModelForImageTextToText.from_pretrained(tmp_path / name).eval()
        for name in ("merged", "base")
    )
    ids = torch.tensor([[0, *[merged.config.image_token_id] * 16, 5, 6, 7]])

    def run(model) -> torch.Tensor:
        return model(input_ids=ids, pixel_values=pixels).logits

    want, plain = run(merged), run(base)
    for parameter in base.model.multi_modal_projector.parameters():
        parameter.zero_()  # the adapter brings the projector too
    adapted = PeftModel.from_pretrained(base, tmp_path / "base/adapter").eval()
    torch.testing.assert_close(run(adapted), want, rtol=1e-4, atol=1e-4)
    assert (plain - want).abs().max() > 1e-2
    names = load_file(tmp_path / "base/adapter/adapter_model.safetensors")
    assert sum("lora_" in name for name in names) == 2 * 7 * 2
    assert sum("multi_modal_projector" in name for name in names) == 4


def test_the_check_runs_the_adapter(checkpoint: Path, tmp_path: Path) -> None:
    export_checkpoint(checkpoint, "llava", tmp_path / "base", adapter=True)
    vlm = load_checkpoint(checkpoint, open_config(checkpoint))
    result = check_export(tmp_path / "base", vlm, pictures()[:2], run=stock_run.main)
    assert result.passed, result


def test_without_lora_there_is_no_adapter(towers, language_folder: Path, tmp_path: Path) -> None:
    vlm, config = make(towers, language_folder, FITTING[0])
    save_vlm(vlm, config, tmp_path / "model", parts=("projector",))
    with pytest.raises(ConfigError, match="has no LoRA"):
        export_checkpoint(tmp_path / "model", "llava", tmp_path / "out", adapter=True)
    assert not (tmp_path / "out").exists()

"""A tower's family is read off its checkpoint; what cannot be loaded is said at once."""

from pathlib import Path

import pytest
import torch

from diglot.core.errors import ConfigError
from diglot.models.config import EncoderPart, LanguageConfig, VLMConfig
from diglot.models.export.design import read_design

FAMILIES = {
    "clip": "clip",
    "siglip_vision": "siglip",
    "siglip2": "siglip2",
    "dinov2_registers": "dinov2",
}


@pytest.mark.parametrize("folder", FAMILIES)
@torch.no_grad()
def test_the_same_encoder_as_by_its_name(towers: dict[str, Path], folder: str) -> None:
    path = str(towers[folder])
    auto = EncoderPart("auto", {"path": path}).build().eval()
    named = EncoderPart(FAMILIES[folder], {"path": path}).build().eval()
    assert type(auto) is type(named)
    pixels = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert auto(pixels).equal(named(pixels))
    assert (auto.mean, auto.std, auto.prefix_tokens) == (named.mean, named.std, named.prefix_tokens)


def test_the_design_names_the_family(towers: dict[str, Path], language_folder: Path) -> None:
    config = VLMConfig(
        encoder=EncoderPart("auto", {"path": str(towers["clip"])}),
        language=LanguageConfig(path=str(language_folder)),
    )
    assert read_design(config).encoder["name"] == "clip"


def test_what_cannot_be_loaded_says_why(
    towers: dict[str, Path], language_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="'llama' checkpoint"):
        EncoderPart("auto", {"path": str(language_folder)}).build()
    with pytest.raises(ConfigError, match="no such folder"):
        EncoderPart("auto", {"path": str(tmp_path / "none")}).build()
    (tmp_path / "config.json").write_bytes((towers["clip"] / "config.json").read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="Convert it once"):
        EncoderPart("auto", {"path": str(tmp_path)}).build()


def test_damaged_settings_of_pictures_are_named(towers: dict[str, Path], tmp_path: Path) -> None:
    for file in towers["clip"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.5')
    with pytest.raises(ConfigError, match=r"preprocessor_config.json.* not? .*JSON"):
        EncoderPart("auto", {"path": str(tmp_path)}).build()

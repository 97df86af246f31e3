"""The tower in the package: found wherever a checkpoint is named, said so where it is not there."""

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig

from diglot.core.errors import ConfigError
from diglot.embedded import tower
from diglot.models.encoders import auto, siglip
from diglot.models.encoders._tower import tower_revision
from diglot.models.export.card import _find_licence
from diglot.models.pretrained import read_pretrained
from diglot.synth.patch_labels.towers import load_towers
from tests.synth.patch_labels.pairs import save_pair

PATH = tower.EMBEDDED_TOWER


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny random pair in place of the package's own."""
    made = save_pair(tmp_path, "siglip")
    monkeypatch.setattr(tower, "FOLDER", made)
    return made


def test_another_path_is_left_alone() -> None:
    assert tower.find_checkpoint("google/siglip-base-patch16-224") == (
        "google/siglip-base-patch16-224"
    )


def test_its_name_opens_it_wherever_a_checkpoint_is_named(folder: Path) -> None:
    pixels = torch.randn(1, 3, 32, 32)
    expected = siglip.build(siglip.Config(path=str(folder)))(pixels)
    for made in (siglip.build(siglip.Config(path=PATH)), auto.build(auto.Config(path=PATH))):
        assert made(pixels).equal(expected)
    pair, named = load_towers("siglip", str(folder)), load_towers("siglip", PATH)
    assert named.words(["a dog"]).equal(pair.words(["a dog"]))
    assert read_pretrained(AutoConfig, PATH, where="path").model_type == "siglip"


def test_other_weights_have_another_revision(folder: Path) -> None:
    """So that cached features of an older tower are not taken for those of a new one."""
    first = siglip.build(siglip.Config(path=PATH)).revision
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b" ")
    found = AutoConfig.from_pretrained(folder).vision_config
    assert tower_revision(siglip.Config(path=PATH), found) != first


def test_its_card_says_the_licence_in_an_export(folder: Path) -> None:
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    assert _find_licence(PATH) == "apache-2.0"


def test_an_installation_without_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tower, "FOLDER", tmp_path)
    with pytest.raises(ConfigError, match="lacks the embedded tower"):
        siglip.build(siglip.Config(path=PATH))

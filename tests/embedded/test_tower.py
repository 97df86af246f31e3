"""The tower in the package: found wherever a checkpoint is named, said so where it is not there."""

import tomllib
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoConfig, AutoModel, AutoProcessor

from diglot.core.errors import ConfigError
from diglot.embedded import tower
from diglot.embedded.checkpoints import find_checkpoint
from diglot.files import file_sha256
from diglot.models.encoders import auto, siglip
from diglot.models.encoders._tower import tower_revision
from diglot.models.export.card import _find_licence
from diglot.models.pretrained import read_pretrained
from diglot.studies.tower.pictures import to_pixels
from diglot.synth.patch_labels.towers import load_towers
from diglot.synth.scenes.embedded import embedded_pools, find_emoji
from tests.synth.patch_labels.pairs import save_pair

PATH = "embedded_tower"
RIGHT_DRAWINGS = 33  # of 41


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny random pair in place of the package's own."""
    made = save_pair(tmp_path, "siglip")
    monkeypatch.setattr(tower, "FOLDER", made)
    return made


def test_the_package_s_own_fits_its_card_and_stock_classes() -> None:
    """As a wheel holds it: every file, at most 12 MB, weights as the card says."""
    files = sorted(tower.FOLDER.iterdir())
    assert sum(path.stat().st_size for path in files) <= 12e6
    declared = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["setuptools"]
    assert f"embedded/{tower.FOLDER.name}/*" in declared["package-data"]["diglot"]
    card = (tower.FOLDER / "README.md").read_text("utf-8")
    assert file_sha256(tower.FOLDER / "model.safetensors") in card
    model, report = AutoModel.from_pretrained(tower.FOLDER, output_loading_info=True)
    assert not report["missing_keys"] | report["unexpected_keys"]
    assert type(model).__name__ == "SiglipModel"
    assert model.vision_model.embeddings.num_positions == 14 * 14
    processor = AutoProcessor.from_pretrained(tower.FOLDER)
    assert len(processor.tokenizer) == model.config.text_config.vocab_size <= 4000


@pytest.mark.embedded
def test_the_package_s_own_knows_its_drawings() -> None:
    """Each of 41 drawings alone on grey: its own name is nearest among all of them."""
    towers = load_towers("siglip", PATH)
    drawings = sorted(find_emoji())
    pool = embedded_pools()[1]
    words = towers.words(drawings)
    right = 0
    for index, name in enumerate(drawings):
        picture = Image.new("RGB", (448, 448), (128, 128, 128))
        drawn = pool.render(f"all/{name}", 128)
        picture.paste(drawn, (160, 160), mask=drawn)
        patches = towers.patches(to_pixels([picture]))[0, 5:9, 5:9].flatten(0, 1)
        right += int((words @ patches.mean(0)).argmax()) == index
    assert right >= RIGHT_DRAWINGS


def test_another_path_is_left_alone() -> None:
    assert find_checkpoint("google/siglip-base-patch16-224") == ("google/siglip-base-patch16-224")


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

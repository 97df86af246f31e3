from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from diglot.config.parts import build_part
from diglot.core.errors import ConfigError
from diglot.embedded.efficientnet_lite0 import efficientnet_weights
from diglot.embedded.photos import photo_files
from diglot.models.encoder import Encoder
from diglot.models.encoders._random_start import noise_pictures
from diglot.models.encoders.efficientnet_lite0 import Config, EfficientNetLite0, Layer, build

pytestmark = pytest.mark.embedded

TABBY, TIGER_CAT, EGYPTIAN_CAT, LYNX, ESPRESSO = 281, 282, 285, 287, 967


@pytest.fixture(scope="module")
def encoder() -> EfficientNetLite0:
    return build(Config(image_px=64))


def class_scores(encoder: EfficientNetLite0, name: str) -> torch.Tensor:
    """ImageNet's classes of one of the sample photographs, centre crop of 87.5%."""
    path = next(p for p in photo_files("samples") if p.stem == name)
    with Image.open(path) as image:
        width, height = image.size
        half = 0.875 * min(width, height) / 2
        box = (width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half)
        side = encoder.image_px
        small = image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC, box=box)
    pixels_HW3 = torch.from_numpy(np.array(small)).float() / 255
    normal_HW3 = (pixels_HW3 - torch.tensor(encoder.mean)) / torch.tensor(encoder.std)
    with torch.inference_mode():
        pooled_E = encoder(normal_HW3.permute(2, 0, 1)[None]).mean((0, 1, 2))
        weight, bias = encoder.classifier_rows()
        return (weight @ pooled_E + bias).softmax(-1)


def test_weights_and_preprocessing_are_right() -> None:
    encoder = build(Config(image_px=224))
    cat = class_scores(encoder, "chelsea").topk(3).indices.tolist()
    assert set(cat) <= {TABBY, TIGER_CAT, EGYPTIAN_CAT, LYNX}
    coffee = class_scores(encoder, "coffee")
    assert coffee.argmax() == ESPRESSO
    assert coffee.max() > 0.9  # .95 with these statistics, .78 with the usual ImageNet ones
    assert class_scores(encoder, "rocket").argmax() == 657  # missile


def test_the_grid_is_channels_last(encoder: EfficientNetLite0) -> None:
    checked: Encoder = encoder
    pixels = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    features = checked(pixels)
    assert features.shape == (2, 2, 3, checked.width)
    assert features.dtype == torch.float32
    assert features.is_contiguous()
    assert features.min() >= 0
    assert features.max() <= 6
    inner = encoder.net.extract_features(pixels)
    assert torch.equal(features[1, 0, 2], inner[1, :, 0, 2])


def test_a_view_does_not_depend_on_its_batch_or_memory_layout(encoder: EfficientNetLite0) -> None:
    pixels = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    plain = build(Config(image_px=64, channels_last=False))
    with torch.inference_mode():
        together, alone = encoder(pixels), encoder(pixels[1:2])
        torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(together, plain(pixels), rtol=1e-4, atol=1e-4)


def test_training_mode_changes_nothing(encoder: EfficientNetLite0) -> None:
    pixels = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    with torch.no_grad():
        calm = encoder.eval()(pixels)
        assert torch.equal(encoder.train()(pixels), calm)
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())


@pytest.mark.parametrize("image_px", [0, -32, 30, 450])
def test_a_size_off_the_grid_is_refused(image_px: int) -> None:
    with pytest.raises(ConfigError, match=r"multiple of 32.*got"):
        Config(image_px=image_px)
    with pytest.raises(ConfigError, match=r"multiple of 32|must be at least 1"):
        build_part(
            "diglot.models.encoders",
            {"name": "efficientnet_lite0", "image_px": image_px},
            where="encoder",
        )


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 1, 64, 64), (1, 3, 64, 65)])
def test_pixels_of_another_shape_are_refused(
    encoder: EfficientNetLite0, shape: tuple[int, ...]
) -> None:
    with pytest.raises(ConfigError, match="pixels do not fit"):
        encoder(torch.zeros(shape))


def test_own_weights_and_their_revision(tmp_path: Path, encoder: EfficientNetLite0) -> None:
    state = load_file(efficientnet_weights())
    state["_fc.bias"] += 1
    own = tmp_path / "own.safetensors"
    save_file(state, own)
    built = build(Config(image_px=64, weights=str(own)))
    assert torch.equal(built.classifier_rows()[1], encoder.classifier_rows()[1] + 1)
    assert built.revision != encoder.revision
    assert encoder.revision == build(Config(image_px=64)).revision
    assert encoder.revision != build(Config(image_px=32)).revision


def test_bad_weights_are_named(tmp_path: Path) -> None:
    absent, noise, other = (tmp_path / n for n in ("absent", "noise", "other"))
    noise.write_bytes(b"no safetensors")
    save_file({"a": torch.zeros(1)}, other)
    for path in (absent, noise, other):
        with pytest.raises(ConfigError, match=rf"efficientnet_lite0\.weights.*{path.name}"):
            build(Config(weights=str(path)))


@pytest.mark.parametrize(
    ("layer", "stride", "width"),
    [("stride_8", 8, 40), ("stride_16", 16, 112), ("stride_32", 32, 320)],
)
@torch.no_grad()
def test_earlier_layers_are_the_networks_own_maps(
    encoder: EfficientNetLite0, layer: Layer, stride: int, width: int
) -> None:
    """The last block before the next stride: hooks on every block find which that is."""
    early = build(Config(image_px=64, layer=layer))
    assert (early.patch_px, early.width) == (stride, width)
    pixels = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    maps: list[torch.Tensor] = []
    hooks = [
        block.register_forward_hook(lambda m, i, out: maps.append(out))
        for block in encoder.net._blocks
    ]
    encoder.net.extract_features(pixels)
    for hook in hooks:
        hook.remove()
    last = [x for x in maps if x.shape[-1] == 64 // stride][-1]
    torch.testing.assert_close(early(pixels)[0], last[0].permute(1, 2, 0), rtol=1e-4, atol=1e-4)
    assert early.revision == f"{encoder.revision}-{layer}"
    with pytest.raises(ConfigError, match="only the last layer is classified"):
        early.classifier_rows()


@torch.no_grad()
def test_random_weights_are_by_seed_and_let_pictures_through() -> None:
    """Every cell and every channel says something, or it would be no floor but a blindfold."""
    drawn = build(Config(image_px=128, weights="random:0"))
    again, other = (build(Config(image_px=128, weights=f"random:{s}")) for s in (0, 1))
    pictures = noise_pictures(torch.Generator().manual_seed(5))
    features = drawn(pictures)
    assert torch.equal(again(pictures), features)
    assert not torch.equal(other(pictures), features)
    assert drawn.revision != other.revision
    between_pictures = features.mean((1, 2)).std(0).mean()
    assert features.std() > 0.5
    assert between_pictures > 0.1
    assert (features.flatten(0, 2).std(0) > 0.01).float().mean() > 0.95


def test_a_frozen_encoder_folds_its_norms_and_follows_its_weights() -> None:
    encoder = build(Config(image_px=64))
    pixels = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    names = set(encoder.state_dict())
    with torch.no_grad():
        for changed in (None, "_conv_stem", "_bn1"):
            if changed:  # in place, as an optimizer or a load would
                getattr(encoder.net, changed).weight.mul_(1.2)
            plain_VhwE = encoder.net.extract_features(pixels).permute(0, 2, 3, 1)
            torch.testing.assert_close(encoder(pixels), plain_VhwE, rtol=1e-4, atol=1e-4)
    folded = encoder._folded.of(encoder.net)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    assert set(encoder.state_dict()) == names


def test_an_encoder_that_learns_gets_its_gradients() -> None:
    encoder = build(Config(image_px=64))
    encoder(torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))).sum().backward()
    assert encoder.net._bn0.weight.grad.abs().sum() > 0

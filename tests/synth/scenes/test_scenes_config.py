import pytest

from diglot.core.errors import ConfigError
from diglot.synth.scenes.config import ScenesConfig


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image_px", 0),
        ("objects", (3, 2)),
        ("objects", (0, 2)),
        ("object_px", (100, 500)),
        ("object_px", (160, 96)),
        ("max_overlap", 1.2),
        ("min_visible", 0.0),
        ("repeat_probability", -0.1),
        ("repeat_by", ("smell",)),
        ("styles", ()),
        ("styles", ("haiku",)),
        ("jpeg_quality", 0),
        ("held_out_pair_share", 2.0),
    ],
)
def test_a_field_out_of_range_is_named(field, value):
    with pytest.raises(ConfigError, match=f"scenes: {field} is out of range"):
        ScenesConfig(**{field: value})


def test_small_and_large_need_room():
    with pytest.raises(ConfigError, match="small or large"):
        ScenesConfig(object_px=(100, 110), size_probability=0.5)
    with pytest.raises(ConfigError, match="small or large"):
        ScenesConfig(object_px=(100, 110), repeat_probability=0.5)
    ScenesConfig(object_px=(100, 110), repeat_probability=0.5, repeat_by=("place",))


def test_small_is_smaller_than_large():
    config = ScenesConfig(object_px=(90, 180))
    small, large = config.size_range("small"), config.size_range("large")
    assert config.size_range(None) == (90, 180)
    assert small[0] == 90
    assert large[1] == 180
    assert small[1] < large[0]


def test_held_out_pairs_are_a_share_and_the_same_whatever_the_order():
    config = ScenesConfig(held_out_pair_share=0.2)
    names = [f"kind{i}" for i in range(60)]
    held = [config.holds_out(a, b) for a in names for b in names if a < b]
    assert 0.15 < sum(held) / len(held) < 0.25
    assert all(config.holds_out(a, b) == config.holds_out(b, a) for a in names for b in names)
    assert not any(config.holds_out(a, a) for a in names)
    wider = ScenesConfig(held_out_pair_share=0.4)
    assert all(wider.holds_out(a, b) for a in names for b in names if config.holds_out(a, b))

"""Fonts for pairs of text: found, separated from symbols, and the same wherever they lie."""

import shutil

import pytest

from diglot.core.errors import ConfigError
from diglot.synth.text_pairs.fonts import find_families, fonts_digest
from diglot.synth.text_pairs.latin import bundled_folder, draws_latin

NAMES = ("DejaVuSans", "DejaVuSerif", "STIXGeneral")


@pytest.fixture
def three(tmp_path):
    for name in NAMES:
        shutil.copy(bundled_folder() / f"{name}.ttf", tmp_path)
    return tmp_path


def test_what_matplotlib_brings_is_enough():
    families = find_families([bundled_folder()])
    assert {"DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono", "STIXGeneral"} <= {
        family.name for family in families
    }
    assert all(family.faces for family in families)


@pytest.mark.parametrize("name", ["cmsy10", "cmex10", "cmmi10", "STIXSizOneSymReg"])
def test_fonts_of_symbols_are_no_latin_fonts(name):
    assert not draws_latin(bundled_folder() / f"{name}.ttf")


def test_bold_is_recognised_by_the_style(three):
    shutil.copy(bundled_folder() / "DejaVuSans-Bold.ttf", three)
    sans = next(family for family in find_families([three]) if family.name == "DejaVu Sans")
    assert [face.bold for face in sans.faces] == [True, False]


def test_the_digest_is_of_the_fonts_not_of_their_folder(three, tmp_path_factory):
    other = tmp_path_factory.mktemp("other") / "deep" / "er"
    shutil.copytree(three, other)
    families = find_families([three])
    assert fonts_digest(families) == fonts_digest(find_families([other]))
    shutil.copy(bundled_folder() / "DejaVuSansMono.ttf", other)
    assert fonts_digest(families) != fonts_digest(find_families([other]))


def test_too_few_families_name_what_to_install(three):
    (three / "STIXGeneral.ttf").write_bytes(b"no font")
    with pytest.raises(ConfigError, match=r"got DejaVu Sans, DejaVu Serif.*fonts-liberation"):
        find_families([three])
    with pytest.raises(ConfigError, match="no such folder of fonts"):
        find_families([three / "none"])

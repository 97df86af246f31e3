"""The families that matplotlib brings, found once for all tests of rendered text."""

from diglot.synth.text_pairs.fonts import find_families
from diglot.synth.text_pairs.latin import bundled_folder

FAMILIES = find_families([bundled_folder()])

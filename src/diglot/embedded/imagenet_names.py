"""The names of ImageNet-1k's classes: WordNet's words for its 1000 synsets (Deng et al. 2009)."""

from pathlib import Path

from diglot.embedded.asset import Asset
from diglot.embedded.fetch import ensure_asset

SYNSETS = "timm/data/_info/imagenet_synsets.txt"
LEMMAS = "timm/data/_info/imagenet_synset_to_lemma.txt"
NAMES = "names.txt"


def imagenet_names() -> list[tuple[str, ...]]:
    """The words of each of the 1000 classes, in the order of a classifier's rows.

    A class has one to several ("tabby", "tabby cat"), as WordNet writes them; two classes may share
    a word ("crane"). Fetched on demand.
    """
    lines = (ensure_asset(ASSET) / NAMES).read_text("utf-8").splitlines()
    return [tuple(line.split("\t")) for line in lines]


def convert(members: Path, finished: Path) -> None:
    """Keep the 1000 classes of some 22,000 synsets, a line each, in the classifier's order."""
    lines = (members / LEMMAS).read_text("utf-8").splitlines()
    words = dict(line.split("\t") for line in lines)
    synsets = (members / SYNSETS).read_text("utf-8").split()
    names = ["\t".join(words[synset].split(", ")) for synset in synsets]
    (finished / NAMES).write_text("\n".join(names) + "\n", "utf-8")


ASSET = Asset(
    name="imagenet_names",
    what="the names of ImageNet-1k's 1000 classes",
    use="words for EfficientNet-Lite0's classifier rows: labels for patches",
    registry="pypi",
    package="timm",
    version="1.0.31",
    files=(SYNSETS, LEMMAS),
    sha256="fc1e67ce8656c4b1da57c3ada91263d7e9b880c302246c53d2d8db0c790ce52d",
    licence="Apache-2.0 (the package); WordNet licence (the words)",
    download_bytes=2_798_714,
    cached_bytes=21_000,
    convert=convert,
)

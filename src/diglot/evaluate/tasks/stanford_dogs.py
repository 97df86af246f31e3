"""Stanford Dogs as a choice among four breeds (SEA Table 3), over the data set's own folder.

Source: Khosla et al. 2011 (FGVC): Images/n02085620-Chihuahua/n02085620_10074.jpg, and the test
pictures in lists/test_list.mat (file_list, cells of paths). SEA does not say how the three wrong
breeds are drawn: here at random, each question's own. The question's form is LLaVA-1.5's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from diglot.config.read import expand_home
from diglot.core.errors import ConfigError, DataError
from diglot.evaluate.items import Item
from diglot.evaluate.questions import BREED, LETTER
from diglot.evaluate.task import AskConfig, Task

LETTERS = "ABCD"


@dataclass(frozen=True, kw_only=True)
class Config(AskConfig):
    """Breeds of dogs."""

    path: str = ""
    """The data set's folder, with Images and lists."""
    limit: int = 8580
    """At most so many pictures of the test list, drawn at random."""
    max_tokens: int = 4
    """Longest written answer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        expand_home(self, "path")


def build(config: Config) -> Task:
    """The letter of the breed."""
    return Task(
        title="Stanford Dogs",
        what="Which breed is the dog of? One right and three other breeds, drawn at random.",
        make=lambda scenes, generator: _make_items(config, generator),
        scorer="score_choice",
        asked=config,
        needs_scenes=False,
        picture_of=lambda item: Path(config.path) / "Images" / item.scene,
    )


def _make_items(config: Config, generator: np.random.Generator) -> Iterator[Item]:
    names = read_test_list(Path(config.path))
    breeds = sorted({breed_of(name) for name in names})
    if len(breeds) < len(LETTERS):
        raise DataError("fewer than four breeds", got=", ".join(breeds), where=config.path)
    for name in names:
        yield _ask_breed(name, breeds, generator)


def _ask_breed(name: str, breeds: Sequence[str], generator: np.random.Generator) -> Item:
    own = breed_of(name)
    others = [breed for breed in breeds if breed != own]
    choices = [own, *(others[i] for i in generator.permutation(len(others))[: len(LETTERS) - 1])]
    choices = [choices[i] for i in generator.permutation(len(LETTERS))]
    lines = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=True)]
    return Item(
        id=name,
        task="",
        question="\n".join([BREED, *lines, LETTER]),
        answer=LETTERS[choices.index(own)],
        scene=name,
        candidates=tuple(LETTERS),
        right=tuple(choice == own for choice in choices),
        truth={"breed": own},
    )


def breed_of(name: str) -> str:
    """The breed in a picture's path: "n02085936-Maltese_dog/..." is "Maltese dog"."""
    return name.split("/")[0].partition("-")[2].replace("_", " ")


def read_test_list(folder: Path) -> list[str]:
    """The paths of the test pictures below Images, in order.

    Raises ConfigError where the list is missing, DataError for one of another form, or a picture
    that is not there.
    """
    path = folder / "lists" / "test_list.mat"
    try:
        cells = loadmat(path)["file_list"].ravel()
        names = [str(cell.ravel()[0]) for cell in cells]
    except OSError as error:
        raise ConfigError(
            "no Stanford Dogs here",
            expected="its folder, with Images and lists/test_list.mat",
            where=str(folder),
            fix="Give options: {stanford_dogs: {path: FOLDER}}.",
        ) from error
    except (ValueError, KeyError, AttributeError, IndexError, NotImplementedError) as error:
        raise DataError(f"not a list of Stanford Dogs: {error}", where=str(path)) from error
    root = (folder / "Images").resolve()
    for name in names:
        inside = (root / name).resolve().is_relative_to(root)
        if not breed_of(name) or not inside or not (root / name).is_file():
            raise DataError("a picture of the list is not there", got=name, where=str(root))
    return names

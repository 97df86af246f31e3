from pathlib import Path

import pytest

from diglot.embedded.imagenet_names import LEMMAS, SYNSETS, convert, imagenet_names


def test_names_come_in_the_order_of_the_classes(tmp_path: Path) -> None:
    members, finished = tmp_path / "members", tmp_path / "finished"
    (members / LEMMAS).parent.mkdir(parents=True)
    finished.mkdir()
    (members / SYNSETS).write_text("n02\nn01\n")
    (members / LEMMAS).write_text("n01\ttench, Tinca tinca\nn02\ttabby, tabby cat\nn03\ttree\n")
    convert(members, finished)
    assert (finished / "names.txt").read_text() == "tabby\ttabby cat\ntench\tTinca tinca\n"


@pytest.mark.embedded
def test_the_thousand_classes() -> None:
    names = imagenet_names()
    assert len(names) == 1000
    assert names[0] == ("tench", "Tinca tinca")
    assert names[281] == ("tabby", "tabby cat")
    assert names[999][0] == "toilet tissue"
    assert sum(map(len, names)) == 1860

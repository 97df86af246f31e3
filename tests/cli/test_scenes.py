import json

import pytest
from PIL import Image

from diglot.cli.scenes import scenes
from diglot.data.records import open_dataset
from diglot.synth.scenes.compose import SceneMaker
from diglot.synth.scenes.config import ScenesConfig
from diglot.synth.scenes.embedded import embedded_backgrounds, embedded_pools
from tests.cli_runner import run_diglot

CONFIG = ScenesConfig(image_px=96, object_px=(24, 40), objects=(2, 2), texture_share=1.0)


def own_pictures(folder):
    folder.mkdir()
    for name in ("cup", "red chair", "owl"):
        Image.new("RGB", (50, 40), "red").save(folder / f"{name}.png")
    (folder / "broken.png").write_bytes(b"x")
    return folder


def test_scenes_of_the_users_own_pictures(tmp_path, capsys):
    pictures, out = own_pictures(tmp_path / "pictures"), tmp_path / "out"
    for _ in range(2):
        scenes(out, count=6, pictures=pictures, scene=CONFIG, json=tmp_path / "summary.json")
    printed = capsys.readouterr()
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["scenes"] == len(open_dataset(out)) == 6
    assert summary["regions"] == sum(summary["names"].values()) == 12
    assert set(summary["names"]) == {"cup", "red chair", "owl"}
    assert summary["rejected"] == {"not a picture": 1}
    assert "not a picture" in printed.out
    assert "scenes, train" in printed.err


@pytest.mark.embedded
def test_embedded_scenes_show_51_kinds():
    pools = embedded_pools()
    assert [len(pool.names) for pool in pools] == [10, 41]
    assert not set(pools[0].names) & set(pools[1].names)
    maker = SceneMaker(pools, ScenesConfig(), photos=embedded_backgrounds())
    names = [region.label for index in range(80) for region in maker.scene(index).regions]
    photographs = sum(name in pools[0].names for name in names)
    assert 0.4 < photographs / len(names) < 0.6
    assert all(len(set(names[i : i + 4])) == 4 for i in range(0, len(names), 4))


def test_questions_about_scenes_that_vary_unless_asked_otherwise(tmp_path, capsys):
    pictures = own_pictures(tmp_path / "pictures")
    common = ["--pictures", str(pictures), "--instruct", "--count", "6", "--scene.image_px", "96"]
    common += ["--scene.object_px", "[16,24]", "--scene.texture_share", "1"]
    assert run_diglot("scenes", tmp_path / "varied", *common, "--scene.objects", "[2,3]") == 0
    made = open_dataset(tmp_path / "varied")
    assert all(made[i].is_conversation for i in range(6))
    settings = json.loads((tmp_path / "varied" / "dataset.json").read_text())
    config = settings["splits"]["train"]["info"]["config"]
    assert (config["objects"], config["repeat_probability"]) == ([2, 3], 0.5)
    assert run_diglot("scenes", tmp_path / "jokes", *common, "--questions.kinds", "[jokes]") == 2
    assert "unknown kinds of questions" in capsys.readouterr().err

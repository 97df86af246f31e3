"""Code-switching in the answers of conversations, alone and mixed with captions in one run."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from diglot.core.errors import DataError
from diglot.core.segments import Branch, Image, Patches, Tokens
from diglot.core.types import Region, Sample
from diglot.data.records import write_dataset
from diglot.models.trainable import Trainable
from diglot.objectives import code_switch, instruct
from diglot.train.config import OptimConfig
from diglot.train.loop import train
from tests.models.test_chat_template import CHATML, GOOD, chat
from tests.tiny import EOS, tiny_sample, tiny_tokenizer, tiny_vlm
from tests.tiny_folders import save_world, tiny_samples, tiny_stage
from tests.train.outcome import steps

TEXTS = ("<image> and <image>?", " A red car, a dog. ", "The dog?", "A dog again.")


def region(turn: int, phrase: str, box: tuple[float, ...], image: int = 0) -> Region:
    start = TEXTS[turn].index(phrase)
    span = (start, start + len(phrase))
    return Region(phrase=phrase, span=span, turn=turn, box=box, image=image)  # type: ignore[arg-type]


REGIONS = (
    region(1, "red car", (0.0, 0.0, 16.0, 16.0), image=1),
    region(1, "dog", (16.0, 16.0, 32.0, 32.0)),
    region(2, "dog", (0.0, 0.0, 8.0, 8.0)),  # of a question: stays
    region(3, "dog", (8.0, 0.0, 16.0, 8.0)),
)


def talk(regions: tuple[Region, ...] = REGIONS) -> Sample:
    picture = tiny_sample(3, size_hw=(32, 32)).image
    return Sample(
        id="talk", images=(picture,) * 2, sizes_hw=((32, 32),) * 2, turns=chat(*TEXTS),
        regions=regions,
    )  # fmt: skip


def prepare(sample: Sample, template: str, tmp_path: Path, module=code_switch, **options):
    (tmp_path / "chat.jinja").write_text(template)
    objective = module.build(module.Config(template=str(tmp_path / "chat.jinja"), **options))
    grids = [tiny_vlm().token_grid(size_hw) for size_hw in sample.sizes_hw]
    return objective.prepare(sample, grids, tiny_tokenizer(), torch.Generator())


def decode(*segments) -> str:
    ids = [segment.ids for segment in segments]
    return tiny_tokenizer().decode(np.concatenate([[], *ids]).astype(int).tolist())


@pytest.mark.parametrize("template", GOOD)
def test_entities_of_answers_give_way_to_their_objects(template, tmp_path):
    made = prepare(talk(), template, tmp_path)
    sequence = made.sequence
    grid = tiny_vlm().token_grid((32, 32))
    patches = [s for s in sequence if isinstance(s, Patches)]
    boxes = [(REGIONS[i].box, REGIONS[i].image) for i in (0, 1, 3)]
    assert patches == [
        Patches(tuple(np.flatnonzero(grid.overlapping(box)).tolist()), image)
        for box, image in boxes
    ]
    branches = [s for s in sequence if isinstance(s, Branch)]
    assert [decode(b).strip() for b in branches] == ["red car", "dog", "dog"]
    before = [sequence[i - 1] for i, s in enumerate(sequence) if isinstance(s, Branch)]
    assert before == patches
    learned = decode(*(s for s in sequence if isinstance(s, Tokens) and s.learn == "text"))
    answers = f"A, a. {EOS}A again.{EOS}" if "trim" not in template else f"A, a.{EOS}A again.{EOS}"
    assert learned.replace(" ", "") == answers.replace(" ", "")
    assert [s.index for s in sequence if isinstance(s, Image)] == [0, 1]
    assert made.counts == {
        "text": sum(len(s.ids) for s in sequence if isinstance(s, Tokens) and s.learn),
        "entity": sum(len(b.ids) for b in branches),
    }
    assert made.notes["entity not in a learned answer"] == 1


@pytest.mark.parametrize("template", GOOD)
def test_without_objects_it_is_instruct(template, tmp_path):
    ours = prepare(talk(()), template, tmp_path)
    theirs = prepare(talk(()), template, tmp_path, instruct)
    assert ours.sequence == theirs.sequence
    assert ours.counts == theirs.counts


def test_all_words_are_there_once(tmp_path):
    """Switched entities put back, the document is that of `instruct`."""
    back = []
    for segment in prepare(talk(), CHATML, tmp_path).sequence:
        if isinstance(segment, Tokens | Branch):
            back += segment.ids
    plain = prepare(talk(()), CHATML, tmp_path, instruct).sequence
    assert back == [i for s in plain if isinstance(s, Tokens) for i in s.ids]


def test_options_hold_for_conversations(tmp_path):
    without = prepare(talk(), CHATML, tmp_path, image_prefix=False).sequence
    assert not [s for s in without if isinstance(s, Image)]
    assert len([s for s in without if isinstance(s, Patches)]) == 3
    entity = prepare(talk(), CHATML, tmp_path, text_weight=0.0)
    assert set(entity.counts) == {"entity"}
    odd = dataclasses.replace(talk(()), turns=chat("<image><image>?", f"A{EOS}"))
    with pytest.raises(DataError, match=r"talk.*special token"):
        prepare(odd, CHATML, tmp_path)


def test_captions_and_conversations_are_switched_in_one_sft_run(tmp_path):
    world = save_world(tmp_path / "world", samples=1)
    (tmp_path / "chat.jinja").write_text(CHATML)
    write_dataset(tiny_samples(2), tmp_path / "captions")
    write_dataset([talk()], tmp_path / "talks")
    data = [{"path": str(tmp_path / "captions")}, {"path": str(tmp_path / "talks"), "weight": 2}]
    template = str(tmp_path / "chat.jinja")
    settings = {
        "data": data,
        "objective": {"name": "code_switch", "template": template},
        "mix": {"instruct": {"template": template}},
        "trainable": Trainable(language=True),
        "optim": OptimConfig(lr=1e-2),
        "epochs": 10,
        "global_batch": 6,
    }
    train(tiny_stage(world, tmp_path / "run", **settings))
    lines = steps(tmp_path / "run")
    assert len(lines) == 10  # 2 captions, twice the conversation by each objective
    assert lines[0]["items/entity"] > lines[0]["items/instruct.text"] / 4 > 0
    for term in ("text", "entity", "instruct.text"):
        assert lines[-1][f"loss/{term}"] < 0.7 * lines[0][f"loss/{term}"]

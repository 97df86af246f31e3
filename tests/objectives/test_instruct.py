"""Instruction tuning: what is learned, what is cut, and the same numbers as a stock Llava's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from diglot.core.conversation import Turn
from diglot.core.errors import ConfigError, DataError
from diglot.core.layout import encode, pack
from diglot.core.objective import Prepared
from diglot.core.segments import Image, Tokens
from diglot.core.types import Sample
from diglot.data.records import write_dataset
from diglot.models.trainable import Trainable
from diglot.objectives import instruct
from diglot.train.config import OptimConfig
from diglot.train.loop import train
from tests.models.test_chat_template import CHATML, chat
from tests.tiny import EOS, tiny_sample, tiny_tokenizer, tiny_vlm
from tests.tiny_folders import save_world, tiny_stage
from tests.train.outcome import figures


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("template") / "chat.jinja"
    path.write_text(CHATML)
    return str(path)


def conversation(name: str, *texts: str, images: int = 0) -> Sample:
    """Questions and answers about so many tiny images."""
    picture = tiny_sample(3, size_hw=(32, 32)).image
    return Sample(
        id=name, images=(picture,) * images, sizes_hw=((32, 32),) * images, turns=chat(*texts)
    )


SAMPLES = (
    conversation("one image", "<image>\nWhat is it?", "A dog.", "Where?", "Left.", images=1),
    conversation("text alone", "Say a word.", "Guitar."),
    conversation("two", "<image> and", "So.", "<image>?", "A frog, a red car.", images=2),
)


def prepare(sample: Sample, template: str, **options: Any) -> Prepared:
    objective = instruct.build(instruct.Config(template=template, **options))
    grids = [tiny_vlm().token_grid(size_hw) for size_hw in sample.sizes_hw]
    return objective.prepare(sample, grids, tiny_tokenizer(), torch.Generator())


def learned(prepared: Prepared) -> str:
    assert prepared.sequence is not None
    ids = [s.ids for s in prepared.sequence if isinstance(s, Tokens) and s.learn == "text"]
    return tiny_tokenizer().decode(np.concatenate([[], *ids]).astype(int).tolist())


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.id)
def test_answers_are_learned_and_images_stand_in_order(sample: Sample, template: str) -> None:
    prepared = prepare(sample, template)
    answers = [turn.text for turn in sample.turns if turn.role == "assistant"]
    assert learned(prepared) == "".join(answer + EOS for answer in answers)
    images = [s.index for s in prepared.sequence or () if isinstance(s, Image)]
    assert images == list(range(len(sample.images)))
    assert prepared.counts["text"] > 0


def test_whole_exchanges_are_cut_from_the_end_and_counted(template: str) -> None:
    sample = SAMPLES[0]
    whole = prepare(sample, template)
    size = sum(16 if isinstance(s, Image) else len(s.ids) for s in whole.sequence or ())
    assert learned(prepare(sample, template, max_tokens=size)) == f"A dog.{EOS}Left.{EOS}"
    cut = prepare(sample, template, max_tokens=size - 1)
    assert learned(cut) == f"A dog.{EOS}"
    assert cut.notes == {"answer beyond max_tokens": 1}
    with pytest.raises(DataError, match=r"one image.*max_tokens"):
        prepare(sample, template, max_tokens=16)


def test_records_that_cannot_be_used_name_themselves(template: str) -> None:
    with pytest.raises(DataError, match=r"tiny/0.*turns"):
        prepare(tiny_sample(), template)
    with pytest.raises(DataError, match=r"odd.*special token"):
        prepare(conversation("odd", "Hm?", f"Yes{EOS}"), template)
    with pytest.raises(ConfigError, match=r"objective\.template"):
        instruct.build(instruct.Config(template="no/such/file"))


def test_packed_equals_alone(template: str) -> None:
    """No record sees another, whatever stands in its row."""
    vlm = tiny_vlm()
    documents = []
    for sample in SAMPLES:
        prepared = prepare(sample, template)
        assert prepared.sequence is not None
        counts = [len(vlm.token_grid(size_hw)) for size_hw in sample.sizes_hw]
        documents.append(encode(prepared.sequence, visual_counts=counts, terms=("text",)))
    visual_ND = torch.randn(sum(d.visual_count for d in documents), vlm.language.width)
    packed = vlm.log_probs(pack(documents, row_tokens=4096), visual_ND)
    parts = visual_ND.split([d.visual_count for d in documents])
    alone = [
        vlm.log_probs(pack([d], row_tokens=4096), v) for d, v in zip(documents, parts, strict=True)
    ]
    torch.testing.assert_close(packed, torch.cat(alone), rtol=1e-5, atol=1e-5)


def test_conversations_are_learned_by_heart_in_the_loop(tmp_path: Path, template: str) -> None:
    world = save_world(tmp_path / "world", samples=1)
    write_dataset(SAMPLES, tmp_path / "talk")
    stage = tiny_stage(
        world,
        tmp_path / "run",
        data=str(tmp_path / "talk"),
        objective={"name": "instruct", "template": template},
        trainable=Trainable(language=True),
        optim=OptimConfig(lr=1e-2),
        epochs=20,
    )
    train(stage)
    first, *_, last = figures(tmp_path / "run")
    assert last["loss/text"] < 0.2 * first["loss/text"]


def test_only_learned_turns_count(template: str) -> None:
    sample = conversation("half", "One?", "First.", "Two?", "Second.")
    turns = (*sample.turns[:1], Turn(role="assistant", text="First."), *sample.turns[2:])
    half = Sample(id="half", images=(), sizes_hw=(), turns=turns)
    assert learned(prepare(half, template)) == f"Second.{EOS}"

"""Token ids of whole records, learned and served, are those of each stock class's processor."""

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from diglot.core.conversation import Turn
from diglot.core.errors import ConfigError, DataError
from diglot.core.types import Sample
from diglot.data.collate import encode_sample
from diglot.models.chat_template import write_parts
from diglot.models.vlm import VLM, VLMConfig, build_vlm
from diglot.objectives import instruct
from tests.models.adapters.stock_processors import load_stock_processor
from tests.models.adapters.tiny_stock import SAVE, save_paligemma
from tests.models.export.test_export import FITTING, TILED, export, make, pictures

TEMPLATE = (
    "{% for m in messages %}{{ '<|bos|>' + m.role + '\n' }}"
    "{% if m.content is string %}{{ m.content | trim }}{% else %}{% for part in m.content %}"
    "{{ 'IMAGE' if part.type == 'image' else part.text | trim }}{% endfor %}{% endif %}"
    "{{ '<|eos|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|bos|>assistant\n' }}{% endif %}"
)
RECORDS = {
    "image first": [["<image>\nWhat is it?", "A dog.", "Where is it?", "On the left."], [0]],
    "image behind text": [["What is <image>", " It is a red car."], [1]],
    "inside a text": [["A\n<image>\n\nand b?", "A frog\n\nand a dog"], [2]],
    "two images": [["<image>\n<image>\nWhich?", "So.", "And <image>?", "A guitar."], [3, 0, 1]],
    "text alone": [["Say a word.", "Guitar."], []],
}
ONE = ("image first", "image behind text", "inside a text")
QUICK = (FITTING[0], next(row for row in FITTING if row[-1] is TILED))
MADE = [
    pytest.param(row, id=f"{row[0]}-{row[1]}", marks=[pytest.mark.slow] * (row not in QUICK))
    for row in FITTING
    if row[0] != "lfm2_vl"  # its images need torchvision
]


def record(name: str, turns: int | None = None) -> Sample:
    texts, chosen = RECORDS[name]
    made = tuple(
        Turn(role=("user", "assistant")[i % 2], text=text, learn=bool(i % 2))
        for i, text in enumerate(texts[:turns])
    )
    images = [pictures()[number] for number in chosen]
    files = []
    for image in images:
        stream = BytesIO()
        image.save(stream, format="PNG")
        files.append(stream.getvalue())
    sizes = tuple((image.height, image.width) for image in images)
    return Sample(id=name, images=tuple(files), sizes_hw=sizes, turns=made)


def our_ids(vlm: VLM, sample: Sample, image_id: int) -> tuple[list[int], int]:
    """Ids of the whole document, and how many stand before the first learned one."""
    grids, objective = vlm.processor.token_grids(sample), instruct.build(instruct.Config())
    prepared = objective.prepare(sample, grids, vlm.language.tokenizer, torch.Generator())
    views = vlm.processor.sample_views(sample)
    encoded = encode_sample(
        sample.id,
        prepared.sequence,
        grids,
        views,
        views_are="pixels",
        terms=objective.terms,
        counts=dict(prepared.counts),
    ).encoded
    is_text = (encoded.visual_T < 0) & (encoded.separator_T < 0)
    ids_T = encoded.token_T.where(is_text, torch.tensor(image_id))
    return ids_T.tolist(), int(encoded.query_S[0]) + 1


def stock_messages(sample: Sample, turns: int | None) -> list[dict[str, Any]]:
    images = iter([Image.open(BytesIO(bytes(image))) for image in sample.images])  # type: ignore[arg-type]
    made = []
    for turn in sample.turns[:turns]:
        parts: list[dict[str, Any]] = [dict(part) for part in write_parts(turn.text)]
        for part in parts:
            if part["type"] == "image":
                part["image"] = next(images)
        made.append({"role": turn.role, "content": parts})
    return made


def stock_ids(processor: Any, sample: Sample, turns: int | None = None) -> list[int]:
    """Of all turns, or of the first ones as the prompt for the next."""
    made = processor.apply_chat_template(
        stock_messages(sample, turns),
        add_generation_prompt=turns is not None,
        tokenize=True,
        return_dict=True,
    )
    return list(made["input_ids"][0])


def check_records(vlm: VLM, processor: Any, names: Iterable[str] = RECORDS) -> None:
    """The document is the processor's; what stands before the first answer is what it serves."""
    tokenizer = processor.tokenizer
    image_id = getattr(tokenizer, "image_token_id", processor.image_token_id)
    for name in names:
        sample = record(name)
        ids, learned_at = our_ids(vlm, sample, image_id)
        assert ids == stock_ids(processor, sample), name
        assert ids[:learned_at] == stock_ids(processor, sample, turns=1), name


@pytest.mark.parametrize("row", MADE)
def test_ids_of_exports_are_their_processors(towers, language_folder, tmp_path: Path, row) -> None:
    vlm, config = make(towers, language_folder, row)
    folder = export(vlm, config, row[0], tmp_path / "out")
    several = row[0] != "llava_onevision"  # it shows each of several images in one view
    check_records(vlm, load_stock_processor(folder), RECORDS if several else (*ONE, "text alone"))
    if not several:
        opened = build_vlm(VLMConfig(stock=str(folder)))
        with pytest.raises(DataError, match="several images"):
            our_ids(opened, record("two images"), 0)


@pytest.mark.parametrize("kind", ["gemma3", "qwen2_5_vl", "qwen3_vl"])
def test_ids_of_stock_checkpoints_by_their_own_template(kind: str, tmp_path: Path) -> None:
    folder = SAVE[kind](tmp_path / "model")
    written = "<boi>" if kind == "gemma3" else "<|vision_start|><|image_pad|><|vision_end|>"
    template = TEMPLATE.replace("IMAGE", written)
    (folder / "chat_template.jinja").write_text(template, "utf-8")
    vlm = build_vlm(VLMConfig(stock=str(folder)))
    check_records(vlm, load_stock_processor(folder))


def test_paligemma_reads_one_question_with_one_image(tmp_path: Path) -> None:
    folder = save_paligemma(tmp_path / "model")
    vlm, processor = build_vlm(VLMConfig(stock=str(folder))), load_stock_processor(folder)
    for name in ONE:
        sample = record(name, turns=2)
        question, answer = (turn.text for turn in sample.turns)
        inputs = processor(
            images=[[pictures()[RECORDS[name][1][0]]]],
            text=[question.replace("<image>\n", "<image>")],
            suffix=[answer],
        )
        ids, learned_at = our_ids(vlm, sample, processor.image_token_id)
        assert ids == inputs["input_ids"][0], name
        assert learned_at == inputs["token_type_ids"][0].index(1)
    for name in ("image first", "two images", "text alone"):
        with pytest.raises(DataError, match="PaliGemma reads one"):
            our_ids(vlm, record(name), processor.image_token_id)
    objective = instruct.build(instruct.Config())
    objective.template = TEMPLATE
    one = record("image behind text")
    with pytest.raises(ConfigError, match="writes a prompt by itself"):
        objective.prepare(
            one, vlm.processor.token_grids(one), vlm.language.tokenizer, torch.Generator()
        )

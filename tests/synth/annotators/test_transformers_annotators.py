"""The annotators of transformers, on tiny random checkpoints through the same code as real ones."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.synth.annotators import tiny_models as tiny
from tests.synth.annotators.tiny_qwen_vl import save_qwen3_vl
from tests.tiny_folders import save_language
from transformers import AutoTokenizer

from diglot.core.errors import ConfigError, DataError
from diglot.synth.annotator import Question
from diglot.synth.annotators import grounding_dino, owlv2, sam, transformers_chat
from diglot.synth.steps.tags import Tags

PHRASES = ["a cat", "red hat", "unseen dogs", "small dog", "man in a red hat"]


def picture(seed: int, height: int = 48, width: int = 64) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8))


@pytest.fixture(scope="module", params=[tiny.save_grounding_dino, tiny.save_mm_grounding_dino])
def dino(request, tmp_path_factory) -> Path:
    return request.param(tmp_path_factory.mktemp("dino"))


def build_dino(path: Path, **changes) -> grounding_dino.GroundingDino:
    settings = {"threshold": 0.0, **changes}
    return grounding_dino.build(grounding_dino.Config(path=str(path), **settings))


def by_phrase(detections) -> dict[int, list[tuple]]:
    found: dict[int, list[tuple]] = {}
    for one in detections:
        found.setdefault(one.phrase, []).append((*one.box, one.score))
    return {phrase: sorted(rows) for phrase, rows in found.items()}


def slow_dino(path: Path, image: Image.Image, phrases: list[str]) -> dict[int, list[tuple]]:
    """Stock classes, a prompt, and a loop over tokens: a token is a phrase's by counting dots."""
    from transformers import AutoModelForZeroShotObjectDetection, AutoTokenizer

    from diglot.synth.annotators._on_device import load_processor

    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForZeroShotObjectDetection.from_pretrained(path).eval()
    text = tokenizer(" ".join(f"{phrase}." for phrase in phrases), return_tensors="pt")
    pixels = load_processor(str(path), where="test")(images=image, return_tensors="pt")
    with torch.inference_mode():
        out = model(**text, **pixels)
    found: dict[int, list[tuple]] = {index: [] for index in range(len(phrases))}
    pieces = tokenizer.convert_ids_to_tokens(text.input_ids[0])
    for logits, box in zip(out.logits[0], out.pred_boxes[0].double().tolist(), strict=True):
        best, at = [0.0] * len(phrases), 0
        for token, logit in zip(pieces, logits.tolist(), strict=False):
            if token == ".":
                at += 1
            elif token not in ("[CLS]", "[SEP]", "[PAD]"):
                best[at] = max(best[at], 1 / (1 + np.exp(-logit)))
        cx, cy, w, h = box
        corners = (cx - w / 2) * 64, (cy - h / 2) * 48, (cx + w / 2) * 64, (cy + h / 2) * 48
        for index, score in enumerate(best):
            found[index].append((*corners, score))
    return {index: sorted(rows) for index, rows in found.items()}


def assert_alike(first, second, *, tolerance: float = 1e-4) -> None:
    assert first.keys() == second.keys()
    for phrase in first:
        np.testing.assert_allclose(first[phrase], second[phrase], atol=tolerance)


def test_a_box_is_scored_by_the_phrases_own_tokens(dino: Path) -> None:
    image = picture(0)
    (found,) = build_dino(dino).detect_objects([image], [PHRASES])
    assert_alike(by_phrase(found), slow_dino(dino, image, PHRASES))


def test_a_batch_of_pictures_gives_what_each_gives_alone(dino: Path) -> None:
    pictures, phrases = [picture(0), picture(1)], [PHRASES, PHRASES[:2]]
    together = build_dino(dino).detect_objects(pictures, phrases)
    for image, words, found in zip(pictures, phrases, together, strict=True):
        (alone,) = build_dino(dino).detect_objects([image], [words])
        assert_alike(by_phrase(found), by_phrase(alone))


def test_phrases_beyond_the_text_length_go_into_another_prompt(dino: Path) -> None:
    image = picture(0)
    many = PHRASES * 6
    detector = build_dino(dino, max_tokens=24)
    chunks = detector._chunks(many)
    assert [index for chunk in chunks for index, _ in chunk] == list(range(len(many)))
    assert len(chunks) > 3
    (found,) = detector.detect_objects([image], [many])
    expected = slow_dino(dino, image, [phrase for _, phrase in chunks[1]])
    first = chunks[1][0][0]
    own = {phrase - first: rows for phrase, rows in by_phrase(found).items()}
    assert_alike({key: own[key] for key in expected}, expected)


def test_one_prompt_each_is_a_forward_for_every_phrase(dino: Path) -> None:
    image = picture(0)
    (found,) = build_dino(dino, one_prompt_each=True).detect_objects([image], [PHRASES[:2]])
    for index in range(2):
        expected = slow_dino(dino, image, [PHRASES[index]])
        assert_alike({0: by_phrase(found)[index]}, expected)


@pytest.mark.parametrize("nothing", ["\u200b", " .. ", "\u00ad\u200d", ""])
def test_a_phrase_of_no_visible_character_costs_itself_alone(dino: Path, nothing: str) -> None:
    image = picture(0)
    (found,) = build_dino(dino).detect_objects([image], [["a cat", nothing, "red hat"]])
    expected = slow_dino(dino, image, ["a cat", "red hat"])
    assert_alike(by_phrase(found), {0: expected[0], 2: expected[1]})


def test_a_picture_without_phrases_has_no_boxes(dino: Path) -> None:
    assert build_dino(dino).detect_objects([picture(0)], [[]]) == [[]]


def test_owlv2_finds_each_phrase_on_the_padded_square(tmp_path: Path) -> None:
    path = tiny.save_owlv2(tmp_path)
    detector = owlv2.build(owlv2.Config(path=str(path), threshold=0.0))
    found = detector.detect_objects([picture(0), picture(1)], [["cat", "dog"], []])
    assert [len(each) for each in found] == [32, 0]
    for one in found[0]:
        x0, y0, x1, y1 = one.box
        assert 0 <= x0 <= x1 <= 64
        assert 0 <= y0 <= y1 <= 48


@pytest.mark.parametrize("save", [tiny.save_sam, tiny.save_sam2])
def test_sam_gives_the_masks_of_each_box_alone(save, tmp_path: Path) -> None:
    segmenter = sam.build(sam.Config(path=str(save(tmp_path))))
    pictures = [picture(0), picture(1, 72, 40)]
    boxes = [np.array([[3, 3, 20, 20.0], [5, 5, 40, 40]]), np.array([[1.0, 1, 30, 60]])]
    found = segmenter.segment_boxes(pictures, boxes)
    assert [[mask.shape for mask, _ in each] for each in found] == [[(48, 64)] * 2, [(72, 40)]]
    for image, own, each in zip(pictures, boxes, found, strict=True):
        for box, (mask, _) in zip(own, each, strict=True):
            ((alone, _),) = segmenter.segment_boxes([image], [box[None]])[0]
            assert (mask == alone).mean() > 0.999


def test_sam_1_equals_the_stock_processor(tmp_path: Path) -> None:
    import transformers

    path = tiny.save_sam(tmp_path)
    kind = getattr(transformers, "SamImageProcessorPil", transformers.SamImageProcessor)
    size = {"size": {"longest_edge": 64}, "pad_size": {"height": 64, "width": 64}}
    processor = transformers.SamProcessor(kind(**size))
    model = transformers.SamModel.from_pretrained(path).eval()
    image, box = picture(0), [3.0, 3.0, 40.0, 30.0]
    inputs = processor(image, input_boxes=[[box]], return_tensors="pt")
    with torch.inference_mode():
        out = model(
            pixel_values=inputs.pixel_values,
            input_boxes=inputs.input_boxes.float(),
            multimask_output=False,
        )
    (stock,) = processor.image_processor.post_process_masks(
        out.pred_masks,
        inputs.original_sizes,
        inputs.reshaped_input_sizes,
        pad_size={"height": 64, "width": 64},
    )
    ((ours, _),) = sam.build(sam.Config(path=str(path))).segment_boxes([image], [np.array([box])])[
        0
    ]
    assert (stock[0, 0].numpy() == ours).mean() > 0.99


def test_another_model_is_no_sam(dino: Path) -> None:
    with pytest.raises(ConfigError, match="not a SAM"):
        sam.build(sam.Config(path=str(dino)))


QUESTIONS = [
    Question(prompt="what is it?", picture=picture(0)),
    Question(prompt="and this, in more words?", picture=picture(1)),
]


@pytest.fixture
def chat(tmp_path: Path) -> transformers_chat.TransformersChat:
    path = tiny.save_llava(tmp_path)
    settings = transformers_chat.Config(path=str(path), dtype="float32", max_tokens=6)
    return transformers_chat.build(settings)


def end_answers(chat: transformers_chat.TransformersChat, questions: list[Question]) -> None:
    """The random model never ends by itself: what it writes second is its end from now on."""
    chat._model.generation_config.eos_token_id = chat._generate(questions)[:, 1].tolist()


def test_a_chat_model_answers_a_batch_as_each_alone(chat) -> None:
    questions = QUESTIONS
    end_answers(chat, questions)
    together = chat.answer_questions(questions)
    assert together == [chat.answer_questions([question])[0] for question in questions]
    assert all(isinstance(answer, str) for answer in together)


def test_a_qwen_vl_answers_a_batch_as_each_alone_and_sees_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")  # its processor has a video part
    path = save_qwen3_vl(tmp_path)
    settings = transformers_chat.Config(path=str(path), dtype="float32", max_tokens=6)
    chat = transformers_chat.build(settings)
    one, other = QUESTIONS
    same_words = replace(other, prompt=one.prompt)
    assert not torch.equal(_first_logits(chat, one), _first_logits(chat, same_words))
    end_answers(chat, QUESTIONS)
    together = chat.answer_questions(QUESTIONS)
    assert together == [chat.answer_questions([question])[0] for question in QUESTIONS]
    assert all(isinstance(answer, str) for answer in together)


def _first_logits(chat: transformers_chat.TransformersChat, question: Question) -> torch.Tensor:
    with torch.inference_mode():
        return chat._model(**chat._prepare([question])).logits[0, -1]


def test_a_plain_language_model_answers_text_alone(tmp_path: Path) -> None:
    save_language(tmp_path / "language")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "language")
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}:"
    tokenizer.save_pretrained(tmp_path / "language")
    settings = {"path": str(tmp_path / "language"), "dtype": "float32", "max_tokens": 6}
    chat = transformers_chat.build(transformers_chat.Config(**settings))
    questions = [Question(prompt="a dog and a cat"), Question(prompt="one small boat on the sea")]
    end_answers(chat, questions)
    together = chat.answer_questions(questions)
    assert together == [chat.answer_questions([question])[0] for question in questions]
    assert all(isinstance(answer, str) for answer in together)
    with pytest.raises(ConfigError, match="reads no pictures"):
        chat.answer_questions(QUESTIONS)


def test_an_answer_that_is_cut_is_rejected_beside_one_that_ends(chat) -> None:
    whole, cut = QUESTIONS
    end_answers(chat, [whole])
    first, second = chat.answer_questions([whole, cut])
    assert isinstance(first, str)
    assert isinstance(second, DataError)
    assert second.what == "the answer was cut at max_tokens"


def test_json_that_is_whole_before_the_cut_is_an_answer(chat) -> None:
    asked = [replace(question, schema=Tags) for question in (*QUESTIONS, QUESTIONS[0])]
    texts = ['{"tags": ["dog"]} and so', '{"tags": ["dog", "ca', "A dog and"]
    chat._processor.batch_decode = lambda new_BT, **_: texts
    whole, *others = chat.answer_questions(asked)
    assert json.loads(whole) == {"tags": ["dog"]}
    assert [other.what for other in others] == ["the answer was cut at max_tokens"] * 2


def test_rubbish_of_a_chat_model_is_rejected_with_what_came(chat) -> None:
    asked = [Question(prompt="?", picture=picture(0), schema=Tags)]
    end_answers(chat, asked)
    (answer,) = chat.answer_questions(asked)
    assert isinstance(answer, DataError)
    assert "does not fit its schema" in str(answer)
    assert json.dumps("no JSON")[1:-1] in str(answer)

"""What a model reads before an answer, and the tokens of the answer behind it."""

import pytest

from diglot.core.errors import DataError
from diglot.core.segments import Image, Tokens
from diglot.evaluate.prompts import answer_ids, caption_prompt, question_prompt
from diglot.models.config import Frame
from tests.tiny import EOS, TOKENIZERS, tiny_tokenizer


@pytest.mark.parametrize("name", ["byte_level", "sentencepiece"])
@pytest.mark.parametrize("answer", ["a dog", "A", "[0.12, 0.30]", "Yes"])
def test_a_prompt_and_its_answer_are_the_whole_text(name, answer):
    tokenizer = TOKENIZERS[name]()
    frame = Frame(bos=False, before="", after="")
    prompt = question_prompt("Where is the dog? Answer:", tokenizer, image=False, frame=frame)
    ids = answer_ids(answer, prompt, tokenizer)
    whole = tokenizer(f"Where is the dog? Answer: {answer}", add_special_tokens=False)["input_ids"]
    assert [*prompt.question, *ids] == whole


def test_the_template_is_cut_at_the_picture():
    tokenizer = tiny_tokenizer()
    prompt = question_prompt("How many dogs?", tokenizer, image=True)
    assert [type(s) for s in prompt.before] == [Tokens, Image]
    assert tokenizer.decode(prompt.before[0].ids) == "USER: "
    assert tokenizer.decode(prompt.question) == "\nHow many dogs? ASSISTANT:"
    assert prompt.spaced
    bare = question_prompt("How many dogs?", tokenizer, image=False)
    assert bare.before == ()
    assert tokenizer.decode(bare.question) == "USER: How many dogs? ASSISTANT:"


def test_a_caption_stands_in_its_frame():
    prompt = caption_prompt(tiny_tokenizer(), Frame())
    assert [type(s) for s in prompt.before] == [Tokens, Image]
    assert tiny_tokenizer().decode(prompt.question) == "\n"


@pytest.mark.parametrize("text", [f"what {EOS}", "see <image>"])
def test_special_tokens_in_a_question_are_refused(text):
    with pytest.raises(DataError, match="special token"):
        question_prompt(text, tiny_tokenizer(), image=True)


def test_a_blank_candidate_is_refused():
    prompt = question_prompt("Which?", tiny_tokenizer(), image=False)
    with pytest.raises(DataError, match="no tokens"):
        answer_ids("  ", prompt, tiny_tokenizer())

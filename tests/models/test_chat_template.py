"""The learned spans of a conversation, found in templates of many shapes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diglot.core.conversation import Turn
from diglot.core.errors import DataError
from diglot.models.chat_template import render_chat, tokenize_chat
from tests.tiny import BOS, EOS, tiny_tokenizer

CHATML = (
    "{% for m in messages %}{{ '<|bos|>' + m.role + '\n' + m.content + '<|eos|>\n' }}{% endfor %}"
)
PROMPTED = CHATML + "{% if add_generation_prompt %}{{ '<|bos|>assistant\n' }}{% endif %}"
STRIPPED = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}]: {{ m.content | trim }}"
    "{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
)
NUMBERED = (
    "{% for m in messages %}{{ loop.index }} {{ m.role }} {{ m.content }} <|eos|>{% endfor %}"
)
QUESTION_AND_ANSWER = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}Q: {{ m.content }} A:"
    "{% elif m.role == 'assistant' %} {{ m.content }}{{ eos_token }}{% else %}{{ m.content }} "
    "{% endif %}{% endfor %}"
)
DROPS_EARLIER = (
    "{% for m in messages %}{{ m.role }} {{ m.content.split('</think>')[-1] }}<|eos|>{% endfor %}"
)
NO_STOP = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
NO_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system turn') }}"
    "{% endif %}{{ m.content }}<|eos|>{% endfor %}"
)
GOOD = [CHATML, STRIPPED, NUMBERED, QUESTION_AND_ANSWER]


def chat(*texts: str, learn: bool = True, system: str | None = None) -> tuple[Turn, ...]:
    """Turns of user and assistant by turns, the assistant's learned."""
    roles = ("user", "assistant") * len(texts)
    turns = [
        Turn(role=role, text=text, learn=learn and role == "assistant")
        for role, text in zip(roles, texts, strict=False)
    ]
    return ((Turn(role="system", text=system),) if system else ()) + tuple(turns)


def learned_text(turns: tuple[Turn, ...], template: str | None) -> list[str]:
    """The learned characters, run by run."""
    tokens = tokenize_chat(turns, tiny_tokenizer(), template)
    text = render_chat(turns, tiny_tokenizer(), template).text
    runs: list[list[int]] = []
    for learned, (start, end) in zip(tokens.learned_T, tokens.offsets_T2, strict=True):
        if learned and runs and runs[-1][1] == start:
            runs[-1][1] = end
        elif learned:
            runs.append([start, end])
    return [text[start:end] for start, end in runs]


@pytest.mark.parametrize("template", GOOD)
def test_answers_and_their_stop_tokens_are_learned_and_nothing_else(template: str) -> None:
    turns = chat("What is it?", "A dog.", "Where?", "On the left.", system="Be brief.")
    found = [run.strip() for run in learned_text(turns, template)]
    assert [run.replace(" ", "") for run in found] == [f"Adog.{EOS}", f"Ontheleft.{EOS}"]


@pytest.mark.parametrize("template", GOOD)
def test_an_answer_that_repeats_the_question_is_found_in_its_own_place(template: str) -> None:
    turns = chat("a dog", "a dog", "a dog", "a dog")
    rendered = render_chat(turns, tiny_tokenizer(), template)
    starts = [span[0] for span in rendered.answers if span]
    assert len(starts) == 2
    assert starts[0] > rendered.text.index("a dog")
    assert rendered.text.count("a dog", 0, starts[0]) == 1
    assert rendered.text.count("a dog", 0, starts[1]) == 3


WORDS = st.text("abc <>|{}%\n\"'é犬", min_size=1, max_size=12).filter(str.strip)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    texts=st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=3),
    template=st.sampled_from(GOOD),
)
def test_whatever_is_said_each_span_spells_its_answer(texts, template: str) -> None:
    turns = chat(*(text for pair in texts for text in pair))
    rendered = render_chat(turns, tiny_tokenizer(), template)
    for turn, span, end in zip(turns, rendered.answers, rendered.ends, strict=True):
        if turn.role != "assistant":
            assert span is None
            continue
        assert span is not None
        assert end is not None
        assert rendered.text[slice(*span)].strip() == turn.text.strip()
        assert rendered.text[span[1] : end].strip() == EOS


def test_only_learned_turns_are_learned() -> None:
    turns = chat("One?", "First.", "Two?", "Second.")
    turns = (turns[0], Turn(role="assistant", text="First."), *turns[2:])
    assert "".join(learned_text(turns, CHATML)).strip() == f"Second.{EOS}"


def test_images_stand_where_the_text_says_and_are_one_token_each() -> None:
    turns = chat("<image>\nAnd <image>?", "A dog.")
    tokens = tokenize_chat(turns, tiny_tokenizer(), CHATML)
    assert (tokens.ids_T < 0).sum() == 2
    assert not tokens.learned_T[tokens.ids_T < 0].any()
    assert np.array_equal(tokens.turn_T, np.ones_like(tokens.turn_T))  # all of one exchange


def test_the_tokens_are_those_of_the_whole_text() -> None:
    turns = chat("What is it?", "A dog.")
    tokenizer = tiny_tokenizer()
    text = render_chat(turns, tokenizer, CHATML).text
    plain = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenize_chat(turns, tokenizer, CHATML).ids_T.tolist() == plain


@pytest.mark.parametrize(
    ("template", "texts", "message"),
    [
        (DROPS_EARLIER, ("Hm?", "<think>so</think>Yes."), "cannot be found exactly"),
        (NO_STOP, ("Hm?", "Yes."), "no stop token"),
        ("{{ messages[0].content }}", ("Hm?", "Yes."), "every answer once"),
        (CHATML, ("Hm?", f"Yes. {EOS} more"), "special token"),
        (CHATML, (f"{BOS}system", "Yes."), "special token"),
    ],
)
def test_what_cannot_be_found_exactly_is_refused(template, texts, message: str) -> None:
    with pytest.raises(DataError, match=message):
        tokenize_chat(chat(*texts), tiny_tokenizer(), template)


def test_a_template_that_refuses_a_role_is_one_line() -> None:
    with pytest.raises(DataError, match="no system turn"):
        render_chat(chat("Hm?", "Yes.", system="Be brief."), tiny_tokenizer(), NO_SYSTEM)


def test_without_a_template_of_its_own_a_model_is_trained_as_it_is_served() -> None:
    turns = chat("<image>\nHm?", "Yes.", "So?", "No.")
    text = render_chat(turns, tiny_tokenizer()).text
    assert text == f"USER: <image>\nHm? ASSISTANT: Yes.{EOS}USER: So? ASSISTANT: No.{EOS}"
    assert learned_text(turns, None) == [f" Yes.{EOS}", f" No.{EOS}"]


def test_images_are_written_as_they_are_served() -> None:
    """Whatever stands behind an image in the record, the processor writes one newline."""
    for text in ("<image>\nHm?", "<image>Hm?"):
        assert "<image>\nHm?<" in render_chat(chat(text, "Yes."), tiny_tokenizer(), CHATML).text
    both = render_chat(chat("Hm? <image><image> So?", "Yes."), tiny_tokenizer(), CHATML).text
    assert "Hm? <image>\n<image>\n So?<" in both


THINKING = CHATML.replace(
    "m.content +",
    "('<think></think>' if m.role == 'assistant' and loop.last else '') + m.content +",
) + ("{% if add_generation_prompt %}{{ '<|bos|>assistant\n' }}{% endif %}")


def test_what_the_template_writes_behind_the_prompt_is_learned() -> None:
    """As Qwen3's empty block of thoughts, which the model has to write when it is served."""
    turns = chat("Hm?", "Yes.", "So?", "No.")
    assert learned_text(turns, THINKING) == [f"Yes.{EOS}", f"<think></think>No.{EOS}"]
    assert tokenize_chat(turns, tiny_tokenizer(), THINKING).served
    other = THINKING.replace("<|bos|>assistant\n' }}", "<|bos|>model\n' }}")
    assert not tokenize_chat(turns, tiny_tokenizer(), other).served


def test_a_template_that_writes_images_otherwise_is_refused() -> None:
    own = CHATML.replace("m.content", "m.content[-1].text") + "{# <image> #}"
    with pytest.raises(DataError, match="writes images otherwise"):
        tokenize_chat(chat("<image>\nHm?", "Yes."), tiny_tokenizer(), own)

"""Lettered questions from a file: as lm-evaluation-harness writes MMLU, and scored by hand."""

import json
from pathlib import Path

import pytest
import torch

from diglot.core.errors import ConfigError, DataError
from diglot.evaluate.tasks.multiple_choice import read_choices, write_question
from diglot.measure.checkpoint import open_checkpoint
from tests.cli.test_measure import save_checkpoint
from tests.cli_runner import run_diglot
from tests.tiny_folders import save_world

ROWS = [
    {
        "question": f"What is {n} and {n}?",
        "choices": [str(2 * n), "a dog", "a red car", "left"],
        "answer": n % 4,
        "subject": ("abstract_algebra", "astronomy")[n % 2],
    }
    for n in range(6)
]


def test_the_text_is_mmlus():
    choices = [row | {"subject": "abstract_algebra"} for row in ROWS[:2]]
    read = [read_choices_of(choice) for choice in choices]
    assert write_question(read[1], read[:1]) == (
        "The following are multiple choice questions (with answers) about abstract algebra.\n\n"
        "What is 0 and 0?\nA. 0\nB. a dog\nC. a red car\nD. left\nAnswer: A\n\n"
        "What is 1 and 1?\nA. 2\nB. a dog\nC. a red car\nD. left\nAnswer:"
    )


def test_the_text_before_a_choice_is_that_of_mmlu_continuation():
    first, second = (read_choices_of(row | {"subject": "abstract_algebra"}) for row in ROWS[:2])
    assert write_question(second, [first], compare="texts") == (
        "The following are questions (with answers) about abstract algebra.\n\n"
        "Question: What is 0 and 0?\nAnswer: 0\n\nQuestion: What is 1 and 1?\nAnswer:"
    )


@pytest.mark.parametrize("length", ["sum", "mean"])
def test_the_choices_themselves_are_compared(tmp_path: Path, length: str):
    save_world(tmp_path, samples=2)
    run = save_checkpoint(tmp_path, tmp_path / "run", 0)
    path, out = tmp_path / "q.json", tmp_path / "results.json"
    path.write_text(json.dumps(ROWS))
    asked = {"path": str(path), "compare": "texts", "length": length}
    args = ["--tasks", "multiple_choice", "--out", str(tmp_path / "e"), "--json", str(out)]
    assert (
        run_diglot("evaluate", run, *args, "--options", json.dumps({"multiple_choice": asked})) == 0
    )
    vlm, right = open_checkpoint(run / "model"), 0
    for choice in read_choices(path):
        scores = [score_text(vlm.language, choice, text, length) for text in choice.choices]
        right += scores.index(max(scores)) == int(choice.answer)
    (measure,) = json.loads(out.read_text())["measures"]
    assert measure["results"]["run"]["value"] == pytest.approx(right / len(ROWS))


def score_text(language, choice, text: str, length: str) -> float:
    """By one plain forward."""
    ids = [language.tokenizer.bos_token_id]
    ids += language.tokenizer(write_question(choice, compare="texts"))["input_ids"]
    own = language.tokenizer(f" {text}")["input_ids"]
    with torch.no_grad():
        log = language.model(torch.tensor([[*ids, *own]])).logits[0].log_softmax(-1)
    score = sum(float(log[len(ids) - 1 + i, t]) for i, t in enumerate(own))
    return score / len(own) if length == "mean" else score


def read_choices_of(row):
    from diglot.evaluate.tasks.multiple_choice import ChoiceQuestion

    return ChoiceQuestion.model_validate(row)


def test_formats_give_the_same_questions(tmp_path: Path):
    (tmp_path / "a.json").write_text(json.dumps(ROWS))
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    lines = [f"{r['question']},{','.join(r['choices'])},{'ABCD'[r['answer']]}" for r in ROWS]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    first, second, third = (
        read_choices(tmp_path / f"a.{kind}") for kind in ("json", "jsonl", "csv")
    )
    assert first == second
    assert [c.letter for c in third] == [c.letter for c in first] == list("ABCDAB")
    assert [c.choices for c in third] == [c.choices for c in first]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "q", "choices": ["a"], "answer": 0}, "choices"),
        ({"question": "q", "choices": ["a", "b"], "answer": "C"}, "no such answer"),
        ({"question": "", "choices": ["a", "b"], "answer": 0}, "question"),
    ],
)
def test_a_broken_question_is_named(tmp_path: Path, row, message):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([ROWS[0], row]))
    with pytest.raises(DataError, match=message) as error:
        read_choices(path)
    assert "question 2" in str(error.value)


def test_the_questions_of_the_experiments_can_be_asked():
    questions = read_choices(Path("experiments/language_questions.json"))
    assert len(questions) > 150
    assert all(len(set(q.choices)) == 4 for q in questions)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot read"):
        read_choices(tmp_path / "none.csv")


def test_accuracy_over_checkpoints_follows_from_plain_forwards(tmp_path: Path):
    save_world(tmp_path, samples=2)
    runs = [save_checkpoint(tmp_path, tmp_path / f"run{seed}", seed) for seed in (0, 1)]
    path, out = tmp_path / "q.json", tmp_path / "results.json"
    path.write_text(json.dumps(ROWS))
    args = ["--tasks", "multiple_choice", "--out", str(tmp_path / "e"), "--json", str(out)]
    args += ["--options", json.dumps({"multiple_choice": {"path": str(path)}})]
    args += ["--labels", "step-0,step-50", "--curve", str(tmp_path / "curve.svg")]
    assert run_diglot("evaluate", *runs, *args) == 0
    record = json.loads(out.read_text())
    (measure,) = record["measures"]
    assert set(measure["results"]["step-0"]["groups"]) == {"abstract_algebra", "astronomy"}
    vlm = open_checkpoint(runs[0] / "model")
    tokenizer, right = vlm.language.tokenizer, 0
    for choice in read_choices(path):
        text = write_question(choice)
        ids = [tokenizer.bos_token_id, *tokenizer(text)["input_ids"]]
        with torch.no_grad():
            logits = vlm.language.model(torch.tensor([ids])).logits[0, -1]
        letters = [tokenizer(f" {a}")["input_ids"] for a in "ABCD"]
        if all(len(one) == 1 for one in letters):
            right += "ABCD"[int(logits[[one[0] for one in letters]].argmax())] == choice.letter
        else:  # a letter behind a blank is two tokens of this tokenizer
            scores = []
            for own in letters:
                whole = torch.tensor([[*ids, *own]])
                with torch.no_grad():
                    log = vlm.language.model(whole).logits[0].log_softmax(-1)
                scores.append(sum(float(log[len(ids) - 1 + i, t]) for i, t in enumerate(own)))
            right += "ABCD"[scores.index(max(scores))] == choice.letter
    assert measure["results"]["step-0"]["value"] == pytest.approx(right / 6)
    assert measure["chance"] == 0.25
    assert "number of the checkpoint" in (tmp_path / "curve.svg").read_text()
    # another file under the same name is other questions
    path.write_text(json.dumps(ROWS[:3]))
    assert run_diglot("evaluate", *runs, *args) == 0
    assert json.loads(out.read_text())["measures"][0]["results"]["step-0"]["n"] == 3

"""Asking a checkpoint all items of a benchmark, picture by picture; what is answered stays so."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby, islice
from typing import TypeVar

from diglot.core.errors import locate_errors
from diglot.core.progress import Progress, Report, ignore_progress
from diglot.evaluate.answers import Answer, Answers
from diglot.evaluate.benchmark import Benchmark
from diglot.evaluate.config import AskSettings
from diglot.evaluate.items import Item
from diglot.evaluate.prompts import AnswerPrompt, answer_ids, caption_prompt, question_prompt
from diglot.evaluate.task import ChosenTask, Way
from diglot.evaluate.tree import QuestionTokens, Tree, TreeScorer
from diglot.evaluate.writing import Written, write_answers
from diglot.models.chat import ProjectedPicture, project_picture
from diglot.models.vlm import VLM

T = TypeVar("T")
ProjectItem = Callable[[Item], ProjectedPicture]
VERSION = 1  # bumped when the same item under the same settings is asked otherwise


@dataclass(frozen=True)
class AskedItem:
    """An item of a task and the way it is asked; `key` names the answer in the file of answers."""

    item: Item
    task: ChosenTask
    way: Way
    key: str


def list_jobs(
    benchmark: Benchmark, tasks: Sequence[ChosenTask], settings: AskSettings
) -> list[AskedItem]:
    """Every item in every way that it is asked; those of one picture are together."""
    jobs = []
    for chosen in tasks:
        for item in benchmark.of_task(chosen.key):
            for way in chosen.task.asked.ways:
                if way == "generate" or item.candidates:
                    jobs.append(
                        AskedItem(item, chosen, way, answer_key(item, chosen, way, settings))
                    )
    return sorted(jobs, key=lambda job: job.item.image or "")


def answer_key(item: Item, chosen: ChosenTask, way: Way, settings: AskSettings) -> str:
    """A digest of all that an answer depends on beside the checkpoint."""
    asked = chosen.task.asked
    how = {"max_tokens": asked.max_tokens} if way == "generate" else {"prior": _wants_prior(chosen)}
    framed = item.question is None or item.plain or not settings.template
    frame = asdict(settings.frame) if framed else None
    content = [VERSION, item.digest, way, how, settings.template, frame]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def _wants_prior(chosen: ChosenTask) -> bool:
    return chosen.task.asked.length == "pmi"


def ask_items(
    vlm: VLM,
    benchmark: Benchmark,
    jobs: Sequence[AskedItem],
    answers: Answers,
    settings: AskSettings,
    report: Report = ignore_progress,
    *,
    project: ProjectItem | None = None,
) -> None:
    """Bring `answers` to hold every job; progress counts jobs.

    `project` gives an item's picture behind the projector, where its features are kept; else the
    benchmark's own picture is encoded.

    Raises DataError naming the item for a picture or a question that cannot be used.
    """
    missing = [job for job in jobs if job.key not in answers]
    done = len(jobs) - len(missing)
    scorer = TreeScorer(vlm)
    project = project or (lambda item: project_picture(vlm, benchmark.picture(item)))
    report(Progress("evaluate", done, len(jobs)))
    for batch in list_batches(_by_picture(missing), settings.batch):
        pictures = [
            (project(of_picture[0].item) if of_picture[0].item.image else None, of_picture)
            for of_picture in batch
        ]
        found: dict[str, Answer] = {}
        for projected, of_picture in pictures:
            found |= _score_candidates(scorer, projected, of_picture, settings)
        # all at once, so that after a kill the same are asked together
        answers.add(found | _write_all(vlm, pictures, settings))
        done += sum(len(of_picture) for of_picture in batch)
        report(Progress("evaluate", done, len(jobs)))


def _by_picture(jobs: Sequence[AskedItem]) -> Iterator[list[AskedItem]]:
    """The jobs of one picture together; those without one in small groups, to be kept often."""
    for image, of_picture in groupby(jobs, key=lambda job: job.item.image):
        if image is None:
            yield from list_batches(of_picture, 8)
        else:
            yield list(of_picture)


def list_batches(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """The values in order, so many at a time."""
    rest = iter(values)
    while batch := list(islice(rest, size)):
        yield batch


def make_prompt(
    item: Item, vlm: VLM, settings: AskSettings, *, without_image: bool = False
) -> AnswerPrompt:
    """What stands before the answer to an item."""
    tokenizer = vlm.language.tokenizer
    if item.question is None:
        return caption_prompt(tokenizer, settings.frame)
    with locate_errors(f"item {item.id!r}"):
        return question_prompt(
            item.question,
            tokenizer,
            image=item.image is not None and not without_image,
            frame=settings.frame if item.plain or not settings.template else None,
        )


def _score_candidates(
    scorer: TreeScorer,
    projected: ProjectedPicture | None,
    jobs: Sequence[AskedItem],
    settings: AskSettings,
) -> dict[str, Answer]:
    """The candidates' log-probabilities of every item that is asked by likelihood."""
    jobs = [job for job in jobs if job.way == "likelihood"]
    found: dict[str, Answer] = {}
    for bare in (False, True):  # bare: the question without its picture
        asked = [job for job in jobs if not bare or _wants_prior(job.task)]
        prompts = [make_prompt(j.item, scorer.vlm, settings, without_image=bare) for j in asked]
        for before, group in groupby(
            zip(asked, prompts, strict=True), key=lambda pair: pair[1].before
        ):
            pairs = list(group)
            tree = Tree(
                before,
                tuple(_render_prompt(job, prompt, scorer.vlm) for job, prompt in pairs),
                None if bare else projected,
            )
            for (job, _), one, scores in zip(pairs, tree.asked, scorer.score(tree), strict=True):
                entry = found.setdefault(job.key, {"tokens": [len(c) for c in one.candidates]})
                entry["prior" if bare else "log_prob"] = scores.tolist()
    return found


def _render_prompt(job: AskedItem, prompt: AnswerPrompt, vlm: VLM) -> QuestionTokens:
    with locate_errors(f"item {job.item.id!r}"):
        ids = [answer_ids(text, prompt, vlm.language.tokenizer) for text in job.item.candidates]
    return QuestionTokens(prompt.question, tuple(ids))


def _write_all(
    vlm: VLM,
    pictures: Sequence[tuple[ProjectedPicture | None, Sequence[AskedItem]]],
    settings: AskSettings,
) -> dict[str, Answer]:
    """The written answers of several pictures' items, those of one length limit together."""
    waiting = [
        (job, projected) for projected, jobs in pictures for job in jobs if job.way == "generate"
    ]
    waiting.sort(key=lambda pair: pair[0].task.task.asked.max_tokens)
    found: dict[str, Answer] = {}
    for limit, group in groupby(waiting, key=lambda pair: pair[0].task.task.asked.max_tokens):
        for batch in list_batches(group, settings.batch):
            prompts = [
                Written(make_prompt(job.item, vlm, settings).segments, projected)
                for job, projected in batch
            ]
            texts = write_answers(vlm, prompts, max_tokens=limit)
            found |= {job.key: {"text": text} for (job, _), text in zip(batch, texts, strict=True)}
    return found

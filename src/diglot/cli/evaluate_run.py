"""What `diglot evaluate` does: the questions, our own harness or lmms-eval, and one record."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from diglot import __version__
from diglot.core.errors import ConfigError
from diglot.core.progress import Progress, Report
from diglot.data.rejected import REJECTED, Rejected
from diglot.evaluate.benchmark import Benchmark
from diglot.evaluate.config import AskSettings
from diglot.evaluate.lmms.bridge import LmmsTasks, join_runs, run_checkpoint
from diglot.evaluate.lmms.figures import FIGURES, GROUPS, figures_of
from diglot.evaluate.lmms.local_tasks import write_local_tasks
from diglot.evaluate.lmms.run import LmmsSettings, check_grader, check_installed
from diglot.evaluate.question_scenes import Questions, make_questions
from diglot.evaluate.run import Evaluated, compare_pairs, evaluate_checkpoint, list_measures
from diglot.evaluate.task import ChosenTask, load_tasks
from diglot.measure.checkpoint import checkpoint_folder
from diglot.measure.kept import checkpoint_digest
from diglot.models.export.flow import check_loadable
from diglot.train.run_folder import describe_environment

LMMS_NAMES = {*GROUPS, *(figure.task for figure in FIGURES)}


@dataclass(frozen=True, kw_only=True)
class Done:
    """A finished evaluation."""

    record: dict[str, Any]
    benchmark: Benchmark | None
    evaluated: list[Evaluated]  # by our own harness


@dataclass(frozen=True, kw_only=True)
class EvaluationPlan:
    """Which checkpoints are asked what, by whom; everything wrong is found when it is made."""

    folders: list[Path]
    labels: list[str]
    own: list[ChosenTask]
    lmms: LmmsTasks
    local: bool  # our own tasks are run by lmms-eval

    @property
    def needs_lmms(self) -> bool:
        """Whether lmms-eval has anything to do."""
        return bool(self.lmms.figures) or (self.local and bool(self.own))


def make_plan(
    checkpoints: Sequence[Path],
    labels: str | None,
    tasks: str,
    options: dict[str, Any],
    settings: LmmsSettings,
    *,
    local: bool,
) -> EvaluationPlan:
    """Raises ConfigError for an unknown task, wrong settings, or a checkpoint that is none."""
    names = [name.strip() for name in tasks.split(",") if name.strip()]
    figures = figures_of(tuple(name for name in names if name in LMMS_NAMES))
    own = load_tasks([name for name in names if name not in LMMS_NAMES], options)
    if not figures and not own:
        raise ConfigError("no task is named", expected="offline, counting, ...", where="--tasks")
    check_grader(figures, settings)
    folders = [checkpoint_folder(path) for path in checkpoints]
    for folder in folders:
        check_loadable(folder)
    return EvaluationPlan(
        folders=folders,
        labels=name_checkpoints(checkpoints, labels),
        own=own,
        lmms=LmmsTasks(figures=tuple(figures)),
        local=local,
    )


def run_plan(
    plan: EvaluationPlan,
    questions: Questions,
    ask: AskSettings,
    settings: LmmsSettings,
    out: Path,
    report: Report,
) -> Done:
    """Ask every checkpoint and score the answers."""
    version = check_installed(settings) if plan.needs_lmms else ""
    benchmark = make_questions(plan.own, questions, out, report) if plan.own else None
    evaluated, measures = list[Evaluated](), list[dict[str, Any]]()
    if benchmark and not plan.local:
        evaluated = [
            evaluate_checkpoint(folder, label, benchmark, plan.own, ask, out / "answers", report)
            for folder, label in zip(plan.folders, plan.labels, strict=True)
        ]
        measures += list_measures(evaluated, seed=questions.seed)
    if plan.needs_lmms:
        measures += _run_lmms(plan, benchmark, settings, out, version, report)
    record = _collect_record(plan, benchmark, evaluated, measures, questions, ask, settings)
    # of the scenes that were to be asked about
    record["rejected"] = Rejected(out / REJECTED).counts if benchmark else {}
    return Done(record=record, benchmark=benchmark, evaluated=evaluated)


def _run_lmms(
    plan: EvaluationPlan,
    benchmark: Benchmark | None,
    settings: LmmsSettings,
    out: Path,
    version: str,
    report: Report,
) -> list[dict[str, Any]]:
    tasks = plan.lmms
    if benchmark and plan.local:
        folder = out / "lmms_tasks"
        local = tuple(write_local_tasks(benchmark, plan.own, folder))
        tasks = LmmsTasks(
            figures=tasks.figures, local=local, include=folder, items=benchmark.digest
        )
    runs, total = [], len(plan.folders)
    for number, (folder, label) in enumerate(zip(plan.folders, plan.labels, strict=True)):
        report(Progress("lmms-eval", number, total, label))
        runs.append(run_checkpoint(folder, label, tasks, out / "lmms" / label, settings, version))
    report(Progress("lmms-eval", total, total))
    return join_runs(runs)


def name_checkpoints(checkpoints: Sequence[Path], labels: str | None) -> list[str]:
    """One name for each checkpoint, all different. Raises ConfigError.

    Without `labels` a name is that of the folder, with as many above it as all differ by.
    """
    if labels is not None:
        names = [name.strip() for name in labels.split(",")]
    else:
        names = _name_folders([path.resolve() for path in checkpoints])
    if len(names) != len(checkpoints) or len(set(names)) < len(names) or not all(names):
        raise ConfigError(
            "checkpoints need names of their own",
            expected=f"{len(checkpoints)} different names",
            got=", ".join(names),
            where="--labels",
        )
    if any("/" in name or name.startswith(".") for name in names):
        raise ConfigError("a name is a folder's name too", got=", ".join(names), where="--labels")
    return names


def _name_folders(paths: Sequence[Path]) -> list[str]:
    folders = [path.parent if path.name == "model" else path for path in paths]
    depth, different = 1, len(set(folders))
    while len({folder.parts[-depth:] for folder in folders}) < different:
        depth += 1
    return ["-".join(folder.parts[-depth:]) for folder in folders]


def _collect_record(
    plan: EvaluationPlan,
    benchmark: Benchmark | None,
    evaluated: Sequence[Evaluated],
    measures: list[dict[str, Any]],
    questions: Questions,
    ask: AskSettings,
    settings: LmmsSettings,
) -> dict[str, Any]:
    """Everything about an evaluation but how long it took, as `diglot report` reads it."""
    name = questions.data.name if questions.data else "composed scenes"
    chosen = {one.key: one.settings for one in plan.own}
    figures = [figure.task for figure in plan.lmms.figures]
    spelled = {"tasks": chosen, "ask": asdict(ask), "figures": figures}
    return {
        "format": 1,
        "kind": "evaluation",
        "runs": plan.labels,
        "data": f"{name}, {questions.split}" if benchmark else "lmms-eval",
        "weights": ", ".join(checkpoint_digest(folder) for folder in plan.folders),
        "fingerprints": [benchmark.digest] if benchmark else [],
        "seed": questions.seed,
        "settings": spelled | ({"lmms": asdict(settings)} if plan.needs_lmms else {}),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": {"diglot": __version__, **describe_environment()},
        "measures": measures,
        "pairs": compare_pairs(evaluated, seed=questions.seed),
        "examples": [],
    }

"""A comparison from start to end; killed and started again, it resumes."""

import contextlib
import itertools
import json
import logging
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from diglot.core.errors import ConfigError
from diglot.core.progress import Progress, Report
from diglot.core.run_files import ENVIRONMENT
from diglot.data.records import open_dataset
from diglot.evaluate.question_scenes import open_scenes
from diglot.files import lock_file, replace_text
from diglot.measure.config import check_measures
from diglot.report.comparison import write_comparison
from diglot.studies.compare.chain import StudyQuestions
from diglot.studies.compare.checks import check_rows, check_scenes_apart
from diglot.studies.compare.config import CompareConfig
from diglot.studies.compare.figure import write_sizes_figure
from diglot.studies.compare.jobs import Job, check_begun, plan_jobs
from diglot.studies.compare.page import make_comparison
from diglot.studies.compare.pool import count_workers, run_jobs
from diglot.studies.compare.results import as_csv, collect_results
from diglot.studies.compare.rows import StudyRow, read_rows

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Study:
    """A comparison whose settings and data were found to work."""

    config: CompareConfig
    rows: list[StudyRow]
    jobs: list[Job]

    @property
    def out(self) -> Path:
        """Folder of the study."""
        return Path(self.config.out)

    def run(self, report: Report) -> dict[str, Any]:
        """Do the jobs that are not done, results written after each; returns the results."""
        with _hold_folder(self.out):
            asked = next((job.questions for job in self.jobs), None)
            if asked:
                asked.prepare(report)
            todo = [job for job in self.jobs if job.measures() is None]
            self._check_jobs(todo, asked, report)
            ended = len(self.jobs) - len(todo)
            report(Progress("study", ended, len(self.jobs)))
            for job, reason in self._run_todo(todo, report):
                ended += 1
                report(Progress("study", ended, len(self.jobs)))
                log.info("%s: %s", job.name, f"failed: {reason}" if reason else "done")
                self.write()
            return self.write()

    def write(self) -> dict[str, Any]:
        """Write what is there by now; returns the results.

        compare.yaml is the comparison itself, so that it can be given again without its options.
        Raises ConfigError where no study was begun.
        """
        if not self.out.is_dir():
            raise ConfigError("no study was begun here", where=str(self.out))
        results = collect_results(self.config, self.rows, self.jobs)
        config = json.loads(json.dumps(asdict(self.config)))
        replace_text(self.out / "compare.yaml", yaml.safe_dump(config, sort_keys=False))
        replace_text(self.out / "results.json", json.dumps(results, indent=2) + "\n")
        replace_text(self.out / "results.csv", as_csv(results))
        write_sizes_figure(results, self.out / "sizes.png")
        command = f"diglot compare --config {shlex.quote(str(self.out / 'compare.yaml'))}"
        page = make_comparison(results, self._first_environment(), command)
        write_comparison(page, self.out / "report.html")
        return results

    def _first_environment(self) -> dict[str, str]:
        """Where the first of the runs that are done was trained."""
        paths = [job.folder / ENVIRONMENT for job in self.jobs]
        path = next((path for path in paths if path.exists()), None)
        fields = json.loads(path.read_text()) if path else {}
        packages = fields.pop("packages", {})
        plain = {name: str(value) for name, value in fields.items() if value is not None}
        return {**plain, **packages}

    def _check_jobs(
        self, todo: Sequence[Job], asked: StudyQuestions | None, report: Report
    ) -> None:
        """Raises ConfigError or DataError for what no job should begin with."""
        if not todo:
            return
        training, held_out = (
            open_dataset(Path(self.config.data), split)
            for split in (self.config.split, self.config.held_out)
        )
        learned, shown = [training], [held_out]
        if sft := self.config.sft:
            learned.append(open_dataset(Path(sft.data), sft.split))
        if asked:
            shown.append(open_scenes(asked.source, asked.folder, report))
        for one, other in itertools.product(shown, learned):
            check_scenes_apart(one, other)
        left = {job.row for job in todo}
        check_rows([row for row in self.rows if row.label in left], *learned)

    def _run_todo(self, todo: Sequence[Job], report: Report) -> Iterator[tuple[Job, str | None]]:
        with contextlib.closing(
            run_jobs(todo, count_workers(self.config.jobs), report)
        ) as outcomes:
            yield from outcomes


def open_study(config: CompareConfig) -> Study:
    """The settings of all rows, resolved, and the jobs they make.

    Raises ConfigError or DataError for what cannot work, naming the row.
    """
    rows = read_rows(config)
    check_measures(config.measure)  # a wrong setting ends here, before any job
    if config.evaluate:
        StudyQuestions(config.evaluate, config.out).open_tasks()  # likewise
    dataset, held_out = (
        open_dataset(Path(config.data), split) for split in (config.split, config.held_out)
    )
    fingerprints = (held_out.fingerprint, dataset.fingerprint)
    jobs = plan_jobs(config, rows, len(dataset), fingerprints)
    check_begun(jobs, dataset)
    return Study(config, rows, jobs)


@contextlib.contextmanager
def _hold_folder(out: Path) -> Iterator[None]:
    """Hold the study's folder. Raises ConfigError where another `diglot compare` works in it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the study's folder ({error})", where="out") from error
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock_file(out / ".lock", wait=False))
        except ConfigError as error:
            raise ConfigError("another diglot compare is at work here", where=str(out)) from error
        yield

"""Running lmms-eval, in an environment of its own, on a checkpoint of stock transformers."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diglot.core.errors import ConfigError
from diglot.evaluate.config import LmmsSettings
from diglot.evaluate.lmms.figures import Figure
from diglot.files import read_kept, read_object, write_kept

VERSION = "0.7.3"
SAMPLES = "samples"  # beside the metrics of a task
# lmms-eval's own class of a family; any other goes to its general one.
MODELS = {"llava": "llava_hf", "llava_next": "llava_hf", "qwen2_5_vl": "qwen2_5_vl"}
GENERAL = "huggingface"
LAUNCH = Path(__file__).with_name("launch.py")
INSTALL = (
    "Make an environment for it: python -m venv lmms && "
    f"lmms/bin/pip install lmms_eval=={VERSION} decord 'filelock<4'; "
    "then give --lmms.python lmms/bin/python."
)


def check_grader(figures: Sequence[Figure], settings: LmmsSettings) -> None:
    """Raises ConfigError where a task needs a grader and none is named."""
    needy = [figure.task for figure in figures if figure.grader]
    if needy and not (settings.grader_url and settings.grader_model):
        raise ConfigError(
            f"{', '.join(needy)} is scored by a chat model, and none is named",
            where="--lmms.grader_url",
            fix="Give --lmms.grader_url and --lmms.grader_model (any OpenAI-compatible endpoint), "
            "or name the tasks without it.",
        )


def check_installed(settings: LmmsSettings) -> str:
    """lmms-eval's version in the environment. Raises ConfigError where it is not there."""
    code = "import decord, importlib.metadata as m; print(m.version('lmms_eval'))"
    try:
        made = subprocess.run(
            [settings.python, "-c", code], capture_output=True, text=True, timeout=120, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1:]
        raise ConfigError(
            f"lmms-eval does not run there: {' '.join(reason)}",
            got=settings.python,
            where="--lmms.python",
            fix=INSTALL,
        ) from error
    return made.stdout.strip()


def model_class(checkpoint: Path) -> str:
    """lmms-eval's class for a stock checkpoint. Raises ConfigError where it is none."""
    try:
        family = json.loads((checkpoint / "config.json").read_text("utf-8"))["model_type"]
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            "lmms-eval takes a checkpoint of stock transformers",
            where=str(checkpoint),
            fix="Export it first: diglot export CHECKPOINT --to llava --out FOLDER.",
        ) from error
    return MODELS.get(family, GENERAL)


def build_command(
    checkpoint: Path,
    tasks: Sequence[str],
    out: Path,
    settings: LmmsSettings,
    *,
    include: Path | None = None,
) -> list[str]:
    """The command line of one checkpoint on some tasks."""
    model = settings.model or model_class(checkpoint)
    given = [f"pretrained={checkpoint.resolve()}"]
    if model in ("llava_hf", GENERAL):  # they take a device map beside --device
        given += [f"device_map={settings.device}"]
    if model == "llava_hf":
        given += [f"dtype={settings.dtype}"]
    runs = [str(LAUNCH), settings.dtype] if model == GENERAL else ["-m", "lmms_eval"]
    command = [settings.python, *runs, "--model", model]
    command += ["--model_args", ",".join(given), "--tasks", ",".join(tasks)]
    command += ["--batch_size", str(settings.batch_size), "--device", settings.device]
    command += ["--output_path", str(out.resolve()), "--log_samples"]
    command += ["--include_path", str(include.resolve())] if include else []
    command += ["--limit", str(settings.limit)] if settings.limit is not None else []
    return [*command, *settings.args]


def run_tasks(
    checkpoint: Path,
    tasks: Sequence[str],
    out: Path,
    settings: LmmsSettings,
    *,
    about: Mapping[str, Any],
    include: Path | None = None,
) -> dict[str, dict[str, float]]:
    """lmms-eval's results by task and metric; those of the same `about` are read, not made again.

    `about` names all that they depend on: the weights, the version, the items of local tasks. What
    it prints goes to OUT/lmms.log. Raises ConfigError where it fails.
    """
    kept, how = out / "results.json", {**about, "tasks": list(tasks), "limit": settings.limit}
    how |= {"dtype": settings.dtype, "model": settings.model or model_class(checkpoint)}
    out.mkdir(parents=True, exist_ok=True)
    found = read_kept(kept, how)
    if found is None:
        command = build_command(checkpoint, tasks, out / "runs", settings, include=include)
        _call_lmms(command, out / "lmms.log", settings)
        found = read_results(newest_results(out / "runs"))
        write_kept(kept, how, found)
    return found


def _call_lmms(command: Sequence[str], log: Path, settings: LmmsSettings) -> None:
    environment = {**os.environ}
    if settings.grader_url:
        environment |= {"API_TYPE": "openai", "OPENAI_API_URL": settings.grader_url}
        environment |= {"OPENAI_BASE_URL": settings.grader_url.removesuffix("/chat/completions")}
        environment |= {"MODEL_VERSION": settings.grader_model or ""}
    environment.pop("PYTHONPATH", None)  # its packages are its own
    with open(log, "wb") as file:
        made = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
    # lmms-eval ends with 0 after some errors too: its results are what counts
    if made.returncode:
        tail = log.read_text("utf-8", errors="replace").strip().splitlines()[-3:]
        raise ConfigError(
            f"lmms-eval ended with {made.returncode}: {' | '.join(tail)[:600]}", where=str(log)
        )


def newest_results(folder: Path) -> Path:
    """The last file of results below a folder. Raises ConfigError where there is none."""
    found = sorted(folder.rglob("*_results.json"), key=lambda path: path.stat().st_mtime_ns)
    if not found:
        log = folder.parent / "lmms.log"
        tail = log.read_text("utf-8", errors="replace").strip().splitlines()[-3:]
        raise ConfigError(f"lmms-eval left no results: {' | '.join(tail)[:600]}", where=str(log))
    return found[-1]


def read_results(path: Path) -> dict[str, dict[str, float]]:
    """Values by task and metric of a results file; filters ("accuracy,none") lose their name.

    SAMPLES stands among the metrics: how many questions there were.
    """
    content = read_object(path)
    counts = content.get("n-samples", {})
    return {
        task: {
            **{
                metric.partition(",")[0]: float(value)
                for metric, value in values.items()
                if isinstance(value, int | float) and "_stderr" not in metric
            },
            SAMPLES: float(counts.get(task, {}).get("effective", 0)),
        }
        for task, values in content["results"].items()
    }

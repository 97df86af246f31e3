"""A benchmark as local tasks of lmms-eval: a folder that needs nothing of ours to be run.

Each task is a YAML file over a Parquet file; `utils.py` holds our scorers, letter by letter.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from diglot.core.errors import ConfigError
from diglot.evaluate import scoring
from diglot.evaluate.benchmark import IMAGES, Benchmark
from diglot.evaluate.items import Item
from diglot.evaluate.lmms import task_functions
from diglot.evaluate.task import ChosenTask
from diglot.files import lock_folder, replacing_folder

PREFIX = "diglot_"
FUNCTIONS = "".join(  # a tag of lmms-eval's, which no plain value of YAML can be
    f"{name}: !function utils.{name}\n"
    for name in ("doc_to_visual", "doc_to_text", "doc_to_target", "process_results")
)


def write_local_tasks(benchmark: Benchmark, tasks: Sequence[ChosenTask], out: Path) -> list[str]:
    """Write the tasks that are answered in writing into a folder; their names there, in order.

    Raises ConfigError for a task whose scorer is not one of `evaluate.scoring`.
    """
    names = []
    # data is named by its path, so the folder is written where it stays
    with lock_folder(out, wait=False), replacing_folder(out) as staging:
        for chosen in tasks:
            if "generate" in chosen.task.asked.ways:
                names.append(_write_task(benchmark, chosen, staging, out.resolve()))
        (staging / "utils.py").write_text(_scorer_source(), "utf-8")
    return names


def _scorer_source() -> str:
    """The scorers, then what calls them, as one module."""
    parts = [Path(str(module.__file__)).read_text("utf-8") for module in (scoring, task_functions)]
    return "\n\n".join(parts)


def _write_task(benchmark: Benchmark, chosen: ChosenTask, folder: Path, out: Path) -> str:
    scorer = chosen.task.scorer
    if not isinstance(scorer, str) or scorer not in task_functions.SCORERS:
        raise ConfigError(
            "a task with a scorer of its own is no local task of lmms-eval",
            expected="a scorer among " + ", ".join(task_functions.SCORERS),
            where=f"task {chosen.key!r}",
        )
    name = PREFIX + chosen.key.replace(".", "_")
    items = benchmark.of_task(chosen.key)
    pq.write_table(_items_table(benchmark, items, scorer), folder / f"{name}.parquet")
    text = yaml.safe_dump(_task_settings(name, chosen, items, out), sort_keys=False)
    (folder / f"{name}.yaml").write_text(text + FUNCTIONS, "utf-8")
    return name


def _task_settings(name: str, chosen: ChosenTask, items: Sequence[Item], out: Path) -> dict:
    metrics = chosen.task.score(items[:1], [""])
    return {
        "task": name,
        "dataset_path": "parquet",
        "dataset_kwargs": {"data_files": {"test": str(out / f"{name}.parquet")}},
        "test_split": "test",
        "output_type": "generate_until",
        "metric_list": [
            {"metric": metric, "aggregation": "mean", "higher_is_better": True}
            for metric in metrics
        ],
        "generation_kwargs": {
            "max_new_tokens": chosen.task.asked.max_tokens,
            "temperature": 0,
            "do_sample": False,
        },
    }


def _items_table(benchmark: Benchmark, items: Sequence[Item], scorer: str) -> pa.Table:
    def picture(item: Item) -> bytes:
        return (benchmark.folder / IMAGES / item.image).read_bytes() if item.image else b""

    return pa.table(
        {
            "id": [item.id for item in items],
            "item": [json.dumps(item.to_json(), sort_keys=True) for item in items],
            "scorer": [scorer] * len(items),
            "picture": pa.array([picture(item) for item in items], pa.binary()),
        }
    )

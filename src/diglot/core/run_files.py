"""The names of the files of a training run's folder."""

import json
from pathlib import Path
from typing import Any

SETTINGS = "config.json"
ENVIRONMENT = "environment.json"
METRICS = "metrics.jsonl"  # one line a step
KEPT = "kept"  # the models of keep_every
REPORT = "report.json"  # what its page is made of
LENGTHENED = "lengthened"  # of the settings: when and how the run was made longer
STARTS = "start_content"  # of the settings: digests of the checkpoints it started from
# What the settings of a run have beside those of a stage.
RUN_ALONE = ("data_fingerprint", STARTS, LENGTHENED)
FINISHED = "finished.json"  # it is there once the run has ended


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl; one cut off by a kill is left out."""
    lines = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return lines

"""The names of the files of a training run's folder."""

SETTINGS = "config.json"
ENVIRONMENT = "environment.json"
METRICS = "metrics.jsonl"  # one line a step
FINISHED = "finished.json"  # it is there once the run has ended

"""The names of the files of a training run's folder."""

SETTINGS = "config.json"
ENVIRONMENT = "environment.json"
METRICS = "metrics.jsonl"  # one line a step
KEPT = "kept"  # the models of keep_every
REPORT = "report.json"  # what its page is made of
LENGTHENED = "lengthened"  # of the settings: when and how the run was made longer
# What the settings of a run have beside those of a stage.
RUN_ALONE = ("data_fingerprint", "start_content", LENGTHENED)
FINISHED = "finished.json"  # it is there once the run has ended

"""What a display shows meanwhile: of every step its rate and drops, and what is in work."""

import re
from pathlib import Path

from tests.synth.pipeline import toy_annotators as toy
from tests.synth.pipeline.test_run import SMALL

from diglot.core.progress import Progress
from diglot.synth.config import SynthConfig
from diglot.synth.run import run_synthesis
from diglot.synth.source import open_source


def test_progress_shows_rate_queue_and_drops_by_reason(tmp_path: Path) -> None:
    toy.write_pictures(tmp_path / "pictures", 22)
    (tmp_path / "pictures" / "0007.png").write_bytes(b"\x89PNG broken")
    steps = {**toy.QUICK_STEPS, "sure": {"step": "filters", "min_score": 0.99}}
    config, events = SynthConfig(steps=steps, **SMALL), list[Progress]()
    source = open_source(tmp_path / "pictures")
    run_synthesis(source, tmp_path / "out", config, report=events.append)
    notes = [event.note for event in events if event.stage == "images"]
    assert re.fullmatch(r"4 samples, (4|8|12) images in work", notes[0])
    assert notes[-1] == "21 samples"
    last = {event.stage: event.note for event in events}
    assert re.fullmatch(r"[\d.]+ images/s of its own; 1 images: not a picture", last["open"])
    assert last["sure"].endswith("; 21 regions: the score is low")

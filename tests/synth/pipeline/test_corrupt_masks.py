"""A record of a source whose mask cannot be read is rejected; it ends nothing and is not copied."""

from pathlib import Path
from typing import Any

import pytest
from tests.train.outcome import rows, write_rows

from diglot.data.records import open_dataset
from diglot.data.rejected import read_rejections, rejected_name
from diglot.synth.config import SynthConfig
from diglot.synth.run import run_synthesis
from diglot.synth.sources.dataset import DatasetSource


@pytest.mark.parametrize("settings", [{"min_mask_share": 0.0001}, {"min_score": 0.1}])
def test_the_record_is_rejected_and_the_others_kept(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    payloads = rows(4)
    payloads[2]["regions"][0]["mask"]["counts"] = "0@"
    data, out = write_rows(tmp_path / "data", payloads), tmp_path / "out"
    steps = {"small": {"step": "filters", **settings}}
    run_synthesis(DatasetSource(data, "train"), out, SynthConfig(steps=steps, slice_images=2))
    assert list(open_dataset(out).ids) == ["tiny/0", "tiny/1", "tiny/3"]
    (one,) = read_rejections(out / rejected_name("train"))
    assert (one.id, one.reason) == ("tiny/2", "mask runs are corrupt")
    assert one.where == "sample 'tiny/2', regions[0].mask"

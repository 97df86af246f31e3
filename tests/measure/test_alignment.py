import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from diglot.core.errors import ConfigError, DataError
from diglot.core.progress import Progress
from diglot.data.records import open_dataset
from diglot.measure.config import MeasureConfig
from diglot.measure.plan import Subject
from diglot.measure.probe import KEYS as PROBED
from diglot.measure.probe import first_usable, make_probe
from diglot.measure.projected import project_samples
from diglot.measure.runner import measure_alignment
from tests.tiny import NAMES, tiny_sample, tiny_views, tiny_vlm
from tests.train.outcome import rows, write_rows

CONFIG = MeasureConfig(bootstrap_draws=50)
KEYS = [
    "region_matching",
    "region_naming",
    "region_matching_unseen_prompt",
    "region_naming_unseen_prompt",
    "presence_auc",
    "pointing",
    "iou",
    "caption_nll",
]


@pytest.fixture(scope="module")
def vlm():
    return tiny_vlm()


def scenes(vlm, seeds):
    samples = [tiny_sample(i, objects=3) for i in seeds]
    return project_samples(vlm, samples, lambda s: tiny_views(s, vlm), views_are="pixels")


@pytest.fixture(scope="module")
def data(vlm):
    return scenes(vlm, range(6)), scenes(vlm, range(50, 56))


def run(vlm, data, config=CONFIG, seed=0, **options):
    held_out, training = data
    subject = Subject(vlm=vlm, held_out=held_out, training=training, names=NAMES, options=config)
    return measure_alignment(subject, seed=seed, **options)


def some(*names, **scenes):
    """These measures, some with a number of scenes."""
    settings = {name: {"scenes": scenes[name]} if name in scenes else {} for name in names}
    return MeasureConfig(measures=settings, bootstrap_draws=50)


def test_all_measures_are_there_and_plain_json(vlm, data):
    measures = run(vlm, data)
    assert list(measures) == KEYS
    for key, measure in measures.items():
        payload = json.loads(json.dumps(measure.to_json(), allow_nan=False))
        assert payload["key"] == key
        assert measure.estimate.low <= measure.estimate.value <= measure.estimate.high
        assert measure.estimate.n > 0
        assert len(measure.what) > 200


def test_same_seed_same_figures_and_no_effect_of_batching_or_of_other_measures(vlm, data):
    one = run(vlm, data)
    assert one == run(vlm, data)
    batched = run(vlm, data, replace(CONFIG, batch_tokens=64, row_tokens=32))
    few = [name for name in CONFIG.measures if name != "presence"]
    fewer = run(vlm, data, some(*reversed(few)))
    for key in KEYS:
        assert batched[key].estimate.value == pytest.approx(one[key].estimate.value, rel=1e-5)
        assert key == "presence_auc" or fewer[key] == one[key]


def test_the_model_is_left_as_it_was(vlm, data):
    vlm.projector.train()
    before = {name: value.clone() for name, value in vlm.state_dict().items()}
    run(vlm, data)
    assert vlm.projector.training
    assert all(torch.equal(value, before[name]) for name, value in vlm.state_dict().items())
    assert all(p.grad is None for p in vlm.parameters())


def test_progress_ends_complete(vlm, data):
    events = []
    run(vlm, data, report=events.append)
    assert events[-1] == Progress("measure", 6, 6, "caption loss")
    assert [event.done for event in events] == sorted(event.done for event in events)
    assert len({event.note for event in events}) == 5


def test_the_same_measure_twice_needs_keys_apart_and_null_leaves_one_out(vlm, data):
    got = run(vlm, data, some("caption_nll", caption_nll=3))
    assert list(got) == ["caption_nll"]
    assert got["caption_nll"].estimate.n == 3
    assert got["caption_nll"].options == {"scenes": 3}
    without = MeasureConfig(measures={"caption_nll": {}, "regions": None})
    assert list(run(vlm, data, without)) == ["caption_nll"]
    twice = MeasureConfig(measures={"caption_nll": {}, "again": {"name": "caption_nll"}})
    with pytest.raises(ConfigError, match="one key"):
        run(vlm, data, twice)


def test_probe_is_a_cheap_part_of_the_same(vlm, data):
    samples = [one.sample for one in data[0][:3]]
    got = make_probe(samples)(vlm)
    assert tuple(got) == PROBED
    whole = run(vlm, (data[0][:3], data[1]))
    for key in ("region_matching", "caption_nll"):
        assert got[key] == pytest.approx(whole[key].estimate.value, rel=1e-5)


def test_mistakes_are_named(vlm, data):
    held_out, training = data
    with pytest.raises(DataError, match="nothing to measure"):
        run(vlm, ([], training))
    names = Subject(vlm=vlm, held_out=held_out, names=["dog", "dog"], options=CONFIG)
    with pytest.raises(DataError, match="distinct"):
        measure_alignment(names)
    with pytest.raises(DataError, match="held out"):
        run(vlm, (held_out, held_out))
    with pytest.raises(ConfigError, match=r"measures\.caption_nll"):
        run(vlm, data, some("caption_nll", caption_nll=-1))
    with pytest.raises(ConfigError, match=r"measures\.regions"):
        run(vlm, data, MeasureConfig(measures={"regions": {"sceens": 2}}))
    with pytest.raises(ConfigError, match="no part 'pointed'"):
        run(vlm, data, MeasureConfig(measures={"pointed": {}}))
    with pytest.raises(ConfigError, match=r"measure\.row_tokens"):
        MeasureConfig(row_tokens=0)


def test_a_corrupt_mask_is_not_in_the_probe_set(tmp_path: Path) -> None:
    payloads = rows(3)
    payloads[0]["regions"][0]["mask"]["counts"] = "0@"
    dataset = open_dataset(write_rows(tmp_path / "data", payloads))
    assert [sample.id for sample in first_usable(dataset, range(3), 3)] == ["tiny/1", "tiny/2"]

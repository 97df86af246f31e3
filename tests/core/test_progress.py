from diglot.core.progress import Meter, Progress, rename_stages


def test_tokens_become_scenes():
    events = []
    meter = Meter(events.append, stage="measure", scenes=10, tokens=400)
    meter.begin("presence")
    meter.advance(100)
    meter.begin("caption loss")
    meter.advance(299)
    meter.advance(1)
    assert events == [
        Progress("measure", 0, 10, "presence"),
        Progress("measure", 2, 10, "presence"),
        Progress("measure", 2, 10, "caption loss"),
        Progress("measure", 9, 10, "caption loss"),
        Progress("measure", 10, 10, "caption loss"),
    ]


def test_without_tokens_all_is_done_at_once():
    events = []
    Meter(events.append, stage="measure", scenes=3, tokens=0).begin("localisation")
    assert events == [Progress("measure", 3, 3, "localisation")]


def test_a_stage_gets_another_name():
    events = []
    rename_stages(events.append, lambda stage: f"a: {stage}")(Progress("train", 1, 2, "loss 3"))
    assert events == [Progress("a: train", 1, 2, "loss 3")]

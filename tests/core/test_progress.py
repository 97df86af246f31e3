from diglot.core.progress import Meter


def test_tokens_become_scenes():
    told = []
    meter = Meter(lambda *at: told.append(at), scenes=10, tokens=400)
    meter.stage("presence")
    meter.done(100)
    meter.stage("caption loss")
    meter.done(299)
    meter.done(1)
    assert told == [
        (0, 10, "presence"),
        (2, 10, "presence"),
        (2, 10, "caption loss"),
        (9, 10, "caption loss"),
        (10, 10, "caption loss"),
    ]


def test_without_tokens_all_is_done_at_once():
    told = []
    Meter(lambda *at: told.append(at), scenes=3, tokens=0).stage("localisation")
    assert told == [(3, 3, "localisation")]

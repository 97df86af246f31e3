"""The endpoint annotator against a real HTTP server that misbehaves."""

import json
import socket
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("openai")

from tests.synth.annotators.bad_server import GOOD, BadServer

from diglot.core.errors import ConfigError, DataError
from diglot.synth.annotator import Question
from diglot.synth.annotators import openai_endpoint
from diglot.synth.annotators._answers import fit_schema
from diglot.synth.steps.tags import Tags

PASSING = ["around", "slow", "limited", "broken", "gateway", "misfit", "prose", "html", "notjson"]
PASSING += ["cut", "reasoning", "thought", "thinking", "long"]
AT_ONCE = ("around", "thought")


def endpoint(url: str, **changes):
    settings = {"timeout_s": 0.4, "patience_s": 20.0, "tries": 3, **changes}
    return openai_endpoint.build(openai_endpoint.Config(model="m", base_url=url, **settings))


def question(prompt: str, digest: str = "d") -> Question:
    picture = Image.new("RGB", (3000, 1500), "red")
    return Question(prompt=prompt, picture=picture, picture_digest=digest, schema=Tags)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIGLOT_SYNTH_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_is_tried_again(fault: str, monkeypatch) -> None:
    monkeypatch.setattr(openai_endpoint, "FIRST_WAIT_S", 0.05)
    with BadServer() as server:
        (answer,) = endpoint(server.url).answer_questions([question(fault)])
        assert json.loads(str(answer)) == GOOD
        assert server.asked[fault] == (1 if fault in AT_ONCE else 2)


@pytest.mark.parametrize(
    ("fault", "reason", "shown"),
    [
        ("misfit", "does not fit its schema", "labels"),
        ("prose", "does not fit its schema", "I see a dog"),
        ("html", "is no completion", "Please log in"),
        ("broken", "answers 500", "oops"),
        ("slow", "took too long", "0.4"),
        ("cut", "cut", ""),
        ("reasoning", "is empty", ""),
        ("thinking", "reasoning alone", "It may be"),
        ("long", "cut at max_tokens", "dog"),
        ("toolarge", "answers 413", "too large"),
    ],
)
def test_what_stays_costs_that_image_and_shows_what_came(fault, reason, shown) -> None:
    with BadServer(bad=1000) as server:
        bad, good = endpoint(server.url).answer_questions([question(fault), question("good")])
        assert isinstance(bad, DataError)
        assert reason in bad.what
        assert shown in str(bad)
        assert json.loads(str(good)) == GOOD
        assert server.asked[fault] == (1 if fault == "toolarge" else 3)


def test_what_no_image_can_mend_stops_the_run() -> None:
    with BadServer(bad=1000) as server, pytest.raises(ConfigError, match="answers 404"):
        endpoint(server.url).answer_questions([question("nomodel")])


def test_retry_after_is_kept_to() -> None:
    with BadServer(bad=2) as server:
        began_s = time.monotonic()
        endpoint(server.url).answer_questions([question("limited")])
        assert 0.4 <= time.monotonic() - began_s < 5
        assert server.asked["limited"] == 3


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_an_endpoint_that_comes_back_is_waited_for(monkeypatch) -> None:
    monkeypatch.setattr(openai_endpoint, "FIRST_WAIT_S", 0.1)
    port = _free_port()
    asker = endpoint(f"http://127.0.0.1:{port}/v1")
    answers: list = []
    thread = threading.Thread(
        target=lambda: answers.extend(asker.answer_questions([question("good")]))
    )
    thread.start()
    time.sleep(0.6)
    with BadServer(port=port):
        thread.join(20)
    assert json.loads(answers[0]) == GOOD


def test_an_endpoint_that_stays_away_stops_the_run() -> None:
    asker = endpoint(f"http://127.0.0.1:{_free_port()}/v1", patience_s=0.3)
    with pytest.raises(ConfigError, match="stayed away"):
        asker.answer_questions([question("good")])


def test_no_answer_is_paid_for_twice(kept: Path) -> None:
    with BadServer() as server:
        first = endpoint(server.url).answer_questions([question("good"), question("misfit")])
        again = endpoint(server.url).answer_questions([question("good"), question("misfit")])
        assert first == again
        assert sum(server.asked.values()) == 3
        endpoint(server.url).answer_questions([question("good", digest="another picture")])
        endpoint(server.url, temperature=0.5).answer_questions([question("good")])
        assert sum(server.asked.values()) == 5


def test_a_rejected_answer_is_not_kept(kept: Path) -> None:
    with BadServer(bad=3) as server:
        (first,) = endpoint(server.url).answer_questions([question("prose")])
        (second,) = endpoint(server.url).answer_questions([question("prose")])
    assert isinstance(first, DataError)
    assert json.loads(str(second)) == GOOD


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("<think>A dog?</think>\n\nA dog.", "A dog."),
        ("A dog, I think.</think> A dog.", "A dog."),  # begun by the prompt
        ("A <b>dog</b>.", "A <b>dog</b>."),
        ("<think>A dog?</think> ", None),
        ("<think>A dog? Or", None),
    ],
)
def test_reasoning_is_no_caption(text: str, caption: str | None) -> None:
    if caption:
        assert fit_schema(text, None) == caption
        return
    with pytest.raises(DataError, match="reasoning alone"):
        fit_schema(text, None)


def test_large_pictures_are_resized_and_the_schema_is_sent() -> None:
    with BadServer() as server:
        endpoint(server.url, image_px=64, extra={"top_k": 5}).answer_questions([question("good")])
        body = server.bodies[0]
    assert body["top_k"] == 5
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["tags"]
    url = body["messages"][0]["content"][0]["image_url"]["url"]
    assert url.startswith("data:image/jpeg;base64,")
    assert len(url) < 4000

"""Stanford Dogs and CapsBench in their documented forms, made small, and SPICE's refusal."""

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from scipy.io import savemat

from diglot.core.errors import ConfigError, DataError
from diglot.evaluate.benchmark import make_benchmark
from diglot.evaluate.lmms.local_tasks import write_local_tasks
from diglot.evaluate.task import load_tasks
from diglot.evaluate.tasks import capsbench, captioning
from diglot.evaluate.tasks.stanford_dogs import breed_of, read_test_list

BREEDS = (
    *("n02085620-Chihuahua", "n02085936-Maltese_dog", "n02088094-Afghan_hound"),
    *("n02116738-African_hunting_dog", "n02110958-pug"),
)


def picture(shade: int, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 24), (shade, 40, 90)).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def dogs(tmp_path: Path) -> Path:
    """Two pictures a breed, and the list as MATLAB's cells."""
    names = [f"{breed}/{breed.split('-')[0]}_{n}.jpg" for breed in BREEDS for n in range(2)]
    for shade, name in enumerate(names):
        (tmp_path / "Images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "Images" / name).write_bytes(picture(20 * shade))
    write_list(tmp_path, names)
    return tmp_path


def write_list(folder: Path, names: list[str]) -> None:
    cells = np.empty((len(names), 1), dtype=object)
    cells[:, 0] = names
    (folder / "lists").mkdir(exist_ok=True)
    savemat(folder / "lists" / "test_list.mat", {"file_list": cells})


def test_a_dog_is_asked_for_among_four_breeds(dogs: Path, tmp_path: Path) -> None:
    tasks = load_tasks(["stanford_dogs"], {"stanford_dogs": {"path": str(dogs)}})
    benchmark = make_benchmark(tmp_path / "b", tasks, [], data="", seed=0)
    assert len(benchmark.items) == 2 * len(BREEDS)
    assert len({item.question for item in benchmark.items}) > len(BREEDS)
    places = set()
    for item in benchmark.items:
        lines = item.question.split("\n")
        choices = dict(line.split(". ", 1) for line in lines[1:5])
        assert choices[item.answer] == item.truth["breed"] == breed_of(item.scene)
        assert len(set(choices.values())) == 4
        assert item.candidates == tuple("ABCD")
        assert item.right == tuple(letter == item.answer for letter in "ABCD")
        source = (dogs / "Images" / item.scene).read_bytes()
        assert (benchmark.folder / "images" / str(item.image)).read_bytes() == source
        places.add(item.answer)
    assert len(places) > 1
    scores = tasks[0].task.score(benchmark.items[:2], [benchmark.items[0].answer, "no letter"])
    assert scores == {"accuracy": [1.0, 0.0]}
    again = make_benchmark(tmp_path / "b", tasks, [], data="", seed=0)
    assert again.items == benchmark.items


def test_dogs_are_a_task_of_lmms_eval_too(dogs: Path, tmp_path: Path) -> None:
    tasks = load_tasks(["stanford_dogs"], {"stanford_dogs": {"path": str(dogs)}})
    benchmark = make_benchmark(tmp_path / "b", tasks, [], data="", seed=0)
    (name,) = write_local_tasks(benchmark, tasks, tmp_path / "lmms")
    rows = pq.read_table(tmp_path / "lmms" / f"{name}.parquet").to_pylist()
    assert [json.loads(row["item"])["answer"] for row in rows] == [
        item.answer for item in benchmark.items
    ]
    assert all(row["picture"].startswith(b"\xff\xd8") for row in rows)
    assert "!function utils.process_results" in (tmp_path / "lmms" / f"{name}.yaml").read_text()


def test_broken_lists_of_dogs_are_named(dogs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no Stanford Dogs.*stanford_dogs"):
        read_test_list(tmp_path / "nowhere")
    for name in ("n1-pug/none.jpg", "../../etc/n1-passwd"):
        write_list(dogs, [name])
        with pytest.raises(DataError, match="is not there"):
            read_test_list(dogs)
    (dogs / "lists" / "test_list.mat").write_bytes(b"no MATLAB" * 40)
    with pytest.raises(DataError, match="not a list"):
        read_test_list(dogs)


class Grader(BaseHTTPRequestHandler):
    """Says yes to what the caption's words hold, and n/a else."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = asked["messages"][0]["content"]
        prompt = content if isinstance(content, str) else content[0]["text"]
        caption = prompt.split("see:\n")[1].split("\n\n")[0]
        word = prompt.rsplit("Question: ", 1)[1].split()[2].strip("?")
        answer = json.dumps({"answer": "yes" if word in caption else "n/a"})
        choice = {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": answer},
        }
        fields = {"id": "1", "object": "chat.completion", "created": 0, "model": "m"}
        body = json.dumps({**fields, "choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def grader() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Grader)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


@pytest.fixture
def caps(tmp_path: Path) -> Path:
    """Two rows as the data set's card has them."""

    def ask(word: str, answer: str) -> dict[str, str]:
        return {"question": f"Is there {word}?", "answer": answer, "category": "entity"}

    rows = [
        {"image": {"bytes": picture(10), "path": "a.jpg"}, "questions": [ask("dog", "yes")] * 2},
        {
            "image": {"bytes": picture(200, "PNG"), "path": "b.png"},
            "questions": [
                ask("cat", "yes"),
                ask("hat", "n/a"),
                ask("sea", "no"),
                ask("sun", "n/a"),
            ],
        },
    ]
    path = tmp_path / "data" / "train-00000.parquet"
    path.parent.mkdir()
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path.parent


def test_captions_are_graded_question_by_question(caps: Path, grader: str, tmp_path: Path) -> None:
    pytest.importorskip("openai")
    options = {"path": str(caps), "grader_url": grader, "grader_model": "m"}
    tasks = load_tasks(["capsbench"], {"capsbench": options})
    benchmark = make_benchmark(tmp_path / "b", tasks, [], data="", seed=0)
    assert [len(item.truth["questions"]) for item in benchmark.items] == [2, 4]
    assert [str(item.image).rsplit(".", 1)[1] for item in benchmark.items] == ["jpeg", "png"]
    scores = tasks[0].task.score(benchmark.items, ["a dog in the sun", "a cat with a hat"])
    # by hand: dog twice yes; cat yes, hat is said though n/a is right, sea n/a for no, sun n/a
    assert scores == {"accuracy": [1.0, 0.5]}
    assert tasks[0].task.score(benchmark.items, ["", ""]) == {"accuracy": [0.0, 0.0]}
    with pytest.raises(ConfigError, match="scorer of its own"):
        write_local_tasks(benchmark, tasks, tmp_path / "lmms")


def test_what_capsbench_lacks_is_named(caps: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"graded by a chat model.*grader_url"):
        load_tasks(["capsbench"], {"capsbench": {"path": str(caps)}})
    with pytest.raises(ConfigError, match="no CapsBench"):
        list(capsbench.read_rows(tmp_path / "none"))
    pq.write_table(pa.table({"image": [None], "questions": [[]]}), tmp_path / "bad.parquet")
    with pytest.raises(DataError, match=r"not a row of CapsBench|without image"):
        list(capsbench.read_rows(tmp_path / "bad.parquet"))


def test_spice_is_refused_where_its_parts_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captioning.shutil, "which", lambda name: None)
    with pytest.raises(ConfigError, match="SPICE is a Java program"):
        captioning.Config(metrics=("SPICE",), tokens="plain")
    monkeypatch.setattr(captioning.shutil, "which", lambda name: "/usr/bin/java")
    monkeypatch.setattr(captioning.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"CoreNLP's models.*get_stanford_models"):
        captioning.Config(metrics=("SPICE",), tokens="plain")


def test_spices_values_come_in_the_order_of_sorted_names() -> None:
    values = [{"All": {"f": f}} for f in (0.0, 0.1, 0.2, float("nan"))]
    names = ["0", "10", "2", "1"]  # sorted: 0, 1, 10, 2
    assert captioning.read_spice(values, names) == [0.0, 0.2, 0.0, 0.1]

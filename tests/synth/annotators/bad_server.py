"""An OpenAI-compatible server that misbehaves as the prompt asks it to."""

import contextlib
import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON = "application/json"
GOOD = {"tags": ["dog", "cat"]}


class BadServer(ThreadingHTTPServer):
    """Counts requests by prompt; the first `bad` of each prompt go wrong, the rest are answered."""

    daemon_threads = True

    def __init__(self, bad: int = 1, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.bad, self.asked = bad, Counter[str]()
        self.bodies: list[dict[str, Any]] = []
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def __enter__(self) -> "BadServer":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: BadServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = body["messages"][0]["content"][-1]["text"]
        self.server.asked[prompt] += 1
        self.server.bodies.append(body)
        bad = self.server.asked[prompt] <= self.server.bad
        getattr(self, f"_{prompt}" if bad else "_good")()

    def _reply(
        self, status: int, content: bytes, kind: str = "application/json", **headers
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(headers.pop("length", len(content))))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def _send_answer(self, text: Any, finish: str = "stop") -> None:
        choice = {
            "index": 0,
            "finish_reason": finish,
            "message": {"role": "assistant", "content": text},
        }
        completion = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}
        self._reply(200, json.dumps({**completion, "choices": [choice]}).encode())

    def _good(self) -> None:
        self._send_answer(json.dumps(GOOD))

    def _around(self) -> None:
        self._send_answer(
            f"Of course! {{not this}} Here:\n```json\n{json.dumps(GOOD)}\n```\nAnything else?"
        )

    def _slow(self) -> None:
        time.sleep(1.0)
        self._good()

    def _limited(self) -> None:
        self._reply(429, b'{"error": {"message": "slow down"}}', retry_after="0.2")

    def _broken(self) -> None:
        self._reply(500, b'{"error": {"message": "oops"}}')

    def _gateway(self) -> None:
        self._reply(503, b"<html>no backend</html>", "text/html")

    def _misfit(self) -> None:
        self._send_answer('{"labels": ["dog"]}')

    def _prose(self) -> None:
        self._send_answer("I see a dog and a cat.")

    def _html(self) -> None:
        self._reply(200, b"<html><body>Please log in</body></html>", "text/html")

    def _notjson(self) -> None:
        self._reply(200, b'{"choices": [{"mess')

    def _cut(self) -> None:
        self._reply(200, b'{"id": "1", "choi', length=5000)
        self.close_connection = True

    def _reasoning(self) -> None:
        self._send_answer(None)

    def _thought(self) -> None:
        self._send_answer(
            f"<think>Is it {json.dumps({'tags': ['wolf']})}?</think>\n{json.dumps(GOOD)}"
        )

    def _thinking(self) -> None:
        self._send_answer(f"<think>It may be {json.dumps({'tags': ['wolf']})}. Or")

    def _long(self) -> None:
        self._send_answer('{"tags": ["dog", "ca', finish="length")

    def _toolarge(self) -> None:
        self._reply(413, b'{"error": {"message": "image too large"}}')

    def _nomodel(self) -> None:
        self._reply(404, b'{"error": {"message": "no such model"}}')

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # the client did not wait
            super().handle()

    def log_message(self, *_: object) -> None:
        pass

"""Any OpenAI-compatible endpoint (vLLM, SGLang, llama.cpp, `transformers serve`) as an annotator.

An endpoint fails in many ways, and each has its answer here: what may pass (rate limits, gateways,
cut connections) is waited for; an error that one request gets each time costs that image; what no
image can mend (no such model, no access, an endpoint that stays away) stops the run, which then
can be resumed. Answers are kept, so none is paid for twice.
"""

import base64
import contextlib
import io
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from diglot.config.ranges import ImagePx, NonNegativeFloat, PositiveFloat, PositiveInt
from diglot.core.errors import ConfigError, DataError
from diglot.synth.annotator import Question
from diglot.synth.annotators._answers import AnswerCache, cut_error, fit_schema, shorten_text

AWAY = (502, 503, 504)
NO_IMAGE_CAN_MEND = (401, 403, 404)
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of the endpoint."""

    model: str
    """The model's name at the endpoint."""
    base_url: str = "http://localhost:8000/v1"
    """Its address, up to /v1."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key, if the endpoint wants one."""
    revision: str = ""
    """What to note as the model's revision, which an endpoint does not give."""
    concurrency: PositiveInt = 16
    """Requests at a time, for each worker."""
    timeout_s: PositiveFloat = 120.0
    """Seconds for one answer."""
    tries: int = 4
    """Tries for one image: time-outs, errors of the server, answers that do not fit."""
    patience_s: NonNegativeFloat = 600.0
    """Seconds to wait for an endpoint that is away or limits the rate before the run stops."""
    max_tokens: PositiveInt = 1024
    """Longest answer; one that is cut there is rejected."""
    temperature: NonNegativeFloat = 0.0
    """0 = the likeliest answer."""
    image_px: ImagePx = 1344
    """Longer side of the picture that is sent: larger ones are resized."""
    json_schema: bool = True
    """Ask the server for JSON of the schema; false for servers that do not know it."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Further fields of the request, such as {chat_template_kwargs: {enable_thinking: false}}."""

    def __post_init__(self) -> None:
        for name in ("concurrency", "tries", "timeout_s", "max_tokens", "image_px"):
            if not getattr(self, name) > 0:
                raise ConfigError("must be above 0", got=getattr(self, name), where=name)


class OpenAiEndpoint:
    """Answers questions by chat completions."""

    def __init__(self, config: Config, client: Any, openai: Any) -> None:
        self._config, self._client, self._openai = config, client, openai
        self._cache = AnswerCache(f"{config.base_url} {config.model}")
        self.model, self.revision = config.model, config.revision or "served"

    def answer_questions(self, questions: Sequence[Question]) -> list[str | DataError]:
        """The answers in order. Raises ConfigError where the endpoint cannot be used."""
        with ThreadPoolExecutor(self._config.concurrency) as pool:
            return list(pool.map(self._answer, questions))

    def _answer(self, question: Question) -> str | DataError:
        asked = self._describe(question)
        kept = self._cache.read(asked)
        if kept is not None:
            return kept
        try:
            answer = self._ask(question)
        except DataError as error:
            return error
        self._cache.write(asked, answer)
        return answer

    def _describe(self, question: Question) -> dict[str, Any]:
        """All that the answer depends on, small."""
        config = self._config
        schema = question.schema.model_json_schema() if question.schema else None
        return {
            "picture": question.picture_digest,
            "prompt": question.prompt,
            "model": [config.model, config.revision],
            "schema": schema,
            "parameters": [config.max_tokens, config.temperature, config.image_px, config.extra],
        }

    def _ask(self, question: Question) -> str:
        """One answer that fits; DataError after `tries` that did not."""
        config = self._config
        messages = [{"role": "user", "content": _message_content(question, config.image_px)}]
        began_s, waits, tried = time.monotonic(), 0, 0
        failure = DataError("not asked")
        while tried < config.tries:
            try:
                return self._ask_once(messages, question, seed=tried)
            except DataError as error:
                failure, tried = error, tried + 1
            except self._openai.APITimeoutError:
                slow = f"no answer in {config.timeout_s} s"
                failure, tried = DataError("the endpoint took too long", got=slow), tried + 1
            except self._openai.APIConnectionError as error:
                if type(error.__cause__).__name__ == "ConnectError":  # nobody is there
                    waits = self._wait(began_s, waits, error, None)
                else:
                    cut = DataError(
                        "the connection was cut", got=shorten_text(repr(error.__cause__))
                    )
                    failure, tried = cut, tried + 1
            except self._openai.APIStatusError as error:
                if self._is_passing(error):
                    waits = self._wait(began_s, waits, error, error.response.headers)
                else:
                    failure, tried = _status_failure(error), tried + 1
        raise failure

    def _is_passing(self, error: Any) -> bool:
        """Whether the status is one to wait for. Raises what waiting cannot mend."""
        status = error.status_code
        if status in NO_IMAGE_CAN_MEND:
            raise ConfigError(
                f"the endpoint answers {status}",
                got=shorten_text(str(error)),
                where=f"{self._config.base_url}, model {self._config.model}",
            ) from error
        if 400 <= status < 500 and status not in (408, 409, 429):
            raise _status_failure(error)
        return status == 429 or status in AWAY

    def _wait(
        self, began_s: float, waits: int, error: Exception, headers: Mapping[str, str] | None
    ) -> int:
        """Wait for the endpoint to come back. Raises ConfigError when it stays away too long."""
        pause_s = min(FIRST_WAIT_S * 2**waits, LONGEST_WAIT_S)
        with contextlib.suppress(ValueError):  # a date: the own pause will do
            pause_s = max(0.0, float((headers or {}).get("retry-after") or pause_s))
        if time.monotonic() + pause_s - began_s > self._config.patience_s:
            raise ConfigError(
                f"the endpoint stayed away for {self._config.patience_s:.0f} s",
                got=shorten_text(str(error)),
                where=self._config.base_url,
                fix="Start it, and give the same command again: it resumes.",
            ) from error
        time.sleep(pause_s)
        return waits + 1

    def _ask_once(self, messages: list[Any], question: Question, *, seed: int) -> str:
        config = self._config
        options: dict[str, Any] = {}
        if question.schema is not None and config.json_schema:
            shape = {
                "name": question.schema.__name__,
                "schema": question.schema.model_json_schema(),
            }
            options["response_format"] = {"type": "json_schema", "json_schema": shape}
        try:
            completion = self._client.chat.completions.create(
                model=config.model,
                messages=messages,
                max_tokens=config.max_tokens,
                temperature=config.temperature,
                seed=seed,  # another try may come out otherwise
                extra_body=config.extra or None,
                **options,
            )
        except ValueError as error:  # a body that is no JSON
            raise DataError(
                "the endpoint's answer is no JSON", got=shorten_text(str(error))
            ) from error
        return fit_schema(_text_of(completion), question.schema)


def _status_failure(error: Any) -> DataError:
    return DataError(f"the endpoint answers {error.status_code}", got=shorten_text(str(error)))


def _text_of(completion: Any) -> str:
    """What the model wrote. Raises DataError for an answer that is no completion, or was cut."""
    choices = getattr(completion, "choices", None)  # a page of HTML comes as a plain text
    if not choices or getattr(choices[0], "message", None) is None:
        raise DataError("the endpoint's answer is no completion", got=shorten_text(str(completion)))
    text = choices[0].message.content
    if not isinstance(text, str) or not text.strip():
        raise DataError("the answer is empty", got=shorten_text(str(choices[0])))
    if choices[0].finish_reason == "length":
        raise cut_error(text)
    return text


def _message_content(question: Question, image_px: int) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = [{"type": "text", "text": question.prompt}]
    if question.picture is not None:
        url = {"url": encode_picture(question.picture, image_px)}
        content.insert(0, {"type": "image_url", "image_url": url})
    return content


def encode_picture(picture: Image.Image, image_px: int) -> str:
    """The picture as a data URL (JPEG), its longer side at most `image_px`."""
    smaller = picture.copy()
    smaller.thumbnail((image_px, image_px), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    smaller.save(buffer, "JPEG", quality=92)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def build(config: Config) -> OpenAiEndpoint:
    """The endpoint's client. Raises ConfigError where `openai` is not installed."""
    try:
        import openai
    except ImportError as error:
        raise ConfigError(
            "the package openai is needed to ask an endpoint",
            fix='Install it: pip install "diglot[synth]".',
        ) from error
    client = openai.OpenAI(
        base_url=config.base_url,
        api_key=os.environ.get(config.api_key_env) or "none",
        timeout=config.timeout_s,
        max_retries=0,  # ours know which errors pass
    )
    return OpenAiEndpoint(config, client, openai)

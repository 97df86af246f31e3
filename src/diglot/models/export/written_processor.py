"""The files of a stock processor, written by hand: to make its class needs torchvision."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

PROCESSOR, TEMPLATE = "processor_config.json", "chat_template.jinja"
TOKENIZER = "tokenizer_config.json"


class WrittenProcessor:
    """Settings and tokenizer of a stock processor, which stock `transformers` loads from its files.

    `settings` are those of processor_config.json; `named_tokens` are attributes of the tokenizer,
    such as image_token, that the processor's class reads.
    """

    def __init__(
        self,
        name: str,
        tokenizer: PreTrainedTokenizerFast,
        settings: Mapping[str, Any],
        *,
        named_tokens: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self.tokenizer, self.settings = name, tokenizer, dict(settings)
        self.named_tokens = dict(named_tokens or {})
        self.chat_template: str | None = None

    def save_pretrained(self, folder: Path) -> None:
        """Write the files."""
        self.tokenizer.save_pretrained(folder)
        _add_fields(folder / TOKENIZER, {**self.named_tokens, "processor_class": self.name})
        settings = {**self.settings, "processor_class": self.name}
        _write_fields(folder / PROCESSOR, settings)
        if self.chat_template is not None:
            (folder / TEMPLATE).write_text(self.chat_template, "utf-8")


def _add_fields(path: Path, fields: Mapping[str, Any]) -> None:
    _write_fields(path, json.loads(path.read_text("utf-8")) | dict(fields))


def _write_fields(path: Path, fields: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(fields, indent=2, ensure_ascii=False) + "\n", "utf-8")

"""The model card of an export: what it was made of, how, and under which licences."""

import json
import logging
import re
from pathlib import Path
from typing import Any

from diglot.core.run_files import METRICS, SETTINGS, read_metrics
from diglot.embedded.cache import asset_folder
from diglot.embedded.catalog import ASSETS
from diglot.embedded.checkpoints import find_checkpoint
from diglot.models.export.container import Container

log = logging.getLogger(__name__)

CARD = """\
---
library_name: transformers
pipeline_tag: image-text-to-text
---
# {title}

A vision encoder and a language model joined by a projector, exported by diglot as
`{model_class}`; stock `transformers` loads it. {note}

```python
from transformers import AutoModelForImageTextToText, AutoProcessor

processor = AutoProcessor.from_pretrained("PATH", backend="pil")  # pixels as in training
model = AutoModelForImageTextToText.from_pretrained("PATH")
```

## Parts
{parts}

## Training
{training}

## Licences
The parts keep their own licences; check them, and that of the data, before you pass this on.

{licences}
"""


def model_card(container: Container, checkpoint: Path, processor: Any) -> str:
    """The card as Markdown, out of the checkpoint's settings and its run's, where there are any."""
    model = _read_json(checkpoint / "vlm.json")
    run = _read_json(checkpoint.parent / SETTINGS)
    parts = {name: model.get(name) for name in ("encoder", "projector", "language", "preprocess")}
    return CARD.format(
        title=checkpoint.resolve().parent.name,
        model_class=container.model_class,
        note=container.note,
        parts=_json_block(parts),
        training=_describe_training(run, checkpoint.parent),
        licences="\n".join(f"- {line}" for line in _list_licences(parts)),
    )


def _read_json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_bytes()))
    except (ValueError, TypeError):
        log.warning("%s is damaged: the card does without it", path)
        return {}


def _json_block(content: Any) -> str:
    return "```json\n" + json.dumps(content, indent=1) + "\n```"


def _describe_training(run: dict[str, Any], folder: Path) -> str:
    """The run's settings and its last losses."""
    if not run:
        return "No run folder stood beside the checkpoint."
    settings = {key: value for key, value in run.items() if key not in ("model", "out")}
    return f"Data: `{run.get('data')}`.\n\n{_json_block(settings)}{_last_losses(folder)}"


def _last_losses(folder: Path) -> str:
    lines = read_metrics(folder / METRICS)
    last = next((line for line in reversed(lines) if "loss" in line), None)
    if last is None:
        return ""
    losses = {k: round(v, 4) for k, v in last.items() if k.startswith("loss")}
    return f"\n\nLosses of the last step: {losses}."


def _list_licences(parts: dict[str, Any]) -> list[str]:
    """One line a part: what its own folder or our catalogue says, else where to look."""
    found = []
    for name in ("encoder", "language"):
        part = parts[name] if isinstance(parts[name], dict) else {"name": parts[name]}
        path = part.get("path") or part.get("name")
        found.append(f"{name} `{path}`: {_find_licence(str(path))}")
    return found


def _find_licence(path: str) -> str:
    folder = Path(find_checkpoint(path))
    for asset in ASSETS:
        if asset.name == path or asset_folder(asset) == folder:
            return asset.licence
    card = folder / "README.md"
    if card.is_file() and (found := re.search(r"^license: *(.+)$", card.read_text("utf-8"), re.M)):
        return found[1].strip()
    return "see its own model card"

"""What a slice was behind a step, kept so that a run with a later step changed begins there.

A kept state is named by a digest of the source, the slice's items, and every step so far with its
fields, model, revision and prompt: the lineage. Pictures are not kept, they come from the source.
"""

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from diglot.core.types import Sample
from diglot.data.schema import from_row, to_row
from diglot.files import replace_file
from diglot.synth.chain import StepCount
from diglot.synth.step import Draft, Dropped, LostRegion, Phrase, Step

_NO_PICTURE = b"-"


def name_states(
    folder: Path, slice_of: Any, fields: Mapping[str, Mapping[str, Any]], steps: Mapping[str, Step]
) -> dict[str, Path]:
    """Where the state behind each step is kept; `slice_of` says of which images it is."""
    digest = hashlib.sha256(json.dumps(slice_of).encode()).hexdigest()
    paths = {}
    for name, step in steps.items():
        own = json.dumps([digest, name, fields[name], asdict(step.lineage)], sort_keys=True)
        digest = hashlib.sha256(own.encode()).hexdigest()
        paths[name] = folder / digest[:2] / f"{digest}.json.gz"
    return paths


def keep_state(
    items: Iterator[Draft | Dropped], path: Path, counts: Mapping[str, StepCount]
) -> Iterator[Draft | Dropped]:
    """`items`; behind the last, a file of them all and of `counts`, of the steps so far."""
    passed: list[dict[str, Any]] = []
    for item in items:
        passed.append(_to_json(item))
        yield item
    ids = [line["id"] for line in passed]
    if len(set(ids)) < len(ids) or path.exists():
        return  # records with the same id could not be distinguished
    so_far = {
        name: {"images": count.images, "dropped": dict(count.dropped)}
        for name, count in counts.items()
    }
    content = json.dumps({"counts": so_far, "items": passed}).encode()
    with replace_file(path) as temporary:
        temporary.write_bytes(gzip.compress(content, mtime=0))


def load_state(
    path: Path, opened: Iterator[Draft | Dropped], counts: dict[str, StepCount]
) -> Iterator[Draft | Dropped]:
    """The kept drafts and drops, with the pictures of `opened`; fills the counts up to there."""
    state = json.loads(gzip.decompress(path.read_bytes()))
    for name, count in state["counts"].items():
        counts[name].images = count["images"]
        counts[name].dropped.update(count["dropped"])
    kept = {line["id"]: line for line in state["items"]}
    for item in opened:
        id = item.id if isinstance(item, Dropped) else item.sample.id
        yield _from_json(kept[id], item)


def _to_json(item: Draft | Dropped) -> dict[str, Any]:
    if isinstance(item, Dropped):
        return {"id": item.id, "dropped": asdict(item)}
    row = to_row(replace(item.sample, images=(_NO_PICTURE,)))
    del row["images"]
    phrases = [asdict(phrase) for phrase in item.phrases]
    lost = [asdict(region) for region in item.lost]
    return {"id": item.sample.id, "row": row, "phrases": phrases, "lost": lost}


def _from_json(line: dict[str, Any], opened: Draft | Dropped) -> Draft | Dropped:
    if "dropped" in line:
        return Dropped(**line["dropped"])
    assert isinstance(opened, Draft), line["id"]
    sample: Sample = from_row({**line["row"], "images": [{"bytes": _NO_PICTURE, "path": None}]})
    return replace(
        opened,
        sample=replace(sample, images=opened.sample.images),
        phrases=tuple(Phrase(**_with_tuple(phrase, "span")) for phrase in line["phrases"]),
        lost=tuple(LostRegion(**_with_tuple(region, "box")) for region in line["lost"]),
    )


def _with_tuple(fields: dict[str, Any], name: str) -> dict[str, Any]:
    return {**fields, name: None if fields[name] is None else tuple(fields[name])}

"""What the demo leaves behind: results.json, report.json and the page made of it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from diglot.config.parts import Part
from diglot.core.result import side_by_side
from diglot.core.run_files import ENVIRONMENT, METRICS, read_metrics
from diglot.data.features import sample_picture
from diglot.files import replace_text
from diglot.measure.checkpoint import Measures, trained_vlm
from diglot.measure.token_maps import map_json
from diglot.report.page import write_report
from diglot.report.samples import sample_json
from diglot.studies.demo.flow import Demo
from diglot.studies.demo.sizes import RUNS

PRIMARY = "region_matching"


def write_results(demo: Demo, measures: Mapping[str, Measures]) -> dict[str, dict[str, Any]]:
    """Write results.json, report.json and report.html; returns the first: run -> key -> value."""
    results = {
        run: {key: entry["results"][run]["value"] for key, entry in entries.items()}
        for run, entries in measures.items()
    }
    replace_text(demo.out / "results.json", json.dumps(results, indent=2) + "\n")
    data = _make_report(demo, measures)
    replace_text(demo.out / "report.json", json.dumps(data) + "\n")
    write_report(data, demo.out / "report.html")
    return results


def _make_report(demo: Demo, measures: Mapping[str, Measures]) -> dict[str, Any]:
    merged = side_by_side(measures.values())
    return {
        "title": "Image caption against code-switching",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "summary": _summarise_demo(merged[PRIMARY], demo),
        "runs": list(RUNS),
        "settings": _collect_settings(demo),
        "environment": _collect_environment(demo),
        "measures": list(merged.values()),
        "curves": _collect_curves(demo),
        "timings": [{"stage": s, "seconds": t, "note": ""} for s, t in demo.seconds.items()],
        "examples": _collect_examples(demo),
    }


def _summarise_demo(primary: Mapping[str, Any], demo: Demo) -> str:
    values = {run: primary["results"][run]["value"] for run in RUNS}
    rates = " and ".join(
        f"{values[run]:.0%} after {run.replace('_', '-')} training"
        for run in RUNS
        if values[run] is not None
    )
    return (
        f"The same projector, from the same start, on the same {demo.size.train_scenes} scenes. "
        f"Given a name, the right one of a held-out scene's objects is chosen in {rates} "
        f"(chance {primary['chance']:.0%}). One seed; the intervals cover the held-out scenes, "
        "not the training."
    )


def _collect_settings(demo: Demo) -> dict[str, str]:
    stage = demo.stage(RUNS[0])
    encoder, projector = stage.model.encoder, stage.model.projector
    return {
        "command": f"diglot demo --size {demo.size_name} --seed {demo.seed} --out {demo.out.name}",
        "training scenes": str(demo.size.train_scenes),
        "held-out scenes": str(demo.size.test_scenes),
        "encoder": _describe_part(encoder),
        "projector": _describe_part(projector),
        "language model": "SmolLM2-135M-Instruct, frozen",
        "optimizer": f"AdamW, lr {stage.optim.lr}, warm-up {stage.optim.warmup}, cosine",
        "batch": f"{stage.global_batch} scenes, one epoch",
        "seed": str(demo.seed),
    }


def _describe_part(part: Part) -> str:
    """A part as it was chosen: its name and the settings that were given."""
    return ", ".join((part.name, *(f"{key} {value}" for key, value in part.settings.items())))


def _collect_environment(demo: Demo) -> dict[str, str]:
    """Where the last run was trained."""
    fields = json.loads((demo.out / RUNS[-1] / ENVIRONMENT).read_text())
    packages = ", ".join(f"{name} {version}" for name, version in fields.pop("packages").items())
    return {**{k: str(v) for k, v in fields.items() if v is not None}, "packages": packages}


def _collect_curves(demo: Demo) -> list[dict[str, Any]]:
    wanted = (
        ("loss/text", "Training loss, text", "nats per token"),
        ("loss/entity", "Training loss, entities", "nats per token"),
        ("probe/region_matching", "Region matching on a small probe set", "accuracy"),
        ("probe/caption_nll", "Held-out caption loss on a small probe set", "nats per token"),
    )
    curves = []
    for key, title, label in wanted:
        lines = {run: _read_series(demo, run, key) for run in RUNS}
        series = {run: points for run, points in lines.items() if points}
        if series:
            curves.append(
                {"title": title, "x_label": "training scenes", "y_label": label, "series": series}
            )
    return curves


def _read_series(demo: Demo, run: str, key: str) -> list[list[float]]:
    batch = demo.stage(run).global_batch
    lines = read_metrics(demo.out / run / METRICS)
    return [[(line["step"] + 1) * batch, line[key]] for line in lines if key in line]


def _collect_examples(demo: Demo) -> list[dict[str, Any]]:
    """Some held-out scenes, and what the visual tokens of each run are near to."""
    examples: list[dict[str, Any]] = []
    scenes = demo.scenes
    names = scenes.names
    for run in RUNS:
        vlm = trained_vlm(demo.out / run)
        chosen = scenes.project(vlm, scenes.held_out, demo.size.examples, demo.report)
        for index, projected in enumerate(chosen):
            if len(examples) <= index:
                picture = sample_picture(projected.sample)
                examples.append({**sample_json(projected.sample, picture), "token_maps": {}})
            examples[index]["token_maps"][run] = map_json(projected, names, vlm.language)
    return examples

"""README's first picture and the figures in it, from the folder of a study of three projectors.

python docs/draw_projectors.py runs/projectors

The picture is part of the study's own page; it carries the digest of the figures kept beside it.
"""

import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin
from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
PICTURE, FIGURES = HERE / "three_projectors.png", HERE / "three_projectors.json"
CHROMIUM = "/usr/bin/chromium"
MEASURES = ("entropy_drop", "align", "label_cosine")  # those of the picture
OBJECTS = 2  # whose masks are in the picture
SHOWN = ", ".join(f"[data-measure={name}]" for name in MEASURES)
# what the picture leaves out of the page; the masks' rows come before those of attention
LEFT_OUT = f"""
header .meta, nav, main > section:not(#results, #scenes), tr[data-measure]:not({SHOWN}),
#scenes > :not(.scene), .scene:not([data-scene="0"]), details, .run-title:has(+ .maps), .maps,
.needs-script, .triplet:nth-child(n + {OBJECTS + 1} of .triplet),
h4.part-title:last-of-type, h4.part-title:last-of-type + p {{ display: none !important }}
body {{ padding: 1rem }} .scene.card {{ border: 0; padding: 0; margin: 0 }}
"""


def main(folder: Path) -> None:
    """Write both files."""
    figures = json.dumps(keep_figures(json.loads((folder / "report.json").read_text())), indent=1)
    FIGURES.write_text(figures + "\n")
    marked = PngImagePlugin.PngInfo()
    marked.add_text("figures", hashlib.sha256(FIGURES.read_bytes()).hexdigest())
    Image.open(io.BytesIO(shoot_page(folder / "report.html"))).quantize(256).save(
        PICTURE, pnginfo=marked
    )


def keep_figures(report: dict[str, Any]) -> dict[str, Any]:
    """Every measure of the report, and what the first picture's tokens mean."""
    kept = ("title", "created", "summary", "runs", "settings", "environment", "timings")
    return {key: report[key] for key in kept} | {
        "measures": [_keep_measure(measure) for measure in report["measures"]],
        "scene": _keep_scene(report["examples"][0]),
    }


def _keep_measure(measure: dict[str, Any]) -> dict[str, Any]:
    names = ("value", "low", "high", "n")
    results = {
        run: {name: result[name] for name in names} for run, result in measure["results"].items()
    }
    return {"key": measure["key"], "chance": measure["chance"], "results": results}


def _keep_scene(example: dict[str, Any]) -> dict[str, Any]:
    """Of each run, the IoU of every object's mask and each token's nearest sub-token."""
    runs = {
        run: {
            "iou": {mask["name"]: mask["iou"] for mask in details["masks"]},
            "subtokens": details["pursuit"]["texts"][0],
        }
        for run, details in example["token_details"].items()
    }
    return {"id": example["id"], "caption": example["caption"], "runs": runs}


def shoot_page(page_path: Path) -> bytes:
    """The part of the page that the picture shows, as a PNG."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1180, "height": 900}, color_scheme="light")
        page.goto(page_path.resolve().as_uri())
        page.add_style_tag(content=LEFT_OUT)
        taken = page.screenshot(full_page=True)
        browser.close()
    return taken


if __name__ == "__main__":
    main(Path(sys.argv[1]))

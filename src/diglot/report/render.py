"""Templates to one HTML file, every text escaped, the file whole or not there."""

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from diglot.core.errors import ConfigError
from diglot.files import replace_text
from diglot.report.axes import format_value
from diglot.report.interval_chart import interval_text
from diglot.report.palette import RUN_COLOURS, RUN_DASHES, RUN_SHAPES, heat_colours
from diglot.report.plain_text import escape_unshown
from diglot.report.significance import FEWEST_ITEMS

_TEMPLATES = Path(__file__).parent / "templates"


def render_page(template: str, values: Mapping[str, Any]) -> str:
    """The page of `template` ("report.html.j2"), with `values` escaped wherever they stand."""
    return _make_environment().get_template(template).render(values)


@cache
def read_script() -> dict[str, Any]:
    """The script of a page with token details, and the digest that its policy lets run."""
    source = (_TEMPLATES / "tokens.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode("ascii")
    return {"script": Markup(source), "script_digest": f"sha256-{digest}"}


@cache
def _make_environment() -> Environment:
    # autoescape by file name would miss names that end in .j2, so it is always on.
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_escape_value,
    )
    environment.globals.update(
        run_colours=RUN_COLOURS,
        run_dashes=RUN_DASHES,
        run_shapes=RUN_SHAPES,
        heat_colours=heat_colours(),
        number=format_value,
        interval=interval_text,
        fewest_items=FEWEST_ITEMS,
    )
    return environment


def _escape_value(value: Any) -> Any:
    """Texts as they can be shown; what is markup already, and what is no text, as it is."""
    return escape_unshown(value) if type(value) is str else value


def write_page(html: str, out: Path) -> Path:
    """Write `html` to `out`, making its folder. Raises ConfigError where it cannot be written."""
    try:
        replace_text(out, html)
    except OSError as error:
        raise ConfigError(
            f"the page cannot be written: {error.strerror or error}",
            where=str(out),
            fix="Name a file, in a folder you may write to, on a disk with room.",
        ) from error
    return out

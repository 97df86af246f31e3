"""Pages made from the code at build time: the help of each verb, the reference of each module."""

import contextlib
import io
import os
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "diglot"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add commands.md and a page for every room of the source."""
    pages = {"commands.md": commands_page(), **reference_pages()}
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def commands_page() -> str:
    """Every verb's `--help`, as it is printed on a terminal of 100 columns."""
    os.environ["COLUMNS"] = "100"
    from diglot.cli.main import VERBS

    parts = ["# Commands\n"]
    for verb, summary in VERBS.items():
        parts.append(f"## diglot {verb}\n\n{summary}\n\n```text\n{printed_help(verb)}\n```\n")
    return "\n".join(parts)


def printed_help(verb: str) -> str:
    """What `diglot VERB --help` prints."""
    from diglot.cli.main import main

    printed: Any = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main([verb, "--help"])
    return printed.getvalue().strip().replace("```", "'''")


def reference_pages() -> dict[str, str]:
    """Path -> text: an index, and for each folder of the source a page of its public modules."""
    by_folder: dict[str, list[str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        if not any(part.startswith("_") for part in parts) and parts[0] != "cli":
            by_folder.setdefault(".".join(parts[:-1]) or parts[0], []).append(".".join(parts))
    pages = {
        f"reference/{folder}.md": f"# {folder}\n\n"
        + "\n".join(f"::: diglot.{module}\n" for module in modules)
        for folder, modules in by_folder.items()
    }
    lines = [f"- [`{folder}`]({folder}.md)" for folder in sorted(by_folder)]
    pages["reference/index.md"] = (
        "# Reference\n\nEvery public module, by folder of `src/diglot`.\n\n" + "\n".join(lines)
    )
    return pages

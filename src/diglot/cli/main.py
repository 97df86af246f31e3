"""`diglot VERB ...`: finds the verb's file, reads its arguments, reports mistakes in a line."""

import difflib
import errno
import importlib
import logging
import os
import re
import sys
from collections.abc import Sequence
from types import ModuleType

from jsonargparse import ArgumentParser
from rich.logging import RichHandler
from rich.text import Text

from diglot import __version__
from diglot.cli.console import open_console
from diglot.cli.stopping import INTERRUPTED, TERMINATED, unwind_on_sigterm
from diglot.cli.unread import refuse_unread
from diglot.cli.verb import OVERWRITE, parse_arguments, verb_parser
from diglot.config.part_help import hide_group_files, refuse_misplaced
from diglot.config.paths import overwriting
from diglot.core.errors import DiglotError
from diglot.files import readable_name

VERBS = {
    "demo": "from real images to two aligned projectors and a report, in minutes",
    "fetch": "bring the embedded models and images into the cache, or list them",
    "synth": "a grounded dataset from plain images",
    "scenes": "compose a dataset of scenes with exact labels",
    "convert": "a dataset from another format, or to one",
    "check": "what of a dataset training would trip on",
    "words": "the list of words of a dataset's captions",
    "label": "words for the patches of every image of a dataset",
    "features": "a frozen encoder's features of a dataset, before training",
    "train": "train a projector (or more) by a recipe",
    "chat": "ask a checkpoint about a picture",
    "export": "a checkpoint as a folder that stock transformers loads",
    "measure": "every measure of alignment of a checkpoint, as one JSON",
    "evaluate": "whole checkpoints on tasks, with every answer",
    "report": "one page that compares any number of measured checkpoints",
    "compare": "recipes on the same data and seeds, in one table and one page",
    "view": "a dataset or a run as a page",
    "select": "choose a vision encoder without fine-tuning each",
}
USER_ERROR = 2
# What the system refuses because of a path or a disk that the user gave.
_USERS_ERRORS = {
    *(errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT, errno.EFBIG, errno.EPERM),
    *(errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP),
    *(errno.EIO, errno.EMFILE, errno.ENFILE, errno.ESTALE),
}
_SMALLER = "Lower what is held at once (micro_batch, image_px, workers), or free memory."
_FIXES = dict.fromkeys((errno.ENOSPC, errno.EDQUOT), ". Make room; the same command resumes.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit status. A user's mistake is one message, never a traceback."""
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in ("-h", "--help"):
        print(_list_verbs())
        return 0 if args else USER_ERROR
    if args[0] in ("-V", "--version"):
        print(f"diglot {__version__}")
        return 0
    if wrong := next((word for word in args if word != readable_name(word)), None):
        return _print_error(f"not text in UTF-8: {readable_name(wrong)}. Rename what it names.")
    if args[0] not in VERBS:
        return _print_error(f"no verb {args[0]!r}{_suggest_verb(args[0])}; see `diglot --help`")
    return _run_verb(args[0], args[1:])


def _run_verb(verb: str, args: list[str]) -> int:
    # Hub progress bars and advice would drown ours; errors still come.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    try:
        _log_to_stderr()
        with unwind_on_sigterm(), overwriting(OVERWRITE in args):
            call_verb(verb, [arg for arg in args if arg != OVERWRITE])
    except DiglotError as error:
        return _print_error(str(error))
    except SystemExit as end:  # also of --help, --print_config
        return _print_stopped(TERMINATED) if end.code == TERMINATED else int(end.code or 0)
    except KeyboardInterrupt:
        return _print_stopped(INTERRUPTED)
    except BrokenPipeError:
        return 0
    except Exception as error:
        if _is_out_of_memory(error):
            return _print_error(f"not enough memory ({_first_line(error)}). {_SMALLER}")
        # a RuntimeError of pathlib: a path that links to itself
        looped = isinstance(error, RuntimeError) and isinstance(error.__context__, OSError)
        cause = error.__context__ if looped else error
        number = _system_error(cause)
        if number not in _USERS_ERRORS:
            raise
        where = getattr(cause, "filename", None) or "while writing"
        return _print_error(f"{os.strerror(number)}: {where}{_FIXES.get(number, '')}")
    return 0


def _print_stopped(status: int) -> int:
    print("\nStopped. The same command resumes.", file=sys.stderr)
    return status


def _is_out_of_memory(error: Exception) -> bool:
    """Of Python and NumPy, of torch on a GPU, and on the CPU, where it is a plain RuntimeError."""
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _system_error(error: BaseException | None) -> int:
    """The system's number of an error, 0 where it is none; safetensors has it in the text alone."""
    if isinstance(error, OSError):
        return error.errno or 0
    if type(error).__name__ != "SafetensorError":
        return 0
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else 0


def call_verb(verb: str, args: list[str]) -> None:
    """Parse the verb's arguments and run it."""
    module = importlib.import_module(f"diglot.cli.{verb}")
    function = getattr(module, verb)
    parser = verb_parser(verb, function)
    add_verb_arguments(parser, verb, module)
    refuse_misplaced(parser, args)
    given = getattr(module, "read_arguments", parse_arguments)(parser, args)
    for name in ("config", "print_config"):
        given.pop(name, None)
    refuse_unread(getattr(module, "UNREAD", ()), given, args, parser)
    function(**given)


def add_verb_arguments(parser: ArgumentParser, verb: str, module: ModuleType) -> None:
    """A verb's options, from its module's own `add_arguments`, or its function's signature."""
    if hasattr(module, "add_arguments"):
        module.add_arguments(parser)
        hide_group_files(parser)
    else:
        parser.add_function_arguments(getattr(module, verb), as_group=False, as_positional=True)


def _log_to_stderr() -> None:
    handler = RichHandler(console=open_console(stderr=True), show_path=False, show_time=False)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], format="%(message)s")
    logging.getLogger("diglot").setLevel(logging.INFO)


def _list_verbs() -> str:
    lines = [f"  {name:<8} {what}" for name, what in VERBS.items()]
    return "\n".join(
        [
            "diglot: align a vision encoder with a language model, and show how well.",
            "",
            "usage: diglot VERB [options]      diglot VERB --help lists a verb's options",
            "",
            *lines,
        ]
    )


def _suggest_verb(word: str) -> str:
    close = difflib.get_close_matches(word, VERBS, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _print_error(message: str) -> int:
    console = open_console(stderr=True, highlight=False)
    console.print(Text.assemble(("error", "bold red"), f": {message}"), soft_wrap=True)
    return USER_ERROR

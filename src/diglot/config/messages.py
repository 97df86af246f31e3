"""The argument parser's messages on wrong arguments, each as one line that names the field."""

import difflib
import re
from collections.abc import Collection

_KINDS = {
    "NoneType": "null",
    "str": "text",
    "float": "number",
    "int": "whole number",
    "tuple": "a list in brackets",
    "list": "a list in brackets",
    "dict": "fields ({name: value})",
    "PositiveInt": "whole number above 0",
    "NonNegativeInt": "whole number from 0",
    "PositiveFloat": "number above 0",
    "NonNegativeFloat": "number from 0",
    "ClosedUnitInterval": "number from 0 to 1",
    "ShareBelowOne": "number from 0 to below 1",
    "Epochs": "whole number from 1 to 1,000,000",
    "ImagePx": "whole number from 1 to 16,384",
    "Seed": "whole number from 0",
    "Workers": "whole number from 0 to 1024",
}
_BOUNDS = {">=": "at least", "<=": "at most", ">": "above", "<": "below"}


def one_line(message: str, known: Collection[str] = ()) -> str:
    """A parser's message as one line; `known` are the names of all options, without dashes."""
    text = re.sub(r'^(Parser key "config": *)+', "", message.strip())
    field = re.match(r'Parser key "([^"]+)":', text)
    unknown = _unknown_name(text, field.group(1) if field else "")
    if unknown:
        close = difflib.get_close_matches(unknown.lstrip("-"), known, n=1)
        kind = "argument" if text.startswith("unrecognized") else "field"
        return f"unknown {kind} {unknown!r}" + (f" (did you mean {close[0]!r}?)" if close else "")
    if field:
        return f"{field.group(1)}: {_write_expectation(text[field.end() :])}"
    return " ".join(text.split())


def _unknown_name(text: str, field: str) -> str:
    """The dotted name that no option has, or "" where the mistake is another."""
    if found := re.match(r"unrecognized arguments: (\S+)", text):
        return found.group(1).partition("=")[0]
    if found := re.match(r"Group '([^']+)' does not accept option '([^']+)'", text):
        return f"{found.group(1)}.{found.group(2)}"
    if found := re.search(r"Option '([^']+)' is not accepted", text):
        return f"{field}.{found.group(1)}" if field else found.group(1)
    return ""


def _write_expectation(text: str) -> str:
    """ "expected ..., got ..." out of a message on a wrong type or a number out of range."""
    # of a configuration that may be null, what is wrong inside it is the message
    within = r"Problem with given class_path '[^']*':\n(.*?)\n *- Expected"
    if inner := re.search(within, text, re.DOTALL):
        return one_line(re.sub(r"^ +", "", inner.group(1), flags=re.MULTILINE))
    if found := re.search(r"Not of type \w+: (.*) does not conform to restriction (.*)", text):
        bounds = re.findall(r"v([<>]=?)(\S+)", found.group(2))
        wanted = " and ".join(f"{_BOUNDS[sign]} {bound}" for sign, bound in bounds)
        return f"must be {wanted}; got {found.group(1)}"
    if found := re.search(r"Subtypes: \[(.*?)\]\n.*Given value: (.*)", text, re.DOTALL):
        kinds, got = re.split(r", (?=<|typing|tuple|list|dict)", found.group(1)), found.group(2)
        return f"expected {' or '.join(map(_plain_kind, kinds))}, got {got.strip()}"
    if found := re.search(r"Not of type (\w+): (?:could not|invalid).*: '(.*)'$", text):
        return f"expected {_plain_kind(found.group(1))}, got {found.group(2)}"
    if found := re.search(r"Expected an? (.*)\. Got value: (.*)", text, re.DOTALL):
        return f"expected {_plain_kind(found.group(1))}, got {found.group(2).strip()}"
    return " ".join(text.split())


def _plain_kind(written: str) -> str:
    """A type in plain words."""
    if found := re.search(r"Literal\[(.*)\]", written):
        return " or ".join(re.findall(r"'([^']*)'", found.group(1)) or [found.group(1)])
    if found := re.fullmatch(r"(?:tuple|list)\[(.*?)(?:, \.\.\.)?\]", written):
        return f"[{_plain_kind(found.group(1))}, ...]"
    name = re.sub(r"<class '(.*)'>", r"\1", written).rpartition(".")[2]
    return _KINDS.get(name, "fields ({name: value})" if name[:1].isupper() else name)

"""How help looks: the lines of a description stay lines, so that examples stay examples."""

from jsonargparse import DefaultHelpFormatter


class KeepLines(DefaultHelpFormatter):
    """jsonargparse's help, which keeps the lines of a description."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "".join(indent + line for line in text.splitlines(keepends=True))

"""A tokenised conversation as segments, and a chat template of the user's own."""

from pathlib import Path

from diglot.core.errors import ConfigError
from diglot.core.segments import Image, Segment, Tokens
from diglot.models.chat_template import TokenizedChat


def read_template(path: str | Path | None) -> str | None:
    """A chat template of a Jinja file, or None. Raises ConfigError where it cannot be read."""
    if path is None:
        return None
    try:
        return Path(path).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the chat template cannot be read ({error})", where="objective.template"
        ) from error


def chat_segments(
    chat: TokenizedChat, start: int, stop: int, *, learn: str | None = "text"
) -> tuple[Segment, ...]:
    """The tokens from `start` to `stop` as runs of text of one kind, and images.

    Learned ones are learned by the term `learn`, or not at all where it is None.
    """
    segments: list[Segment] = []
    images = int((chat.ids_T[:start] < 0).sum())
    for at in range(start, stop + 1):
        text = at < stop and chat.ids_T[at] >= 0
        same = text and at > start and chat.learned_T[at] == chat.learned_T[start]
        if same or (text and at == start):
            continue
        if at > start:
            ids = tuple(chat.ids_T[start:at].tolist())
            segments.append(Tokens(ids, learn if chat.learned_T[start] else None))
        start = at
        if at < stop and not text:
            segments.append(Image(images))
            images, start = images + 1, at + 1
    return tuple(segments)

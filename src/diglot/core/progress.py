"""How far measuring is, told in scenes: tokens done become scenes done."""

from collections.abc import Callable

# Called with (scenes done, scenes, what is being measured) as work goes on.
Tell = Callable[[int, int, str], None]


def tell_nobody(done: int, total: int, what: str) -> None:
    """For callers that show no progress."""


class Meter:
    """Counts tokens and tells scenes, so that time left is right across measures of unlike cost."""

    def __init__(self, tell: Tell, *, scenes: int, tokens: int) -> None:
        self._tell, self._scenes, self._tokens = tell, scenes, tokens
        self._done, self._what = 0, ""

    def stage(self, what: str) -> None:
        """What is being measured now."""
        self._what = what
        self.done(0)

    def done(self, tokens: int) -> None:
        """So many more tokens went through the LLM."""
        self._done += tokens
        share = self._done / self._tokens if self._tokens else 1.0
        self._tell(int(share * self._scenes + 1e-6), self._scenes, self._what)

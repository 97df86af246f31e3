"""The two ways a user can be wrong: in the settings, or in the data."""

import contextlib
from collections.abc import Iterable, Iterator


class DiglotError(ValueError):
    """A mistake of the user's, in one message: what, expected, got, where, what to do."""

    def __init__(
        self,
        what: str,
        *,
        expected: object = None,
        got: object = None,
        where: str | None = None,
        fix: str | None = None,
    ) -> None:
        self.what, self.where = what, where  # what: the same for all mistakes of one kind
        parts = [what]
        if expected is not None:
            parts.append(f"expected {expected}")
        if got is not None:
            parts.append(f"got {got}")
        self.message = "; ".join(parts) + (f". {fix}" if fix else "")  # without its place
        super().__init__(f"{where}: {self.message}" if where else self.message)


class ConfigError(DiglotError):
    """A setting, or a combination of settings, cannot work. The run has not started."""


class DataError(DiglotError):
    """One record cannot be used. It is rejected with its reason; the run continues."""


def check_type(value: object, kind: type | tuple[type, ...], expected: str, *, where: str) -> None:
    """Raises DataError unless `value` is a `kind`."""
    if not isinstance(value, kind):
        raise DataError(
            "wrong type",
            expected=expected,
            got=f"{type(value).__name__} {value!r:.80}",
            where=where,
        )


def first_reason(reasons: Iterable[str | None]) -> str:
    """The end of a message about several failures: "; the first: REASON", "" where none has one."""
    return next((f"; the first: {reason}" for reason in reasons if reason), "")


@contextlib.contextmanager
def locate_errors(where: str) -> Iterator[None]:
    """Put `where` before the place that a DataError raised inside names."""
    try:
        yield
    except DataError as error:
        inner = error.where or ""
        joined = where + ("." if inner and where else "") + inner
        located = DataError(error.message, where=joined)
        located.what = error.what
        raise located from error

"""The two ways a user can be wrong: in the settings, or in the data."""


class DiglotError(ValueError):
    """A mistake of the user's, told in one message: what, expected, got, where, what to do."""

    def __init__(
        self,
        what: str,
        *,
        expected: object = None,
        got: object = None,
        where: str | None = None,
        fix: str | None = None,
    ) -> None:
        self.what, self.where = what, where
        parts = [what]
        if expected is not None:
            parts.append(f"expected {expected}")
        if got is not None:
            parts.append(f"got {got}")
        message = "; ".join(parts)
        if where:
            message = f"{where}: {message}"
        if fix:
            message = f"{message}. {fix}"
        super().__init__(message)


class ConfigError(DiglotError):
    """A setting, or a combination of settings, cannot work. The run has not started."""


class DataError(DiglotError):
    """One record cannot be used. It is set aside with its reason; the run goes on."""

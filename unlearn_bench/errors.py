"""Errors a user can act on, and the exit codes of the command line."""

EXIT_OK = 0
EXIT_FAILED = 1  # the work was done and the answer is bad: a regression, malformed rows
EXIT_USAGE = 2  # the work could not be done: bad input, not comparable
EXIT_UNDECIDED = 3  # `check` could not decide about a change too large to be let pass
EXIT_INTERRUPTED = 130  # Ctrl-C, as shells report it


class UserError(Exception):
    """A mistake in what the user gave us; printed without a traceback.

    Args:
        message: What was expected and what came, in one line.
        hint: What to type next; printed on its own line.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n  {self.hint}"

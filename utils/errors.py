"""The one error type for mistakes that a user can mend."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import NoReturn


class UserError(Exception):
    """Something in the command, the data or the machine that the user can mend.

    The message names what is wrong, where, what was found and wanted, and the next thing to do.
    Entry points print it as it stands, without a traceback, and exit with status 2.
    """


class Problems:
    """Collects every problem of a check so that they are reported together, not one a run.

    Args:
        listed: how many problems are spelled out; the rest are counted.
    """

    def __init__(self, listed: int = 50) -> None:
        self.listed = listed
        self.messages: list[str] = []

    def add(self, message: str) -> None:
        """Notes one problem, a message of one line."""
        self.messages.append(message)

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Notes a `UserError` raised inside as one more problem and goes on after the block."""
        try:
            yield
        except UserError as error:
            self.add(str(error))

    def raise_if_any(self, title: str) -> None:
        """Raises a `UserError` listing all problems under `title`, if there are any."""
        if not self.messages:
            return
        if len(self.messages) == 1:
            raise UserError(f"{title}: {self.messages[0]}")
        shown = self.messages[: self.listed]
        hidden = len(self.messages) - len(shown)
        lines = [f"{title}: {len(self.messages)} problems", *(f"  - {line}" for line in shown)]
        if hidden:
            lines.append(f"  ... and {hidden} more of these")
        raise UserError("\n".join(lines))


def fail(program: str, error: UserError) -> NoReturn:
    """Prints the error in the manner of argparse and exits with status 2."""
    sys.stdout.flush()
    print(f"{program}: error: {error}", file=sys.stderr)
    sys.exit(2)


def command(program: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Decorates an entry point: a `UserError` ends it with one message and status 2, Ctrl-C 130."""

    def decorate(main: Callable[[], None]) -> Callable[[], None]:
        @wraps(main)
        def guarded() -> None:
            try:
                main()
            except UserError as error:
                fail(program, error)
            except KeyboardInterrupt:
                print(f"\n{program}: interrupted", file=sys.stderr)
                sys.exit(130)

        return guarded

    return decorate

"""The one error type for mistakes that a user can mend."""

import io
import os
import reprlib
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


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def shown(value: object) -> str:
    """A value out of a file as a message can show it: as Python writes it, cut if long or deep."""
    return _SHORT.repr(value)


def fail(program: str, error: UserError) -> NoReturn:
    """Prints the error in the manner of argparse and exits with status 2."""
    try:
        print(end="", flush=True)
    except OSError:  # nobody takes what was printed; drop it, or Python fails at exit once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    print(f"{program}: error: {error}", file=sys.stderr)
    sys.exit(2)


def command(program: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Decorates an entry point: a `UserError` ends it with one message and status 2, Ctrl-C 130.

    So does an `OSError` that nothing else caught: it is of the machine, such as a full disk.
    """

    def decorate(main: Callable[[], None]) -> Callable[[], None]:
        @wraps(main)
        def guarded() -> None:
            if isinstance(sys.stdout, io.TextIOWrapper):  # a name that it cannot show is no error
                sys.stdout.reconfigure(errors="backslashreplace")
            try:
                main()
                print(end="", flush=True)  # a full disk shows only here
            except UserError as error:
                fail(program, error)
            except OSError as error:
                where, reason = error.filename or "output", error.strerror or error
                fail(program, UserError(f"{where}: {reason}; check the path and the disk"))
            except KeyboardInterrupt:
                print(f"\n{program}: interrupted", file=sys.stderr)
                sys.exit(130)

        return guarded

    return decorate

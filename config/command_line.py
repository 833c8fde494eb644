"""The command line, made from the fields of `Config`.

python -m config.command_line > docs/FLAGS.md
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, NoReturn, get_args, get_origin

if not __package__:  # run by its path: import from the root of the repository, as with -m
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from config.datasets import DATASETS
from config.model_config import STAGES, Config
from config.setting import flag_of, range_text
from utils.errors import UserError, command


def parse_flags(
    program: str, description: str, arguments: Sequence[str] | None = None
) -> dict[str, Any]:
    """Reads the command line; `--help` prints and exits with status 0.

    Args:
        program: Name of the program in messages.
        description: What it does, the head of `--help`.
        arguments: Instead of `sys.argv[1:]`.

    Returns:
        The flags that were given, by name: changes for `make_config`.

    Raises:
        UserError: For an unknown flag or a value of the wrong type.
    """
    parser = _Parser(
        prog=program,
        usage="%(prog)s [flags]",
        description=description,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(
            prog, max_help_position=30, width=110
        ),
    )
    for title, settings in _groups().items():
        group = parser.add_argument_group(title)
        for setting in settings:
            group.add_argument(f"--{flag_of(setting)}", **_option(setting))
    return vars(parser.parse_args(arguments))


def _groups() -> dict[str, list["Field[Any]"]]:
    """The settings by the title of their group; groups in the order of the help page."""
    titles = dict.fromkeys(["experiment", "data", *(s.metadata["group"] for s in fields(Config))])
    # Localization comes first among the fields, since `Config` inherits it, but late in the help.
    ordered = sorted(titles, key=lambda title: title.startswith(("localization", "evaluation")))
    return {title: [s for s in fields(Config) if s.metadata["group"] == title] for title in ordered}


def flags_table() -> str:
    """All flags as Markdown, one table per group."""
    lines = ["# Flags of main_thu.py", "", "Made by `python -m config.command_line`.", ""]
    for title, settings in _groups().items():
        lines += [f"## {title}", "", "| flag | default | range | meaning |", "|---|---|---|---|"]
        for setting in settings:
            limits = setting.metadata
            default = "off" if setting.type is bool else _default_text(setting)
            allowed = " ".join(map(_show, limits.get("choices", ()))) or range_text(limits)
            cells = (f"`--{flag_of(setting)}`", default, allowed, limits["comment"])
            lines.append("| " + " | ".join(cells).replace("<", "&lt;") + " |")
        lines.append("")
    return "\n".join(lines)


class _Parser(argparse.ArgumentParser):
    """Reports a mistake as a `UserError`, without the page of usage in front of it."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message.removeprefix('argument ')}; see {self.prog} --help")


class _StoreTuple(argparse.Action):
    """Stores the values of a flag that takes several as a tuple."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, tuple(values))


def _option(setting: "Field[Any]") -> dict[str, Any]:
    """The arguments of `add_argument` for one field."""
    limits = setting.metadata
    if setting.type is bool:
        return {"action": "store_true", "help": limits["comment"]}
    several = get_origin(setting.type) is tuple
    kind: Any = get_args(setting.type)[0] if several else setting.type
    brackets = "; ".join(filter(None, [_default_text(setting), range_text(limits)]))
    option = {
        "type": kind,
        "metavar": limits.get("metavar", {str: "NAME", int: "N", float: "X"}[kind]),
        "help": f"{limits['comment']} [{brackets}]".replace("%", "%%"),  # % is argparse's own
    }
    if "choices" in limits:
        option["metavar"] = "{" + ",".join(map(_show, limits["choices"])) + "}"
    if several:
        option |= {"nargs": "+", "action": _StoreTuple}
    return option


def _default_text(setting: "Field[Any]") -> str:
    """The default as `--help` shows it, for every data set and stage that has one of its own."""
    name = setting.name
    if setting.default is not MISSING:
        return _show(setting.default) or "none"
    if name in STAGES[False]:
        return f"{_show(STAGES[False][name])}, with --ftcl {_show(STAGES[True][name])}"
    texts = {dataset: _show(spec.defaults[name]) for dataset, spec in DATASETS.items()}
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return ", ".join(f"{dataset} {text}" for dataset, text in texts.items())


def _show(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_show, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


@command("config.command_line")
def main() -> None:
    print(flags_table(), end="")


if __name__ == "__main__":
    main()

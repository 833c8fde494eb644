"""The command line of predict.py: the settings of a checkpoint, and flags of its own."""

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from config.command_line import add_settings, make_parser
from config.model_config import Config, make_config
from utils.errors import UserError

# The groups of settings that a checkpoint brings along and that predictions depend on.
GROUPS = ("snippets", "localization: from scores to segments", "network")
OTHER_SETTINGS = (
    *("dataset", "device", "gpu", "precision", "deterministic", "temporal_conv", "num_workers"),
    *("channel_order", "feature_axes"),
)
SETTINGS = tuple(s.name for s in fields(Config) if s.metadata["group"] in GROUPS) + OTHER_SETTINGS
FIGURE_SUFFIXES = (".png", ".pdf", ".svg")
STREAMS = ("auto", "rgb", "flow", "both")
WINDOW = 16  # frames that the networks of the field see per snippet


@dataclass(frozen=True, kw_only=True)
class Options:
    """What predict.py was asked for; the names are those of the flags.

    Attributes:
        settings: Settings that were given, by flag; changes for `make_config`.
        export: File of the exported network; None predicts.
    """

    checkpoint: Path
    inputs: tuple[Path, ...]
    settings: dict[str, Any]
    class_names: Path | None = None
    durations: Path | None = None
    json: Path | None = None
    csv: Path | None = None
    figure: Path | None = None
    top: int | None = None
    min_score: float = -math.inf
    sort: str = "score"
    quiet: bool = False
    rgb_weights: Path | None = None
    flow_weights: Path | None = None
    streams: str = "auto"
    window_frames: int = WINDOW
    extraction_batch: int = 4
    save_features: Path | None = None
    export: Path | None = None


def parse_options(
    program: str, description: str, arguments: Sequence[str] | None = None
) -> Options:
    """Reads the command line; `--help` prints and exits with status 0.

    Args:
        program: Name of the program in messages.
        description: What it does, the head of `--help`.
        arguments: Instead of `sys.argv[1:]`.

    Raises:
        UserError: For an unknown flag, a wrong value, or flags that exclude each other.
    """
    parser = make_parser(program, "%(prog)s --checkpoint FILE INPUT ... [flags]", description)
    _add_own_flags(parser)
    add_settings(parser, SETTINGS)
    given = vars(parser.parse_args(arguments))
    own = {field.name for field in fields(Options)}
    settings = {flag: value for flag, value in given.items() if flag not in own}
    make_config(**settings)  # reports wrong values before anything is read
    options = Options(
        **{flag: value for flag, value in given.items() if flag in own and flag != "inputs"},
        inputs=tuple(given.get("inputs", ())),
        settings=settings,
    )
    _check_combinations(options)
    return options


def _check_combinations(options: Options) -> None:
    """Raises a `UserError` for flags that exclude each other or lack another one."""
    figure = options.figure
    if figure and figure.suffix and figure.suffix.lower() not in FIGURE_SUFFIXES:
        raise UserError(
            f"--figure {figure}: wanted a file ending in {', '.join(FIGURE_SUFFIXES)}, or a folder"
        )
    outputs = ("json", "csv", "figure", "save_features", "top")
    useless = [name for name in outputs if getattr(options, name) is not None]
    if options.export and useless:
        raise UserError(
            f"--export writes the network and predicts nothing; run --{useless[0]} without it"
        )
    if not options.export and not options.inputs:
        raise UserError(
            "no INPUT: wanted feature files (.npy), videos or folders of them; --export needs none"
        )


def _add_own_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "inputs",
        nargs="*",
        type=Path,
        metavar="INPUT",
        help="feature files (.npy), videos, and folders of them; video names are file names "
        "without the ending",
    )
    group = parser.add_argument_group("checkpoint")
    _add_paths(
        group,
        checkpoint="FILE of this program or of an official implementation",
        class_names="FILE with the class names in index order, one per line [those of the "
        "checkpoint]",
        durations="FILE with the durations of the videos, for feature files with --snippet_timing "
        "duration: annotations (gt.json), or JSON {video: seconds}",
    )
    group = parser.add_argument_group("output")
    _add_paths(
        group,
        json="FILE for the segments, as a prediction file in ActivityNet form",
        csv="FILE for the segments as a table: video, label, start and end in seconds, score",
        figure="FILE (.png, .pdf, .svg) for the timeline of the video; for several videos "
        "FILE-<video>.png, or a folder",
    )
    group.add_argument(
        "--top",
        type=_at_least(1),
        metavar="N",
        help="only the N highest-scoring segments of each video [all in files, 10 in the table]",
    )
    group.add_argument(
        "--min_score", type=_finite, metavar="X", help="only segments with at least this score"
    )
    group.add_argument(
        "--sort", choices=("score", "time"), help="order of the segments in the table [score]"
    )
    group.add_argument("--quiet", action="store_true", help="print no table")
    _add_extraction_flags(parser.add_argument_group("features of videos (docs/YOUR_DATA.md)"))
    group = parser.add_argument_group("export (docs/ONNX.md)")
    _add_paths(
        group,
        export="FILE (.onnx) for the network; it is checked against torch with random snippets and "
        "those of the INPUT feature files, and nothing is predicted",
    )


def _add_extraction_flags(group: "argparse._ArgumentGroup") -> None:
    _add_paths(
        group,
        rgb_weights="FILE of the RGB network, such as rgb_imagenet.pt",
        flow_weights="FILE of the flow network, such as flow_imagenet.pt",
    )
    group.add_argument(
        "--streams",
        choices=STREAMS,
        help="streams of the features; auto follows from the channels of the checkpoint: both for "
        "2,048, for 1,024 that of the given weights, rgb if both are given [auto]",
    )
    group.add_argument(
        "--window_frames",
        type=_at_least(1),
        metavar="N",
        help="frames that a snippet shows; their stride is --snippet_frames [16]",
    )
    group.add_argument(
        "--extraction_batch",
        type=_at_least(1),
        metavar="N",
        help="snippets that the networks compute at a time [4]",
    )
    _add_paths(group, save_features="DIR for the features of the videos, one .npy each")


def _add_paths(group: "argparse._ArgumentGroup", **flags: str) -> None:
    """Adds flags for paths; the first word of each help text is the placeholder of its value."""
    for flag, text in flags.items():
        metavar, _, rest = text.partition(" ")
        group.add_argument(
            f"--{flag}",
            type=Path,
            metavar=metavar,
            required=flag == "checkpoint",
            help=f"{'file' if metavar == 'FILE' else 'folder'} {rest}",
        )


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value}: must be >= {least}")
        return value

    number.__name__ = "int"  # in the message about a text that is no number
    return number


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text}: wanted a finite number")
    return value


_finite.__name__ = "float"

"""Draws how FTCL-Net aligns pairs of videos: FSD and LCS over the similarities of their snippets.

    python tools/alignment_figure.py --checkpoint data/demo/save/ftcl/ftcl/THUMOS_latest.pth \\
        --data_dir data/demo --output alignment.pdf
    python tools/alignment_figure.py --checkpoint F --data_dir DIR --videos A B --output figure.svg

Without --videos, the first two videos of the split with equal classes are the positive pair, and
the first of them with the first video without a common class the negative one.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from config.command_line import add_settings, make_parser
from config.model_config import Config, make_config, settings_of
from eval.report.figure_files import PAPER_DPI, check_figure_path, write_figure
from utils.errors import Problems, UserError, command
from utils.interrupts import interrupts_exit

if TYPE_CHECKING:
    from dataset.dataset import Split
    from dataset.found_data import FoundData

PROGRAM = "tools/alignment_figure.py"
DESCRIPTION = (
    "Draws how FTCL-Net aligns pairs of videos: the FSD and the LCS path over the similarities of\n"
    "their candidate snippets. Settings are those of the checkpoint; flags override them."
)
SETTINGS = (
    *("dataset", "data_dir", "layout", "channel_order", "feature_axes", "blocked_videos"),
    *("label_aliases", "class_names", "ignore_labels", "num_snippets", "frames_per_second"),
    *("snippet_frames", "snippet_timing", "device", "gpu", "precision", "num_workers"),
)


@command(PROGRAM)
def main() -> None:
    """Checks the flags, aligns the pairs, prints their scores and writes the figure."""
    options, settings = parse_options()
    with interrupts_exit(PROGRAM):  # torch takes seconds
        from dataset.classes import find_classes
        from dataset.found_data import find_data
        from dataset.from_config import reading_options
        from eval.report.alignment_figure import describe, draw_alignments
        from prediction.alignment import load_aligner
        from record.checkpoint import read_checkpoint, stored_classes
        from utils.device import choose_device
    checkpoint = read_checkpoint(options.checkpoint)
    trained = {"dataset": "THUMOS", **settings_of(checkpoint)}
    own = {"test": True, "checkpoint": str(options.checkpoint)}
    config = make_config(**{**trained, **settings, **own})
    classes = find_classes(config, stored_classes(checkpoint, options.checkpoint))
    device = choose_device(config.device, config.gpu, config.precision, config.deterministic)
    aligner = load_aligner(checkpoint, config, classes.names, device)
    problems = Problems()
    found = find_data(
        Path(config.data_dir),
        classes.names,
        [options.split],
        problems,
        **reading_options(config, classes),
    )
    problems.raise_if_any(f"data directory {config.data_dir}")
    pairs = choose_pairs(found, options, aligner.config)
    chosen = list(dict.fromkeys(index for pair in pairs for index in pair))
    split = read_videos(found, options.split, chosen, config).to(device.device)
    aligned = [aligner(split, *(chosen.index(index) for index in pair)) for pair in pairs]
    print("\n".join(describe(aligned)))
    write_figure(options.output, draw_alignments(aligned), PAPER_DPI)
    print(f"figure: {options.output}")


def parse_options(
    arguments: Sequence[str] | None = None,
) -> tuple[argparse.Namespace, dict[str, Any]]:
    """The options of this command, and the settings that were given, by flag.

    Args:
        arguments: Instead of `sys.argv[1:]`.

    Raises:
        UserError: For an unknown flag or a wrong value.
    """
    parser = make_parser(PROGRAM, "%(prog)s --checkpoint FILE --output FILE [flags]", DESCRIPTION)
    parser.add_argument(
        "--checkpoint", type=Path, required=True, metavar="FILE", help="checkpoint of an FTCL-Net"
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="figure: .png, .pdf or .svg"
    )
    parser.add_argument(
        "--videos",
        nargs="+",
        metavar="VIDEO",
        help="two videos, or three: the first is aligned with each of the others [a positive and a "
        "negative pair]",
    )
    parser.add_argument(
        "--split", choices=("test", "train"), help="split of the videos [test]", default="test"
    )
    add_settings(parser, SETTINGS)
    given = vars(parser.parse_args(arguments))
    own = {name: given.pop(name, None) for name in ("checkpoint", "output", "videos", "split")}
    options = argparse.Namespace(**own)
    check_figure_path(options.output, "--output")
    if options.videos and len(options.videos) not in (2, 3):
        raise UserError(f"--videos {' '.join(options.videos)}: wanted two or three videos")
    return options, given


def choose_pairs(
    found: "FoundData", options: argparse.Namespace, config: Config
) -> list[tuple[int, int]]:
    """The pairs to draw, as indices of videos of the split.

    Raises:
        UserError: If a video is not in the split, or if no two videos share a class.
    """
    from prediction.chosen_pairs import default_pairs, named_pairs

    names, files = found.names[options.split], found.files[options.split]
    if options.videos:
        return named_pairs(options.videos, names, options.split)
    labels = [set(found.database[name].labels) & set(found.classes) for name in names]
    pairs = default_pairs(labels, [file.shape[0] for file in files], config.lcs_len)
    if not pairs:
        raise UserError(
            f"no two of the {len(names)} videos of the {options.split} split share a class; name "
            "videos with --videos A B, or give another --split"
        )
    return pairs


def read_videos(found: "FoundData", split: str, chosen: Sequence[int], config: Config) -> "Split":
    """Reads the features of some videos of a split.

    Raises:
        UserError: If a feature has NaN or infinite values.
    """
    from dataset.dataset import Split, label_matrix
    from dataset.features.reading import read_features

    problems = Problems()
    files = [found.files[split][index] for index in chosen]
    videos = [found.database[found.names[split][index]] for index in chosen]
    features = read_features(
        files, True, config.num_workers, problems, lambda block: None, lambda: None
    )
    problems.raise_if_any(f"data directory {config.data_dir}")
    spans = tuple(v.duration for v in videos) if config.snippet_timing == "duration" else ()
    return Split(videos, features, label_matrix(videos, found.classes), {}, spans)


if __name__ == "__main__":
    main()

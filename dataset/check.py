"""The command `python -m dataset.check DIR`: examines a data directory before training.

Prints what the directory contains, statistics of the features beside those of real I3D features,
warnings about whatever looks wrong, with the flag that helps, and all problems at which training
would stop. The exit status is 1 if there is such a problem, otherwise 0. Without --dataset, the
data set is custom: its classes are the labels of the training videos.
"""

import io
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, fields
from pathlib import Path

if not __package__:  # run by its path: import from the root of the repository, as with -m
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from config.command_line import add_settings, make_parser
from config.model_config import Config, make_config
from utils.errors import Problems, command
from utils.interrupts import interrupts_exit

with interrupts_exit("dataset.check"):
    from dataset.check_report import SPLITS, class_table, feature_table, split_table
    from dataset.classes import find_classes
    from dataset.data_warnings import data_warnings
    from dataset.feature_warnings import feature_warnings
    from dataset.features.reading import read_features
    from dataset.found_data import FoundData, find_data
    from dataset.from_config import reading_options
    from dataset.statistics import FeatureStatistics, measure_features
    from dataset.timing import SnippetTiming
    from utils.progress import progress_bar

WARNING = "warning: "
GROUPS = ("data", "snippets")
NOT_FOR_CHECK = {"data_dir", "save_dir", "feature_memory", "num_snippets"}


@dataclass(frozen=True)
class Examination:
    """What was found in a data directory.

    Attributes:
        data: Annotations, splits and feature files.
        timing: When its snippets start, according to the settings.
        statistics: Of the features; None if no file could be read.
        notes: Lines about how the directory was read.
        warnings: What is doubtful.
        problems: At which training would stop.
    """

    data: FoundData
    timing: SnippetTiming
    statistics: FeatureStatistics | None
    notes: list[str]
    warnings: list[str]
    problems: list[str]

    def text(self) -> str:
        """The report."""
        parts = ["\n".join(self.notes), split_table(self.data, self.timing)]
        if self.data.classes:
            parts.append(class_table(self.data))
        if self.statistics:
            parts.append(feature_table(self.statistics))
        for title, found in (("problems", self.problems), ("warnings", self.warnings)):
            if found:
                parts.append("\n".join([f"{title}:", *(f"  - {line}" for line in found)]))
        return "\n\n".join(filter(None, parts))

    def conclusion(self) -> str:
        """The last line."""
        counts = f"{_number(self.problems, 'problem')}, {_number(self.warnings, 'warning')}"
        return f"{counts}: training {'would stop' if self.problems else 'can start'}"


def examine(config: Config) -> Examination:
    """Examines the data directory of the settings; reads every feature file.

    Raises:
        UserError: If there is no such directory, or if the file of a flag cannot be read.
    """
    problems, printed = Problems(), io.StringIO()
    classes = find_classes(config)
    options = reading_options(config, classes)
    with redirect_stdout(printed):
        data = find_data(Path(config.data_dir), classes.names, SPLITS, problems, **options)
    lines = printed.getvalue().splitlines()
    statistics = _measure(data, config.num_workers, problems)
    warnings = [line.removeprefix(WARNING) for line in lines if line.startswith(WARNING)]
    warnings += data_warnings(data, options["timing"])
    warnings += feature_warnings(statistics) if statistics else []
    notes = [line for line in lines if not line.startswith(WARNING)]
    return Examination(data, options["timing"], statistics, notes, warnings, problems.messages)


def _measure(data: FoundData, workers: int, problems: Problems) -> FeatureStatistics | None:
    """Statistics of the files with the common number of channels; the others are only checked."""
    files = [file for found in data.files.values() for file in found]
    widths = Counter(file.shape[1] for file in files)
    common = widths.most_common(1)[0][0] if widths else 0
    usual = [file for file in files if file.shape[1] == common]
    others = [file for file in files if file.shape[1] != common]
    with progress_bar(len(files), "file", "reading features") as bar:
        read_features(others, False, workers, problems, lambda _: None, bar.update)
        return measure_features(usual, workers, problems, bar.update)


def _number(lines: Sequence[str], name: str) -> str:
    return f"{len(lines) or 'no'} {name}{'' if len(lines) == 1 else 's'}"


@command("dataset.check")
def main() -> None:
    """Examines the directory, prints the report and exits with its status."""
    description = __doc__.partition("\n\n")[2]
    parser = make_parser("dataset.check", "python -m %(prog)s DIR [flags]", description)
    parser.add_argument("data_dir", metavar="DIR", help="data directory")
    settings = [
        setting.name
        for setting in fields(Config)
        if setting.metadata["group"] in GROUPS and setting.name not in NOT_FOR_CHECK
    ]
    add_settings(parser, ["dataset", *settings])
    config = make_config(**{"dataset": "custom", **vars(parser.parse_args())})
    found = examine(config)
    print(f"{found.text()}\n\n{found.conclusion()}")
    if found.problems:
        sys.exit(1)


if __name__ == "__main__":
    main()

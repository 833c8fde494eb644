"""The tables of tools/ablation.py, and which control belongs to a variant."""

from typing import Any

import pytest

from tools.ablation import BASELINE, CONTROL, FLAGS, control_of, seen_table, table
from tools.runs import MAIN_METRIC


def run(*averages: float, **values: float) -> list[dict[str, Any]]:
    """The metrics of a run of which the first epoch was not evaluated."""
    return [{"epoch": 1}, *({MAIN_METRIC: average, **values} for average in averages)]


@pytest.mark.parametrize(
    ("variant", "control"),
    [
        ("both", CONTROL),
        ("distinct, attention", CONTROL),
        ("both, resampled", "control, resampled"),
        ("rate x 3", "control, rate x 3"),
        ("control, rate x 3", "control, rate x 3"),
        (CONTROL, CONTROL),
    ],
)
def test_a_variant_is_compared_with_the_control_of_its_rate_and_pairs(
    variant: str, control: str
) -> None:
    assert variant in FLAGS
    assert control_of(variant) == control


def test_differences_are_those_of_the_same_seed() -> None:
    runs = {
        BASELINE: [run(1.0, 5.0), run(3.0, 2.0)],
        CONTROL: [run(10.0), run(20.0)],
        "lcs": [run(11.0, 12.0), run(25.0, 24.0)],
    }
    lines = table(runs, [0, 1]).splitlines()
    assert lines[2] == "| ACM-Net |  | 3.50 ± 2.12 | 4.00 ± 1.41 |  | 5.00 2.00 |"
    flags, gain = "`--without_fsd`", "+3.00 ± 1.41"
    assert lines[4] == f"| lcs | {flags} | 18.00 ± 8.49 | 18.50 ± 9.19 | {gain} | 12.00 24.00 |"


def test_what_the_losses_saw_is_the_mean_over_the_seeds() -> None:
    runs = {
        CONTROL: [run(1.0, **{"norm/instance": 30.0}), run(1.0, **{"norm/instance": 40.0})],
        "both": [run(1.0, **{"lcs match share": 0.25})],
    }
    lines = seen_table(runs).splitlines()
    assert lines[2:] == ["| control |  | 35 |  |  |", "| both | 0.25 |  |  |  |"]

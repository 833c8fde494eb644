"""tools/gpu_day.sh goes on after a failure and after a time limit, and writes one table."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "tools" / "gpu_day.sh"
PYTHON = """#!/bin/sh
case "$*" in
  *benchmarks/training.py*) echo "step 1 | 2"; exit 3 ;;
  *benchmarks/growth.py*) exec sleep 60 ;;
  *tools/recipe.py*) echo "complete recipe: 2.0 minutes for $*" ;;
  *) echo "called with $*" ;;
esac
"""

pytestmark = pytest.mark.skipif(
    shutil.which("bash") is None or shutil.which("timeout") is None, reason="needs bash and timeout"
)


def day(output: Path, *parts: str) -> list[list[str]]:
    """Runs the script with a stand-in for Python and returns the cells of its table."""
    python = output.parent / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": str(python), "LIMIT": "1"}
    subprocess.run([SCRIPT, output, *parts], env=environment, check=True, capture_output=True)
    lines = (output / "table.md").read_text().splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_part_is_in_the_table_whatever_became_of_it(tmp_path: Path) -> None:
    head, rule, *rows = day(tmp_path / "out")
    assert head == ["part", "command", "state", "seconds", "output"]
    assert rule == ["---"] * 5
    state = {row[0]: row[2] for row in rows}
    assert state.pop("training") == "failed (status 3)"
    assert state.pop("growth") == "stopped after 1 s"
    assert set(state.values()) == {"done"}
    parts = ["environment", "tests", "alignment", "memory"]
    parts += [f"{n}-{p}" for n in ("concurrent", "extraction", "recipe") for p in ("tf32", "bf16")]
    assert sorted(state) == sorted(parts)
    output = {row[0]: row[4] for row in rows}
    assert output["training"] == "step 1 / 2<br>"  # a bar would end the cell
    assert "--acm_epochs 500 --ftcl_epochs 25" in output["recipe-bf16"]
    command = {row[0]: row[1] for row in rows}
    assert "--output OUTPUT/recipe-tf32" in command["recipe-tf32"]


def test_single_parts_keep_the_rows_of_the_others(tmp_path: Path) -> None:
    first = day(tmp_path / "out", "alignment", "training")
    assert [row[0] for row in first[2:]] == ["training", "alignment"]
    second = day(tmp_path / "out", "memory")
    assert [row[0] for row in second[2:]] == ["training", "alignment", "memory"]

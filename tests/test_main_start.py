"""Commands start fast, and Ctrl-C while they load their libraries gives no traceback."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# They take about a second or more, which --help and a mistyped flag must not wait for.
SLOW_LIBRARIES = ("torch", "pandas", "sklearn", "scipy", "matplotlib", "wandb")
REPORT_IMPORTS = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print("imported:", *sys.modules)
"""
# Sends Ctrl-C to the process when the import of a module begins.
INTERRUPT_IMPORT = """
import os, signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored under some shells

class Interrupter:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["INTERRUPT_IMPORT_OF"]:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupter())
"""


@pytest.mark.parametrize("program", ["main_thu.py", "main_act.py"])
@pytest.mark.parametrize(
    ("flag", "status"), [("--help", 0), ("--epoch", 2), ("--lr=0", 2), ("--dataset=UCF", 2)]
)
def test_help_and_mistyped_flags_load_no_slow_library(program: str, flag: str, status: int) -> None:
    done, imported = run_and_list_imports(program, flag)
    assert done.returncode == status, done.stderr
    assert "usage:" in done.stdout or f"{program}: error: " in done.stderr
    assert not set(SLOW_LIBRARIES) & imported


@pytest.mark.parametrize(
    "path",
    ["record/summary.py", "eval/summary.py", "eval/detection", "dataset/features"],
)
def test_help_of_the_other_commands_loads_no_slow_library(path: str) -> None:
    done, imported = run_and_list_imports(path, "--help")
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout
    assert not set(SLOW_LIBRARIES) & imported


def run_and_list_imports(*words: str) -> tuple["subprocess.CompletedProcess[str]", set[str]]:
    """Runs a command in a process of its own; also returns the names of the loaded modules."""
    done = subprocess.run(
        [sys.executable, "-c", REPORT_IMPORTS, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    imported = set(done.stdout.rpartition("imported:")[2].split())
    assert "argparse" in imported
    return done, imported


@pytest.mark.parametrize(
    ("words", "program", "modules"),
    [
        ("main_thu.py", "main_thu.py", ["torch", "torch.nn", "numpy", "tqdm"]),
        ("main_act.py", "main_act.py", ["torch", "numpy"]),
        ("-m dataset.features", "dataset.features", ["numpy", "tqdm"]),
        ("-m dataset.synthetic", "python -m dataset.synthetic", ["numpy"]),
        ("-m eval.detection", "eval.detection", ["numpy"]),
        ("-m record.summary run", "record.summary", ["pandas", "numpy"]),
        ("-m eval.summary run", "record.summary", ["pandas"]),
    ],
)
def test_ctrl_c_during_an_import_gives_no_traceback(
    tmp_path: Path, words: str, program: str, modules: list[str]
) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPT_IMPORT)
    for module in modules:
        done = subprocess.run(
            [sys.executable, *words.split()],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(tmp_path), "INTERRUPT_IMPORT_OF": module},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 130, (module, done.stderr)
        assert done.stderr == f"\n{program}: interrupted\n"


@pytest.mark.slow
def test_ctrl_c_at_any_moment_of_the_start_gives_no_traceback(tmp_path: Path) -> None:
    moments = random.Random(0)
    for _ in range(40):
        process = subprocess.Popen(
            [sys.executable, "main_thu.py", "--data_dir", str(tmp_path)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell may have started the tests with Ctrl-C ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        time.sleep(moments.uniform(0.5, 3.0))  # the flags are checked within 0.5 s
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode in (130, 2), errors  # 2: it had already missed the data
        assert "Traceback" not in errors

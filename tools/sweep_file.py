"""Reads a sweep file of wandb, draws the values of its parameters, makes the command of a run."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import islice, product
from pathlib import Path
from typing import Any

from config.model_config import Config
from config.setting import flag_of
from utils.errors import UserError, first_line, shown

DEFAULT_COMMAND = ("${env}", "${interpreter}", "${program}", "${args_no_boolean_flags}")
METHODS = ("grid", "random")
CONSTANT, CATEGORICAL = "constant", "categorical"
UNIFORM, INT_UNIFORM, LOG_UNIFORM = "uniform", "int_uniform", "log_uniform_values"
KEYS = {"value", "values", "min", "max", "distribution"}


@dataclass(frozen=True)
class Parameter:
    """A parameter of a sweep: a flag and how its value is drawn.

    Attributes:
        distribution: One of those that wandb calls constant, categorical, uniform, int_uniform and
            log_uniform_values.
        values: The values of the first two.
        low, high: The range of the others.
    """

    distribution: str
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0

    def draw(self, generator: random.Random) -> Any:
        """Draws a value."""
        if self.values:
            return generator.choice(self.values)
        if self.distribution == INT_UNIFORM:
            return generator.randint(int(self.low), int(self.high))
        if self.distribution == LOG_UNIFORM:
            exponent = generator.uniform(math.log(self.low), math.log(self.high))
            return float(f"{math.exp(exponent):.6g}")
        return float(f"{generator.uniform(self.low, self.high):.6g}")


@dataclass(frozen=True)
class Sweep:
    """A sweep file.

    Attributes:
        path: The file.
        program: Program of the runs.
        method: How wandb chooses the values: grid, random or bayes.
        parameters: By flag.
        command: Command of a run, with the macros of wandb.
    """

    path: Path
    program: str
    method: str
    parameters: Mapping[str, Parameter]
    command: Sequence[str]

    def without(self, flags: set[str]) -> dict[str, Parameter]:
        """The parameters except for those whose value is given by a flag."""
        return {name: p for name, p in self.parameters.items() if name not in flags}


def read_sweep(path: Path) -> Sweep:
    """Reads a sweep file.

    Raises:
        UserError: If it cannot be read or is not a sweep of this program, naming the parameter.
    """
    try:
        import yaml
    except ImportError as error:
        raise UserError(f"{path} needs the package pyyaml: pip install pyyaml") from error
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"sweep file {path}: {error.strerror}; check --sweep") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"sweep file {path} is not YAML: {first_line(error)}") from error
    parameters = content.get("parameters") if isinstance(content, dict) else None
    if not isinstance(parameters, dict) or not parameters:
        raise UserError(f"sweep file {path} has no parameters; wanted `parameters:` with flags")
    flags = {flag_of(setting) for setting in fields(Config)}
    for name in parameters:
        if name not in flags:
            raise UserError(
                f"sweep file {path}, parameter {shown(name)}: no flag of the program has this "
                "name, see docs/FLAGS.md"
            )
    return Sweep(
        path,
        str(content.get("program", "main_thu.py")),
        str(content.get("method", "random")),
        {name: _parameter(f"{path}, parameter {name}", p) for name, p in parameters.items()},
        tuple(map(str, content.get("command") or DEFAULT_COMMAND)),
    )


def _parameter(where: str, content: Any) -> Parameter:
    """Reads a parameter, which is given by a value, by values, or by a range."""
    if not isinstance(content, dict) or not content or set(content) - KEYS:
        raise UserError(f"sweep file {where}: {shown(content)}; wanted {', '.join(sorted(KEYS))}")
    if "value" in content:
        return Parameter(CONSTANT, (content["value"],))
    if "values" in content:
        values = content["values"]
        if not isinstance(values, list) or not values:
            raise UserError(f"sweep file {where}: values {shown(values)}; wanted a list")
        return Parameter(CATEGORICAL, tuple(values))
    low, high = content.get("min"), content.get("max")
    if not (isinstance(low, int | float) and isinstance(high, int | float)):
        raise UserError(
            f"sweep file {where}: min {low!r}, max {high!r}; wanted two numbers (in YAML 1.0e-4, "
            "since 1e-4 is text)"
        )
    whole = isinstance(low, int) and isinstance(high, int)
    kind = content.get("distribution", INT_UNIFORM if whole else UNIFORM)
    if kind not in (UNIFORM, INT_UNIFORM, LOG_UNIFORM):
        known = ", ".join((UNIFORM, INT_UNIFORM, LOG_UNIFORM))
        raise UserError(f"sweep file {where}: distribution {shown(kind)}; drawn here are {known}")
    if not low < high or (kind == LOG_UNIFORM and low <= 0):
        above = "0 < min < max" if kind == LOG_UNIFORM else "min < max"
        raise UserError(f"sweep file {where}: min {low}, max {high}; wanted {above}")
    return Parameter(kind, (), low, high)


def draw_values(
    parameters: Mapping[str, Parameter], method: str, runs: int, seed: int
) -> list[dict[str, Any]]:
    """The values of every run.

    Args:
        parameters: By flag.
        method: "grid" takes all combinations in order, "random" draws each run on its own.
        runs: Largest number of runs.
        seed: Seed of the draws.

    Raises:
        UserError: If the method is unknown, or a grid has a parameter with a range.
    """
    if method == "random":
        generator = random.Random(seed)
        return [{n: p.draw(generator) for n, p in parameters.items()} for _ in range(runs)]
    if method != "grid":
        raise UserError(
            f"method {method} needs the wandb server; drawn here are {' and '.join(METHODS)}, see "
            "--method"
        )
    for name, parameter in parameters.items():
        if not parameter.values:
            raise UserError(
                f"parameter {name} has a range, of which there is no grid; list its values, or use "
                "--method random"
            )
    grid = product(*(parameter.values for parameter in parameters.values()))
    return [dict(zip(parameters, values, strict=True)) for values in islice(grid, runs)]


def run_command(sweep: Sweep, values: Mapping[str, Any], interpreter: str) -> list[str]:
    """The command of a run, as `wandb agent` makes it.

    Args:
        sweep: The sweep file.
        values: Values of the parameters by flag; a true one is a flag without a value, a false one
            is left out.
        interpreter: The Python to run.
    """
    flags = [f"--{name}" if v is True else f"--{name}={v}" for name, v in values.items()]
    given = [f for f, v in zip(flags, values.values(), strict=True) if v is not False]
    macros = {
        "${env}": ["/usr/bin/env"],
        "${interpreter}": [interpreter],
        "${program}": [sweep.program],
        "${args}": [f"--{name}={value}" for name, value in values.items()],
        "${args_no_boolean_flags}": given,
    }
    return [part for chunk in sweep.command for part in macros.get(chunk, [chunk])]

"""The house stays as it is laid out: imports go one way."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = ["config", "dataset", "models", "engine", "eval", "stages", "runs", "main_thu"]
FILES = sorted(
    path
    for name in [*ORDER, "utils"]
    for path in (
        [ROOT / f"{name}.py"] if (ROOT / f"{name}.py").exists() else (ROOT / name).glob("*.py")
    )
)


def room(path: Path) -> str:
    """The top-level package or module that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Top-level names that a file imports."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    own = room(path)
    ours = imported(path) & {*ORDER, "utils"}
    if own == "utils":
        allowed = {"utils"}
    else:
        allowed = {"utils", *ORDER[: ORDER.index(own) + 1]}
        if own == "models":
            allowed -= {"config", "dataset"}  # networks see neither settings nor files
        if own == "eval":
            allowed -= {"engine"}  # evaluation needs arrays, not networks
    assert ours <= allowed


def test_the_evaluation_command_does_not_need_torch() -> None:
    for path in (ROOT / "eval").glob("*.py"):
        assert "torch" not in imported(path), path

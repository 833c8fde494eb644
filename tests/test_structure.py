"""The repository keeps its structure: imports go one way, and without circles."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A place may import those to its left, and itself.
ORDER = [
    *("utils", "models", "config", "dataset", "record", "eval"),
    *("engine", "build", "experiment", "main_thu"),
]
FILES = sorted(
    path
    for name in ORDER
    for path in (
        [ROOT / f"{name}.py"] if (ROOT / f"{name}.py").exists() else (ROOT / name).rglob("*.py")
    )
)


def place(path: Path) -> str:
    """The top-level package or module that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def module(path: Path) -> str:
    """The dotted name of a file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> set[str]:
    """Dotted names of the modules that a file imports, also inside functions."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def top(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    own = place(path)
    allowed = set(ORDER[: ORDER.index(own) + 1])
    if own in ("utils", "models"):
        allowed = {own}  # utils know nothing of the method, networks see neither files nor settings
    if own in ("dataset", "record", "eval"):
        allowed -= {"models"}  # they need arrays and tensors, not networks
    assert top(imported(path)) & set(ORDER) <= allowed


def test_no_import_circles() -> None:
    files = {module(path): path for path in FILES}
    graph = {name: imported(path) & files.keys() - {name} for name, path in files.items()}
    left = dict(graph)
    while free := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in free:
            del left[name]
    assert not left


def test_the_evaluation_does_not_need_torch() -> None:
    for path in (ROOT / "eval").rglob("*.py"):
        assert "torch" not in top(imported(path)), path

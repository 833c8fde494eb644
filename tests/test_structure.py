"""The structure of the repository: imports go one way, without circles, and CUDA has one place."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Packages and modules; each may import those to its left, and itself.
ORDER = [
    *("utils", "models", "extraction", "config", "dataset", "record", "eval"),
    *("engine", "build", "prediction", "predict", "experiment", "main_thu", "main_act"),
]
SCRIPTS = ["tools", "benchmarks"]  # may import everything, and are imported by no package
CUDA_ALLOWED = {
    "utils/device.py",
    "utils/seed.py",  # the random state of the GPU belongs to a checkpoint
    "utils/distributed.py",  # the name of the backend
    "config/model_config.py",  # the value of --device
    "extraction/command.py",  # likewise
}
# Starting the program with --help must not wait for these.
SLOW_TO_IMPORT = {"torch", "numpy", "scipy", "pandas", "matplotlib", "wandb"}


def python_files(name: str) -> list[Path]:
    """The files of a package, or of a module."""
    module = ROOT / f"{name}.py"
    return [module] if module.exists() else sorted((ROOT / name).rglob("*.py"))


FILES = [path for name in ORDER for path in python_files(name)]
SCRIPT_FILES = [path for name in SCRIPTS for path in python_files(name)]


def label(path: Path) -> str:
    """The path of a file from the root of the repository."""
    return path.relative_to(ROOT).as_posix()


def place(path: Path) -> str:
    """The package or module at the root to which a file belongs."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def module_name(path: Path) -> str:
    """The dotted name of a file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(nodes: Iterator[ast.AST] | list[ast.stmt]) -> set[str]:
    """Dotted names of the modules that the statements import."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names |= {node.module or "", *(f"{node.module}.{a.name}" for a in node.names)}
    return names


def imported(path: Path) -> set[str]:
    """Dotted names of the modules that a file imports, inside functions too."""
    return imports(ast.walk(ast.parse(path.read_text())))


def imported_at_start(path: Path) -> set[str]:
    """Dotted names of the modules that are imported together with a file."""
    return imports(ast.parse(path.read_text()).body)


def top(names: set[str]) -> set[str]:
    """The first parts of dotted names."""
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("path", FILES, ids=label)
def test_imports_go_one_way(path: Path) -> None:
    own = place(path)
    allowed = set(ORDER[: ORDER.index(own) + 1])
    if own in ("utils", "models"):
        allowed = {own}  # utils know nothing of the method, networks neither config nor data
    if own == "extraction":
        allowed = {own, "utils"}  # it makes features, whatever becomes of them
    if own in ("dataset", "record", "eval"):
        allowed -= {"models"}  # they need arrays and tensors, not networks
    assert top(imported(path)) & {*ORDER, *SCRIPTS, "tests"} <= allowed


@pytest.mark.parametrize("path", FILES + SCRIPT_FILES, ids=label)
def test_nothing_imports_the_program(path: Path) -> None:
    assert not {name for name in top(imported(path)) if name.startswith("main_")}


def test_there_are_no_import_circles() -> None:
    files = {module_name(path): path for path in FILES + SCRIPT_FILES}
    left = {name: imported(path) & files.keys() - {name} for name, path in files.items()}
    while free := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in free:
            del left[name]
    assert not left


def test_models_know_neither_files_nor_arrays() -> None:
    for path in python_files("models"):
        assert not top(imported(path)) & {"os", "io", "pathlib", "json", "numpy"}, label(path)


def test_the_evaluation_does_not_need_torch() -> None:
    for path in python_files("eval"):
        assert "torch" not in top(imported(path)), label(path)


def test_flags_are_parsed_without_slow_imports() -> None:
    files = {module_name(path): path for path in FILES}
    seen, pending = set(), {"main_thu", "main_act", "predict", "record.summary", "eval.summary"}
    while pending:
        name = pending.pop()
        seen.add(name)
        names = imported_at_start(files[name])
        assert not top(names) & SLOW_TO_IMPORT, name
        pending |= (names & files.keys()) - seen


@pytest.mark.parametrize("path", FILES, ids=label)
def test_cuda_has_its_place(path: Path) -> None:
    """No other file calls `torch.cuda`, moves a tensor with `.cuda()` or names a device "cuda"."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    attributes = any(isinstance(node, ast.Attribute) and node.attr == "cuda" for node in nodes)
    names = any(
        isinstance(node, ast.Constant) and str(node.value).startswith("cuda") for node in nodes
    )
    assert label(path) in CUDA_ALLOWED or not (attributes or names)


def test_every_file_of_golden_values_is_described(golden: Path) -> None:
    text = (golden / "README.md").read_text()
    assert len(list(golden.glob("*.npz"))) == text.count(".npz: ")
    for path in golden.glob("*.npz"):
        assert f"## {path.name}: " in text

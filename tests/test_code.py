"""The code stays small enough to read."""

import ast
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)


def lines_of_code(path: Path) -> int:
    """Count lines but the blank ones, comments and docstrings."""
    text = path.read_text()
    prose = {
        number
        for node in ast.walk(ast.parse(text))
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None
        for number in range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)
    }
    lines = enumerate(map(str.strip, text.splitlines()), start=1)
    return sum(1 for number, line in lines if line and line[0] != "#" and number not in prose)


def test_no_file_is_longer_than_300_lines() -> None:
    files = [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    lengths = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in files}
    assert {file: length for file, length in lengths.items() if length > 300} == {}


def test_network_language_stays_within_1060_lines_of_code() -> None:
    assert sum(map(lines_of_code, (ROOT / "pipeline" / "networks").glob("*.py"))) <= 1060


COMMANDS = {
    "check",
    "compare",
    "export",
    "inspect",
    "predict",
    "preview",
    "register",
    "summary",
    "verify",
}  # besides the stages


def pipeline_files() -> list[Path]:
    return sorted((ROOT / "pipeline").rglob("*.py"))


def test_top_of_pipeline_holds_stages_commands_errors_and_files() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].keys()
    modules = {path.stem for path in (ROOT / "pipeline").glob("*.py")} - {"__init__"}
    assert modules == {*stages, *COMMANDS, "errors", "files"}


def test_stages_are_arguments_one_call_and_files() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    lengths = {name: len((ROOT / "pipeline" / f"{name}.py").read_text().splitlines()) for name in stages}
    assert {name: length for name, length in lengths.items() if length > 120} == {}


def test_no_function_is_longer_than_50_lines() -> None:
    found = {}
    for path in pipeline_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno + 1 > 50:
                found[f"{path.relative_to(ROOT)}:{node.name}"] = (node.end_lineno or 0) - node.lineno + 1
    assert found == {}


TASKS = "|".join(path.parent.name for path in (ROOT / "pipeline" / "tasks").glob("*/demands.py"))
KINDS = "|".join(
    path.stem for path in (ROOT / "pipeline" / "data" / "targets").glob("[!_]*.py") if path.stem != "kind"
)


def test_nothing_outside_its_folder_names_a_task() -> None:
    names = re.compile(rf"tasks\.(?:{TASKS})\b|\b(?:{TASKS.title()})\b")
    outside = [path for path in pipeline_files() if "tasks" not in path.relative_to(ROOT).parts[1:2]]
    assert {str(path) for path in outside if names.search(code_of(path))} == set()
    for folder in (ROOT / "pipeline" / "tasks").glob("*/"):
        others = re.compile(rf"tasks\.(?!{folder.name}\b)(?:{TASKS})\b")
        assert [path for path in folder.glob("*.py") if others.search(path.read_text())] == []


def test_nothing_outside_targets_tells_kinds_of_targets_apart() -> None:
    telling = re.compile(
        rf"targets\.(?:{KINDS})\b|isinstance\([^)]*\b(?:{KINDS.title()})\b|targets?\.ndim|masks?\.ndim"
    )
    inside = ROOT / "pipeline" / "data" / "targets"
    outside = [path for path in pipeline_files() if not path.is_relative_to(inside)]
    assert {str(path) for path in outside if telling.search(code_of(path))} == set()


def code_of(path: Path) -> str:
    """Return a module without its docstrings and comments."""
    return ast.unparse(ast.parse(path.read_text()))


def test_task_and_kind_patterns_find_what_they_look_for() -> None:
    assert re.search(rf"tasks\.(?:{TASKS})\b", "from pipeline.tasks.segmentation.task import Segmentation")
    assert re.search(rf"targets\.(?:{KINDS})\b", "from pipeline.data.targets.mask import Mask")

"""The code stays small enough to read."""

import ast
from pathlib import Path

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


def test_network_language_stays_within_900_lines_of_code() -> None:
    assert sum(map(lines_of_code, (ROOT / "pipeline" / "networks").glob("*.py"))) <= 900

"""Render the report from the templates in this package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def render(template: str, **values: Any) -> str:
    """Fill a template; text is escaped in HTML, and an undefined name is an error."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = markdown_cell
    return environment.get_template(template).render(**values)


def markdown_cell(value: object) -> str:
    """Escape text for a cell of a Markdown table."""
    escapes: dict[str, str | int | None] = {"&": "&amp;", "<": "&lt;", "|": r"\|", "\n": " "}
    return str(value).translate(str.maketrans(escapes))

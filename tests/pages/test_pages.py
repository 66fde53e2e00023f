"""Pages: templates that refuse a name without a value and escape what they are given."""

from pathlib import Path

import numpy as np
import pytest
from jinja2 import UndefinedError

from pipeline.pages import chapters, render
from pipeline.pages.chapters import PER_CLASS, TITLES
from pipeline.tasks.segmentation.task import Segmentation


@pytest.fixture
def templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(render, "__file__", str(tmp_path / "render.py"))
    return tmp_path


def test_value_that_is_missing_is_an_error(templates: Path) -> None:
    (templates / "page.html.j2").write_text("{{ name }} {{ missing }}")
    with pytest.raises(UndefinedError, match="'missing' is undefined"):
        render.render("page.html.j2", name="a")


def test_text_is_escaped_in_html_and_not_in_markdown(templates: Path) -> None:
    for kind in ("html", "md"):
        (templates / f"page.{kind}.j2").write_text("{{ name }}\n")
    assert render.render("page.html.j2", name="a < b & c") == "a &lt; b &amp; c\n"
    assert render.render("page.md.j2", name="a < b & c") == "a < b & c\n"


@pytest.mark.parametrize(
    ("value", "cell"),
    [("plain", "plain"), (3, "3"), ("a|b", r"a\|b"), ("two\nlines", "two lines"), ("<b>&", "&lt;b>&amp;")],
)
def test_cell_of_a_table_stays_one_cell(value: object, cell: str, templates: Path) -> None:
    (templates / "page.md.j2").write_text("| {{ value | cell }} |")
    assert render.render("page.md.j2", value=value) == f"| {cell} |"


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("accuracy", "accuracy"),
        ("balanced_accuracy", "balanced accuracy"),
        ("macro_f1", "macro F1"),
        ("auroc", "AUROC"),
        ("calibration_error", "calibration error"),
        ("dice", "Dice"),
        ("dice_left_lung", "Dice, left_lung"),
        ("iou_iou", "IoU, iou"),
    ],
)
def test_score_is_named_as_the_field_does(key: str, name: str) -> None:
    assert chapters._score_name(key) == name


DRAWING = ("evaluate", "training/fit", "training/inputs", "training/previews", "trials/results")


def test_every_picture_that_is_drawn_has_a_title() -> None:
    code = Path(chapters.__file__).parents[1]
    drawn = "".join((code / f"{stage}.py").read_text(encoding="utf-8") for stage in DRAWING)
    for name in TITLES:
        assert f'"{name}.png"' in drawn or f'"{name}":' in drawn, f"nobody draws {name}"


def test_scores_per_class_are_those_of_segmentation() -> None:
    task = Segmentation(classes=["a", "b"], background=0, ignore_label=None, dice_weight=1.0)
    assert {key.partition("_")[0] for key in task.scores(np.ones((1, 6)))} == set(PER_CLASS)

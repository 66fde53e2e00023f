"""Chapters of the report: what is told of data, licence, views and intervals."""

import json
from pathlib import Path

import pytest

from pipeline.pages.declared import _views
from pipeline.pages.image_counts import ImageCounts
from pipeline.report import report
from tests.reports import EXPERIMENTS, Page, write_experiment


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    artifacts = tmp_path_factory.mktemp("project") / "artifacts"
    for name in EXPERIMENTS:
        write_experiment(artifacts, name)
    report(artifacts, artifacts / "report")
    return artifacts


@pytest.fixture(scope="module")
def html(artifacts: Path) -> str:
    return (artifacts / "report" / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


@pytest.fixture(scope="module")
def markdown(artifacts: Path) -> str:
    return (artifacts / "report" / "report.md").read_text(encoding="utf-8")


def test_images_are_counted_by_class_and_split(page: Page, markdown: str) -> None:
    assert (
        "class train val test other 1,000 20 30 grey matter 1,001 21 31 error 1,002 22 32 images 3,000 60 90"
        in page.text
    )
    assert "| grey matter | 1001 | 21 | 31 |" in markdown
    assert "| images | 3000 | 60 | 90 |" in markdown


def test_many_classes_are_folded_away(artifacts: Path, tmp_path: Path) -> None:
    counts = {"counts": {"train": 31}, "images_of_classes": {"train": [1] * 31}}
    (tmp_path / "prepared.json").write_text(json.dumps(counts), "utf-8")
    assert ImageCounts.load(tmp_path, [f"class {index}" for index in range(31)]).is_long
    assert not ImageCounts.load(artifacts / "prepare" / "digits_lenet5", list("0123456789")).is_long
    html = (artifacts / "report" / "report.html").read_text(encoding="utf-8")
    assert "classes; images:" not in html


VIEWS = [
    # crops, mirror, the test images are whole, how that is told
    ("centre", False, True, "whole image"),
    ("centre", True, True, "whole image, each also mirrored"),
    ("centre", False, False, "centre"),
    ("corners", True, False, "four corners and centre, each also mirrored"),
]


@pytest.mark.parametrize(("crops", "mirror", "is_whole", "told"), VIEWS)
def test_views_are_told_in_words(crops: str, mirror: bool, is_whole: bool, told: str) -> None:
    assert _views({"crops": crops, "mirror": mirror}, is_whole=is_whole) == told


def test_licence_and_views_have_a_row_of_their_own(page: Page, markdown: str) -> None:
    assert "licence to | be <b>free</b>" in page.text
    assert r"| licence | to \| be &lt;b>free&lt;/b> |" in markdown
    assert "test views whole image" in page.text
    assert "| test views | whole image |" in markdown


def test_scale_of_intervals_is_shown_where_there_are_intervals(html: str) -> None:
    sections = {name: html[html.index(f'<section id="{name}">') :] for name in EXPERIMENTS}
    shown = {name: "<span>0</span>" in each[: each.index("</section>")] for name, each in sections.items()}
    assert shown == {"digits_lenet5": True, "brain_unet": True, "digits_search": False}

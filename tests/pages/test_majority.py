"""The report shows which score selects the epoch, beside the scores of always guessing the majority class."""

from pathlib import Path

import pytest

from pipeline.report import report
from tests.reports import EXPERIMENTS, write_experiment


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a report."""
    root = tmp_path_factory.mktemp("majority")
    for name in EXPERIMENTS:
        write_experiment(root, name)
    report(root, root / "report")
    return root / "report"


def test_markdown_has_a_column_for_the_majority_class(folder: Path) -> None:
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert r"| test score | value | 95 % interval | always guessing g&lt;r>&amp;e\|y |" in text
    assert "| accuracy (selects the epoch) | 0.9501 | 0.9263 to 0.9711 | 0.1023 |\n| AUROC | nan |" in text
    assert "| Dice (selects the epoch) | 0.8942 | 0.8797 to 0.9075 |\n" in text, "masks have no such guess"


def test_page_has_a_column_for_the_majority_class(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert text.count('<th class="n">majority class</th>') == 1
    assert '<td class="n">0.1023</td>' in text
    assert "Majority class: always guessing g&lt;r&gt;&amp;e|y, the most frequent class in training." in text
    assert text.count('<span class="soft">(selects the epoch)</span>') == len(EXPERIMENTS)

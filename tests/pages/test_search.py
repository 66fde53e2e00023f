"""The page of a search: one file with all that was found, whatever keys and values are called."""

import json
import subprocess
import sys
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.pages.search import TrialRow, write_search_page

HOSTILE = "</script><script>alert('&')</script>"
KEYS = [
    ("optimizer.lr", [(0.0, "1e-06"), (0.5, "0.00032"), (1.0, "0.1")]),
    ("optimizer", [(0.25, "sgd"), (0.75, HOSTILE)]),
    ("optimizer.momentum", [(0.0, "0.5"), (1.0, "0.99")]),
    (HOSTILE, [(0.0, "2.6"), (0.01, "2.6"), (1.0, "9")]),
]
NAMES = [name for name, _ in KEYS]


class Page(HTMLParser):
    """What a browser would read: attributes, words outside scripts, rows of the table, figures."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self._is_json = ("type", "application/json") in attrs
        if tag == "tr":
            self.rows.append([])

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script":
            if self._is_json:
                self.figures = {figure["name"]: figure for figure in json.loads(data)}
            return
        self.words.append(data)
        if self.lasttag in {"td", "th"}:
            self.rows[-1].append(data)

    def handle_endtag(self, tag: str) -> None:
        self.lasttag, self._is_json = "", False


def drawn(seed: int, count: int = 12) -> tuple[np.ndarray, list[TrialRow]]:
    """Draw shares and trials in any order; the third key is absent now and then, the first lies outside at times."""
    generator = np.random.default_rng(seed)
    shares = generator.random((count, len(KEYS)))
    shares[:, 0] = 1.3 * shares[:, 0] - 0.15
    shares[generator.random(count) < 0.4, 2] = -1.0
    values, errors = generator.normal(size=count), generator.random(count) * generator.integers(2)
    texts = [[f"{share:.3f}", "sgd", f"m{number}", HOSTILE] for number, share in enumerate(shares[:, 0])]
    order = generator.permutation(count).tolist()
    rows = zip(order, values.tolist(), errors.tolist(), texts, strict=True)
    return shares, [TrialRow(*row) for row in rows]


def written(
    folder: Path, seed: int = 0, *, keys: Sequence[Any] = KEYS, maximizes: bool = True, **changes: Any
) -> Page:
    shares, trials = drawn(seed)
    settings = {
        "title": "digits, <coarse>",
        "shares": shares,
        "trials": trials,
        "importances": dict(zip(NAMES, (0.6, 0.3, 0.1, 0.0), strict=True)),
        "remarks": ["a < b", HOSTILE],
        **changes,
    }
    path = folder / "new folder" / "page.html"
    write_search_page(path, keys=keys, maximizes=maximizes, **settings)
    return Page(path)


def test_page_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = written(tmp_path)
    assert {name for name, _ in page.attributes} & {"src", "href", "srcset", "data", "action"} == set()
    assert {"link", "img", "iframe", "object", "base"} & set(page.tags) == set()
    assert page.tags.count("script") == 3  # plotly.js, the figures, and what draws them
    from plotly.offline import get_plotlyjs

    assert (tmp_path / "new folder" / "page.html").read_text(encoding="utf-8").count(get_plotlyjs()) == 1


def test_same_search_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        written(tmp_path / folder)
    first, second = ((tmp_path / folder / "new folder" / "page.html").read_bytes() for folder in ("a", "b"))
    assert first == second


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("maximizes", [True, False])
def test_table_has_every_trial_and_key_best_first(seed: int, maximizes: bool, tmp_path: Path) -> None:
    shares, trials = drawn(seed)
    page = written(tmp_path, seed, maximizes=maximizes)
    header, *rows = page.rows
    has_errors = any(trial.error for trial in trials)
    assert header == ["trial", "value", *(["error"] if has_errors else []), *NAMES]
    place = {trial.index: number for number, trial in enumerate(trials)}
    assert {int(row[0]) for row in rows} == set(place)
    for row in rows:
        number = place[int(row[0])]
        texts = [
            "absent" if share == -1 else text
            for text, share in zip(trials[number].texts, shares[number], strict=True)
        ]
        assert row[-len(KEYS) :] == texts
    sign = 1 if maximizes else -1
    worth = [sign * trials[place[int(row[0])]].value - trials[place[int(row[0])]].error for row in rows]
    assert worth == sorted(worth, reverse=True)


@pytest.mark.parametrize("maximizes", [True, False])
def test_best_so_far_never_gets_worse(maximizes: bool, tmp_path: Path) -> None:
    _, trials = drawn(1)
    line, dots = written(tmp_path, 1, maximizes=maximizes).figures["best-so-far"]["data"]
    values = [trial.value for trial in sorted(trials, key=lambda trial: trial.index)]
    assert dots["y"] == values
    steps = np.diff(line["y"])
    assert (steps >= 0).all() if maximizes else (steps <= 0).all()
    assert line["y"][0] == values[0]
    assert line["y"][-1] == (max if maximizes else min)(values)


@pytest.mark.parametrize("seed", range(4))
def test_every_value_of_a_trial_has_its_tick_on_a_parallel_axis(seed: int, tmp_path: Path) -> None:
    """A brush takes what lies at ticks only, and ticks of equal texts would fall together."""
    *axes, value = written(tmp_path, seed).figures["parallel"]["data"][0]["dimensions"]
    assert value["label"] == "value"
    for axis in axes:
        low, high = axis["range"]
        assert set(axis["values"]) <= set(axis["tickvals"])
        assert len(axis["tickvals"]) == len(set(axis["ticktext"]))
        assert all(low <= place <= high for place in axis["values"])


@pytest.mark.parametrize("seed", range(4))
def test_absent_key_lies_below_all_that_counts(seed: int, tmp_path: Path) -> None:
    shares, trials = drawn(seed)
    order = np.argsort([trial.index for trial in trials])
    figures = written(tmp_path, seed).figures
    columns = {
        "parallel": [axis["values"] for axis in figures["parallel"]["data"][0]["dimensions"]][:-1],
        "slices": [panel["x"] for panel in figures["slices"]["data"]],
    }
    is_absent = shares[order] == -1
    assert is_absent.any(axis=0).tolist() == [False, False, True, False]
    for places in map(np.transpose, columns.values()):
        assert np.array_equal(places[~is_absent], shares[order][~is_absent])
        assert (places[is_absent] < min(0, places[~is_absent].min())).all()
    hovers = [text for panel in figures["slices"]["data"] for text in panel["hovertext"]]
    assert [" m" in text for text in hovers] == (~is_absent[:, 2]).tolist() * len(KEYS)


def test_absent_is_said_on_the_axis_of_its_key_alone(tmp_path: Path) -> None:
    layout = written(tmp_path).figures["slices"]["layout"]
    assert ["absent" in layout[f"xaxis{number}"]["ticktext"] for number in ("", 2, 3, 4)] == [
        False,
        False,
        True,
        False,
    ]


def test_hover_of_every_dot_tells_trial_and_settings(tmp_path: Path) -> None:
    _, trials = drawn(0)
    indices = sorted(trial.index for trial in trials)
    for panel in written(tmp_path).figures["slices"]["data"]:
        for index, text in zip(indices, panel["hovertext"], strict=True):
            assert f"trial {index}<" in text
            assert "optimizer.lr = " in text


def test_names_and_values_are_text(tmp_path: Path) -> None:
    page = written(tmp_path)
    assert page.words.count(HOSTILE) == 1 + len(drawn(0)[1]) + 1  # header, a cell per trial, a remark
    assert "digits, <coarse>" in page.words
    assert "alert" not in "".join(str(value) for _, value in page.attributes)
    shown = json.dumps([page.figures[name] for name in ("best-so-far", "slices", "importance")])
    assert "&lt;/script&gt;" in shown
    assert "script>" not in shown, "plotly reads some HTML in its texts"


def test_importance_is_left_out_where_there_is_none(tmp_path: Path) -> None:
    figures = written(tmp_path, importances={}, remarks=[]).figures
    assert list(figures) == ["best-so-far", "parallel", "slices"]
    assert "importance" not in json.dumps(figures)


def test_most_important_key_is_on_top(tmp_path: Path) -> None:
    figure = written(tmp_path, importances={"a": 0.2, "b": 0.7, "c": 0.1}).figures["importance"]
    (bars,) = figure["data"]
    top = np.argmax(bars["y"])
    assert (bars["x"][top], bars["hovertext"][top]) == (0.7, "b")


def test_single_trial_of_a_single_key_has_its_page(tmp_path: Path) -> None:
    row = TrialRow(3, 0.5, 0.0, ["0.1"])
    page = written(tmp_path, keys=KEYS[:1], shares=np.array([[0.4]]), trials=[row], importances={})
    assert page.rows == [["trial", "value", "optimizer.lr"], ["3", "0.5", "0.1"]]
    low, high = page.figures["parallel"]["data"][0]["dimensions"][-1]["range"]
    assert low < 0.5 < high


@pytest.mark.parametrize("seed", range(2))
def test_plotly_knows_every_setting_of_the_figures(seed: int, tmp_path: Path) -> None:
    import plotly.graph_objects

    for figure in written(tmp_path, seed).figures.values():
        plotly.graph_objects.Figure(data=figure["data"], layout=figure["layout"])


def test_module_does_not_import_plotly() -> None:
    check = "import sys, pipeline.pages.search; sys.exit('plotly' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", check], cwd=Path(__file__).parents[2], check=False).returncode
        == 0
    )

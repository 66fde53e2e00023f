"""The page of a search: one file with all that was found, whatever hyperparameters and values are called."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from pipeline.pages.search import ERROR, LOSS, write_search_page

OBJECTIVE = "val/accuracy (always guessing the majority class: 0.1023)"
HOSTILE = "</script><script>alert('&')</script>"
SPACE: dict[str, BaseDistribution] = {
    "optimizer": CategoricalDistribution(["sgd", HOSTILE]),
    "optimizer.lr": FloatDistribution(1.0e-6, 0.1, log=True),
    "optimizer.momentum": FloatDistribution(0.5, 0.99),
    "trainer.batch_size": IntDistribution(16, 256, log=True),
    "augmentation.steps.0.p": CategoricalDistribution([0.0, 0.5, 1.0]),
    f"{HOSTILE} $x$ &lt;": CategoricalDistribution(["null", "[1,[2]]"]),
}
NAMES = sorted(SPACE)


class Page(HTMLParser):
    """What a browser would read: attributes, words outside scripts, rows of the table, figures by their titles."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self.figures: dict[str, list[dict[str, Any]]] = {}
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script":
            call = re.search(r'Plotly\.newPlot\(\s*"figure-\d+",\s*', data)
            if call:
                traces, end = json.JSONDecoder().raw_decode(data, call.end())
                layout, _ = json.JSONDecoder().raw_decode(data, data.index("{", end))
                found = {"data": traces, "layout": layout}
                self.figures.setdefault(layout["title"]["text"], []).append(found)
            return
        self.words.append(data)
        if self.lasttag in {"td", "th"}:
            self.rows[-1][-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.lasttag = ""


def drawn(seed: int, count: int = 14) -> list[FrozenTrial]:
    """Draw trials: the first failed, the second was pruned, momentum is absent now and then, some have errors."""
    generator = np.random.default_rng(seed)
    sampler = optuna.samplers.RandomSampler(seed=seed)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    points = optuna.create_study(sampler=sampler)
    endings = {0: TrialState.FAIL, 1: TrialState.PRUNED}
    errors = generator.random(count) * (seed % 2)
    trials = []
    for number in range(count):
        params = points.ask(SPACE).params
        if number % 3 == 2:
            del params["optimizer.momentum"]
        known = {name: SPACE[name] for name in params}
        ending: dict[str, Any] = {
            "value": generator.normal(),
            "user_attrs": {ERROR: errors[number], LOSS: 0.5},
        }
        if number in endings:
            ending = {"state": endings[number]}
        trials.append(create_trial(params=params, distributions=known, **ending))
    return trials


def finished(seed: int) -> dict[int, FrozenTrial]:
    return {n: trial for n, trial in enumerate(drawn(seed)) if trial.state == TrialState.COMPLETE}


def written(
    folder: Path,
    seed: int = 0,
    *,
    trials: Sequence[FrozenTrial] | None = None,
    direction: Any = "maximize",
    importances: Mapping[str, float] | None = None,
) -> Page:
    study = optuna.create_study(study_name="digits, <coarse>", direction=direction)
    study.add_trials(drawn(seed) if trials is None else trials)
    path = folder / "new folder" / "page.html"
    if importances is None:
        importances = dict.fromkeys(NAMES, 1 / len(NAMES))
    write_search_page(path, study, objective=OBJECTIVE, importances=importances, remarks=["a < b", HOSTILE])
    return Page(path)


def test_page_says_what_the_values_are(tmp_path: Path) -> None:
    written(tmp_path)
    page = (tmp_path / "new folder" / "page.html").read_text(encoding="utf-8")
    assert f"the value is {OBJECTIVE}; higher is better" in " ".join(page.split())


def test_page_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = written(tmp_path)
    assert {name for name, _ in page.attributes} & {"src", "href", "srcset", "data", "action"} == set()
    assert {"link", "img", "iframe", "object", "base"} & set(page.tags) == set()
    from plotly.offline import get_plotlyjs

    text = (tmp_path / "new folder" / "page.html").read_text(encoding="utf-8")
    assert text.count(get_plotlyjs()) == 1
    assert text.index(get_plotlyjs()) < text.index("Plotly.newPlot(  "), "it is there before it is called"


def test_same_trials_give_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        written(tmp_path / folder)
    first, second = ((tmp_path / folder / "new folder" / "page.html").read_bytes() for folder in ("a", "b"))
    assert first == second


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_table_has_every_finished_trial_best_first(seed: int, direction: str, tmp_path: Path) -> None:
    trials = finished(seed)
    header, *rows = written(tmp_path, seed, direction=direction).rows
    has_errors = seed % 2
    assert header == ["trial", "value", *(["standard error"] if has_errors else []), *NAMES]
    assert sorted(int(row[0]) for row in rows) == sorted(trials)
    for row in rows:
        trial = trials[int(row[0])]
        assert row[-len(NAMES) :] == [str(trial.params.get(name, "absent")) for name in NAMES]
        assert float(row[1]) == pytest.approx(trial.value, rel=1e-4)
    sign = 1 if direction == "maximize" else -1
    worth = [sign * trials[int(row[0])].value - trials[int(row[0])].user_attrs[ERROR] for row in rows]
    assert worth == sorted(worth, reverse=True)


@pytest.mark.parametrize(("direction", "best"), [("maximize", max), ("minimize", min)])
def test_history_has_the_finished_trials_and_the_best_up_to_each(
    direction: str, best: Any, tmp_path: Path
) -> None:
    trials = finished(1)
    (history,) = written(tmp_path, 1, direction=direction).figures["Optimization History Plot"]
    dots, line = history["data"][:2]
    assert dict(zip(dots["x"], dots["y"], strict=True)) == {n: trial.value for n, trial in trials.items()}
    assert line["y"][:2] == [None, None], "none had finished"
    assert line["line"]["shape"] == "hv", "the best does not change between trials"
    values = [trial.value for trial in trials.values()]
    assert line["y"][2:] == [best(values[: number + 1]) for number in range(len(values))]


def test_trials_that_did_not_finish_are_counted(tmp_path: Path) -> None:
    text = " ".join(" ".join(written(tmp_path).words).split())
    assert f"12 finished trials, 1 pruned, 1 failed; the value is {OBJECTIVE}; higher is better." in text


def test_slices_show_each_hyperparameter_where_it_counts(tmp_path: Path) -> None:
    trials = finished(0)
    page = written(tmp_path)
    panels = {}
    for figure in page.figures["Slice Plot"]:
        for number, trace in enumerate(figure["data"], start=1):
            axis = figure["layout"][f"xaxis{number if number > 1 else ''}"]
            panels[axis["title"]["text"]] = trace["marker"]["color"]
            assert trace["customdata"] == trace["x"], "what a dot tells on hover"
    assert sorted(panels["optimizer.momentum"]) == [n for n in trials if n % 3 != 2]
    others = [numbers for name, numbers in panels.items() if name != "optimizer.momentum"]
    assert len(others) == len(NAMES) - 1
    assert all(sorted(numbers) == list(trials) for numbers in others)


def test_parallel_coordinates_tell_names_of_one_group_apart(tmp_path: Path) -> None:
    (figure,) = written(tmp_path).figures["Parallel Coordinate Plot"]
    shown = figure["layout"]["xaxis"]["ticktext"]
    assert shown[0] == "Objective Value"
    assert "augmentation.steps.0.p" in shown
    lines = [trace for trace in figure["data"] if trace["mode"] == "lines"]
    assert len(lines) == len(finished(0))
    hovers = [dict(line["customdata"]) for line in lines]
    assert sum(hover["optimizer.momentum"] == "None" for hover in hovers) == 4
    assert {hover["augmentation.steps.0.p"] for hover in hovers} == {"0.0", "0.5", "1.0"}


def test_names_and_values_are_text(tmp_path: Path) -> None:
    page = written(tmp_path)
    assert "digits, <coarse>" in page.words
    cells = [cell for row in page.rows for cell in row]
    assert f"{HOSTILE} $x$ &lt;" in cells
    assert HOSTILE in cells
    assert page.words.count(HOSTILE) == cells.count(HOSTILE) + 1, "in the remarks too"
    assert "alert" not in "".join(str(value) for _, value in page.attributes)
    for figures in page.figures.values():
        shown = json.dumps(figures)
        assert "script>" not in shown, "plotly.js reads some HTML in its texts"
    assert "$x$ &amp;lt;" in json.dumps(page.figures["Hyperparameter Importances"])
    assert "<extra></extra>" in json.dumps(page.figures["Slice Plot"]), (
        "plotly.js would say 'trace 0' on hover"
    )


def test_importance_is_left_out_where_there_is_none(tmp_path: Path) -> None:
    page = written(tmp_path, importances={})
    assert list(page.figures) == ["Optimization History Plot", "Parallel Coordinate Plot", "Slice Plot"]


def test_most_important_hyperparameter_is_on_top(tmp_path: Path) -> None:
    page = written(tmp_path, importances={"a": 0.2, "b": 0.7, "c": 0.1})
    (bars,) = page.figures["Hyperparameter Importances"][0]["data"]
    assert (bars["y"], bars["x"]) == (["c", "a", "b"], [0.1, 0.2, 0.7])  # from the bottom up


@pytest.mark.parametrize("count", [1, 3], ids=["one trial", "equal trials"])
def test_trials_without_a_difference_have_their_page(count: int, tmp_path: Path) -> None:
    space = {"optimizer.lr": FloatDistribution(0.0, 1.0)}
    trial = create_trial(
        params={"optimizer.lr": 0.1}, distributions=space, value=0.5, user_attrs={ERROR: 0.0, LOSS: 0.5}
    )
    page = written(tmp_path, trials=[trial] * count, importances={})
    assert page.rows == [["trial", "value", "optimizer.lr"], *([str(n), "0.5", "0.1"] for n in range(count))]
    assert len(page.figures) == 3


def test_module_imports_neither_plotly_nor_optuna() -> None:
    check = "import sys, pipeline.pages.search; sys.exit(bool({'plotly', 'optuna'} & set(sys.modules)))"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", check], cwd=root, check=False).returncode == 0

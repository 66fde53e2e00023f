"""The page of a search: Optuna's plots of the study, hyperparameter importances, and a table of the trials.

The page is a single HTML file that opens without a server or a network, since plotly.js (MIT) is embedded. The same
input gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.pages.render import render

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial
    from plotly.graph_objects import Figure

ERROR = "standard error"  # user attribute of a completed trial: the standard error of its value
LOSS = "loss"  # likewise: the loss on validation images, which decides between equal values
PANELS = 4  # of the slice plot, at most, in a row
MARGIN = {"l": 80, "r": 80, "t": 60, "b": 70}


def write_search_page(
    path: Path,
    study: Study,
    *,
    objective: str,
    importances: Mapping[str, float],
    remarks: Sequence[str],
) -> None:
    """Write the page of a search.

    Args:
        study: a single-objective study with at least one completed trial; its name is the title of the page.
        objective: what the values of trials are, in words.
        importances: importance of each hyperparameter, summing to 1; empty if unknown.
    """
    from optuna.trial import TrialState
    from optuna.visualization import plot_optimization_history
    from plotly.io import to_html

    trials = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    names = sorted({name for trial in trials for name in trial.params})  # the order of Optuna's plots
    history = plot_optimization_history(study).update_layout(height=340, margin=MARGIN)
    history.update_traces(line_shape="hv", selector={"mode": "lines"})
    figures = [history, _parallel_plot(study, names), *_slice_plots(study, trials, names)]
    if importances:
        figures.append(_importance_plot(importances))
    options = {"full_html": False, "validate": False, "config": {"displayModeBar": False}}
    page = render(
        "search.html.j2",
        study=study,
        objective=objective,
        counts={state.name: sum(trial.state == state for trial in study.trials) for state in TrialState},
        figures=[
            to_html(
                _escaped(figure.to_plotly_json()),
                include_plotlyjs=not number,
                div_id=f"figure-{number}",
                **options,
            )
            for number, figure in enumerate(figures)
        ],
        names=names,
        trials=_best_first(trials, maximizes=study.direction.name == "MAXIMIZE"),
        error=ERROR,
        remarks=remarks,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def _best_first(trials: Sequence[FrozenTrial], *, maximizes: bool) -> list[FrozenTrial]:
    """Return trials by their value made worse by its error; of equal ones, the lower loss comes first."""
    sign = 1 if maximizes else -1
    return sorted(
        trials, key=lambda trial: (trial.user_attrs[ERROR] - sign * trial.values[0], trial.user_attrs[LOSS])
    )


def _parallel_plot(study: Study, names: Sequence[str]) -> Figure:
    """Return Optuna's parallel-coordinate plot; long labels keep their end, which distinguishes groups."""
    from optuna.visualization import plot_parallel_coordinate

    labels = ["Objective Value", *names]
    figure = plot_parallel_coordinate(study).update_layout(height=440, margin=MARGIN)
    figure.layout.width = 90 * len(names) if len(names) > 11 else None
    figure.update_xaxes(ticktext=[_short(label, 24) for label in labels])
    for line in figure.select_traces(selector={"mode": "lines"}):
        texts = [text for _, text in line.customdata]
        line.customdata = list(zip(labels, texts, strict=True))
    figure.for_each_annotation(lambda tick: tick.update(text=_short(tick.text, 14)))
    return figure.update_annotations(bgcolor="rgba(255, 255, 255, 0.7)")


def _slice_plots(study: Study, trials: Sequence[FrozenTrial], names: list[str]) -> list[Figure]:
    """Return Optuna's slice plot in rows; hovering over a dot shows its trial and full value."""
    from optuna.visualization import plot_slice

    distributions = (distribution for trial in trials for distribution in trial.distributions.values())
    choices = {choice for distribution in distributions for choice in getattr(distribution, "choices", ())}
    alias = {repr(choice): _short(str(choice), 14) for choice in sorted(choices, key=repr)}
    columns = ceil(len(names) / ceil(len(names) / PANELS))
    rows = [plot_slice(study, params=names[at : at + columns]) for at in range(0, len(names), columns)]
    for figure in rows:
        figure.update_layout(height=330, width=None, margin=MARGIN)
        figure.update_xaxes(exponentformat="power", labelalias=alias)
        for dots in figure.data:
            dots.customdata = dots.x
            dots.hovertemplate = "trial %{marker.color}: %{customdata}, %{y}<extra></extra>"
    return rows


def _importance_plot(importances: Mapping[str, float]) -> Figure:
    """Return a bar per hyperparameter, the most important on top."""
    from plotly.graph_objects import Bar, Figure

    names = sorted(importances, key=lambda name: importances[name])
    shares = [importances[name] for name in names]
    bar = Bar(x=shares, y=names, orientation="h", text=[f"{share:.2f}" for share in shares])
    figure = Figure(bar).update_layout(title="Hyperparameter Importances", height=28 * len(names) + 130)
    figure.update_layout(margin=MARGIN).update_traces(textposition="outside", cliponaxis=False)
    figure.update_xaxes(title="Hyperparameter Importance")
    return figure.update_yaxes(type="category", automargin=True, ticklabelstandoff=8)


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"…{text[1 - length :]}"


def _escaped(part: Any) -> Any:
    """Escape the texts of a figure, in which plotly.js interprets some HTML; leave Optuna's own markup unchanged."""
    if isinstance(part, str):
        return escape(part, quote=False).replace("&lt;extra&gt;&lt;/extra&gt;", "<extra></extra>")
    if isinstance(part, dict):
        return {_escaped(key): _escaped(each) for key, each in part.items()}
    return [_escaped(each) for each in part] if isinstance(part, list | tuple) else part

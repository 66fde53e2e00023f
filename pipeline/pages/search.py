"""The page of a search: best so far, all keys at once, each key against the value, importance, and every trial.

One HTML file that opens without a server or a network, since plotly.js (MIT) is written into it once. The same input
gives the same bytes.

Shapes: T finished trials, K keys; shares (T, K) lie in 0 to 1, a little outside where the space was widened since, and
far below 0 where a key does not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.pages.render import render

Key = tuple[str, Sequence[tuple[float, str]]]  # its name, and some shares with what they stand for
Figure = dict[str, Any]

PANELS = 3  # in a row
ABSENT_BELOW = -0.5  # a share that is a little below 0 lies outside its interval, yet counts
INK, SOFT, LINE, BLUE, PALE, BEST = "#1d2733", "#5c6b7a", "#dde3ea", "#1f5fa8", "#8fb1d9", "#d9731a"
SCALE = [[0.0, "#d8dee6"], [0.5, "#7fa9d4"], [1.0, "#0f3d75"]]  # better is darker
TEXT = {"family": "system-ui, sans-serif", "color": INK}
UNSEEN = str.maketrans("01", "\u200b\u200c")
AXIS = {"gridcolor": LINE, "linecolor": LINE, "zeroline": False, "automargin": True}


@dataclass(frozen=True)
class TrialRow:
    """What the page says of a finished trial.

    Args:
        index: by which the trial is known elsewhere.
        value: mean of its trainings.
        error: standard error of that mean, 0 where there was one training.
        texts: what each key was, in the order of the keys; not read where a key does not count.
    """

    index: int
    value: float
    error: float
    texts: Sequence[str]


@dataclass(frozen=True)
class _Found:
    """A search in the order of its trials; `best` is a place among them."""

    keys: Sequence[Key]
    shares: NDArray[np.float64]
    trials: Sequence[TrialRow]
    best: int
    maximizes: bool

    @property
    def values(self) -> list[float]:
        return [float(trial.value) for trial in self.trials]

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.keys]

    def texts(self, place: int) -> list[str | None]:
        """Return what each key was at a trial, None where it does not count."""
        row = zip(self.trials[place].texts, self.shares[place], strict=True)
        return [None if share < ABSENT_BELOW else text for text, share in row]


def write_search_page(
    path: Path,
    *,
    title: str,
    keys: Sequence[Key],
    shares: NDArray[np.float64],
    trials: Sequence[TrialRow],
    importances: Mapping[str, float],
    maximizes: bool,
    remarks: Sequence[str],
) -> None:
    """Write the page of a search.

    Args:
        shares: (T, K), a row per trial.
        trials: at least one, in any order.
        importances: of each key, as shares of 1; empty where they are not known.
        maximizes: whether up is better.
    """
    from plotly.offline import get_plotlyjs

    assert shares.shape == (len(trials), len(keys)), shares.shape
    order = sorted(range(len(trials)), key=lambda place: trials[place].index)
    trials, sign = [trials[place] for place in order], 1 if maximizes else -1
    ranks = sorted(range(len(trials)), key=lambda place: trials[place].error - sign * trials[place].value)
    found = _Found(keys, shares[order], trials, ranks[0], maximizes)
    figures = [_best_so_far(found), _parallel(found), _slices(found, importances)]
    if importances:
        figures.append(_importance(importances))
    page = render(
        "search.html.j2",
        title=title,
        figures=figures,
        found=found,
        ranks=ranks,
        has_errors=any(trial.error for trial in trials),
        remarks=remarks,
        plotly=get_plotlyjs(),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def _best_so_far(found: _Found) -> Figure:
    """Draw every trial's value in order, and the best up to it."""
    values = found.values
    best = np.maximum.accumulate(values) if found.maximizes else np.minimum.accumulate(values)
    places = list(range(1, len(values) + 1))
    whole = {"range": [0.5, len(values) + 0.5], **({"dtick": 1} if len(values) <= 10 else {})}
    line = {"shape": "hv", "color": BLUE, "width": 2}
    data = [
        {"x": places, "y": best.tolist(), "mode": "lines", "line": line, "hoverinfo": "skip"},
        {"x": places, "y": values, **_points(found, [PALE] * len(values))},
    ]
    layout = {
        "xaxis": {**AXIS, **whole, "title": {"text": "finished trials"}, "showgrid": False},
        "yaxis": {**AXIS, "title": {"text": "value"}},
    }
    hint = "A dot per trial; the line is the best value up to it, the orange dot the best trial."
    return _figure("best-so-far", "Best so far", hint, data, layout, height=300)


def _parallel(found: _Found) -> Figure:
    """Draw a line per trial across all keys, coloured by its value."""
    values = found.values
    axes = [_brushed(_axis(key, column)) for key, column in zip(found.keys, found.shares.T, strict=True)]
    length = 0 if min(values) < max(values) else 1  # an axis needs one
    low, high = min(values) - length, max(values) + length
    colours = {"color": values, "colorscale": SCALE, "reversescale": not found.maximizes}
    trace = {
        "type": "parcoords",
        "dimensions": [*axes, {"label": "value", "values": values, "range": [low, high]}],
        "line": {**colours, "cmin": low, "cmax": high},
        "labelangle": -14,
        "labelfont": {"size": 12, "color": INK},
        "tickfont": {"size": 11, "color": INK},
        "rangefont": {"size": 1, "color": "rgba(0,0,0,0)"},  # of shares, which say nothing
    }
    hint = (
        "A line per trial, darker is better. Drag along an axis to keep the trials that pass there, here and in the "
        "table below; click the axis to let them go. Drag a name to move its axis."
    )
    layout = {"margin": {"l": 60, "r": 70, "t": 100, "b": 24}}
    figure = _figure("parallel", "All keys at once", hint, [trace], layout, height=440)
    return {**figure, "width": 125 * (len(axes) + 1)}


def _slices(found: _Found, importances: Mapping[str, float]) -> Figure:
    """Draw a panel per key: its values against those of the trials."""
    rows = ceil(len(found.keys) / PANELS)
    columns = min(PANELS, len(found.keys))
    data, titles = [], []
    grid = {"rows": rows, "columns": columns, "pattern": "independent", "xgap": 0.12, "ygap": 0.36}
    layout: dict[str, Any] = {"grid": grid, "margin": {"l": 60, "r": 16, "t": 48, "b": 50}}
    for place, (key, column) in enumerate(zip(found.keys, found.shares.T, strict=True)):
        number = "" if place == 0 else str(place + 1)
        axis = _axis(key, column)
        colours = [PALE if share < ABSENT_BELOW else BLUE for share in column]
        anchor = {"xaxis": f"x{number}", "yaxis": f"y{number}"}
        data.append({"x": axis["values"], "y": found.values, **_points(found, colours), **anchor})
        low, high = axis["range"]
        ticks = {"tickvals": axis["tickvals"], "ticktext": [escape(text) for text in axis["ticktext"]]}
        shown = {"tickfont": {"size": 11}, "autotickangles": [0, 30]}
        layout[f"xaxis{number}"] = {**AXIS, **ticks, **shown, "range": [low - 0.06, high + 0.06]}
        scale = {"matches": "y"} if place else {"title": {"text": "value"}}
        layout[f"yaxis{number}"] = {**AXIS, **scale, "showticklabels": place % columns == 0}
        share = importances.get(key[0])
        told = "" if share is None else f"<br><span style='color:{SOFT}'>importance {share:.2f}</span>"
        where = {"xref": f"x{number} domain", "yref": f"y{number} domain", "x": 0, "y": 1.02}
        text = f"<b>{axis['label']}</b>{told}"
        titles.append({**where, "text": text, "showarrow": False, "align": "left", "yanchor": "bottom"})
    layout["annotations"] = titles
    hint = "A panel per key, a dot per trial; drag to zoom in on all panels, click twice to zoom out."
    return _figure("slices", "Each key against the value", hint, data, layout, height=260 * rows + 60)


def _importance(importances: Mapping[str, float]) -> Figure:
    """Draw a bar per key, the most important on top."""
    bars = sorted(importances.items(), key=lambda bar: bar[1])
    places = list(range(len(bars)))  # a key's name might be read as a number, or come twice when shortened
    shares = [float(share) for _, share in bars]
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": shares,
        "y": places,
        "text": [f"{share:.2f}" for share in shares],
        "textposition": "outside",
        "cliponaxis": False,
        "hovertext": [escape(name) for name, _ in bars],
        "hoverinfo": "text",
        "marker": {"color": BLUE},
    }
    names = {"tickvals": places, "ticktext": [f"{escape(_short(name, 40))}  " for name, _ in bars]}
    scale = {"range": [0, 1.1 * max([*shares, 1e-9])]}
    layout = {"xaxis": {**AXIS, **scale}, "yaxis": {**AXIS, **names, "showgrid": False}, "bargap": 0.35}
    hint = "How much worse the value is foretold when a key is shuffled, as shares of 1."
    return _figure("importance", "Importance", hint, [trace], layout, height=28 * len(bars) + 80)


def _axis(key: Key, column: NDArray[np.float64]) -> dict[str, Any]:
    """Return label, values, range and ticks of a key; what is absent gets a place below the others.

    The label is escaped, since plotly reads some HTML there; it reads none in ticks of parallel coordinates.
    """
    name, ticks = key
    is_absent = column < ABSENT_BELOW
    counting = column[~is_absent].tolist()
    low, high = min([0.0, *counting]), max([1.0, *counting])
    shown = [(float(share), _short(text, 14)) for share, text in ticks]
    if is_absent.any():
        place = low - 0.25 * (high - low)
        shown = [(place, "absent"), *shown]
    else:
        place = low
    return {
        "label": escape(_short(name, 32)),
        "values": np.where(is_absent, place, column).tolist(),
        "range": [place, high],
        "tickvals": [share for share, _ in shown],
        "ticktext": [text for _, text in shown],
    }


def _brushed(axis: Mapping[str, Any]) -> dict[str, Any]:
    """Add a tick without text at every trial: a brush takes what lies near a tick, and leaves out the rest.

    Ticks of the same text would fall together, so each text ends in its number, in characters without width.
    """
    texts = dict.fromkeys(axis["values"], "") | dict(zip(axis["tickvals"], axis["ticktext"], strict=True))
    places = sorted(texts)
    numbers = [f"{number:b}".translate(UNSEEN) for number in range(len(places))]
    unlike = [texts[place] + number for place, number in zip(places, numbers, strict=True)]
    return {**axis, "tickvals": places, "ticktext": unlike}


def _points(found: _Found, colours: Sequence[str]) -> dict[str, Any]:
    """Return what all dots of trials share: all that is known of a trial on hover, the best in orange."""
    is_best = [place == found.best for place in range(len(colours))]
    marker = {
        "color": [BEST if best else colour for best, colour in zip(is_best, colours, strict=True)],
        "size": [10 if best else 7 for best in is_best],
        "line": {"color": "#ffffff", "width": 1},
    }
    errors = [float(trial.error) for trial in found.trials]
    bars = {"array": errors, "visible": any(errors), "color": PALE, "thickness": 1, "width": 0}
    hover = {"hoverinfo": "text", "hovertext": _hovers(found)}
    return {"mode": "markers", "marker": marker, "error_y": bars, **hover}


def _hovers(found: _Found) -> list[str]:
    hovers = []
    for place, trial in enumerate(found.trials):
        error = f" ± {trial.error:.2g}" if trial.error else ""
        lines = [f"<b>trial {trial.index}</b>", f"value {trial.value:.5g}{error}"]
        texts = zip(found.names, found.texts(place), strict=True)
        lines += [f"{escape(name)} = {escape(text)}" for name, text in texts if text is not None]
        hovers.append("<br>".join(lines))
    return hovers


def _short(text: str, length: int) -> str:
    """Return the end of a text, which tells keys of one group apart."""
    return text if len(text) <= length else f"…{text[1 - length :]}"


def _figure(
    name: str, title: str, hint: str, data: Sequence[Any], layout: Mapping[str, Any], *, height: int
) -> Figure:
    """Return a figure as the template reads it: the two arguments of plotly, and what stands around them."""
    shared = {
        "height": height,
        "margin": {"l": 60, "r": 16, "t": 10, "b": 44},
        "font": {**TEXT, "size": 12},
        "showlegend": False,
        "hovermode": "closest",
        "hoverlabel": {"align": "left", "bgcolor": "#ffffff", "bordercolor": BLUE, "font": TEXT},
    }
    return {"name": name, "title": title, "hint": hint, "data": data, "layout": {**shared, **layout}}

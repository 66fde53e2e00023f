"""What a user may ask of the evaluation of a trained run: other views, other data, windows, activation maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.data.external import TEST, check_split
from pipeline.data.facts import Facts
from pipeline.declaration.targets import check_section
from pipeline.errors import ConfigError
from pipeline.tasks.demands import load_demands
from pipeline.tasks.intervals import Interval
from pipeline.training import weak_localization
from pipeline.training.box_data import has_boxes
from pipeline.training.box_evaluation import score_boxes
from pipeline.training.evaluation import MakePredictor, evaluate, evaluate_elsewhere, replace_data
from pipeline.training.proposals import ProposalFinder
from pipeline.training.regions import ProposalSettings, find_proposer
from pipeline.training.trained import Predictor, Trained, open_trained
from pipeline.training.window_evaluation import WindowFinder
from pipeline.training.windows import WindowPredictor, WindowSettings

Compose = Callable[[Sequence[str]], Mapping[str, Any]]
OPTIONS = ("views", "data", "split", "explain")
GROUPS = ("views", "data")  # whose settings can be changed, too
WINDOWS = "pipeline.training.windows.WindowSettings"
PROPOSALS = "pipeline.training.regions.ProposalSettings"


def score(
    trained: Trained, overrides: Sequence[str], out: Path, *, root: Path, compose: Compose, command: str
) -> tuple[dict[str, Interval], Mapping[str, str]]:
    """Score a run as overrides such as `views=flips` or `data=<name>` ask for; write scores, cases and pictures.

    Args:
        compose: returns the sections that overrides declare.
        command: named in errors.

    Returns:
        Scores, and their titles.

    Raises:
        ConfigError: an override is unknown, or they do not go together.
    """
    asked = {group: [each for each in overrides if _is_of(each, group)] for group in OPTIONS}
    for each in overrides:
        if not any(each in chosen for chosen in asked.values()):
            raise ConfigError.unknown(command, each.partition("=")[0], OPTIONS, what="option")
    data = _section("data", asked["data"], compose) if asked["data"] or asked["split"] else None
    views = _section("views", asked["views"], compose) if asked["views"] else None
    split = asked["split"][-1].partition("=")[2] if asked["split"] else TEST
    check_split(split)
    if asked["explain"]:
        return _explain(trained, asked, data, out, root), weak_localization.TITLES
    return _score(trained, views, data, out, root=root, split=split)


def _score(
    trained: Trained,
    views: Mapping[str, Any] | None,
    data: Mapping[str, Any] | None,
    out: Path,
    *,
    root: Path,
    split: str,
) -> tuple[dict[str, Interval], Mapping[str, str]]:
    """Score a run with sections `views` and `data`; None for its own."""
    if views is not None and views["crops"] == "proposals":
        return _propose(trained, views, data, out, root=root, split=split)
    make_predictor: MakePredictor = Predictor
    if views is not None and views["crops"] == "windows":
        check_section(views, WINDOWS, path="views")
        settings = WindowSettings(**views)
        settings.check(trained.declaration.data.classes)
        if data is not None and has_boxes(data):
            return score_boxes(
                trained,
                data,
                lambda run, facts: WindowFinder(run, facts, settings),
                out,
                confidence=settings.confidence,
                root=root,
                split=split,
            )
        shape = trained.declaration.data.shape if data is None else data["shape"]

        def make_predictor(run: Trained) -> Predictor:
            return WindowPredictor(run, (shape[1], shape[2]), settings.scales)

    elif views is not None:
        viewed = trained.declaration.replace(views=views)
        trained = open_trained(trained.folder, root=root, declaration=viewed)
    titles = load_demands(trained.declaration.task).scores(trained.declaration.data)
    if data is None:
        own = trained.declaration
        return evaluate(
            trained.folder, out, root=root, declaration=own, make_predictor=make_predictor
        ), titles
    other = replace_data(trained.declaration, data, is_resized=make_predictor is Predictor)
    found = evaluate_elsewhere(trained, other, out, root=root, split=split, make_predictor=make_predictor)
    return found, titles


def _propose(
    trained: Trained,
    views: Mapping[str, Any],
    data: Mapping[str, Any] | None,
    out: Path,
    *,
    root: Path,
    split: str,
) -> tuple[dict[str, Interval], Mapping[str, str]]:
    check_section(views, PROPOSALS, path="views")
    settings = ProposalSettings(**views)
    settings.check(trained.declaration.data.classes)
    if data is None:
        problem, hint = "regions are scored by boxes", "add data=<name> of data with boxes"
        raise ConfigError("views", problem, got="proposals", hint=hint)

    def make_finder(run: Trained, facts: Facts) -> ProposalFinder:
        proposer = find_proposer(settings, facts, seed=run.declaration.seed, root=root)
        return ProposalFinder(run, facts, settings, proposer)

    return score_boxes(
        trained, data, make_finder, out, confidence=settings.confidence, root=root, split=split
    )


def _explain(
    trained: Trained,
    asked: Mapping[str, Sequence[str]],
    data: Mapping[str, Any] | None,
    out: Path,
    root: Path,
) -> dict[str, Interval]:
    value = asked["explain"][-1].partition("=")[2]
    if value != "cam":
        raise ConfigError("explain", got=value, allowed="cam")
    if data is None:
        raise ConfigError(
            "explain", "activation maps are scored by boxes", hint="add data=<name> of data with boxes"
        )
    for other in ("views", "split"):
        if asked[other]:
            problem = "activation maps are of the centre of each image, and their thresholds of the split val"
            raise ConfigError(other, problem, hint=f"leave {other} out")
    return weak_localization.localize_weakly(trained, data, out, root=root)


def _section(group: str, overrides: Sequence[str], compose: Compose) -> dict[str, Any]:
    """Return the section of a group that overrides choose."""
    if not any(each.startswith(f"{group}=") for each in overrides):
        path = overrides[0].partition("=")[0] if overrides else "split"
        what = "other data" if group == "data" else "other views"
        raise ConfigError(path, f"belongs to {what}", hint=f"add {group}=<name>, a file of conf/{group}")
    section: dict[str, Any] = compose(overrides)[group]
    return section


def _is_of(override: str, group: str) -> bool:
    """Return whether an override chooses an option of a group, or changes a setting of it."""
    return override.startswith(f"{group}=") or (group in GROUPS and override.startswith(f"{group}."))

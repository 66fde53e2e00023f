"""Load the search that a command line declares, and check that it can run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.declaration.composition import compose
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.keys import identity
from pipeline.errors import ConfigError, DamagedFileError
from pipeline.sanity.starting import suggested_rates
from pipeline.storage.sealed import CHANGED
from pipeline.sweeps.dimensions import Entry
from pipeline.sweeps.ledger import Ledger
from pipeline.sweeps.objective import ranked
from pipeline.sweeps.refine import refined, top
from pipeline.sweeps.samplers import Grid, Point, make_sampler
from pipeline.trials.early_stopping import check_metric, check_pruner, name_objective
from pipeline.trials.search import Search
from pipeline.trials.space import check_keys, check_values_of, digest_options, has_measured, parse_space

SEARCHES = Path("runs") / "searches"


def load_search(overrides: Sequence[str], *, root: Path) -> Search:
    """Return the search that a command line declares.

    Raises:
        ConfigError: its space or settings are invalid.
    """
    declaration = compose(overrides)
    settings = declaration.search
    if settings.trial is not None:
        raise ConfigError(
            "search.trial", "is set by the search itself", got=settings.trial, hint="leave it out"
        )
    entries, measured = _find_entries(declaration, overrides, root=root)
    notes: list[str] = []
    check_metric(declaration)
    check_pruner(declaration)
    _check_trainings(declaration)
    ledger = Ledger(root / SEARCHES / f"{declaration.name}-{settings.name}")
    decides = {
        **identity(declaration, root=root),
        "search": {**settings.identity(), "from": declaration.around},
        "keys": [entry.key for entry in entries],
        "options": digest_options(entries, overrides, root=root),
        **measured,
    }
    around = None
    if declaration.around is not None:
        known = ledger.about().get("around") if ledger.difference(decides) is None else None
        around = known or _best_points(declaration.around, declaration, root)
        entries, notes = refined(entries, around)
    sampler = make_sampler(settings.sampler, entries, seed=settings.seed)
    if isinstance(sampler, Grid) and len(sampler) < settings.trials:
        raise ConfigError(
            "search.trials",
            got=settings.trials,
            allowed=f"at most {len(sampler)}, the number of points of the grid",
            hint=f"set search.trials={len(sampler)}",
        )
    return Search(
        settings,
        entries,
        ledger,
        is_plan=declaration.plan,
        seed=declaration.seed,
        experiment=declaration.tracking.experiment,
        overrides=list(overrides),
        identity=decides,
        around=around,
        notes=notes,
    )


def _find_entries(
    declaration: Declaration, overrides: Sequence[str], *, root: Path
) -> tuple[list[Entry], dict[str, list[float]]]:
    """Return the entries of a space, and the learning rates that the range test suggests if it asks for them.

    Raises:
        ConfigError: a key does not exist or does not matter, or a value is out of its range.
    """
    space, measured = declaration.search.space, dict[str, list[float]]()
    entries = parse_space(space)
    check_keys(entries, declaration.sections)
    if has_measured(space):
        rates = suggested_rates(declaration, root=root)
        entries, measured = parse_space(space, rates=rates), {"rates": list(rates)}
    check_values_of(entries, overrides)
    return entries, measured


def _check_trainings(declaration: Declaration) -> None:
    """Check that repeating each point over seeds and folds does not conflict with the declaration."""
    settings, fold = declaration.search, declaration.data.fold
    if declaration.seed + settings.seeds > 2**32:
        raise ConfigError(
            "search.seeds",
            f"there are fewer seeds from {declaration.seed} on",
            got=settings.seeds,
            hint="lower seed",
        )
    if settings.folds > 1 and fold is not None:
        raise ConfigError(
            "search.folds",
            f"each point is trained on all folds, and data.fold is {fold}",
            got=settings.folds,
            hint="leave one of the two out",
        )


def _best_points(name: str, declaration: Declaration, root: Path) -> list[Point]:
    """Return the best points of an earlier search.

    Args:
        name: name of that search, or the id of its parent run in MLflow.
        declaration: of this search.
    """
    settings, experiment = declaration.search, declaration.name
    prefix = f"{experiment}-"
    earlier = {
        path.parent.name.removeprefix(prefix): Ledger(path.parent)
        for path in (root / SEARCHES).glob("*/search.json")
        if path.parent.name.startswith(prefix)
    }
    by_run = {each.about().get("mlflow_run_id"): each for each in earlier.values()}
    found = earlier.get(name) or by_run.get(name)
    if found is None:
        raise ConfigError.unknown("from", name, earlier, what=f"search of {experiment}")
    about = found.about()
    if not about:
        raise DamagedFileError(
            found.folder / "search.json",
            CHANGED,
            hint="type the command of that search again, which mends it",
        )
    judged, trainer = about["identity"]["search"], about["identity"]["declaration"]["trainer"]
    theirs_ours = {
        "metric": (
            name_objective(judged["metric"], trainer.get("select")),
            name_objective(settings.metric, declaration.trainer.select),
        ),
        "direction": (judged["direction"], settings.direction),
    }
    for key, (theirs, ours) in theirs_ours.items():
        if theirs != ours:
            raise ConfigError(
                "from",
                f"search '{name}' has search.{key}={theirs}, this one {ours}, so its best are not the best here",
                got=name,
                hint="choose the same",
            )
    best = ranked(found.trials().values(), direction=settings.direction)
    if not best:
        raise ConfigError("from", f"search '{name}' has no finished trial yet", got=name, hint="run it first")
    return [trial.point for trial in best[: top(len(best), share=settings.keep)]]

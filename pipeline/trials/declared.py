"""A declared search: from a command line to what is ready to run, or one sentence on why it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.declaration.checks import check
from pipeline.declaration.composition import composed
from pipeline.declaration.keys import identity
from pipeline.errors import ConfigError, closest
from pipeline.sweeps.ledger import Ledger
from pipeline.sweeps.objective import ranked
from pipeline.sweeps.refine import refined, top
from pipeline.sweeps.samplers import Grid, Point, sampler_of
from pipeline.sweeps.settings import SearchSettings
from pipeline.trials.early_stopping import check_metric, check_pruner
from pipeline.trials.search import Search
from pipeline.trials.space import check_keys, options_of, space_of

SEARCHES = Path("runs") / "searches"


def search_of(overrides: Sequence[str], *, root: Path) -> Search:
    """Return the search that a command line declares.

    Raises:
        ConfigError: its space or settings cannot work.
    """
    sections = composed(overrides)
    check(sections)
    settings = SearchSettings.of(sections["search"])
    if settings.trial is not None:
        raise ConfigError(f"search.trial is set by the search itself, got {settings.trial}; leave it out")
    entries = space_of(settings.space)
    notes: list[str] = []
    check_keys(entries, sections)
    check_metric(settings, sections)
    check_pruner(settings, sections)
    ledger = Ledger(root / SEARCHES / f"{sections['name']}-{settings.name}")
    decides = {
        **identity(sections, root=root),
        "search": {**settings.identity(), "from": sections["from"]},
        "keys": [entry.key for entry in entries],
        "options": options_of(entries, overrides),
    }
    around = None
    if sections["from"] is not None:
        known = ledger.about().get("around") if ledger.difference(decides) is None else None
        around = known or _best_of(sections["from"], settings, sections["name"], root)
        entries, notes = refined(entries, around)
    sampler = sampler_of(settings.sampler, entries, seed=settings.seed)
    if isinstance(sampler, Grid) and len(sampler) < settings.trials:
        raise ConfigError(
            f"search.trials: the grid has {len(sampler)} points, got {settings.trials} trials; set "
            f"search.trials={len(sampler)}"
        )
    if sections["seed"] + settings.seeds > 2**32:
        raise ConfigError(
            f"search.seeds: {settings.seeds} seeds from {sections['seed']} on are too many; lower seed"
        )
    if settings.folds > 1 and sections["data"]["fold"] is not None:
        raise ConfigError(
            f"search.folds: each point is trained on all {settings.folds} folds, and data.fold is "
            f"{sections['data']['fold']}; leave one of the two out"
        )
    return Search(
        settings,
        entries,
        ledger,
        is_plan=sections["plan"],
        seed=sections["seed"],
        experiment=sections["tracking"]["experiment"],
        overrides=list(overrides),
        identity=decides,
        around=around,
        notes=notes,
    )


def _best_of(name: str, settings: SearchSettings, experiment: str, root: Path) -> list[Point]:
    """Return the best points of an earlier search.

    Args:
        name: of that search, or the id of its parent run in MLflow.
    """
    prefix = f"{experiment}-"
    earlier = {
        path.parent.name.removeprefix(prefix): Ledger(path.parent)
        for path in (root / SEARCHES).glob(f"{prefix}*/search.json")
    }
    by_run = {each.about().get("mlflow_run_id"): each for each in earlier.values()}
    found = earlier.get(name) or by_run.get(name)
    if found is None:
        raise ConfigError(f"from: there is no search '{name}' of {experiment}; {closest(name, earlier)}")
    judged = found.about()["identity"]["search"]
    for key in ("metric", "direction"):
        theirs, ours = (each or "score" for each in (judged[key], getattr(settings, key)))
        if theirs != ours:
            raise ConfigError(
                f"from: search '{name}' has search.{key}={theirs}, this one {ours}, so its best are not the best here; "
                "choose the same"
            )
    best = ranked(found.trials().values(), direction=settings.direction)
    if not best:
        raise ConfigError(f"from: search '{name}' has no finished trial to go by; let it run first")
    return [trial.point for trial in best[: top(len(best), share=settings.keep)]]

"""The overview of the data that a run was trained on, as `inspect` shows it, for the report and MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.declaration.declaration import Declaration
from pipeline.declaration.keys import data_digest, overview_key
from pipeline.errors import ConfigError
from pipeline.inspection.inspected import Inspected, inspect_data
from pipeline.inspection.shown import PAGE, Overview, read_overview, write_page
from pipeline.runs.cache import find_or_make

if TYPE_CHECKING:
    from pipeline.tracking.run import TrackedRun

STAGE = "inspect"


def keep_overview(declaration: Declaration, inspected: Inspected, folder: Path, *, root: Path) -> None:
    """Keep the overview of data that were inspected just now, for `log_page` and `make_overview`.

    Args:
        folder: with their contact sheet.
    """

    def make(kept: Path) -> None:
        sheet = folder / "images.png"
        if sheet.exists():
            (kept / sheet.name).write_bytes(sheet.read_bytes())
        write_page(kept, title(inspected), inspected.blocks, inspected.survey)

    find_or_make(root, STAGE, overview_key(declaration, root=root), make)


def log_page(declaration: Declaration, tracked: TrackedRun, *, root: Path) -> None:
    """Log the page of the data, if they were inspected as a declaration has them."""
    page = root / "cache" / STAGE / overview_key(declaration, root=root) / PAGE
    if page.is_file():
        tracked.log_files(page, "data")


def make_overview(declaration: Declaration, trained_on: str, *, root: Path) -> Overview | None:
    """Return the overview of the data that a run was trained on, inspecting them if that was not done before.

    Args:
        trained_on: the digest of the data then.

    Returns:
        None if these data are no longer here.
    """
    try:
        if data_digest(declaration, root=root) != trained_on:
            return None
    except ConfigError:
        return None

    def make(folder: Path) -> None:
        inspected = inspect_data(declaration.data, folder)
        write_page(folder, title(inspected), inspected.blocks, inspected.survey)

    return read_overview(find_or_make(root, STAGE, overview_key(declaration, root=root), make))


def title(inspected: Inspected) -> str:
    """Return the name of a data set, its number of images, and where they lie."""
    facts = inspected.facts
    return f"{facts.name}: {len(inspected.survey.samples):,} images, {facts.format}, {facts.root}"

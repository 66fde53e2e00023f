"""Files beside the data that decide a run: the weights that its network starts from, and what its task reads."""

from __future__ import annotations

from pipeline.declaration.declaration import Declaration
from pipeline.errors import ConfigError
from pipeline.tasks.demands import load_demands
from pipeline.transfer.checkpoint import file_digest, find_checkpoint


def digest_pretrained(declaration: Declaration) -> str | None:
    """Return the digest of the checkpoint that a network starts from; None without one.

    Raises:
        ConfigError: it is missing.
    """
    pretrained = declaration.model["pretrained"]
    return None if pretrained is None else file_digest(find_checkpoint(pretrained))


def digest_files(declaration: Declaration) -> dict[str, dict[str, str]]:
    """Return {files: setting -> digest} of the files that a task reads; empty if it reads none.

    Raises:
        ConfigError: one is missing.
    """
    files = load_demands(declaration.task).files(declaration.task)
    return {"files": {setting: file_digest(path) for setting, path in files.items()}} if files else {}


def digest_files_of_stages(declaration: Declaration) -> dict[str, dict[str, str] | None]:
    """Return the same for the stages of dvc.yaml; files are None where one is missing, as it may be made later.

    The stage that reads it says so.
    """
    try:
        return dict(digest_files(declaration))
    except ConfigError:
        return {"files": None}

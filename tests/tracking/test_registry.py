"""The registry: names and aliases of logged models, which lead back to their runs."""

from __future__ import annotations

from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch

from pipeline.declaration.composition import compose_sections
from pipeline.register import register
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RunFolder
from pipeline.tracking.store import Store
from pipeline.training.run import RunRequest, train
from pipeline.training.trained import Predictor, find_trained
from tests.makers import data_section, declaration, write_class_folders
from tests.refusals import refused

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType.*"),  # by MLflow, of its own
]


def trained(root: Path, *, seed: int = 0, log_model: bool) -> RunFolder:
    """Return a run that was trained for an epoch."""
    write_class_folders(root / "data.zip")
    sections = compose_sections(["model=linear", "trainer.max_epochs=1", "trainer.progress=false"])
    tracking = {**sections["tracking"], "log_model": log_model}
    small = {"model": sections["model"], "trainer": sections["trainer"], "tracking": tracking}
    declared = declaration(data_section(root / "data.zip"), seed=seed, **small)
    return train(declared, RunRequest("test", "test", waits=False), RunContext(root))


def test_registered_model_is_found_and_an_alias_moves(tmp_path: Path) -> None:
    first, second = (trained(tmp_path, seed=seed, log_model=True) for seed in (0, 1))
    told = register(str(first.path), "pets", "champion", root=tmp_path)
    assert told == f"version 1 of pets, from runs/{first.path.name}: models:/pets@champion"
    assert register(str(first.path), "pets", "again", root=tmp_path).startswith("version 1 of pets")
    found = find_trained("models:/pets@champion", root=tmp_path)
    assert found.folder.path == first.path

    assert register(str(second.path), "pets", "champion", root=tmp_path).startswith("version 2 of pets")
    assert find_trained("models:/pets@champion", root=tmp_path).folder.path == second.path
    assert find_trained("models:/pets@again", root=tmp_path).folder.path == first.path
    assert find_trained("models:/pets/1", root=tmp_path).folder.path == first.path

    images = torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8, generator=torch.manual_seed(0))
    predictor = Predictor(find_trained("models:/pets@again", root=tmp_path))
    expected = predictor.task.decode(predictor.outputs(images)).numpy()
    client = Store(tmp_path, "tiny").client
    source = client.get_model_version_by_alias("pets", "again").source
    answers = mlflow.pyfunc.load_model(source).predict(images.numpy())
    predicted = [list(answer["probabilities"].values()) for answer in answers]
    np.testing.assert_allclose(predicted, expected, atol=1e-5)


def test_name_and_alias_that_mlflow_has_no_use_for_are_refused_before_anything_is_registered(
    tmp_path: Path,
) -> None:
    run = trained(tmp_path, log_model=True)
    with refused("name", got="a/b", text="name must be a name without / and @, got 'a/b'"):
        register(str(run.path), "a/b", "champion", root=tmp_path)
    for alias in ("v1", "latest", "a b", ""):
        with refused(
            "alias", got=alias, allowed="letters, digits, _ and -, but neither latest nor a number behind v"
        ):
            register(str(run.path), "pets", alias, root=tmp_path)
    client = Store(tmp_path, "tiny").client
    assert client.search_registered_models() == []
    with refused("run", got="models:/pets@champion", hint="register it, or name a run"):
        find_trained("models:/pets@champion", root=tmp_path)


def test_run_without_a_logged_model_and_one_that_mlflow_lost_are_refused(tmp_path: Path) -> None:
    run = trained(tmp_path, log_model=False)
    run_id, folder = run.state()["mlflow_run_id"], f"runs/{run.path.name}"
    again = f"remove {folder}, and train it again"
    text = f"run: it logged no model, got '{run_id}'; {again} with tracking.log_model=true"
    with refused("run", text=text):
        register(str(run.path), "pets", "champion", root=tmp_path)
    Store(tmp_path, "tiny").client.delete_run(run_id)
    with refused("run", text=f"run: its MLflow run is gone, got '{run_id}'; {again}"):
        register(str(run.path), "pets", "champion", root=tmp_path)

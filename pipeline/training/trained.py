"""Find a trained run by what a user calls it, and predict with its model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.data.degrade_facts import degraded_shape
from pipeline.declaration.checks import check_test_views
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.hardware import probe, resolve
from pipeline.declaration.keys import declaration_digest
from pipeline.declaration.loading import load
from pipeline.declaration.network import plan_network, sees_whole
from pipeline.errors import ConfigError, DamagedFileError, warn
from pipeline.runs.folder import RunFolder
from pipeline.tasks.task import Task
from pipeline.tracking.lookup import MODELS, RUN_ID, find_registered_run, find_run_folder
from pipeline.training.activation_maps import ActivationMaps, has_maps
from pipeline.training.assemble import arrange, build_model, build_task
from pipeline.training.whole_images import WholeImages
from pipeline.transforms.statistics import Statistics
from pipeline.transforms.views import View, make_views, see

FORMS = "a folder of runs/ or artifacts/train/, an experiment's name, the id of an MLflow run or models:/<name>@<alias>"


@dataclass(frozen=True)
class Trained:
    """A finished run with the declaration that it was trained by."""

    folder: RunFolder
    declaration: Declaration

    def build_task(self) -> Task:
        """Return the task, with what the training split decided."""
        return build_task(self.declaration, self.folder.result().get("task"))

    def title(self, root: Path) -> str:
        """Return the run's name and its folder, relative to the project where it is inside."""
        path = self.folder.path
        place = path.relative_to(root) if path.is_relative_to(root) else path
        return f"{self.declaration.name} ({place})"


def find_trained(named: str, *, root: Path) -> Trained:
    """Return the finished run that a user names: one of `FORMS`.

    The name of an experiment of `dvc repro` means what was published last, any other name the run of that name that
    finished last.

    Raises:
        ConfigError: there is no such run, or it has not finished.
        DamagedFileError: a result of the run is damaged.
    """
    if named.startswith(MODELS):
        folder = RunFolder(root / find_run_folder(find_registered_run(named, root), root))
    elif RUN_ID.fullmatch(named):
        folder = RunFolder(root / find_run_folder(named, root))
    elif Path(named).is_dir():
        folder = RunFolder(Path(named))
    elif (root / "artifacts" / "train" / named).is_dir():
        folder = RunFolder(root / "artifacts" / "train" / named)
    else:
        folder = _last_of(named, root)
    return open_trained(folder, root=root)


def open_trained(folder: RunFolder, *, root: Path, declaration: Declaration | None = None) -> Trained:
    """Check the results of a run, and find its declaration.

    Args:
        folder: of a finished run, or one that its results were published to.
        declaration: of the run, such as one with other views; None for that in its folder, or, of published results,
            in the folder of the run or in that of the search before it.

    Raises:
        ConfigError: the folder holds no finished run, or the declaration is that of another run.
        DamagedFileError: a result of the run is damaged.
    """
    if not folder.has_results():
        raise ConfigError(str(folder.path), "holds no finished run", hint="train it first")
    folder.check()
    file = folder.declaration
    if declaration is None and not file.is_file():
        file = _published_declaration(folder, root)
    found = load(file) if declaration is None else declaration
    check_test_views(found)
    if declaration_digest(found) == folder.result()["declaration"]:
        return Trained(folder, found)
    if declaration is None:
        raise DamagedFileError(
            file, "is the declaration of another run", hint="train the run again, which writes it"
        )
    raise ConfigError(
        str(folder.path),
        "was trained by another declaration than the given one",
        hint="name the declaration that it was trained by",
    )


def check_applies(trained: Trained) -> None:
    """Check that a run applies to other images than the one that it was trained on.

    Raises:
        ConfigError: its network is that image.
    """
    network = plan_network(trained.declaration)
    if network.is_image:
        raise ConfigError(
            str(trained.folder.path),
            f"model {network.name} is one image, and applies to no other",
            hint=f"what it has made is {trained.folder.kept_frame}",
        )


def load_model(trained: Trained) -> nn.Sequential:
    """Return the model of a run in evaluation, on the CPU, in its declared memory format."""
    declaration, path = trained.declaration, trained.folder.path
    model = build_model(declaration, Statistics.load(path / "statistics"))
    model.load_state_dict(torch.load(path / "weights.pt", map_location="cpu", weights_only=True))
    return arrange(model, declaration.trainer).eval()


def find_device(declaration: Declaration) -> torch.device:
    """Return the device that a declaration chooses; the CPU where this machine lacks it, unlike one that trained it."""
    hardware = probe()
    wanted = resolve(declaration.trainer, hardware).accelerator
    return torch.device(wanted if wanted == hardware.gpu else "cpu")


class Predictor:
    """The model of a run on the device that its declaration chooses, in single precision.

    Args:
        trained: its declaration says how images are seen, too.

    Attributes:
        task: of the run.
        device: of the model.
    """

    def __init__(self, trained: Trained) -> None:
        declaration = trained.declaration
        self.device = find_device(declaration)
        self.task: Task = trained.build_task()
        self._model = load_model(trained).to(self.device)
        self._seen = declaration.input_shape[1:]
        self._sides = degraded_shape(declaration.data)[1:]
        self._views = make_views(declaration.views, self._sides, self._seen)
        self._whole = WholeImages(declaration, self._model) if sees_whole(declaration) else None
        network = plan_network(declaration)
        self._maps = ActivationMaps(self._model, network) if has_maps(network) else None

    @torch.inference_mode()
    def outputs(self, images: Tensor) -> Tensor:
        """Return the outputs for uint8 images (N, C, *data.shape), merged over the views.

        Images are as degraded as `data.degrade` says, and of any sides if the network sees them whole.
        """
        images = images.to(self.device)
        if self._whole is None:
            shown = [self._model(see(images, view, self._seen)) for view in self._views]
        else:
            shown = [
                self._whole(see(images, view, (images.shape[2], images.shape[3]))) for view in self._views
            ]
        return self.task.merge(shown, [view.is_mirrored for view in self._views])

    def remarks(self, images: NDArray[np.uint8]) -> list[str]:  # noqa: ARG002
        """Return sentences on how the outputs for images (N, H, W, C) were computed; none if as in training."""
        return []

    @property
    def explains(self) -> bool:
        """Whether the network has activation maps."""
        return self._maps is not None

    @property
    def map_sides(self) -> tuple[int, ...]:
        """Rows and columns of the layer that activation maps are of."""
        assert self._maps is not None, "see `explains`"
        return self._maps.sides

    def activation_maps(self, images: Tensor, classes: Tensor) -> Tensor:
        """Return a map from 0 to 1 for the class of each image: (N, rows, columns of data.shape), on the CPU.

        Without the whole image, the network sees its centre; the map is 0 elsewhere.

        Args:
            images: (N, C, *data.shape) uint8.
            classes: (N,) indices.
        """
        assert self._maps is not None, "see `explains`"
        centre = View((self._sides[0] - self._seen[0]) // 2, (self._sides[1] - self._seen[1]) // 2, False)
        maps = torch.zeros((len(images), *self._sides))
        shown = see(images.to(self.device), centre, self._seen)
        see(maps, centre, self._seen).copy_(self._maps(shown, classes.to(self.device)))
        return maps


def _published_declaration(folder: RunFolder, root: Path) -> Path:
    """Return the file of the declaration by which published results were trained."""
    kept = root / "runs" / folder.result()["fingerprint"] / "config.yaml"
    beside = folder.path.parent.parent / "search" / folder.path.name / "best.yaml"
    for file in (kept, beside):
        if file.is_file():
            return file
    raise ConfigError(
        str(folder.path), f"neither {kept} nor {beside} declares it", hint="run dvc repro, which writes both"
    )


def _last_of(name: str, root: Path) -> RunFolder:
    """Return the run with the given name that finished last."""
    found = {folder: _name(folder) for folder in finished_runs(root)}
    own = [folder for folder, its_name in found.items() if its_name == name]
    if not own:
        names = sorted({each for each in found.values() if each is not None})
        raise ConfigError(
            "run",
            "no finished run has this name",
            got=name,
            hint=f"name {FORMS}; finished: {', '.join(names) or 'none'}",
        )
    last = max(own, key=lambda folder: (folder.path / "result.json").stat().st_mtime_ns)
    if len(own) > 1:
        warn(f"{len(own)} finished runs are called {name}; {last.path} finished last, and is used")
    return last


def finished_runs(root: Path) -> Iterator[RunFolder]:
    """Yield the folders of all finished runs of a project."""
    for file in sorted((root / "runs").glob("*/result.json")):
        if file.with_name("config.yaml").is_file():
            yield RunFolder(file.parent)


def _name(folder: RunFolder) -> str | None:
    """Return the name of a run; None if its state is damaged, which must not hide the other runs."""
    try:
        return folder.state().get("name")
    except DamagedFileError as damage:
        warn(f"{damage.file} {damage.problem}; the run is not looked at")
        return None

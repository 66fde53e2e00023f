"""Checks of a declaration that need torch: its objects are built and tried on dummies.

They run before any data are read and before anything is recorded, so that a setting that a library refuses leaves no
trace. What can be checked without torch is checked on composition.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from pipeline.declaration.declaration import Declaration
from pipeline.declaration.network import OTHER_NORMS, check_memory, has_batch_norms, plan_network
from pipeline.declaration.settings import TrainerSettings
from pipeline.errors import ConfigError
from pipeline.networks.planner import plan
from pipeline.plans.network import Network
from pipeline.tasks.demands import load_demands
from pipeline.tasks.task import Loading
from pipeline.training.assemble import build_task, group_parameters, make_optimizer, make_scheduler
from pipeline.training.construction import build_augmentation, build_mixing, wrap_errors
from pipeline.transfer.checkpoint import find_checkpoint, read_tensors
from pipeline.transforms.statistics import measure

MOST_EPOCHS = 10_000  # a fifth of a second


def check_trainable(declaration: Declaration) -> None:
    """Check that the objects of a declaration can be built, and that this machine has the devices it asks for.

    Raises:
        ConfigError: a library refuses a setting, or the machine lacks a device.
    """
    check_memory(plan_network(declaration))
    check_devices(declaration.trainer)
    task = build_task(declaration)
    if isinstance(task, Loading):
        task.load()
    check_optimizer(declaration)
    if declaration.model["pretrained"] is not None:
        read_tensors(find_checkpoint(declaration.model["pretrained"]))
    check_augmentation(declaration)
    from pipeline.training.trainer import check_trainer  # takes seconds to import

    check_trainer(declaration.trainer)


def check_devices(settings: TrainerSettings) -> None:
    """Check that this machine has the devices that a trainer asks for.

    Raises:
        ConfigError: it lacks the accelerator, has fewer devices, or does not support the precision.
    """
    has_mps, num_gpus = torch.backends.mps.is_available(), torch.cuda.device_count()
    is_available = {
        "auto": True,
        "cpu": True,
        "cuda": num_gpus > 0,
        "mps": has_mps,
        "gpu": num_gpus > 0 or has_mps,
    }
    if not is_available[settings.accelerator]:
        raise ConfigError(
            "trainer.accelerator",
            "this machine has no such device",
            got=settings.accelerator,
            hint="use trainer.accelerator=auto",
        )
    on_gpu = settings.accelerator != "cpu" and is_available["gpu"]
    most = max(num_gpus, 1)
    if on_gpu and settings.devices != "auto" and int(settings.devices) > most:
        raise ConfigError(
            "trainer.devices",
            got=settings.devices,
            allowed=f"at most {most}, the number of GPUs here, or auto",
        )
    if settings.precision == "16-mixed" and not on_gpu:
        raise ConfigError(
            "trainer.precision",
            "only GPUs train in this precision",
            got=settings.precision,
            hint="use trainer.precision=auto",
        )


def check_optimizer(declaration: Declaration) -> None:
    """Build the optimizer and the scheduler for a dummy network, and step the scheduler as often as training would.

    Raises:
        ConfigError: one of the two refuses its settings, or a learning rate becomes negative or infinite.
    """
    factors = declaration.model["lr_factors"]
    levels: list[list[nn.Module]] = [[_Weights()] for _ in factors or [1]]
    parameters = [parameter for (level,) in levels for parameter in level.parameters()]
    optimizer = make_optimizer(declaration)(group_parameters(declaration, parameters, levels))

    def loss() -> Tensor:
        return torch.zeros(())

    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    schedule = make_scheduler(declaration)(optimizer)
    wrap_errors(lambda: optimizer.step(loss), "optimizer", declaration.optimizer["_target_"])
    target = declaration.scheduler["_target_"]
    for epoch in range(min(declaration.trainer.max_epochs, MOST_EPOCHS)):
        for group in optimizer.param_groups:
            if not 0 <= float(group["lr"]) < float("inf"):
                raise ConfigError(
                    "scheduler",
                    f"{target} sets the learning rate of epoch {epoch} to {float(group['lr'])}",
                    hint="correct its settings, so that all learning rates are finite and at least 0",
                )
        wrap_errors(lambda: _step(schedule), "scheduler", target)


def check_count(declaration: Declaration, num_images: int) -> None:
    """Check that the training split has as many images as a network with batch norms needs, or one that is an image.

    Args:
        num_images: size of the training split.

    Raises:
        ConfigError: a process would have one, over which a batch norm cannot normalise; or there are several, and the
            network is an image.
    """
    network = plan_network(declaration)
    if network.is_image and num_images > 1:
        raise ConfigError(
            "data",
            f"the training split has {num_images} images, and model {network.name} is one image",
            got=declaration.data.root,
            hint="name one of them by data.root, or choose a network that maps images to images",
        )
    devices = declaration.trainer.devices
    if num_images <= (devices if isinstance(devices, int) else 1) and has_batch_norms(network):
        raise ConfigError(
            "data",
            "the training split leaves one image to each process, over which batch norms cannot normalise",
            got=num_images,
            hint=f"add images, or {OTHER_NORMS}",
        )


def check_augmentation(declaration: Declaration) -> None:
    """Build the augmentation, and apply it to an image of noise.

    Raises:
        ConfigError: a step refuses its settings, or images of `data.shape`.
    """
    build_mixing(declaration)
    if not declaration.augmentation.steps:
        return
    channels, rows, columns = declaration.data.shape
    image = np.random.default_rng(0).integers(0, 256, (rows, columns, channels), np.uint8)
    augmentation = build_augmentation(declaration, measure([image[None]], patch=None))
    assert augmentation is not None
    mask = np.zeros_like(image[..., 0]) if load_demands(declaration.task).is_dense else None
    with explain_steps():
        drawn = augmentation(image, mask, seed=0).image
    check_augmented(declaration, torch.from_numpy(drawn.reshape(*drawn.shape[:2], -1)).permute(2, 0, 1)[None])


@contextmanager
def explain_steps() -> Iterator[None]:
    """Turn whatever an augmentation step raises, as it may come from any library, into a `ConfigError`."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as reason:
        text = " ".join(str(reason).split())
        raise ConfigError(
            "augmentation", f"a step refuses the images of data.shape: {text}", hint="change that step"
        ) from reason


def check_augmented(declaration: Declaration, images: Tensor) -> None:
    """Check that the model can process augmented images (N, C, H, W); dense tasks may train on smaller crops.

    Raises:
        ConfigError: they have another type or shape.
    """
    shape, usual = tuple(images.shape[1:]), plan_network(declaration)
    if images.dtype != torch.uint8:
        raise ConfigError(
            "augmentation",
            f"its steps turn bytes into {images.dtype}, which preprocess does itself",
            hint="remove steps such as Normalize or ToFloat",
        )
    is_dense = load_demands(declaration.task).is_dense
    if shape != usual.shape and not (is_dense and _count_weights(declaration, shape, usual) == usual.weights):
        raise ConfigError(
            "augmentation",
            f"its steps turn images of data.shape {tuple(declaration.data.shape)} into {shape}, and model {usual.name} "
            f"takes input_shape {usual.shape}",
            hint="end with a step that restores it, or change input_shape",
        )


def _count_weights(declaration: Declaration, shape: tuple[int, ...], usual: Network) -> int | None:
    """Return the number of weights of the network for another image shape; None if it cannot be built for it."""
    try:
        return plan(declaration.model, shape=shape, outputs=usual.outputs).weights
    except ConfigError:
        return None


class _Weights(nn.Module):
    """The parameters of a layer of filters."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 1, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1))


def _step(schedule: Any) -> None:
    if isinstance(schedule, ReduceLROnPlateau):
        schedule.step(0.0)
    else:
        schedule.step()

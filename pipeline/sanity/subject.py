"""A declaration under check: its data, its network, and the short trainings that several checks look at.

Everything is drawn from `seed`, and how much is computed follows from the plan of the network, not from the clock, so
that the same declaration always gets the same verdicts.
Shapes: N images, C channels, H rows, W columns; images are (N, C, H, W) uint8.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import nn

from pipeline.data.batches import PreparedSplit
from pipeline.data.prepared import Prepared
from pipeline.data.sampling import Draws, batches_per_class
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.hardware import probe, resolve
from pipeline.declaration.network import plan_for, plan_network
from pipeline.errors import ConfigError
from pipeline.sanity.layers import Activity, Layer, find_layers, measure_activity
from pipeline.sanity.prior import fit_prior
from pipeline.sanity.rates import RangeTest, test_range
from pipeline.sanity.short import Outcome, ShortTraining, score, settle_norms, train_briefly
from pipeline.tasks.demands import load_demands
from pipeline.tasks.task import Batch
from pipeline.training.assemble import (
    arrange,
    build_model,
    build_task,
    get_network,
    load_pretrained,
    make_fixed_split,
    make_train_split,
    modules_by_level,
    resolve_task,
    set_norms,
)
from pipeline.training.construction import build_augmentation
from pipeline.training.inputs import prepare, statistics
from pipeline.training.selection import find_selection
from pipeline.training.trained import find_device
from pipeline.transfer.levels import frozen_modules
from pipeline.transforms.statistics import Statistics

STEP_SIDE = 16  # pixels: sides of crops are multiples of it
SMALLEST_SIDE = 32
MOST_PER_IMAGE = (
    60e6  # multiply-adds; images that take more are cropped, where every pixel has its own target
)
MOST_PER_STEP = 1e9  # of the images of a step
MOST_PER_TRAINING = 60e9
STEPS = 50  # of a short training
FEWEST_STEPS = 10
FEWEST_IMAGES = 4  # of a step
MOST_PER_LOOK = 20e9  # multiply-adds of all images that a model is looked at with
FEWEST_LOOKED_AT = 20
PROBED = 128  # images that activations are measured on
SCORED = 200  # validation images that a short training is scored on
SHUFFLED = 1  # sets the order of shuffled targets apart from other random numbers


class Subject:
    """A declaration under check.

    Args:
        declaration: as it is trained.
        root: the project's folder.

    Attributes:
        sides: rows and columns that images are cropped to; None for whole images.
        batch_size: of short trainings; below the declared one for large networks.
        num_steps: of short trainings; below `STEPS` for large networks.
    """

    def __init__(self, declaration: Declaration, *, root: Path) -> None:
        self.declaration = declaration
        self.prepared = Prepared.open(prepare(declaration, root=root), declaration.data)
        self.statistics = Statistics.load(statistics(declaration, root=root))
        self.demands = load_demands(declaration.task)
        self.network = plan_network(declaration)
        self.task = build_task(declaration, resolve_task(declaration, self.prepared).settings)
        self.selection = find_selection(declaration, self.prepared)
        self.title = self.demands.scores(declaration.data)[self.selection.score]
        self.device = find_device(declaration)
        precision = resolve(declaration.trainer, probe()).precision
        self.precision = torch.bfloat16 if precision == "bf16-mixed" else None
        self.sides = self.find_sides(MOST_PER_IMAGE)
        per_image = self.multiply_adds(self.sides)
        self.most_looked_at = max(FEWEST_LOOKED_AT, int(MOST_PER_LOOK / per_image))
        fitting = max(FEWEST_IMAGES, int(MOST_PER_STEP / per_image))
        self.batch_size = min(declaration.trainer.batch_size, fitting, self.num_images)
        steps = int(MOST_PER_TRAINING / (3 * per_image * self.batch_size))
        self.num_steps = min(max(steps, FEWEST_STEPS), STEPS)

    @property
    def num_images(self) -> int:
        """Number of training images."""
        return len(self.prepared.targets("train"))

    def multiply_adds(self, sides: tuple[int, int] | None) -> int:
        """Return the multiply-adds of one image, whole or cropped."""
        network = self.network if sides is None else plan_for(self.declaration, sides)
        return max(network.multiply_adds, 1)

    def find_sides(self, most: float) -> tuple[int, int] | None:
        """Return the sides of the largest square crop that takes at most so many multiply-adds; None for whole images.

        Only networks that put out a map as large as the image can be shown crops of images and of their targets.
        """
        rows, columns = self.network.shape[1:]
        is_map = self.demands.is_dense and self.network.output_shape[1:] == (rows, columns)
        if not is_map or self.network.multiply_adds <= most:
            return None
        smallest = None
        for side in range(min(rows, columns) // STEP_SIDE * STEP_SIDE, SMALLEST_SIDE - 1, -STEP_SIDE):
            try:
                planned = plan_for(self.declaration, (side, side))
            except ConfigError:
                continue
            is_same = planned.weights == self.network.weights and planned.output_shape[1:] == (side, side)
            if is_same and self._preprocesses((side, side)):
                smallest = (side, side)
                if planned.multiply_adds <= most:
                    break
        return smallest

    def _preprocesses(self, sides: tuple[int, int]) -> bool:
        """Return whether preprocessing takes crops; a mean image, for one, has the sides of whole images."""
        preprocess = build_model(self.declaration, self.statistics).get_submodule("preprocess")
        try:
            preprocess(torch.zeros((1, self.network.shape[0], *sides), dtype=torch.uint8))
        except (RuntimeError, ValueError):
            return False
        return True

    def build(self) -> nn.Sequential:
        """Build the model as training starts with it; its frozen levels have no gradients."""
        model = build_model(self.declaration, self.statistics)
        load_pretrained(self.declaration, model)
        set_norms(self.declaration, model)
        frozen_modules(modules_by_level(self.declaration, model), freeze=self.declaration.model["freeze"])
        return arrange(model, self.declaration.trainer).to(self.device)

    def layers(self, model: nn.Sequential) -> list[Layer]:
        """Return the layers of a model that have weights, in the order of computation."""
        return find_layers(self.network, get_network(model))

    @cached_property
    def training(self) -> PreparedSplit:
        """The training split, augmented and mixed as declared."""
        return self._make_training()

    def _make_training(self) -> PreparedSplit:
        augmentation = build_augmentation(self.declaration, self.statistics)
        return make_train_split(self.declaration, self.prepared, augmentation, None)

    @cached_property
    def plain(self) -> PreparedSplit:
        """The training split without augmentation and mixing."""
        return make_fixed_split(self.declaration, self.prepared, "train", is_centred=True)

    @cached_property
    def validation(self) -> PreparedSplit:
        """The validation split."""
        return make_fixed_split(self.declaration, self.prepared, "val", is_centred=True)

    def batch(
        self,
        split: PreparedSplit,
        draws: Sequence[int],
        *,
        sides: tuple[int, int] | None = None,
        epoch: int = 0,
    ) -> Batch:
        """Return images of a split with their targets, on the device of the model; cropped to `sides`, if given."""
        found = cast("Batch", split[epoch, list(draws)])
        if sides is not None:
            found = _cropped(found, sides)
        return {key: value.to(self.device) for key, value in found.items()}

    def batches(self, split: PreparedSplit, num_steps: int) -> Iterator[Batch]:
        """Yield random batches of the size of a step; of several images of each class, if `trainer.sampler` says so."""
        for step, draws in enumerate(islice(self._draws(split), num_steps)):
            yield self.batch(split, draws.tolist(), sides=self.sides, epoch=step)

    def _draws(self, split: PreparedSplit) -> Iterator[Draws]:
        """Yield draws of batches without end."""
        random, sampler = np.random.default_rng(self.declaration.seed), self.declaration.trainer.sampler
        labels = split.kind.labels(split.targets)
        while labels is None or isinstance(sampler, str):
            yield random.choice(len(split), self.batch_size, replace=False)
        per_class = sampler["per_class"]
        num_classes = min(max(self.batch_size // per_class, 2), len(np.unique(labels)))
        while True:
            yield from batches_per_class(labels, random, num_classes=num_classes, per_class=per_class)

    def spread(self, split: PreparedSplit, most: int) -> list[int]:
        """Return the indices of at most so many images, evenly spread over a split."""
        count = min(most, len(split))
        return [index * len(split) // count for index in range(count)]

    @cached_property
    def probe(self) -> Batch:
        """Training images that layers are looked at with, as augmented in training."""
        chosen = self.spread(self.training, min(PROBED, self.most_looked_at))
        return self.batch(self.training, chosen, sides=self.sides)

    @cached_property
    def scored(self) -> Batch:
        """Validation images that short trainings are scored on."""
        chosen = self.spread(self.validation, min(SCORED, self.most_looked_at))
        return self.batch(self.validation, chosen, sides=self.sides)

    @cached_property
    def at_start(self) -> Sequence[Activity]:
        """What the layers of the untrained model put out."""
        return measure_activity(self, self.build())

    @cached_property
    def short(self) -> ShortTraining:
        """A short training as declared, at `optimizer.lr` throughout."""
        return train_briefly(self, self.build(), self.batches(self.training, self.num_steps))

    @cached_property
    def outcome(self) -> Outcome:
        """The validation images as the short training sees them."""
        return score(self, settle_norms(self, deepcopy(self.short.model)), self.scored)

    @cached_property
    def prior(self) -> Outcome:
        """The same as the best output sees them that is equal for all."""
        return fit_prior(self)

    @cached_property
    def control(self) -> Outcome:
        """The same of a short training on images whose targets are those of others."""
        split = self._make_training()
        random = np.random.default_rng([self.declaration.seed, SHUFFLED])
        split.targets = split.targets[random.permutation(len(split))]
        trained = train_briefly(self, self.build(), self.batches(split, self.num_steps))
        return score(self, settle_norms(self, trained.model), self.scored)

    @cached_property
    def range_test(self) -> RangeTest | None:
        """The range test of the learning rate; None if the optimizer has none."""
        return None if self.declaration.optimizer.get("lr") is None else test_range(self)


def _cropped(batch: Batch, sides: tuple[int, int]) -> Batch:
    """Return the centres of images, which augmentation may have cropped already, and of targets that are as large."""
    rows, columns = batch["image"].shape[2:]
    sides = min(sides[0], rows), min(sides[1], columns)
    top, left = ((a - b) // 2 for a, b in zip((rows, columns), sides, strict=True))
    return {
        key: value[..., top : top + sides[0], left : left + sides[1]].contiguous()
        if value.shape[-2:] == (rows, columns)
        else value
        for key, value in batch.items()
    }

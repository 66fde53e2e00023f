"""Checks of a resolved declaration: keys, types, names of classes, and whether its sections fit each other.

An invalid declaration is rejected in well under two seconds and before any data are read: no heavy library is imported,
and the network is planned, but not built.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.data.class_names import check_class_names
from pipeline.data.sources import check_source
from pipeline.declaration.declaration import BESIDE_ARGUMENTS, SECTIONS, Declaration, class_and_arguments
from pipeline.declaration.grants import check_granted, is_prefix
from pipeline.declaration.network import (
    OTHER_NORMS,
    check_size,
    check_whole,
    has_batch_norms,
    plan_network,
)
from pipeline.declaration.ranges import PIXELS, check_arguments, check_finite
from pipeline.declaration.settings import TrainerSettings
from pipeline.declaration.targets import check_allowed, check_modules, check_section, check_targets
from pipeline.errors import ConfigError, warn
from pipeline.plans.network import Network
from pipeline.tasks.demands import Demands, check_score_names, load_demands
from pipeline.transfer.settings import check_transfer
from pipeline.transforms.settings import (
    check_augmentation,
    check_mirrors,
    check_preprocess,
    check_views,
    refuse_parts,
)

PLAIN = (
    "name",
    "seed",
    "allowed_targets",
    "input_shape",
    "from",
    "plan",
)  # sections without keys of their own
SCHEMAS = {
    "data": "pipeline.data.facts.Facts",
    "trainer": "pipeline.declaration.settings.TrainerSettings",
    "search": "pipeline.sweeps.settings.SearchSettings",
    "tracking": "pipeline.declaration.settings.TrackingSettings",
    "augmentation": "pipeline.transforms.settings.AugmentationSettings",
    "views": "pipeline.transforms.settings.ViewSettings",
}
# Arguments that the pipeline itself passes to the constructor in a section; a task also gets the facts it requires.
GIVEN = {
    "preprocess": frozenset({"statistics"}),
    "augmentation": frozenset({"covariance"}),
    "optimizer": frozenset({"params"}),
    "scheduler": frozenset({"optimizer"}),
}


def check(sections: Mapping[str, Any]) -> Declaration:
    """Validate plain values, and return them as a declaration.

    Raises:
        ConfigError: the first problem found.
    """
    declaration = check_values(sections)
    _check_model(declaration.model)
    network = plan_network(declaration)
    check_size(network)
    check_whole(declaration, network)
    _check_transforms(declaration)
    _check_norms(network, declaration.trainer)
    level_weights = [sum(leaf.weights for leaf in level) for level in network.levels()]
    check_transfer(declaration.model, level_weights=level_weights, lr=declaration.optimizer.get("lr"))
    return declaration


def check_values(sections: Mapping[str, Any]) -> Declaration:
    """Validate keys, types and ranges of plain values, but not whether the sections fit each other.

    Raises:
        ConfigError: the first problem found.
    """
    for key in sections:
        if key not in SECTIONS:
            raise ConfigError.unknown(key, key, SECTIONS, what="section")
    for key in SECTIONS:
        if key not in sections:
            raise ConfigError(key, "the section is missing", hint="conf/config.yaml composes it")
    _check_plain(sections)
    check_finite(sections)
    check_class_names(sections["data"])
    refuse_parts(sections["views"])
    for key, schema in SCHEMAS.items():
        check_section(sections[key], schema, path=key)
    _check_search(sections)
    check_classes(sections)
    _check_beside_arguments(sections)
    declaration = Declaration.parse(sections)
    check_source(declaration.data)
    check_arguments(sections)
    demands = load_demands(declaration.task)
    demands.check(declaration.data)
    check_score_names(demands, declaration.data)
    demands.check_settings(declaration.task)
    demands.check_classes(declaration.task, declaration.data.classes)
    _check_sampler(declaration, demands)
    _check_select(declaration, demands)
    return declaration


def check_test_views(declaration: Declaration) -> None:
    """Check the views of test images; warn about views that invalidate labels."""
    for text in check_views(
        declaration.views,
        shape=tuple(declaration.data.shape),
        input_shape=declaration.input_shape,
        possible=load_demands(declaration.task).crops,
        mirror_changes_label=_mirror_changes_label(declaration),
    ):
        warn(text)


def _check_sampler(declaration: Declaration, demands: Demands) -> None:
    if declaration.trainer.sampler != "shuffle" and not demands.is_labelled:
        raise ConfigError(
            "trainer.sampler",
            got=declaration.trainer.sampler,
            allowed=f"shuffle for {demands.name}, whose images do not have one class each",
        )


def _check_select(declaration: Declaration, demands: Demands) -> None:
    select, scores = declaration.trainer.select, demands.scores(declaration.data)
    if select is not None and select not in scores:
        raise ConfigError.unknown("trainer.select", select, scores, what="score")


def _check_plain(sections: Mapping[str, Any]) -> None:
    """Check the sections that are plain values, and that all others are mappings."""
    seed, allowed = sections["seed"], sections["allowed_targets"]
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ConfigError("seed", got=seed, allowed=f"a whole number from 0 to {2**32 - 1}")
    if not isinstance(allowed, list) or not all(map(is_prefix, allowed)):
        raise ConfigError("allowed_targets", got=allowed, allowed="a list of prefixes such as [mylab.]")
    if not isinstance(sections["from"], str | None):
        raise ConfigError("from", got=sections["from"], allowed="the name of an earlier search, or null")
    if not isinstance(sections["plan"], bool):
        raise ConfigError("plan", got=sections["plan"], allowed="true or false")
    if not isinstance(sections["input_shape"], list):
        raise ConfigError(
            "input_shape",
            got=sections["input_shape"],
            allowed="[channels, rows, columns] of what the network sees",
        )
    for key in SECTIONS:
        if key not in PLAIN and not isinstance(sections[key], Mapping):
            raise ConfigError(key, got=sections[key], allowed="a mapping of keys")


def _check_search(sections: Mapping[str, Any]) -> None:
    """Raise if there are settings of a search, but no space."""
    if sections["search"]["space"]:
        return
    trial = sections["search"]["trial"]
    for path, value, is_set in (
        ("plan", sections["plan"], sections["plan"]),
        ("from", sections["from"], sections["from"] is not None),
        ("search.trial", trial, trial is not None),
    ):
        if is_set:
            raise ConfigError(
                path, "belongs to a search", got=value, hint="add search=coarse, or leave the setting out"
            )


def check_classes(sections: Mapping[str, Any]) -> None:
    """Check the classes that all sections name, and their arguments; nothing is imported before."""
    allowed = sections["allowed_targets"]
    check_granted(allowed)
    for key in ("model", "task"):
        check_modules(sections[key], allowed=allowed, path=key)
    augmentation = sections["augmentation"]
    _check_steps(augmentation["steps"], "augmentation.steps")
    if augmentation["mixing"] is not None:
        _check_step(augmentation["mixing"], "augmentation.mixing")
    for key in ("preprocess", "task", "optimizer", "scheduler"):
        if "_target_" not in sections[key]:
            raise ConfigError(f"{key}._target_", "is missing", hint="name the class to build")
    target = sections["task"]["_target_"]
    check_allowed(target, where="task._target_", kind="task", allowed=allowed)
    given = {**GIVEN, "task": frozenset(load_demands(sections["task"]).facts)}
    for key in ("preprocess", "task", "optimizer", "scheduler"):
        section = class_and_arguments(sections[key], key)
        check_targets(section, path=key, kind=key, allowed=allowed, given=given[key])
    steps, mixing = augmentation["steps"], augmentation["mixing"]
    check_targets(steps, path="augmentation.steps", kind="step", allowed=allowed, given=given["augmentation"])
    check_targets(mixing, path="augmentation.mixing", kind="mixing", allowed=allowed)


def _check_beside_arguments(sections: Mapping[str, Any]) -> None:
    """Check the settings that stand beside the arguments of a section's class; all are true or false."""
    for key, names in BESIDE_ARGUMENTS.items():
        for name in names:
            if name not in sections[key]:
                problem, hint = "the setting is missing", "add it with its default from conf/config.yaml"
                raise ConfigError(f"{key}.{name}", problem, hint=hint)
            if not isinstance(sections[key][name], bool):
                raise ConfigError(f"{key}.{name}", got=sections[key][name], allowed="true or false")


def _check_steps(steps: Sequence[Any], path: str) -> None:
    """Check that steps, including nested ones, have a `_target_`."""
    for index, step in enumerate(steps):
        where = f"{path}[{index}]"
        _check_step(step, where)
        inner = step.get("transforms", [])
        if not isinstance(inner, list):
            raise ConfigError(f"{where}.transforms", got=inner, allowed="a list of steps")
        _check_steps(inner, f"{where}.transforms")


def _check_step(step: Any, where: str) -> None:
    if not isinstance(step, Mapping) or not isinstance(step.get("_target_"), str):
        raise ConfigError(
            where,
            "needs a _target_",
            got=step,
            hint="name a transform, such as _target_: albumentations.HorizontalFlip",
        )


def _check_transforms(declaration: Declaration) -> None:
    """Check that preprocessing, augmentation and views are compatible with images and task."""
    shape, input_shape = tuple(declaration.data.shape), declaration.input_shape
    check_preprocess(declaration.preprocess, shape=shape, input_shape=input_shape)
    mirror_changes_label = _mirror_changes_label(declaration)
    for text in check_augmentation(
        declaration.augmentation, shape=shape, mirror_changes_label=mirror_changes_label
    ):
        warn(text)
    if declaration.data.points is not None and declaration.data.swapped_points is None:
        check_mirrors(declaration.augmentation, declaration.views, got=None)
    demands = load_demands(declaration.task)
    if declaration.augmentation.mixing is not None and not demands.mixes:
        raise ConfigError(
            "augmentation.mixing",
            got=declaration.augmentation.mixing["_target_"],
            allowed=f"null for {demands.name}, whose targets cannot be mixed",
        )
    check_test_views(declaration)


def _mirror_changes_label(declaration: Declaration) -> bool:
    """Return whether a mirrored image may have another label; a dense target is mirrored with its image."""
    return declaration.data.mirror_changes_label and not load_demands(declaration.task).is_dense


def _check_model(model: Mapping[str, Any]) -> None:
    """Check the name of a network, and its default padding, even if none of its layers uses it."""
    name = model.get("name")
    if not isinstance(name, str) or not name:
        raise ConfigError("model.name", got=name, allowed="text that is not empty")
    padding = model.get("padding", "same")
    pixels = padding if isinstance(padding, list) and len(padding) == 2 else [padding]
    if padding not in ("same", "valid") and not all(side in PIXELS for side in pixels):
        raise ConfigError("model.padding", got=padding, allowed="same, valid or pixels, such as 1 or [1, 2]")


def _check_norms(network: Network, settings: TrainerSettings) -> None:
    """Raise if settings of a trainer do not fit the batch norms of a network."""
    has_batch = has_batch_norms(network)
    if settings.batch_size == 1 and has_batch:
        raise ConfigError(
            "trainer.batch_size",
            got=1,
            allowed=f"at least 2, as model {network.name} has batch norms, which cannot normalise over one image",
            hint=f"or {OTHER_NORMS}",
        )
    if settings.norm_momentum is not None and not has_batch:
        raise ConfigError(
            "trainer.norm_momentum",
            got=settings.norm_momentum,
            allowed=f"null for model {network.name}, which has no batch norms",
        )

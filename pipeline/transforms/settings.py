"""Checks of the sections `preprocess`, `augmentation` and `views`, without importing the classes they name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ConfigError, Range

Shape = tuple[int, ...]

OWN = ("pipeline.transforms.preprocess.", "pipeline.transforms.mixing.")
WHITENING = ("pipeline.transforms.preprocess.PcaWhiten", "pipeline.transforms.preprocess.ZcaWhiten")
LARGEST_TILE = 4096  # values; larger covariance matrices take minutes to decompose
LARGEST_NUMBER = 16_384  # in the arguments of a step, such as the rows to resize to
MIRRORING = ("HorizontalFlip", "VerticalFlip", "Transpose", "D4", "SquareSymmetry")
KEEPING = (
    *MIRRORING[:2],
    "Affine",
    "ColorJitter",
    "Erasing",
    "PcaColor",
    "RGBShift",
)  # the sides of an image
PARTS = ("windows", "proposals")  # of larger images, which a trained classifier is applied to
COLOURED = ("PcaColor", "FancyPCA", "HueSaturationValue", "ChannelShuffle", "ToGray", "ToSepia")


@dataclass(frozen=True)
class AugmentationSettings:
    """Augmentation of training images, as given in the section `augmentation`.

    Args:
        steps: transforms of single images, applied in order.
        mixing: mixing of the images of a batch; null for no mixing.
        copies: number of augmented versions of each image to precompute and cycle through; null to augment on the fly.
    """

    steps: list[Any]
    mixing: dict[str, Any] | None
    copies: int | None


@dataclass(frozen=True)
class ViewSettings:
    """Views of each test image, as given in the section `views`.

    Args:
        crops: `centre`, or `corners` for the four corners and the centre.
        mirror: whether to add the left-right mirror image of each crop.
    """

    crops: str
    mirror: bool


def refuse_parts(views: Any) -> None:
    """Raise if a section `views` is that of parts of larger images, which only evaluation knows."""
    crops = views.get("crops") if isinstance(views, Mapping) else None
    if crops in PARTS:
        hint = f"train without them, then `python -m pipeline.evaluate <run> <folder to write> views={crops}`"
        raise ConfigError("views", f"{crops} are a way to evaluate a trained run", got=crops, hint=hint)


def find_tile(preprocess: Mapping[str, Any], shape: Shape) -> tuple[int, int] | None:
    """Return the size (rows, columns) of the tiles that a preprocessing whitens; None without whitening."""
    if preprocess["_target_"] not in WHITENING:
        return None
    patch = preprocess["patch"]
    return (shape[1], shape[2]) if patch is None else (patch, patch)


def check_preprocess(preprocess: Mapping[str, Any], *, shape: Shape, input_shape: Shape) -> None:
    """Check that settings are in range, and that whitening, if any, is possible for the images.

    Args:
        shape: (C, H, W) of the images.
        input_shape: (C, H, W) that the network sees.
    """
    if preprocess["_target_"].startswith(OWN):
        for key, check in (("scale", check_scale), ("epsilon", check_epsilon)):
            if key in preprocess:
                check(preprocess[key])
    tile = find_tile(preprocess, shape)
    if tile is None:
        return
    patch = preprocess["patch"]
    if patch is None and input_shape != shape:
        raise ConfigError(
            "preprocess.patch",
            got=patch,
            allowed=f"set where the network sees crops of {_text(input_shape)} from images of {_text(shape)}",
            hint="choose a patch that divides the rows and columns of both, or another preprocess",
        )
    for sides in (shape, input_shape):
        if patch is not None and (patch < 1 or sides[1] % patch or sides[2] % patch):
            raise ConfigError(
                "preprocess.patch",
                got=patch,
                allowed=f"a divisor of the rows and columns of images of {_text(sides)}",
                hint="4 and 8 are usual",
            )
    dimension = shape[0] * tile[0] * tile[1]
    if dimension > LARGEST_TILE:
        raise ConfigError(
            "preprocess.patch",
            f"a tile of {shape[0]} x {tile[0]} x {tile[1]} has {dimension:,} values, more than the limit of "
            f"{LARGEST_TILE:,}",
            got=patch,
            hint="choose a smaller patch, such as preprocess.patch=8",
        )


def check_scale(scale: float) -> None:
    """Check the value of white after preprocessing."""
    Range(above=0).check("preprocess.scale", scale, hint="1 and 255 are usual")


def check_epsilon(epsilon: float) -> None:
    """Check what whitening adds to each variance."""
    Range(above=0).check("preprocess.epsilon", epsilon, hint="0.01 is usual")


def check_alpha(alpha: float) -> None:
    """Check the parameter of the Beta distribution from which mixing draws its weights."""
    Range(above=0).check("augmentation.mixing.alpha", alpha, hint="augmentation.mixing=null turns mixing off")


def check_augmentation(
    settings: AugmentationSettings, *, shape: Shape, mirror_changes_label: bool
) -> list[str]:
    """Check that augmentation steps can be applied to the images.

    Args:
        shape: (C, H, W) of the images.
        mirror_changes_label: whether a mirrored image may belong to another class.

    Returns:
        Warnings about steps that are valid, but invalidate labels.
    """
    for where, step in _steps(settings.steps):
        _check_step(step, where, shape)
    _check_crops(settings.steps, shape)
    mixing = settings.mixing
    if mixing is not None and mixing["_target_"].startswith(OWN):
        check_alpha(mixing["alpha"])
    copies = settings.copies
    if copies is not None and (copies < 1 or not settings.steps):
        raise ConfigError(
            "augmentation.copies",
            got=copies,
            allowed="null or at least 1" if settings.steps else "null where augmentation.steps is empty",
            hint="null makes new draws in each epoch",
        )
    if not mirror_changes_label:
        return []
    return [
        f"{where}: {step['_target_'].rsplit('.', 1)[-1]} mirrors images, and data.mirror_changes_label says that a "
        "mirrored image may belong to another class; choose another augmentation"
        for where, step in _steps(settings.steps)
        if step["_target_"].rsplit(".", 1)[-1] in MIRRORING
    ]


def check_mirrors(settings: AugmentationSettings, views: ViewSettings, *, got: object) -> None:
    """Check that no step mirrors images, nor views, whose points must not be mirrored.

    Args:
        got: the value of `data.swapped_points`.

    Raises:
        ConfigError: one does; the error names it.
    """
    mirrors = [
        where for where, step in _steps(settings.steps) if step["_target_"].rsplit(".", 1)[-1] in MIRRORING
    ]
    mirrors += ["views.mirror"] if views.mirror else []
    if mirrors:
        raise ConfigError(
            "data.swapped_points",
            f"it is not known which points a mirror swaps, and {mirrors[0]} mirrors images",
            got=got,
            hint="name the pairs, such as {left_eye: right_eye}, or {} if there are none; or choose another "
            "augmentation and views",
        )


def _check_step(step: Mapping[str, Any], where: str, shape: Shape) -> None:
    """Check that the numbers of a step are in range, and that it can be applied to images of a shape."""
    name = step["_target_"].rsplit(".", 1)[-1]
    if "p" in step and step["p"] not in Range(least=0, most=1):
        raise ConfigError(f"{where}.p", got=step["p"], allowed="a probability from 0 to 1")
    for key, value in step.items():
        if _largest(value) > LARGEST_NUMBER:
            raise ConfigError(
                f"{where}.{key}",
                got=value,
                allowed=f"at most {LARGEST_NUMBER}, as images of such sides would take all memory",
            )
    if name in COLOURED and shape[0] == 1:
        raise ConfigError(
            where,
            f"{name} needs colour images",
            got=shape,
            hint="remove the step, or use augmentation=color_jitter, which changes brightness and contrast of grey "
            "images",
        )


def check_views(
    views: ViewSettings,
    *,
    shape: Shape,
    input_shape: Shape,
    possible: Sequence[str],
    mirror_changes_label: bool,
) -> list[str]:
    """Check that views are possible for the test images; return warnings like `check_augmentation`.

    Args:
        possible: crops that the task supports.
    """
    if views.crops not in ("centre", "corners"):
        raise ConfigError("views.crops", got=views.crops, allowed="centre or corners")
    if views.crops not in possible:
        raise ConfigError(
            "views.crops",
            got=views.crops,
            allowed="centre for tasks with masks, which cover the whole image",
            hint="use views=whole or views=flips",
        )
    if views.crops == "corners" and input_shape == shape:
        raise ConfigError(
            "views.crops",
            got=views.crops,
            allowed=f"centre where the network sees the whole image of {_text(shape)}",
            hint="make input_shape smaller than data.shape, or use views=flips",
        )
    if views.mirror and mirror_changes_label:
        return [
            "views.mirror: test images are mirrored, and data.mirror_changes_label says that a mirrored image may "
            "belong to another class; use views=whole"
        ]
    return []


def _largest(value: Any) -> float:
    """Return the largest number in an argument of a step; steps in it are looked at by themselves."""
    if isinstance(value, list):
        return max(map(_largest, value), default=0)
    return value if isinstance(value, int | float) else 0


def _check_crops(steps: Sequence[Mapping[str, Any]], shape: Shape) -> None:
    """Raise if a crop is larger than the image, as far as the size is deterministic."""
    sides = shape[1:]
    for index, step in enumerate(steps):
        name = step["_target_"].rsplit(".", 1)[-1]
        if name in ("RandomCrop", "CenterCrop", "PadCrop"):
            keys = ("rows", "columns") if name == "PadCrop" else ("height", "width")
            for key in keys:
                Range(least=1, is_whole=True).check(f"augmentation.steps[{index}].{key}", step[key])
            wanted = tuple(step[key] for key in keys)
            share = step["padding"] if name == "PadCrop" else 0
            Range(least=0, most=1).check(f"augmentation.steps[{index}].padding", share)
            padded = tuple(side + 2 * int(side * share) for side in sides)
            if not step.get("pad_if_needed") and (wanted[0] > padded[0] or wanted[1] > padded[1]):
                raise ConfigError(
                    f"augmentation.steps[{index}]",
                    f"the crop is larger than the image of {_text(sides)}"
                    + (f" ({_text(padded)} when padded)" if share else ""),
                    got=wanted,
                    hint="make the crop smaller",
                )
            sides = wanted
        elif name not in KEEPING:
            return  # from here on, the size is random


def _steps(steps: Sequence[Any], path: str = "augmentation.steps") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every step with its config path, including those nested in `OneOf` and the like."""
    for index, step in enumerate(steps):
        where = f"{path}[{index}]"
        yield where, step
        yield from _steps(step.get("transforms", ()), f"{where}.transforms")


def _text(shape: Shape) -> str:
    return " x ".join(map(str, shape))

"""Checks on the sections `preprocess`, `augmentation` and `views`, without importing what they build."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ConfigError

Shape = tuple[int, ...]

WHITENING = ("pipeline.transforms.preprocess.PcaWhiten", "pipeline.transforms.preprocess.ZcaWhiten")
LARGEST_TILE = 4096  # values; the covariance of more would not fit caches, nor its axes a coffee break
MIRRORING = ("HorizontalFlip", "VerticalFlip", "Transpose", "D4", "SquareSymmetry")
KEEPING = (
    *MIRRORING[:2],
    "Affine",
    "ColorJitter",
    "Erasing",
    "PcaColor",
    "RGBShift",
)  # the sides of an image
COLOURED = ("PcaColor", "FancyPCA", "HueSaturationValue", "ChannelShuffle", "ToGray", "ToSepia")


@dataclass(frozen=True)
class AugmentationSettings:
    """What is done to training images, as the section `augmentation` states it.

    Args:
        steps: transforms of single images, applied in order.
        mixing: what mixes the images of a batch; null mixes nothing.
        copies: how many draws of each image are made ahead and used in turn; null draws anew in each epoch.
    """

    steps: list[Any]
    mixing: dict[str, Any] | None
    copies: int | None


def tile_of(preprocess: Mapping[str, Any], shape: Shape) -> tuple[int, int] | None:
    """Return rows and columns of the tiles that a preprocessing whitens; None where it whitens nothing."""
    if preprocess["_target_"] not in WHITENING:
        return None
    patch = preprocess["patch"]
    return (shape[1], shape[2]) if patch is None else (patch, patch)


def check_preprocess(preprocess: Mapping[str, Any], *, shape: Shape, input_shape: Shape) -> None:
    """Refuse a whitening that does not fit the images.

    Args:
        shape: (C, H, W) of the images.
        input_shape: (C, H, W) that the network sees.
    """
    tile = tile_of(preprocess, shape)
    if tile is None:
        return
    patch = preprocess["patch"]
    if patch is None and input_shape != shape:
        raise ConfigError(
            f"preprocess.patch: whole images of {_text(shape)} cannot be whitened where the network sees "
            f"{_text(input_shape)} of them; choose a patch that divides both, or another preprocess"
        )
    for sides in (shape, input_shape):
        if patch is not None and (patch < 1 or sides[1] % patch or sides[2] % patch):
            raise ConfigError(
                f"preprocess.patch must divide the rows and columns of images of {_text(sides)}, got {patch}; "
                "8 is usual"
            )
    dimension = shape[0] * tile[0] * tile[1]
    if dimension > LARGEST_TILE:
        raise ConfigError(
            f"preprocess.patch: whitening tiles of {shape[0]} x {tile[0]} x {tile[1]} takes a matrix of "
            f"{dimension:,} x {dimension:,}; at most {LARGEST_TILE:,} values per tile are possible, choose a smaller "
            "patch, such as preprocess.patch=8"
        )


def check_augmentation(
    settings: AugmentationSettings, *, shape: Shape, mirror_changes_label: bool
) -> list[str]:
    """Refuse steps that cannot work on the images.

    Args:
        shape: (C, H, W) of the images.
        mirror_changes_label: whether a mirrored image may belong to another class.

    Returns:
        Warnings: what works, but makes labels wrong.
    """
    for where, step in _steps(settings.steps):
        name = step["_target_"].rsplit(".", 1)[-1]
        if "p" in step and not 0 <= step["p"] <= 1:
            raise ConfigError(f"{where}.p is a probability, from 0 to 1; got {step['p']}")
        if name in COLOURED and shape[0] == 1:
            raise ConfigError(
                f"{where}: {name} shifts colours, and images of {_text(shape)} are grey; remove the step, or use "
                "augmentation=color_jitter, which changes brightness and contrast of grey images"
            )
    _check_crops(settings.steps, shape)
    copies = settings.copies
    if copies is not None and (copies < 1 or not settings.steps):
        raise ConfigError(
            f"augmentation.copies must be null, or at least 1 draw of some steps, got {copies} of "
            f"{len(settings.steps)} steps; null draws anew in each epoch"
        )
    if not mirror_changes_label:
        return []
    return [
        f"{where}: {step['_target_'].rsplit('.', 1)[-1]} mirrors images, and data.mirror_changes_label says that a "
        "mirrored image may belong to another class; choose another augmentation"
        for where, step in _steps(settings.steps)
        if step["_target_"].rsplit(".", 1)[-1] in MIRRORING
    ]


def check_views(
    views: Mapping[str, Any], *, shape: Shape, input_shape: Shape, is_dense: bool, mirror_changes_label: bool
) -> list[str]:
    """Refuse what test images cannot be seen as; return warnings as `check_augmentation` does.

    Args:
        is_dense: whether the task asks for one output per pixel.
    """
    if views["crops"] not in ("centre", "corners"):
        raise ConfigError(f"views.crops must be centre or corners, got {views['crops']!r}")
    if views["crops"] == "corners" and is_dense:
        raise ConfigError("views.crops: a mask covers the whole image; use views=whole or views=flips")
    if views["crops"] == "corners" and input_shape == shape:
        raise ConfigError(
            f"views.crops: the network sees all of {_text(shape)}, so that all crops would be the same; make "
            "input_shape smaller than data.shape, or use views=flips"
        )
    if views["mirror"] and mirror_changes_label:
        return [
            "views.mirror: test images are mirrored, and data.mirror_changes_label says that a mirrored image may "
            "belong to another class; use views=whole"
        ]
    return []


def _check_crops(steps: Sequence[Mapping[str, Any]], shape: Shape) -> None:
    """Refuse a crop that is larger than the image, as far as sides can be told without drawing."""
    sides = shape[1:]
    for index, step in enumerate(steps):
        name = step["_target_"].rsplit(".", 1)[-1]
        if name in ("RandomCrop", "CenterCrop", "PadCrop"):
            keys = ("rows", "columns") if name == "PadCrop" else ("height", "width")
            wanted = tuple(step[key] for key in keys)
            share = step["padding"] if name == "PadCrop" else 0
            padded = tuple(side + 2 * int(side * share) for side in sides)
            if not step.get("pad_if_needed") and (wanted[0] > padded[0] or wanted[1] > padded[1]):
                raise ConfigError(
                    f"augmentation.steps[{index}]: a crop of {_text(wanted)} is larger than the image of {_text(sides)}"
                    + (f", {_text(padded)} with its padding" if share else "")
                    + "; crop less"
                )
            sides = wanted
        elif name not in KEEPING:
            return  # from here on, only a draw tells the sides


def _steps(steps: Sequence[Any], path: str = "augmentation.steps") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every step with its config path, those inside `OneOf` and the like too."""
    for index, step in enumerate(steps):
        where = f"{path}[{index}]"
        yield where, step
        yield from _steps(step.get("transforms", ()), f"{where}.transforms")


def _text(shape: Shape) -> str:
    return " x ".join(map(str, shape))

"""Masks: one class per pixel, stored as indices (N, H, W); `data.ignore_label` marks pixels to ignore."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.data.archive import Archive
from pipeline.data.facts import Facts
from pipeline.data.images import find_resizing, is_turned, read_sides
from pipeline.data.masks import Coding, Palettes, decode_mask
from pipeline.data.pixel_facts import mask_padding
from pipeline.data.remarks import TURNED, Remarks
from pipeline.data.sources import Sample
from pipeline.data.targets.kind import Array, TargetKind
from pipeline.errors import ConfigError


class Mask(TargetKind):
    """The class of every pixel; a sample's target is the name of the mask's file in the archive."""

    name = "mask"
    moves_as = "mask"

    def shape(self, facts: Facts) -> tuple[int, ...]:
        """Return (H, W) of the prepared images."""
        return facts.shape[1], facts.shape[2]

    def read(self, sample: Sample, archive: Archive, facts: Facts, *, image: bytes) -> Array:
        """Return the mask (H, W), resized with its image.

        Raises:
            ConfigError: the mask does not match its image, or contains a value that is not a class.
        """
        return self._read(sample, archive, facts, image, Palettes(), Remarks())

    def reader(self, archive: Archive, facts: Facts, remarks: Remarks) -> Callable[[Sample, bytes], Array]:
        """Return a function that reads masks, and refuses palettes that contradict each other."""
        palettes = Palettes()
        return lambda sample, image: self._read(sample, archive, facts, image, palettes, remarks)

    def _read(
        self,
        sample: Sample,
        archive: Archive,
        facts: Facts,
        image: bytes,
        palettes: Palettes,
        remarks: Remarks,
    ) -> Array:
        assert isinstance(sample.target, str)
        data = archive.read(sample.target)
        mask = decode_mask(
            data,
            name=sample.target,
            image_sides=read_sides(image),
            resizing=find_resizing(facts),
            padding=mask_padding(facts),
            coding=_coding(facts),
            palettes=palettes,
            max_pixels=facts.max_pixels,
        )
        if is_turned(image) and not is_turned(data):
            remarks.note(TURNED, sample.file)
        return mask

    def check_present(self, num_images: Mapping[str, Sequence[int]], facts: Facts) -> None:
        """Check that every class has a pixel in a training mask.

        Raises:
            ConfigError: a class has none; the message names it.
        """
        for name, count in zip(facts.classes, num_images["train"], strict=True):
            if not count:
                ignored = "" if facts.ignore_label is None else "; data.ignore_label may stand for its pixels"
                way = "add some, or remove the class"
                if facts.format == "image_masks":  # other formats have no data.mask_values
                    way = "add some, remove the class, or say which values it has by data.mask_values"
                raise ConfigError(
                    "data.classes",
                    f"no training mask of {facts.root} has a pixel of class '{name}'",
                    hint=way + ignored,
                )

    def mask(self, target: Any) -> Array | None:
        """Return the mask itself."""
        return np.asarray(target)


def _coding(facts: Facts) -> Coding:
    """Return what is in the files of masks."""
    indices = facts.mask_indices() or {}
    return Coding(
        len(facts.classes),
        facts.ignore_label,
        {value: index for value, index in indices.items() if isinstance(value, int)} or None,
        {value: index for value, index in indices.items() if isinstance(value, str)} or None,
    )


KIND = Mask()

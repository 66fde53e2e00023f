"""Small archives of images, and the declarations that read them."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.data.facts import Facts
from pipeline.data.images import decode_image
from pipeline.data.sources import Sample, check_source, load_source, open_source
from pipeline.declaration.composition import compose_sections
from pipeline.declaration.declaration import Declaration
from pipeline.files import yaml_text

SPLITS = ("train", "val", "test")

Pixels = NDArray[np.uint8]


def encode(pixels: Any, file_format: str = "PNG", **options: Any) -> bytes:
    """Encode an array, or a Pillow image, as the bytes of a file."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.asarray(pixels))
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def deep_png(colour_type: int, num_channels: int) -> bytes:
    """Write by hand a 16-bit PNG of one pixel, which Pillow reads but cannot write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, colour_type, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\x00" + b"\x12\x34" * num_channels))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


def deep_tiff() -> bytes:
    """Write by hand a 16-bit RGB TIFF of one pixel."""
    end = 8 + 2 + 12 * 9 + 4  # header, count, nine entries, no next directory
    entries = [
        (256, 1),
        (257, 1),
        (258, end),
        (259, 1),
        (262, 2),
        (273, end + 6),
        (277, 3),
        (278, 1),
        (279, 6),
    ]
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries if tag != 258)
    bits = struct.pack("<HHII", 258, 3, 3, end)
    directory = directory[:24] + bits + directory[24:]
    body = struct.pack("<3H", 16, 16, 16) + struct.pack("<3H", 1000, 2000, 3000)
    return struct.pack("<2sHIH", b"II", 42, 8, 9) + directory + struct.pack("<I", 0) + body


def with_empty_page(tiff: bytes) -> bytes:
    """Let a little-endian TIFF go on with a page that says nothing, not even its sides."""
    (start,) = struct.unpack_from("<I", tiff, 4)
    (num_entries,) = struct.unpack_from("<H", tiff, start)
    link = start + 2 + 12 * num_entries
    return tiff[:link] + struct.pack("<I", len(tiff)) + tiff[link + 4 :] + bytes(6)


def huge_png(width: int, height: int) -> bytes:
    """Return a grey PNG that claims a size and has the pixels of a small one."""
    small = encode(np.zeros((8, 8), np.uint8))
    header = b"IHDR" + struct.pack(">II", width, height) + small[24:29]
    return small[:12] + header + struct.pack(">I", zlib.crc32(header)) + small[33:]


def write_files(path: Path, files: Mapping[str, bytes]) -> Path:
    """Write files as a zip where the path ends in `.zip`, else as a folder; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def write_class_folders(
    path: Path,
    *,
    classes: Sequence[str] = ("cat", "dog"),
    splits: Sequence[str] = SPLITS,
    num_images: int = 3,
    sides: tuple[int, int] = (8, 8),
    channels: int = 1,
) -> dict[str, Pixels]:
    """Write a folder or zip of format `class_folders`, of noise.

    Args:
        splits: folders of splits; none where the pipeline shall split.
        num_images: per class and split.

    Returns:
        Name in the archive -> pixels (H, W) or (H, W, 3).
    """
    random = np.random.default_rng(0)
    shape = sides if channels == 1 else (*sides, channels)
    images = {
        f"{prefix}{label}/{index:03}.png": random.integers(0, 256, shape, dtype=np.uint8)
        for prefix in prefixes(splits)
        for label in classes
        for index in range(num_images)
    }
    write_files(path, {name: encode(pixels) for name, pixels in images.items()})
    return images


def write_identity_folders(
    path: Path, *, names: Sequence[str], splits: Sequence[str] = SPLITS, num_images: int = 2
) -> None:
    """Write a folder or zip of format `identity_folders`, of noise; each split has identities of its own.

    Args:
        names: of the identities of a split, which its own name goes before.
        num_images: of each identity.
    """
    random = np.random.default_rng(0)
    files = {
        f"{prefix}{prefix.rstrip('/')}{name}/{index:03}.png": random.integers(0, 256, (8, 8), dtype=np.uint8)
        for prefix in prefixes(splits)
        for name in names
        for index in range(num_images)
    }
    write_files(path, {name: encode(pixels) for name, pixels in files.items()})


def write_image_masks(
    path: Path,
    *,
    num_classes: int = 2,
    splits: Sequence[str] = SPLITS,
    num_images: int = 3,
    sides: tuple[int, int] = (8, 8),
) -> dict[str, Pixels]:
    """Write a folder or zip of format `image_masks`: noise, brighter where the class is higher.

    Returns:
        Name in the archive -> pixels (H, W), of images and masks alike.
    """
    random = np.random.default_rng(0)
    written = {}
    for prefix in prefixes(splits):
        for index in range(num_images):
            mask = random.integers(0, num_classes, sides, dtype=np.uint8)
            noise = random.integers(0, 256 // num_classes, sides, dtype=np.uint8)
            written[f"{prefix}images/{index:03}.png"] = mask * np.uint8(256 // num_classes) + noise
            written[f"{prefix}masks/{index:03}.png"] = mask
    write_files(path, {name: encode(pixels) for name, pixels in written.items()})
    return written


def write_label_sets(
    path: Path,
    *,
    classes: Sequence[str] = ("cat", "dog"),
    splits: Sequence[str] = SPLITS,
    num_images: int = 6,
) -> dict[str, Pixels]:
    """Write a folder or zip of format `csv_labels` with several labels per image: noise, and `labels.csv`.

    Images in turn have each class alone, each class but one, and none.

    Returns:
        Name in the archive -> pixels (H, W).
    """
    random = np.random.default_rng(0)
    sets = [[name] for name in classes] + [
        [*classes[:place], *classes[place + 1 :]] for place in range(len(classes))
    ]
    sets.append([])
    images, rows = {}, ["file,tags"]
    for prefix in prefixes(splits):
        for index in range(num_images):
            name = f"{prefix}{index:03}.png"
            images[name] = random.integers(0, 256, (8, 8), dtype=np.uint8)
            rows.append(f"{name},{'|'.join(sets[index % len(sets)])}")
    table = {"labels.csv": "\n".join(rows).encode()}
    write_files(path, {name: encode(pixels) for name, pixels in images.items()} | table)
    return images


def data_section(root: Path | str, **changes: Any) -> dict[str, Any]:
    """Return the section `data` for what `write_class_folders` writes by default."""
    section = {
        "name": "tiny",
        "format": "class_folders",
        "root": str(root),
        "digest": None,
        "shape": [1, 8, 8],
        "classes": ["cat", "dog"],
        "split": "folders",
        "groups": None,
        "fold": None,
        "background": None,
        "ignore_label": None,
        "mirror_changes_label": False,
        "licence": "none, it is noise",
        "max_pixels": 100_000_000,
        "max_file_bytes": 2**28,
        "table": None,
        "columns": None,
        "separator": None,
        "mask_values": None,
        "points": None,
        "swapped_points": None,
        "min_visible": 0.25,
        "degrade": None,
        "allow_duplicates": False,
        "resize": "squash",
        "padding_value": 0,
        "value_range": None,
    }
    return {**section, **changes}


def list_samples(section: dict[str, Any]) -> list[Sample]:
    """Return the samples that a section `data` declares, which is checked."""
    facts = Facts(**section)
    check_source(facts)
    with open_source(facts) as archive:
        return load_source(facts.format).samples(archive, facts)


def decode(data: bytes, *, name: str, shape: tuple[int, int, int], **facts: Any) -> Pixels:
    """Return the pixels (H, W, C) of a file, decoded as those of a data set with these facts."""
    section = data_section("nowhere", shape=list(shape), **facts)
    return decode_image(data, name=name, facts=Facts(**section)).pixels


def declaration(data: Mapping[str, Any], **sections: Any) -> Declaration:
    """Return the declaration that conf/ makes, with other data and sections; it is not checked."""
    plain = {
        **compose_sections([]),
        "name": "tiny_experiment",
        "data": dict(data),
        "input_shape": data["shape"],
    }
    if "optimizer" in sections:
        sections["optimizer"] = {"decay_norms_and_biases": True, **sections["optimizer"]}
    return Declaration.parse({**plain, **sections})


def write_declaration(path: Path, data: Mapping[str, Any], **sections: Any) -> Path:
    """Write the file of `declaration`, with a task and a network that fit, as the stages read it; return its path."""
    is_dense = data["format"] == "image_masks"
    task = "segmentation" if is_dense else "classification"
    plain = compose_sections([f"task={task}"])
    head: list[Any] = [{"conv": "outputs"}] if is_dense else ["flatten", {"linear": "outputs"}]
    model = {**plain["model"], "name": "tiny", "layers": [{"conv": 2}], "head": head}
    made = declaration(data, **{"model": model, "task": plain["task"], **sections})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml_text(dict(made.sections)), encoding="utf-8")
    return path


def prefixes(splits: Sequence[str]) -> list[str]:
    return [f"{split}/" for split in splits] or [""]

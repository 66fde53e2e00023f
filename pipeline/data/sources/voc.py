"""Format `voc`: images, and an XML file of boxes for each, as Pascal VOC has them.

Source: Everingham et al. 2010, doi:10.1007/s11263-009-0275-4; the development kit's `Annotations/*.xml`, `JPEGImages/`
and `ImageSets/Main/`. An XML file belongs to the image of the same name without suffix; an image without one has no
box. Pixels count from 1 and `xmax` is the last one inside, so a box covers x from `xmin` - 1 to `xmax`. Objects that
are `difficult` are ignored. With `split: folders`, `ImageSets/Main/train.txt`, `val.txt` and `test.txt` list names of
images, one a line, wherever the folder `ImageSets` is; without them, a folder in each path is called train, val or
test.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from unicodedata import normalize
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from pipeline.data.archive import Archive
from pipeline.data.box_files import check_corners, find_label, list_samples, split_by_folders
from pipeline.data.facts import SPLITS, Facts
from pipeline.data.faults import Faults
from pipeline.data.places import Box, check_unit
from pipeline.data.sources import Sample, index_classes, is_image
from pipeline.errors import ConfigError

TARGET = "boxes"
FEWEST_CLASSES = 1
CORNERS = ("xmin", "ymin", "xmax", "ymax")
BNDBOX = "write bndbox with xmin, ymin, xmax and ymax in pixels, counted from 1"


def samples(archive: Archive, facts: Facts) -> list[Sample]:
    """List the images, sorted by name.

    Raises:
        ConfigError: an XML file is damaged or has no image, or an object is none.
    """
    names = archive.names()
    images: dict[str, str] = {}
    faults = Faults(str(archive.root))
    for name in filter(is_image, names):
        stem = PurePosixPath(name).stem
        if stem in images:
            problem = "images whose names differ in folder or suffix alone"
            faults.note(problem, f"{images[stem]} and {name}", way="rename or remove one of each")
        images[stem] = name
    boxes: dict[str, tuple[Box, ...]] = dict.fromkeys(images.values(), ())
    classes = index_classes(facts)
    for name in names:
        if not name.lower().endswith(".xml"):
            continue
        stem = PurePosixPath(name).stem
        if stem in images:
            boxes[images[stem]] = _read(parse(archive.read(name), name), name, classes, faults)
        else:
            faults.note("XML files without an image", name, way="add the image, or remove the file")
    faults.check()
    check_unit(
        (max(box.x_max, box.y_max) for each in boxes.values() for box in each), "boxes", str(archive.root)
    )
    return _list(boxes, images, archive, facts)


def _list(
    boxes: Mapping[str, tuple[Box, ...]], images: Mapping[str, str], archive: Archive, facts: Facts
) -> list[Sample]:
    if facts.shares is not None:
        return list_samples(boxes, None, archive, facts)
    splits = _read_sets(archive, images)
    if not splits:
        return list_samples(boxes, split_by_folders(sorted(boxes), archive), archive, facts)
    return list_samples({name: boxes[name] for name in splits}, splits, archive, facts)


def parse(data: bytes, name: str) -> Element:
    """Return the root of an XML file; one that declares entities, which may stand for gigabytes, is refused.

    Raises:
        ConfigError: it is damaged, or declares a document type.
    """

    def refuse(*_: object) -> None:
        raise ConfigError(
            name, "declares a document type, which no annotation needs", hint="remove <!DOCTYPE ...>"
        )

    builder, parser = TreeBuilder(), expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, UnicodeDecodeError) as reason:
        raise ConfigError(name, f"is not XML ({reason})", hint="restore an intact copy") from None
    return builder.close()


def _read(root: Element, name: str, classes: Mapping[str, int], faults: Faults) -> tuple[Box, ...]:
    """Return the boxes of an image; note what is wrong."""
    found = []
    for number, each in enumerate(root.findall("object"), start=1):
        box = _box(each, f"{name} object {number}", classes, faults)
        if box is not None:
            found.append(box)
    return tuple(found)


def _box(each: Element, where: str, classes: Mapping[str, int], faults: Faults) -> Box | None:
    """Return the box of an object; None if there is something wrong with it, which is noted."""
    label = find_label(faults, normalize("NFC", (each.findtext("name") or "").strip()), classes, where)
    frame = each.find("bndbox")
    if frame is None:
        is_rotated = each.find("robndbox") is not None
        problem = "rotated boxes (robndbox)" if is_rotated else "objects without bndbox"
        faults.note(problem, where, way=f"{BNDBOX}, upright around each object")
        return None
    try:
        x_min, y_min, x_max, y_max = (float(frame.findtext(side) or "") for side in CORNERS)
    except ValueError:
        faults.note("boxes whose corners are no numbers", where, way=BNDBOX)
        return None
    corners = (x_min - 1, y_min - 1, x_max, y_max)
    shown = f"{where}: {' '.join(f'{side:g}' for side in (x_min, y_min, x_max, y_max))}"
    if not check_corners(faults, corners, shown, way=BNDBOX) or label is None:
        return None
    return Box(*corners, label, (each.findtext("difficult") or "0").strip() == "1", where)


def _read_sets(archive: Archive, images: Mapping[str, str]) -> dict[str, str]:
    """Return image -> split, as `ImageSets` lists them; empty if there are no such lists.

    Raises:
        ConfigError: a list names an image that there is not, or one of another list.
    """
    faults = Faults(str(archive.root))
    splits: dict[str, str] = {}
    for split in SPLITS:
        lists = [name for name in archive.names() if f"/{name}".endswith(f"/ImageSets/Main/{split}.txt")]
        for name in lists:
            for number, line in enumerate(
                archive.read(name).decode("utf-8", errors="replace").splitlines(), 1
            ):
                stem, where = (line.split() or [""])[0], f"{name} line {number}"
                if not stem:
                    continue
                if stem not in images:
                    faults.note("lists that name an image which it does not have", where, way="add it")
                elif splits.setdefault(images[stem], split) != split:
                    faults.note("images in two lists", where, way="keep each in one of them")
    faults.check()
    return splits

"""The command `inspect`: it finds the format, declares it once, shows all that is in it, and says what to type next."""

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from pipeline import inspect
from pipeline.data.prepared import Prepared
from pipeline.declaration import composition
from pipeline.declaration.composition import compose
from pipeline.errors import ConfigError
from pipeline.training.inputs import prepare
from tests.makers import encode, write_class_folders, write_files, write_image_masks
from tests.refusals import refused


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs the command in a project of its own and returns what it prints."""
    project = tmp_path / "project"
    shutil.copytree(composition.CONF, project / "conf")
    monkeypatch.setattr(composition, "CONF", project / "conf")
    monkeypatch.chdir(project)

    def run_inspect(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["inspect", *map(str, arguments)])
        inspect.main()
        return capsys.readouterr().out

    return run_inspect


def declared(name: str) -> Any:
    return yaml.safe_load(Path(f"conf/data/{name}.yaml").read_text())


@pytest.mark.parametrize("root", ["pets", "pets.zip"])
def test_class_folders_are_declared_with_what_has_no_default_alone(
    root: str, run: Any, tmp_path: Path
) -> None:
    write_class_folders(tmp_path / root, splits=(), num_images=40, sides=(48, 64), channels=3)
    said = run(tmp_path / root)
    assert declared("pets") == {
        "name": "pets",
        "format": "class_folders",
        "root": str(tmp_path / root),
        "shape": [3, 48, 64],
        "classes": ["cat", "dog"],
    }
    assert "Type next: python -m pipeline.train data=pets model=resnet18\n" in said
    made = prepare(compose(["data=pets", "model=resnet18"]), root=Path.cwd())
    assert np.load(made / "train_images.npy").shape[1:] == (48, 64, 3)


def test_folders_of_splits_and_masks_are_declared(run: Any, tmp_path: Path) -> None:
    write_image_masks(tmp_path / "tiles", num_classes=3, sides=(50, 30))
    said = run(tmp_path / "tiles", "name=cells")
    facts = declared("cells")
    assert (facts["format"], facts["split"], facts["shape"]) == ("image_masks", "folders", [1, 48, 32])
    assert facts["classes"] == ["background", "class_1", "class_2"]
    assert "Type next: python -m pipeline.train data=cells task=segmentation model=unet_small\n" in said
    prepare(compose(["data=cells", "task=segmentation", "model=unet_small"]), root=Path.cwd())


def indexed(values: Any, colours: list[int]) -> bytes:
    image = Image.fromarray(values).convert("P")
    image.putdata(values.ravel().tolist())
    image.putpalette(colours + [0] * (768 - len(colours)))
    return encode(image)


CODINGS: list[tuple[str, Any, dict[str, Any]]] = [
    # what              encodes a mask of classes 0, 1 and 2 of a file       what is declared
    ("0 and 255", lambda mask, _: encode((mask > 0) * np.uint8(255)),
     {"mask_values": {0: "background", 255: "foreground"}, "background": "background"}),
    ("one bit", lambda mask, _: encode(Image.fromarray((mask > 0) * np.uint8(255)).convert("1")),
     {"mask_values": {0: "background", 255: "foreground"}, "background": "background"}),
    ("one bit or 0 and 255", lambda mask, n: encode(Image.fromarray((mask > 0) * np.uint8(255)).convert("1L"[n % 2])),
     {"mask_values": {0: "background", 255: "foreground"}, "background": "background"}),
    ("one bit among colours",
     lambda mask, n: encode(np.array([[0] * 3, [255, 0, 0], [255] * 3], np.uint8)[mask] if n % 2 else mask == 2),
     {"mask_values": {"#000000": "background", "#ff0000": "colour_ff0000", "#ffffff": "colour_ffffff"}}),
    ("three values", lambda mask, _: encode(mask * np.uint8(100) + np.uint8(3)),
     {"mask_values": {3: "class_3", 103: "class_103", 203: "class_203"}}),
    ("ignored", lambda mask, _: encode(np.where(mask == 2, 255, mask).astype(np.uint8)),
     {"classes": ["background", "foreground"], "ignore_label": 255, "background": "background"}),
    ("16 bits", lambda mask, _: encode(mask.astype(np.uint16) * 500),
     {"mask_values": {0: "background", 500: "class_500", 1000: "class_1000"}, "background": "background"}),
    ("whole numbers as floats", lambda mask, _: encode(mask.astype(np.float32), "TIFF"),
     {"classes": ["background", "class_1", "class_2"]}),
    ("grey in three channels", lambda mask, _: encode(np.repeat((mask > 0)[..., None] * np.uint8(255), 3, axis=-1)),
     {"mask_values": {0: "background", 255: "foreground"}, "background": "background"}),
    ("colours", lambda mask, _: encode(np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]], np.uint8)[mask]),
     {"mask_values": {"#000000": "background", "#0000ff": "colour_0000ff", "#ff0000": "colour_ff0000"}}),
    ("palette", lambda mask, _: indexed(mask, [9, 9, 9, 255, 0, 0, 0, 0, 255]),
     {"classes": ["background", "class_1", "class_2"]}),
    ("contradicting palettes",
     lambda mask, n: indexed(np.array([0, 1 + n % 2, 2 - n % 2], np.uint8)[mask],
                             [0, 0, 0, *([255, 0, 0, 0, 0, 255] if n % 2 else [0, 0, 255, 255, 0, 0])]),
     {"mask_values": {"#000000": "background", "#0000ff": "colour_0000ff", "#ff0000": "colour_ff0000"}}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "write", "facts"), CODINGS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_masks_of_any_values_or_colours_are_declared_and_prepared(
    what: str, write: Any, facts: dict[str, Any], run: Any, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    masks = [random.integers(0, 3, (32, 48), dtype=np.uint8) for _ in range(24)]
    files = {f"images/{n}.png": encode(random.integers(0, 256, (32, 48), dtype=np.uint8)) for n in range(24)}
    write_files(
        tmp_path / "tiles", files | {f"masks/{n}.png": write(mask, n) for n, mask in enumerate(masks)}
    )
    said = run(tmp_path / "tiles")
    assert {key: declared("tiles")[key] for key in facts} == facts
    assert "Training would refuse" not in said
    assert "Refused" not in said
    declaration = compose(["data=tiles", "task=segmentation", "model=unet_small"])
    prepared = Prepared.open(prepare(declaration, root=Path.cwd()), declaration.data)
    first = int(prepared.files("train")[0].split("/")[1].removesuffix(".png"))
    classes = declaration.data.classes
    target = prepared.targets("train")[0]
    for index in np.unique(masks[first]):  # each class of the picture becomes one class of the declaration
        assert len(np.unique(target[masks[first] == index])) == 1
    assert len(np.unique(target)) == len(classes) + (declaration.data.ignore_label is not None)


def test_masks_of_shades_and_lossy_masks_are_refused(run: Any, tmp_path: Path) -> None:
    shades = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) // 20
    files = {"images/1.png": encode(np.eye(64) > 0), "masks/1.png": encode(shades.astype(np.uint8))}
    root = write_files(tmp_path / "shades", files)
    with refused("data.mask_values", hint="save one value for each class: neither shades, ") as caught:
        run(root)
    assert caught.value.problem == "masks have 205 different values, such as 0, 1, 2, 3, 4, 5"
    root = write_files(tmp_path / "lossy", files | {"masks/1.png": encode(np.eye(64) > 0, "JPEG")})
    with refused("data.root") as caught:
        run(root)
    assert "masks/1.png: is a mask saved as JPEG, which changes its values" in caught.value.problem


def test_folder_around_everything_is_opened(run: Any, tmp_path: Path) -> None:
    write_class_folders(tmp_path / "download" / "inner" / "pets", splits=(), num_images=20)
    run(tmp_path / "download")
    assert declared("download")["root"] == str(tmp_path / "download" / "inner" / "pets")


def test_names_that_readers_of_yaml_take_for_something_else_are_quoted(run: Any, tmp_path: Path) -> None:
    names = ["yes", "no", "1e3", "0", "null", "a: b", "\u00e9"]
    write_class_folders(tmp_path / "odd", classes=names, splits=(), num_images=20)
    run(tmp_path / "odd")
    assert declared("odd")["classes"] == sorted(names) == compose(["data=odd", "model=resnet18"]).data.classes


def test_file_that_was_edited_is_left_alone(run: Any, tmp_path: Path) -> None:
    write_class_folders(tmp_path / "pets", splits=(), num_images=20)
    run(tmp_path / "pets")
    file = Path("conf/data/pets.yaml")
    before = file.read_text()
    run(tmp_path / "pets")
    assert file.read_text() == before
    file.write_text(before.replace("[cat, dog]", "[dog, cat]"))
    text = (
        f"{file.resolve()}: was written or edited by hand, and is left as it is; type data=pets to inspect what it "
        "declares, name=<other> to write another file, or force=true to replace it"
    )
    with refused(str(file.resolve()), text=text):
        run(tmp_path / "pets")
    assert declared("pets")["classes"] == ["dog", "cat"]
    assert "pets: 40 images" in run("data=pets")
    run(tmp_path / "pets", "force=true")
    assert file.read_text() == before


def test_everything_is_counted_and_every_damaged_file_named(run: Any, tmp_path: Path) -> None:
    write_class_folders(tmp_path / "pets", splits=(), num_images=20)
    bad = {f"cat/bad{index:02}.png": b"" for index in range(13)} | {"dog/cut.png": encode(np.eye(8) > 0)[:50]}
    write_files(tmp_path / "pets", {**bad, "notes.txt": b"", ".DS_Store": b"", "cat/.hidden.png": b""})
    said = run(tmp_path / "pets").splitlines()
    assert "pets: 54 images, class_folders, " in "".join(said[1:3])
    assert max(map(len, said[3:-1])) <= 80
    words = [line.split() for line in said]
    assert next(line for line in words if line[:2] == ["is", "not"])[-1] == "13"
    assert ["hidden,", "or", "made", "by", "the", "system", "2"] in words
    assert ["not", "an", "image", "(.txt)", "1"] in words
    assert "and 3 more for the same reason" in said
    sentences = Path("artifacts/inspect/pets/refused.txt").read_text().splitlines()
    assert {sentence.split(":")[0] for sentence in sentences} == bad.keys()
    page = Path("artifacts/inspect/pets/inspect.html").read_text()
    assert "data:image/png;base64," in page
    assert "Always guessing &#39;cat&#39; has accuracy" in page


TABLES: list[tuple[str, list[str], dict[str, Any]]] = [
    # lines of the table                               options    what is declared
    ("cells/a{n}.png,patient{g},{label}", [], {"columns": {"file": 0, "label": 2}}),
    ("cells/a{n}.png   {p}.0   {label}", [], {"columns": {"file": 0, "label": 1}, "classes": ["0.0", "1.0", "2.0"]}),
    ("cells/a{n}.png   {p}.0   {label}", ["label=2"], {"columns": {"file": 0, "label": 2}}),
]  # fmt: skip


@pytest.mark.parametrize(("line", "options", "facts"), TABLES)
@pytest.mark.parametrize("typed", ["set", "set/labels.csv", "set.zip"])
def test_table_of_labels_is_declared(
    line: str, options: list[str], facts: dict[str, Any], typed: str, run: Any, tmp_path: Path
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 20, 20), dtype=np.uint8)
    lines = [line.format(n=n, p=n % 3, g=n, label=["mono", "poly"][n % 2]) for n in range(60)]
    files = {f"cells/a{n}.png": encode(image) for n, image in enumerate(images)}
    write_files(tmp_path / typed.partition("/")[0], {"labels.csv": "\n".join(lines).encode(), **files})
    said = run(tmp_path / typed, "name=solar", *options)
    expected = {"format": "csv_labels", "table": "labels.csv", "classes": ["mono", "poly"], **facts}
    assert {key: declared("solar")[key] for key in expected} == expected
    assert "Passed over" not in said
    prepare(compose(["data=solar", "model=resnet18"]), root=Path.cwd())


def test_headers_tell_labels_splits_and_groups(run: Any, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 20, 20), dtype=np.uint8)
    lines = [f"{n},a{n}.png,p{n % 5},{['train', 'val', 'test'][n % 3]},{'xy'[n % 2]}" for n in range(30)]
    files = {f"a{n}.png": encode(image) for n, image in enumerate(images)}
    table = "\n".join(["age,Image,patient,split,diagnosis", *lines]).encode()
    write_files(tmp_path / "scans", {"list.tsv": table.replace(b",", b"\t"), **files})
    said = run(tmp_path / "scans")
    columns = {"file": "Image", "label": "diagnosis", "split": "split", "group": "patient"}
    assert declared("scans")["columns"] == columns
    assert "columns: file in column Image, label in column diagnosis, split in column split" in said


def test_table_of_pixels_is_declared(run: Any, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 36), dtype=np.uint8)
    lines = [",".join(map(str, [*image, n % 3])) for n, image in enumerate(images)]
    (tmp_path / "mnist.csv").write_text("\n".join(lines))
    run(tmp_path / "mnist.csv")
    facts = declared("mnist")
    assert (facts["format"], facts["columns"], facts["shape"]) == ("csv_pixels", {"label": 36}, [1, 32, 32])
    assert facts["classes"] == ["0", "1", "2"]
    prepare(compose(["data=mnist", "model=resnet18"]), root=Path.cwd())


def test_images_in_several_splits_are_told_before_training_refuses_them(run: Any, tmp_path: Path) -> None:
    write_class_folders(tmp_path / "pets")
    shutil.copy(tmp_path / "pets/train/cat/000.png", tmp_path / "pets/test/cat/000.png")
    said = run(tmp_path / "pets")
    assert (
        "Training would refuse it: images that are in several splits: 1; remove one of each, or set data"
        in said
    )
    assert ["same", "bytes", "1", "2", "1", "0", "1"] in [line.split() for line in said.splitlines()]
    assert "Training would refuse" not in run("data=pets", "data.allow_duplicates=true")


def test_declared_data_set_is_shown_with_its_overrides(run: Any, tmp_path: Path) -> None:
    write_class_folders(tmp_path / "pets", splits=(), num_images=20)
    run(tmp_path / "pets")
    said = run("data=pets", "data.shape=[1,64,96]", "data.split={val:0.4,test:0.4,seed:0}")
    assert "64 x 96, grey" in said
    assert not Path("runs").exists()


MISTAKES: list[tuple[list[str], dict[str, bytes], str]] = [
    (["absent"], {}, "absent: no such file or folder; usage: "),
    (["data"], {"readme.txt": b""}, "data: has no images, only other files: 1 .txt"),
    (["data"], {"a.png": b"", "b.png": b""}, "data: has 2 images in no layout that is known, such as a.png; put the"),
    (["data"], {"train/a/1.png": b"", "valid/a/1.png": b""}, "data: has splits by other names, got ['train', 'valid'];"
     " rename valid/ to val/"),
    (["data"], {"train/a/1.png": b"", "test/a/1.png": b""}, "data: has no val folder, got ['test', 'train']; move"),
    (["data"], {"a/1.png": b"", "b/1.png": b""}, "data.root: none of the 2 images of data can be used, the first as"),
    (["data", "data"], {"a.txt": b""}, "python -m pipeline.inspect: takes one folder or zip, and one table of labels"),
    (["data", "data", "data"], {}, "python -m pipeline.inspect: names neither one path nor data=<name>"),
    (["data", "nam=x"], {"a/1.png": b""}, "python -m pipeline.inspect: names neither one path nor data=<name>"),
    (["data", "name=a/b"], {"a/1.png": b""}, "name must be a name of at most"),
    (["data", "name=a b"], {"a/1.png": b""}, "name must be the name of a file in conf/"),
    (["data", "label=y"], {"a/1.png": b""}, "label: no table names the images, got 'y'; name the CSV file itself"),
    (["data/t.csv"], {"data/t.csv": b"x,y\n1,2\n"}, "data/t.csv: holds neither pixels, nor a column of names of"),
    (["data/t.csv"], {"data/t.csv": b"1.png,a\n2.png,a\n", "data/1.png": b"", "data/2.png": b""},
     "t.csv: has no column of labels: none has from 2 values to half as many as rows; name one by label=<column>"),
    (["data/t.csv", "label=c"], {"data/t.csv": b"f,b\n1.png,a\n", "data/1.png": b""},
     "label: unknown column of t.csv:"),
    ([], {}, "python -m pipeline.inspect: names neither one path nor data=<name>, got []; usage: "),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "files", "text"), MISTAKES)
def test_mistake_is_one_sentence_with_the_way_out(
    arguments: list[str], files: dict[str, bytes], text: str, run: Any
) -> None:
    if files:
        write_files(Path(), files) if "data/" in arguments[0] else write_files(Path("data"), files)
    with pytest.raises(ConfigError) as caught:
        run(*arguments)
    assert str(caught.value).startswith(text)
    assert not {"data.yaml", "absent.yaml"} & {path.name for path in Path("conf/data").iterdir()}

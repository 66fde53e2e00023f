"""Files that cannot be used: one error names all of them, and nothing is made of the others after the first."""

import weakref
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.external import prepare_external
from pipeline.data.facts import Facts
from pipeline.data.prepared import write_prepared
from pipeline.data.refusals import MOST, catching, raise_together
from pipeline.errors import ConfigError
from tests.makers import data_section, encode, write_class_folders, write_files
from tests.refusals import refused


@pytest.mark.parametrize("is_external", [False, True])
def test_one_attempt_names_all_files_that_cannot_be_used(is_external: bool, tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_class_folders(root, num_images=20)
    bad = {f"test/cat/{index:03}.png": b"" for index in range(3)}
    write_files(root, bad | {"test/dog/005.png": encode(np.eye(9) > 0)[:40]})
    facts = Facts(**data_section(root))
    (tmp_path / "out").mkdir()
    text = (
        "test/cat/000.png: is not an image of a known format (AVIF, BMP, GIF, JPEG, PNG, PPM, TIFF, WEBP); replace or "
        "remove it; as are 3 other files: test/cat/001.png, test/cat/002.png, test/dog/005.png; `python -m "
        "pipeline.inspect data=<name>` lists all of them"
    )
    with refused("test/cat/000.png", text=text):
        if is_external:
            prepare_external(facts, tmp_path / "out", split="test")
        else:
            write_prepared(facts, tmp_path / "out", data_digest="sha256:0")


def test_single_error_is_raised_as_it_is() -> None:
    error = ConfigError("a.png", "is bad", hint="remove it")

    def results() -> Generator[int | ConfigError]:
        yield from (1, error, 2)

    found = raise_together(results())
    assert next(found) == 1
    with pytest.raises(ConfigError) as caught:
        next(found)
    assert caught.value is error


def test_refusals_that_are_collected_keep_no_images_alive() -> None:
    images: list[weakref.ref[np.ndarray]] = []

    def fail(name: str) -> None:
        image = np.zeros(9)
        images.append(weakref.ref(image))
        try:
            image.reshape(2, 5)
        except ValueError as reason:
            raise ConfigError(name, f"is bad ({reason})") from None

    error = catching(fail)("a.png")
    assert isinstance(error, ConfigError)
    assert [image() for image in images] == [None]


def test_search_for_more_ends_where_a_fact_must_be_wrong() -> None:
    asked = []

    def fail(index: int) -> int:
        asked.append(index)
        raise ConfigError(f"{index}.png", "is in colour")

    def results() -> Generator[int | ConfigError]:
        yield from map(catching(fail), range(5 * MOST))

    with refused("0.png", hint=f"as are {MOST - 1} or more other files: 1.png, "):
        list(raise_together(results()))
    assert len(asked) == MOST

"""Groups of prepared images: found in names, and missed before anything is trained."""

from pathlib import Path

from pipeline.data.facts import Facts
from pipeline.data.prepared import Prepared, write_prepared
from tests.makers import data_section, write_class_folders
from tests.refusals import refused


def test_groups_of_a_split_are_found_in_the_names_of_its_images(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "data.zip")
    facts = Facts(**data_section(tmp_path / "data.zip", groups=r"(\w+)/\d+\.png"))
    write_prepared(facts, tmp_path, data_digest="sha256:0123")
    found = Prepared.open(tmp_path, facts)
    assert found.groups("test", facts) == ["cat"] * 3 + ["dog"] * 3
    assert found.groups("test", Facts(**data_section(tmp_path / "data.zip"))) is None


def test_test_image_without_a_group_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "data.zip")
    facts = Facts(**data_section(tmp_path / "data.zip", groups=r"train.*"))
    with refused("data.groups", got=r"train.*", hint="rename the file, or write an expression"):
        write_prepared(facts, tmp_path, data_digest="sha256:0123")

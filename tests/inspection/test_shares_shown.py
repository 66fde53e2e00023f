"""The table of splits: the same counts as preparation, their shares, and a seed that draws better ones."""

from pathlib import Path

import numpy as np

from pipeline.data.facts import Facts
from pipeline.data.prepared import Prepared, write_prepared
from pipeline.inspection.inspected import inspect_data
from tests.makers import data_section, encode, write_files


def write_patients(root: Path, *, num_patients: int, each: int) -> Path:
    """Write images of patients, half of each patient's in either class."""
    random = np.random.default_rng(0)
    names = [
        f"{('cat', 'dog')[index % 2]}/p{patient}_{index}.png"
        for patient in range(num_patients)
        for index in range(each)
    ]
    return write_files(
        root, {name: encode(random.integers(0, 256, (8, 8), dtype=np.uint8)) for name in names}
    )


def test_shares_are_those_of_preparation_and_a_better_seed_is_declared(tmp_path: Path) -> None:
    root = write_patients(tmp_path / "data", num_patients=20, each=4)
    for seed in range(20):
        section = data_section(root, split={"val": 0.15, "test": 0.15, "seed": seed}, groups=r"p\d+")
        facts = Facts(**section)
        shown = inspect_data(facts, tmp_path / "page")
        warned = [text for text in shown.blocks[0].remarks if "were asked" in text]
        if warned:
            break
    assert "as groups are drawn as wholes" in warned[0]
    better = inspect_data(facts, tmp_path / "page", open_facts=["split"])
    assert better.facts.split != facts.split
    assert not [text for text in better.blocks[0].remarks if "were asked" in text]
    rows = {row[0]: list(row[1:]) for row in better.blocks[0].rows}
    assert rows["all"] == ["56 (70%)", "12 (15%)", "12 (15%)", "80", ""]
    assert rows["cat"] == ["28 (70%)", "6 (15%)", "6 (15%)", "40", "50.0%"]
    write_prepared(better.facts, tmp_path, data_digest="")
    prepared = Prepared.open(tmp_path, better.facts)
    assert prepared.about()["counts"] == {"train": 56, "val": 12, "test": 12}
    assert np.bincount(prepared.targets("val")).tolist() == [6, 6]


def test_declared_split_is_shown_as_it_is(tmp_path: Path) -> None:
    root = write_patients(tmp_path / "data", num_patients=20, each=4)
    facts = Facts(**data_section(root, split={"val": 0.2, "seed": 0}))
    shown = inspect_data(facts, tmp_path / "page")
    assert shown.problems == []
    assert shown.facts == facts
    assert shown.blocks[0].rows[-1] == ("all", "64 (80%)", "16 (20%)", "0 (0%)", "80", "")

"""Stage `prepare`: made once by whoever asks first, whole or not at all, from the pinned archive alone."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data import prepared
from pipeline.data.prepared import Prepared
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.keys import data_digest, prepared_key
from pipeline.declaration.loading import load
from pipeline.runs.cache import publish
from pipeline.training.inputs import prepare
from tests.makers import (
    data_section,
    declaration,
    write_class_folders,
    write_declaration,
    write_files,
    write_image_masks,
)
from tests.refusals import refused

CODE = Path(__file__).parents[1]


@pytest.fixture
def tiny(tmp_path: Path) -> Declaration:
    """Return a declaration whose archive lies in the project `tmp_path`."""
    write_class_folders(tmp_path / "data.zip")
    return declaration(data_section(tmp_path / "data.zip"))


def with_data(changed: Declaration, **facts: Any) -> Declaration:
    return changed.replace(data={**changed.sections["data"], **facts})


def opened(folder: Path, of: Declaration) -> Prepared:
    return Prepared.open(folder, of.data)


def forbid_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared, "write_prepared", lambda *_, **__: pytest.fail("was made again"))


def unfinished(root: Path) -> list[str]:
    return [str(path) for path in root.rglob("*unfinished*")]


def run(
    module: str, arguments: Sequence[str], root: Path, *, limit: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a stage in a project's folder, as a user does; `limit` is a shell command before it."""
    command = f'{limit}\nexec "$@"'
    return subprocess.run(
        ["bash", "-c", command, "bash", sys.executable, "-B", "-m", module, *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(CODE)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_prepared_data_are_found_and_not_made_again(
    tiny: Declaration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = prepare(tiny, root=tmp_path)
    assert opened(made, tiny).about()["counts"] == {"train": 6, "val": 6, "test": 6}
    assert opened(made, tiny).about()["digest"] == data_digest(tiny, root=tmp_path)
    forbid_writing(monkeypatch)
    assert prepare(tiny, root=tmp_path) == made


def test_what_dvc_restores_is_adopted_and_not_made_again(
    tiny: Declaration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(prepare(tiny, root=tmp_path), tmp_path / "artifacts" / "prepare" / "any_name", root=tmp_path)
    shutil.rmtree(tmp_path / "cache")
    forbid_writing(monkeypatch)
    adopted = prepare(tiny, root=tmp_path)
    assert adopted == tmp_path / "cache" / "prepare" / prepared_key(tiny, root=tmp_path)
    assert opened(adopted, tiny).images("test").shape == (6, 8, 8, 1)


KEYS = [
    # what is changed                                  whether other data come of it
    ({"shape": [1, 4, 4]}, True),
    ({"mirror_changes_label": True}, False),
    ({"classes": ["dog", "cat"]}, True),
    ({"split": {"val": 0.2, "test": 0.2, "seed": 0}}, True),
    ({"format": "image_masks"}, True),
    ({"ignore_label": 255}, True),
    ({"licence": "MIT"}, False),
    ({"max_pixels": 64, "max_file_bytes": 1000}, False),
    ({"groups": r"\d"}, True),
    ({"fold": {"index": 0, "of": 3}}, True),
]


@pytest.mark.parametrize(("changes", "is_other"), KEYS)
def test_key_depends_on_the_facts_that_decide(
    changes: dict[str, Any], is_other: bool, tiny: Declaration, tmp_path: Path
) -> None:
    assert (
        prepared_key(with_data(tiny, **changes), root=tmp_path) != prepared_key(tiny, root=tmp_path)
    ) == is_other


def test_key_depends_on_the_bytes_of_the_archive_and_not_on_its_place(
    tiny: Declaration, tmp_path: Path
) -> None:
    moved = with_data(tiny, root=str(tmp_path / "moved.zip"))
    shutil.copy(tmp_path / "data.zip", tmp_path / "moved.zip")
    assert prepared_key(moved, root=tmp_path) == prepared_key(tiny, root=tmp_path)
    write_class_folders(tmp_path / "moved.zip", num_images=4)
    assert prepared_key(moved, root=tmp_path) != prepared_key(tiny, root=tmp_path)


def test_key_does_not_depend_on_other_sections(tiny: Declaration, tmp_path: Path) -> None:
    changes = {
        "seed": 1,
        "model": {"name": "other"},
        "augmentation": {
            "steps": [{"_target_": "albumentations.HorizontalFlip"}],
            "mixing": None,
            "copies": 2,
        },
        "preprocess": {"_target_": "pipeline.transforms.preprocess.ZcaWhiten", "patch": 4, "epsilon": 0.1},
        "task": {
            "_target_": "pipeline.tasks.segmentation.task.Segmentation",
            "dice_weight": 1.0,
            "dice_background": True,
            "class_weights": "none",
        },
    }
    assert prepared_key(tiny.replace(**changes), root=tmp_path) == prepared_key(tiny, root=tmp_path)


def test_other_archive_than_the_pinned_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_class_folders(Path("data/tiny.zip"))
    tiny = declaration(data_section("data/tiny.zip"))
    pinned = data_digest(tiny, root=tmp_path)
    prepare(with_data(tiny, digest=pinned), root=tmp_path)

    write_class_folders(Path("data/tiny.zip"), num_images=4)
    found = data_digest(tiny, root=tmp_path)
    text = (
        f"data.digest: data/tiny.zip is not the archive that data tiny pins: expected {pinned}, found {found}; "
        "restore it with `git checkout data.dvc && dvc pull --force --remote store data.dvc`, or set data.digest to "
        "the new one"
    )
    with refused("data.digest", got=found, allowed=(pinned,), text=text):
        prepare(with_data(tiny, digest=pinned), root=tmp_path)


def test_failure_leaves_nothing_half_written_and_the_next_call_works(tmp_path: Path) -> None:
    root = tmp_path / "data"
    images = write_class_folders(root)
    tiny = declaration(data_section(root))
    good = (root / "test/dog/002.png").read_bytes()  # the last to be read
    write_files(root, {"test/dog/002.png": good[:50]})
    with refused("test/dog/002.png"):
        prepare(tiny, root=tmp_path)
    assert [path.suffix for path in (tmp_path / "cache" / "prepare").iterdir()] == [".lock"]
    write_files(root, {"test/dog/002.png": good})
    made = opened(prepare(tiny, root=tmp_path), tiny)
    np.testing.assert_array_equal(made.images("test")[5, ..., 0], images["test/dog/002.png"])


def test_disk_that_fills_up_is_one_clear_error_and_leaves_nothing_behind(tmp_path: Path) -> None:
    write_image_masks(tmp_path / "data.zip", sides=(96, 96))
    section = data_section("data.zip", format="image_masks", shape=[1, 96, 96])
    write_declaration(tmp_path / "tiny.yaml", section)
    arguments = ["tiny.yaml", "artifacts/prepare/tiny"]
    full = run("pipeline.prepare", arguments, tmp_path, limit="ulimit -f 24")  # KiB per file; arrays have 27
    assert full.stderr == (
        "error: prepare: cannot write the result (File too large); free some disk space and try again; "
        "partial files were removed\n"
    )
    assert full.returncode == 1
    assert [path.suffix for path in (tmp_path / "cache" / "prepare").iterdir()] == [".lock"]
    assert not (tmp_path / "artifacts").exists()

    enough = run("pipeline.prepare", arguments, tmp_path, limit="ulimit -f 32")
    assert (enough.returncode, enough.stderr) == (0, "")
    published = opened(tmp_path / "artifacts" / "prepare" / "tiny", load(tmp_path / "tiny.yaml"))
    assert published.targets("test").shape == (3, 96, 96)
    assert unfinished(tmp_path) == []


ASK = """
import sys, time
from pathlib import Path
from pipeline.data import prepared
from pipeline.declaration.loading import load
from pipeline.training.inputs import prepare

write = prepared.write_prepared
def counted(*arguments, **options):
    with open("made", "a") as file:
        file.write("once ")
    time.sleep(0.5)
    write(*arguments, **options)
prepared.write_prepared = counted

Path(sys.argv[1]).touch()
while not (Path("first").exists() and Path("second").exists()):
    time.sleep(0.01)
print(prepare(load(Path("tiny.yaml")), root=Path.cwd()))
"""


def test_processes_that_ask_at_once_prepare_once(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "data.zip")
    write_declaration(tmp_path / "tiny.yaml", data_section("data.zip"))
    askers = [
        subprocess.Popen(
            [sys.executable, "-c", ASK, name],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(CODE)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("first", "second")
    ]
    answers = {asker.communicate(timeout=60)[0].strip() for asker in askers}
    assert (tmp_path / "made").read_text() == "once "
    (folder,) = answers
    assert opened(Path(folder), load(tmp_path / "tiny.yaml")).images("train").shape == (6, 8, 8, 1)
    assert unfinished(tmp_path) == []


def test_command_publishes_all_files_whole(tmp_path: Path) -> None:
    images = write_class_folders(tmp_path / "images")
    write_declaration(tmp_path / "tiny.yaml", data_section("images"))
    out = tmp_path / "artifacts" / "prepare" / "tiny"
    write_files(out, {"train_images.npy": b""})
    done = run("pipeline.prepare", ["tiny.yaml", "artifacts/prepare/tiny"], tmp_path)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    arrays = {f"{split}_{kind}.npy" for split in ("train", "val", "test") for kind in ("images", "targets")}
    assert {path.name for path in out.iterdir()} == arrays | {
        "manifest.csv",
        "prepared.json",
        "key",
        "digests.json",
    }
    assert json.loads((out / "prepared.json").read_text())["counts"]["train"] == 6
    published = opened(out, load(tmp_path / "tiny.yaml"))
    for split in ("train", "val", "test"):
        for image, name in zip(published.images(split), published.files(split), strict=True):
            np.testing.assert_array_equal(image[..., 0], images[name])


MISTAKES = [
    # arguments                     what is said
    (
        ["tiny.yaml"],
        "error: python -m pipeline.prepare: expected 2 paths, got 1; "
        "usage: python -m pipeline.prepare <declaration>.yaml <folder to write>\n",
    ),
    (["absent.yaml", "out"], "error: absent.yaml: does not exist; `dvc repro compose` writes it\n"),
]


@pytest.mark.parametrize(("arguments", "said"), MISTAKES)
def test_mistake_on_the_command_line_is_one_sentence(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = run("pipeline.prepare", arguments, tmp_path)
    assert (done.returncode, done.stderr) == (1, said)
    assert list(tmp_path.iterdir()) == []

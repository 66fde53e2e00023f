"""What is kept of an inspection: the page for the report and MLflow; and tables that lie outside of archives."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.prepared import Prepared
from pipeline.declaration.composition import compose
from pipeline.declaration.keys import data_digest
from pipeline.training.inputs import prepare
from pipeline.training.overview import log_page, make_overview
from tests.makers import encode, write_class_folders, write_files
from tests.refusals import refused
from tests.test_inspect import declared, run  # noqa: F401, a fixture
from tests.test_summary import HEAVY

ROOT = Path(__file__).parents[1]


def test_page_is_in_the_report_and_in_the_runs_on_the_same_data(
    run: Any,  # noqa: F811
    tmp_path: Path,
) -> None:
    write_class_folders(tmp_path / "pets", splits=(), num_images=20, sides=(32, 32))
    run(tmp_path / "pets")
    declaration = compose(["data=pets", "model=resnet18"])
    logged: list[tuple[str, str]] = []

    class Tracked:
        def log_files(self, path: Path, folder: str) -> None:
            logged.append((path.read_text(), folder))

    tracked: Any = Tracked()
    log_page(declaration, tracked, root=Path.cwd())
    ((page, folder),) = logged
    assert folder == "data"
    assert "Images per class and split" in page
    assert "data:image/png;base64," in page
    log_page(compose(["data=pets", "model=resnet18", "data.shape=[1,16,16]"]), tracked, root=Path.cwd())
    assert len(logged) == 1
    trained_on = data_digest(declaration, root=Path.cwd())
    overview = make_overview(declaration, trained_on, root=Path.cwd())
    assert overview is not None
    assert overview.blocks[0].title == "Images per class and split"
    assert overview.picture
    assert make_overview(declaration, "sha256:other", root=Path.cwd()) is None
    shutil.rmtree(tmp_path / "pets")
    assert make_overview(declaration, trained_on, root=Path.cwd()) is None


def test_tables_outside_of_a_zip_are_part_of_the_data(
    run: Any,  # noqa: F811
    tmp_path: Path,
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (30, 32, 32), dtype=np.uint8)
    write_files(tmp_path / "images.zip", {f"pics/{n}.png": encode(pixels) for n, pixels in enumerate(noise)})
    table = tmp_path / "labels.csv"
    table.write_text("id,label\n" + "".join(f"{n},{'cat' if n % 2 else 'dog'}\n" for n in range(30)))
    run(tmp_path / "images.zip", table, "name=pets")
    assert (declared("pets")["table"], declared("pets")["classes"]) == ("../labels.csv", ["cat", "dog"])
    declaration = compose(["data=pets", "model=resnet18"])
    prepared = Prepared.open(prepare(declaration, root=Path.cwd()), declaration.data)
    for file, label in zip(prepared.files("train"), prepared.targets("train"), strict=True):
        assert label == 1 - int(file.split("/")[1].removesuffix(".png")) % 2
    before = data_digest(declaration, root=Path.cwd())
    table.write_text(table.read_text().replace("0,dog", "0,cat"))
    assert data_digest(declaration, root=Path.cwd()) != before
    table.unlink()
    hint = "name a CSV file in data.root, or ../<file> for one beside it"
    with refused("data.table", got="../labels.csv", hint=hint):
        data_digest(declaration, root=Path.cwd())


def test_no_heavy_library_is_imported_before_images_are_drawn() -> None:
    code = f"import sys, pipeline.inspect; print(sorted({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

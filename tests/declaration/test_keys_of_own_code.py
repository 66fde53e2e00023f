"""Keys depend on all that a user's own package consists of, and on what it imports."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.declaration.declaration import Declaration
from pipeline.declaration.keys import identity, stage_digests
from tests.refusals import refused


@pytest.fixture
def rankinglab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a package of a user with a task that goes on from one of ours, and a module that it imports."""
    package = tmp_path / "rankinglab" / "ranking"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "demands.py").write_text(
        "from pipeline.tasks.classification.demands import ClassificationDemands\n"
        "class Own(ClassificationDemands):\n    mode = 'max'\nDEMANDS = Own()\n"
    )
    (package / "task.py").write_text(
        "from pipeline.tasks.classification.task import Classification\nfrom ..scaling import FACTOR\n"
        "class Ranking(Classification):\n    factor = FACTOR\n"
    )
    (package / "cases.py").write_text("import hypothesis\nCOLUMNS = ()\n")
    (package.parent / "scaling.py").write_text("FACTOR = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    return package


def test_all_that_a_users_task_consists_of_has_a_say(
    rankinglab: Path, tiny: Declaration, tmp_path: Path, says: Any
) -> None:
    task = {"_target_": "rankinglab.ranking.task.Ranking", "label_smoothing": 0.0}
    own = tiny.replace(task=task, allowed_targets=["rankinglab."])

    def changed_by(change: Any) -> tuple[set[str], set[str]]:
        before = identity(own, root=tmp_path), stage_digests(own, root=tmp_path)
        change()
        after = identity(own, root=tmp_path), stage_digests(own, root=tmp_path)
        found = [{key for key in new if new[key] != old[key]} for old, new in zip(before, after, strict=True)]
        return found[0], found[1]

    def edit(file: Path, old: str, new: str) -> Any:
        assert old in file.read_text()
        return lambda: file.write_text(file.read_text().replace(old, new))

    training = {"search", "train", "evaluate"}
    assert changed_by(edit(rankinglab / "demands.py", "'max'", "'lowest'")) == ({"code"}, training)
    assert changed_by(edit(rankinglab.parent / "scaling.py", "= 1", "= 12")) == ({"code"}, training)
    assert changed_by(edit(rankinglab / "cases.py", "()", "('file',)")) == (set(), {"evaluate"})
    assert changed_by(edit(rankinglab / "task.py", "factor =", "# a remark\n    factor =")) == (set(), set())
    assert changed_by(lambda: says("pipeline.tasks.classification.task")) == ({"code"}, training)


def test_own_class_whose_source_cannot_be_found_is_refused(tiny: Declaration, tmp_path: Path) -> None:
    own = tiny.replace(optimizer={"_target_": "nowhere.Lion"}, allowed_targets=["nowhere."])
    with refused("allowed_targets", hint="define it in a Python module on the path"):
        identity(own, root=tmp_path)

"""Every file that is read again, damaged in five ways: noticed by name or harmless, never a traceback, and mended."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path

import pytest

from pipeline.runs import cache
from pipeline.storage import memo, sealed
from tests.campaigns.tiny import BEST, COMPOSED, STAGES, Ended, Reads, contents, make_project, run_stage

RESULT = ["digests.json", "key"]
PREPARED = [
    *RESULT,
    "manifest.csv",
    "prepared.json",
    *(f"{split}_{part}.npy" for split in ("train", "val", "test") for part in ("images", "targets")),
]
STATISTICS = [*RESULT, "mean_image.npy", "statistics.json", "statistics.png"]
COPIES = [*RESULT, "images.npy"]
TRAINED = [
    *("digests.json", "history.csv", "metrics.json", "result.json"),
    *(f"pictures/{name}.png" for name in ("augmentation", "learning_curves", "training_images")),
    *(f"statistics/{name}" for name in STATISTICS),
]
EVALUATED = ["baseline.json", "cases.csv", "digests.json", "groups.csv", "metrics.json", "scores.json"] + [
    f"pictures/{name}.png" for name in ("confusion", "mistakes")
]
SEARCHED = ["best.json", "digests.json", "remarks.txt", "search.html", "trials.csv"] + [
    f"{name}.png" for name in ("best_so_far", "parallel", "slices")
]
RUN = "runs/[0-9a-f]*[0-9a-f]"
TRIALS = ["search.json", "trials/00000.json", "trials/00001.json"]


def below(folder: str, names: Iterable[str]) -> list[str]:
    return [f"{folder}/{name}" for name in names]


CACHED = [
    *below("cache/prepare/*", PREPARED),
    *below("cache/statistics/*", STATISTICS),
    *below("cache/augment/*", COPIES),
]
# situation -> stage, folders that are absent, files that the stage then reads
SITUATIONS: dict[str, tuple[str, list[str], list[str]]] = {
    "composed before": ("compose", [], ["cache/sources.json", COMPOSED]),
    "prepared before": (
        "prepare",
        [],
        [
            *(COMPOSED, "artifacts/compose/tiny.json", "cache/digests.json", "cache/sources.json"),
            *below("cache/prepare/*", PREPARED),
        ],
    ),
    "measured before": ("statistics", [], below("cache/statistics/*", STATISTICS)),
    "augmented before": ("augment", [], below("cache/augment/*", COPIES)),
    "searched before": ("search", [], [COMPOSED, *below("runs/searches/tiny-small", TRIALS)]),
    "trained before": (
        "train",
        [],
        [
            BEST,
            "artifacts/search/tiny/best.json",
            *below(RUN, [*TRAINED, "run.json", "timing.csv", "config.yaml", "weights.pt"]),
        ],
    ),
    "inputs in the cache": ("train", [RUN], CACHED),
    "large inputs in the cache": ("train", [RUN], [each for each in CACHED if each.endswith("npy")]),
    "inputs in artifacts": (
        "train",
        [RUN, "cache/prepare", "cache/statistics", "cache/augment"],
        [each.replace("cache", "artifacts").replace("*", "tiny") for each in CACHED],
    ),
    "evaluated before": (
        "evaluate",
        [],
        [
            *(BEST, f"{RUN}/run.json", *below("cache/prepare/*", PREPARED)),
            *below("artifacts/train/tiny", [*TRAINED, "weights.pt"]),
        ],
    ),
    "reported before": (
        "report",
        [],
        [
            *(BEST, *below("artifacts/train/tiny", TRAINED)),
            *below("artifacts/search/tiny", SEARCHED),
            *below("artifacts/evaluate/tiny", EVALUATED),
        ],
    ),
}
DAMAGES = ("empty", "half", "zeroed tail", "one byte", "another's")
FEW = {
    ("inputs in the cache", "cache/statistics/*/mean_image.npy", "zeroed tail"),
    ("large inputs in the cache", "cache/prepare/*/train_images.npy", "zeroed tail"),
    ("trained before", f"{RUN}/weights.pt", "one byte"),
    ("trained before", f"{RUN}/run.json", "half"),
    ("trained before", BEST, "one byte"),
    ("searched before", "runs/searches/tiny-small/trials/00000.json", "half"),
    ("reported before", "artifacts/evaluate/tiny/scores.json", "empty"),
}
CASES = [
    pytest.param(
        *(situation, pattern, damage),
        id=f"{situation}: {pattern}, {damage}",
        marks=[] if (situation, pattern, damage) in FEW else pytest.mark.campaign,
    )
    for situation, (_, _, patterns) in SITUATIONS.items()
    for pattern in patterns
    for damage in DAMAGES
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("whole") / "project")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("other") / "project", "seed=1", num_images=4)


def find(root: Path, pattern: str) -> Path:
    """Return the file that a pattern stands for; of several runs, that of the best trial."""
    found = sorted(root.glob(pattern))
    with_pictures = [file for file in found if not fnmatch(pattern, "runs/*") or _is_best(file, root)]
    return with_pictures[0]


def _is_best(file: Path, root: Path) -> bool:
    run = root.joinpath(*file.relative_to(root).parts[:2])
    return "searches" in run.parts or (run / "pictures").exists()


def damage_file(file: Path, damage: str, others: bytes) -> bool:
    """Damage a file in one of five ways; return whether its content is another one now."""
    before = file.read_bytes()
    half = len(before) // 2
    flipped = bytes([before[half] ^ 4]) if before else b""
    after = {
        "empty": b"",
        "half": before[:half],
        "zeroed tail": before[:half] + bytes(len(before) - half),
        "one byte": before[:half] + flipped + before[half + 1 :],
        "another's": others,
    }[damage]
    file.write_bytes(after)
    return after != before


def remove(root: Path, patterns: Sequence[str]) -> None:
    for pattern in patterns:
        for folder in root.glob(pattern):
            shutil.rmtree(folder)


def outputs(root: Path, stage: str) -> dict[str, bytes]:
    """Return what a stage and the training of the best trial result in."""
    (run,) = {path.parent for path in root.glob(f"{RUN}/pictures")}
    names = [run.relative_to(root) / name for name in ("pictures", "statistics")]
    files = {name: (run / name).read_bytes() for name in ("weights.pt", "history.csv", "metrics.json")}
    return files | contents(root, *map(str, names), *[each for each in STAGES[stage] if is_out(each, stage)])


def is_out(argument: str, stage: str) -> bool:
    return argument.startswith((f"artifacts/{stage}", "artifacts/report"))


def forget() -> None:
    """Forget what this process knows of files, as another process would."""
    sealed._digest.cache_clear()
    memo._load.cache_clear()


@pytest.mark.parametrize(("situation", "pattern", "damage"), CASES)
def test_damage_is_noticed_by_name_or_harmless_and_is_mended(
    situation: str,
    pattern: str,
    damage: str,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    stage, absent, _ = SITUATIONS[situation]
    root = Path(shutil.copytree(whole, tmp_path / "project"))
    if situation.startswith("large"):
        monkeypatch.setattr(cache, "LARGE", 0)
    file = find(root, pattern)
    other: Path = request.getfixturevalue("other") if damage == "another's" else whole
    if not damage_file(file, damage, find(other, pattern).read_bytes()):
        pytest.skip("the content is the same")
    remove(root, absent)
    forget()
    first = run_stage(root, stage)
    assert first.trace == ""
    is_named = file.name in first.said
    is_equal = first.error is None and outputs(root, stage) == outputs(whole, stage)
    assert is_named or is_equal, first.said
    if first.error is not None:
        mend(root, file)
    second = run_stage(root, stage)
    assert succeeded(second), second
    assert outputs(root, stage) == outputs(whole, stage)


def mend(root: Path, file: Path) -> None:
    """Do what the error says: delete the file, and let `dvc repro` bring back what is missing."""
    file.unlink(missing_ok=True)
    for stage in STAGES:
        assert succeeded(run_stage(root, stage)), stage


def succeeded(ended: Ended) -> bool:
    return ended.error is None and ended.trace == ""


@pytest.mark.campaign
@pytest.mark.parametrize("situation", SITUATIONS)
def test_list_has_every_file_that_is_read(situation: str, whole: Path, tmp_path: Path, reads: Reads) -> None:
    stage, absent, _ = SITUATIONS[situation]
    root = Path(shutil.copytree(whole, tmp_path / "project"))
    remove(root, absent)
    known = set(contents(root, "runs", "cache", "artifacts"))
    forget()
    with reads.of(root) as found:
        assert succeeded(run_stage(root, stage))
    listed = {each for _, _, patterns in SITUATIONS.values() for each in patterns}
    listed.add("runs/searches/*/results/*")  # written anew by the command that reads them
    assert {each for each in found & known if not any(fnmatch(each, pattern) for pattern in listed)} == set()


@pytest.fixture(scope="module")
def reads() -> Reads:
    return Reads()

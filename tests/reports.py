"""Artifacts of experiments that were never run, for tests of the report."""

from __future__ import annotations

import csv
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.declaration.composition import compose
from pipeline.declaration.declaration import Declaration
from pipeline.files import yaml_text
from pipeline.storage.sealed import write_digests

NASTY = "g<r>&e|y"
EXPERIMENTS: dict[str, dict[str, Any]] = {
    "digits_lenet5": {
        "scores": {
            "accuracy": {"value": 0.95014, "low": 0.92632, "high": 0.97111},
            "auroc": {"value": float("nan"), "low": float("nan"), "high": float("nan")},
            "calibration_error": {"value": 0.03283, "low": 0.0204, "high": 0.0562},
        },
        "baseline": {"class": NASTY, "scores": {"accuracy": 0.1023, "auroc": 0.5}},
        "pictures": [
            "evaluate/confusion",
            "evaluate/mistakes",
            "train/learning_curves",
            "train/training_images",
        ],
    },
    "brain_unet": {
        "scores": {
            "dice": {"value": 0.8942, "low": 0.8797, "high": 0.9075},
            "dice_grey matter": {"value": 0.9227, "low": 0.919, "high": 0.9261},
            "dice_error": {"value": 0.8104, "low": 0.8001, "high": 0.8203},
        },
        "left_out": ["images left out of the means: grey matter 3; of 24"],
        "pictures": ["evaluate/best", "evaluate/worst", "train/learning_curves", "evaluate/not_known_yet"],
    },
    "digits_search": {
        "scores": {
            "accuracy": {"value": 0.96, "low": float("nan"), "high": float("nan")},
            "auroc": {"value": 0.99, "low": float("nan"), "high": float("nan")},
        },
        "groups": [["form04", 130, 0.9423, ""], [NASTY, 120, 0.9824, 0.9911]],
        "pictures": ["search/best_so_far", "search/slices", "search/parallel", "evaluate/confusion"],
        "trials": [
            "0,finished,0.9,0.05,0.3,0.01,0.001,32,",
            "1,finished,0.875,0,0.4,0.02,1e-05,64,",
            "2,failed,,,,0.9,0.001,64,training diverged: the loss is nan",
            "3,pruned,0.3,0,,0.5,0.002,64,stopped after 2 of 10 epochs by median",
            "4,finished,0.88,0,0.5,0.03,0.0001,128,",
            "5,finished,0.2,0,0.9,0.0001,0.0001,128,",
            "6,finished,0.25,0,0.8,0.0002,0.0001,128,",
            "7,finished,0.1,0,1.1,0.0003,0.0001,128,",
        ],
        "remarks": [f"optimizer.lr: {NASTY} lies at the edge", "k: a second remark"],
    },
}
SEARCHED = "trial,state,value,error,loss,optimizer.lr,optimizer.weight_decay,trainer.batch_size,reason"


def result_of(name: str) -> dict[str, Any]:
    """Return what the run of an experiment leaves in `result.json`."""
    return {
        "fingerprint": f"fingerprint-{name}",
        "data": f"sha256:data-{name}",
        "declaration": f"declaration-{name}",
        "versions": {"numpy": "2.4.0", "torch": "2.13.0"},
        "selection": {"score": next(iter(EXPERIMENTS[name]["scores"])), "majority": None, "baseline": {}},
    }


def counts_of(name: str) -> dict[str, Any]:
    """Return what preparation leaves of an experiment's numbers of images."""
    num_classes = len(declaration_of(name).data.classes)
    per_class = {"train": 1000, "val": 20, "test": 30}
    return {
        "counts": {split: count * num_classes for split, count in per_class.items()},
        "images_of_classes": {
            split: [count + index for index in range(num_classes)] for split, count in per_class.items()
        },
    }


def declaration_of(name: str) -> Declaration:
    """Return the declaration of an experiment, with words in it that HTML and Markdown take for their own."""
    declaration = compose([f"experiment={name}"])
    data = {**declaration.sections["data"], "licence": "to | be <b>free</b>"}
    if name == "brain_unet":
        data["classes"] = ["other", "grey matter", "error"]
    return declaration.replace(data=data)


def write_experiment(artifacts: Path, name: str) -> None:
    """Write all that the stages before the report leave of an experiment."""
    about = EXPERIMENTS[name]
    trained, evaluated = artifacts / "train" / name, artifacts / "evaluate" / name
    searched, prepared = artifacts / "search" / name, artifacts / "prepare" / name
    for folder in (prepared, searched, trained / "pictures", evaluated / "pictures"):
        folder.mkdir(parents=True, exist_ok=True)
    (searched / "best.yaml").write_text(yaml_text(dict(declaration_of(name).sections)), "utf-8")
    (prepared / "prepared.json").write_text(json.dumps(counts_of(name)), "utf-8")
    if "trials" in about:
        (searched / "trials.csv").write_text("\n".join([SEARCHED, *about["trials"], ""]), "utf-8")
        (searched / "remarks.txt").write_text("\n".join([*about["remarks"], ""]), "utf-8")
        (searched / "search.html").write_text("<p>every trial</p>", "utf-8")
    (trained / "result.json").write_text(json.dumps(result_of(name)), "utf-8")
    (trained / "metrics.json").write_text(json.dumps({"score": 0.9, "epoch": 6.0}), "utf-8")
    with (trained / "history.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["epoch", "train/loss"])
        rows.writerows([epoch, 1 / (epoch + 1)] for epoch in range(9))
    (evaluated / "scores.json").write_text(json.dumps(about["scores"]), "utf-8")
    (evaluated / "remarks.txt").write_text(
        "".join(f"{each}\n" for each in about.get("left_out", [])), "utf-8"
    )
    (evaluated / "baseline.json").write_text(json.dumps(about.get("baseline", {})), "utf-8")
    with (evaluated / "groups.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["group", "images", *about["scores"]], *about.get("groups", [])])
    for index, place in enumerate(about["pictures"]):
        room, picture = place.split("/")
        pixels = np.full((2 + sorted(EXPERIMENTS).index(name), 4 + index), 50 * index, np.uint8)
        folder = artifacts / room / name / ("" if room == "search" else "pictures")
        Image.fromarray(pixels).save(folder / f"{picture}.png")
    for folder in (prepared, searched, trained, evaluated):
        write_digests(folder)


class Page(HTMLParser):
    """What a reader sees, what the page refers to, and whether its tags are nested rightly."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.references: list[tuple[str, str, str]] = []
        self.names: set[str] = set()
        self._open: list[str] = []
        self.feed(text)
        assert not self._open, f"never closed: {self._open}"
        self.text = " ".join(" ".join(self.seen).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "br", "hr", "link"):
            self._open.append(tag)
        for key, value in attrs:
            if key in ("src", "href", "srcset", "data", "action", "poster"):
                self.references.append((tag, key, value or ""))
            if key == "id":
                self.names.add(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("style", "script"):
            self.seen.append(data)

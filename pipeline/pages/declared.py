"""The summary of a declaration in the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def summarise(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (setting, value) pairs that summarise the sections of a declaration."""
    data, trainer = config["data"], config["trainer"]
    shape = " x ".join(map(str, data["shape"]))
    return [
        ("data", f"{data['name']}: {shape}, {len(data['classes'])} classes"),
        ("licence", data["licence"]),
        ("preprocessing", _built(config["preprocess"])),
        ("augmentation", _augmentation(config["augmentation"])),
        ("network", config["model"]["name"]),
        ("task", _built(config["task"])),
        ("optimizer", _built(config["optimizer"])),
        ("schedule", _built(config["scheduler"])),
        ("training", f"{trainer['max_epochs']} epochs, batches of {trainer['batch_size']}"),
        ("kept weights", f"{trainer['keep']} epoch{_average(trainer)}"),
        ("seed", str(config["seed"])),
        ("test views", _views(config["views"], is_whole=config["input_shape"] == data["shape"])),
    ]


def _average(trainer: Mapping[str, Any]) -> str:
    """Say which average of the weights is kept, if any."""
    average = trainer.get("average") or {}
    if "ema" in average:
        return f", moving average with decay {average['ema']}"
    return f", mean of the last {average['swa']}" if average else ""


def _augmentation(section: Mapping[str, Any]) -> str:
    steps = [*section["steps"], *([section["mixing"]] if section["mixing"] else [])]
    copies = "" if section["copies"] is None else f"; {section['copies']} draws per image, made ahead"
    return (", ".join(map(_built, steps)) or "none") + copies


def _views(section: Mapping[str, Any], *, is_whole: bool) -> str:
    centre = "whole image" if is_whole else "centre"
    crops = "four corners and centre" if section["crops"] == "corners" else centre
    return crops + (", each also mirrored" if section["mirror"] else "")


def _built(node: Mapping[str, Any]) -> str:
    """Format `{_target_: a.b.C, x: 1}` as `C(x=1)`, including nested nodes."""
    options = ", ".join(f"{key}={_text(value)}" for key, value in node.items() if key != "_target_")
    name = str(node["_target_"]).rsplit(".", 1)[-1]
    return f"{name}({options})" if options else name


def _text(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(each, Mapping) for each in value):
        return f"[{', '.join(map(_built, value))}]"
    return str(value)

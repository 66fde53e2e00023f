"""Export a trained run as one file that predicts without this package.

    python -m pipeline.export digits_lenet5 onnx digits.onnx
    python -m pipeline.export runs/<fingerprint> torch digits.pt2

The file takes uint8 images (N, rows, columns, channels) and returns probabilities (N, classes), masks
(N, rows, columns), embeddings (N, numbers), or boxes or points in pixels of the images' files, whose sides (N, 2) it
then takes, too;
docs/using-a-model.md shows how to use it. ONNX needs the packages of `pip install -e ".[onnx]"`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from pipeline.errors import ConfigError
from pipeline.files import replacing
from pipeline.runs.command import exit_on_mistake
from pipeline.runs.folder import RunFolder
from pipeline.training.agreement import check_agreement, find_examples
from pipeline.training.deployment import (
    ABOUT,
    EXAMPLES,
    FORMATS,
    Deployed,
    check_packages,
    input_sides,
    trace,
)
from pipeline.training.description import describe
from pipeline.training.trained import check_applies, find_trained

USAGE = "python -m pipeline.export <run> <onnx or torch> <file to write>"


def main() -> None:
    """Export one run."""
    arguments = sys.argv[1:]
    if len(arguments) != 3:
        raise ConfigError(
            "python -m pipeline.export", "expected 3 arguments", got=len(arguments), hint=f"usage: {USAGE}"
        )
    run, form, out = arguments
    print(export(run, form, Path(out), root=Path.cwd()))


def export(run: str, form: str, out: Path, *, root: Path) -> str:
    """Write the file of a run, if it predicts as the run does; return what was written.

    Args:
        run: what a user calls it, see `find_trained`.
        form: `onnx` or `torch`.

    Raises:
        ConfigError: there is no such run or form, the network cannot be exported, the file predicts otherwise, or `out`
            is a file that was not written by this command.
    """
    if form not in FORMATS:
        raise ConfigError.unknown("python -m pipeline.export", form, FORMATS, what="format")
    made = FORMATS[form]
    _check_target(out, made.suffix)
    check_packages(made)
    trained = find_trained(run, root=root)
    check_applies(trained)
    examples = find_examples(trained, root=root)
    images = examples.images
    model = Deployed(trained).eval()
    program = trace(model, torch.zeros((EXAMPLES, *images.shape[1:]), dtype=torch.uint8))
    sides = input_sides(program)
    result = trained.folder.result()
    state = RunFolder(root / "runs" / result["fingerprint"]).state()
    about = describe(trained.declaration, result, state, layout="NHWC")
    content = made.write(program, about | {"input": ["N", *sides, images.shape[3]]})
    difference = check_agreement(made.read(content), trained, examples, model=model, is_free=None in sides)
    with replacing(out) as draft:
        draft.write_bytes(content)
    shape = ", ".join("any" if side is None else str(side) for side in sides)
    takes = f"images uint8 (N, {shape}, {images.shape[3]})"
    if model.places is not None:
        takes += f" and sides int64 (N, 2) of their files, and returns {model.places} in pixels of these"
    return (
        f"{out}: {len(content) / 1e6:.2f} MB, {made.name}, takes {takes}\n"
        f"largest difference from {run} on {examples.name}: {difference:.1e}"
    )


def _check_target(out: Path, suffix: str) -> None:
    """Raise before anything is computed if a file cannot be written, or is not an older one of this command."""
    if out.suffix != suffix:
        raise ConfigError(str(out), allowed=f"a file whose name ends in {suffix}")
    if not out.parent.is_dir():
        raise ConfigError(str(out), "its folder does not exist", hint=f"mkdir -p {out.parent}")
    if out.exists() and (out.is_dir() or ABOUT.encode() not in out.read_bytes()):
        raise ConfigError(
            str(out), "is not an older export, which alone is replaced", hint="choose another name"
        )


if __name__ == "__main__":
    exit_on_mistake(main)

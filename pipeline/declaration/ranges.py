"""Ranges of the numbers in a declaration, checked without importing the classes that take them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.errors import Range

FINITE = Range()
COUNT = Range(least=1, is_whole=True)
PIXELS = Range(least=0, is_whole=True)
NOT_NEGATIVE = Range(least=0)
POSITIVE = Range(above=0)
SHARE = Range(least=0, most=1)
DECAY = Range(least=0, below=1)  # of a moving average

# Arguments of torch's optimizers, by name; in a list, each element has the range.
OF_OPTIMIZERS = {
    **dict.fromkeys(("lr", "weight_decay", "eps", "lr_decay", "initial_accumulator_value"), NOT_NEGATIVE),
    **dict.fromkeys(("momentum_decay", "lambd", "t0", "tolerance_grad", "tolerance_change"), NOT_NEGATIVE),
    **dict.fromkeys(("betas", "momentum"), DECAY),
    **dict.fromkeys(("dampening", "rho", "alpha"), SHARE),
    **dict.fromkeys(("max_iter", "max_eval", "history_size", "ns_steps"), COUNT),
    **dict.fromkeys(("d", "step_sizes", "etas"), POSITIVE),
}
# Arguments of torch's schedulers.
OF_SCHEDULERS = {
    **dict.fromkeys(("T_max", "T_0", "T_mult", "step_size", "milestones", "total_iters"), COUNT),
    **dict.fromkeys(("total_steps", "epochs", "steps_per_epoch", "anneal_epochs"), COUNT),
    **dict.fromkeys(("gamma", "max_lr", "div_factor", "final_div_factor"), POSITIVE),
    **dict.fromkeys(("step_size_up", "step_size_down"), Range(least=1)),
    **dict.fromkeys(("eta_min", "base_lr", "swa_lr", "min_lr", "threshold", "eps", "power"), NOT_NEGATIVE),
    **dict.fromkeys(("patience", "cooldown"), Range(least=0, is_whole=True)),
    **dict.fromkeys(("factor", "end_factor", "pct_start"), SHARE),
    "start_factor": Range(above=0, most=1),
    **dict.fromkeys(("base_momentum", "max_momentum"), DECAY),
}
TABLES = {"optimizer": OF_OPTIMIZERS, "scheduler": OF_SCHEDULERS}


def check_finite(sections: Mapping[str, Any]) -> None:
    """Check that no number in a declaration is NaN or infinite.

    Raises:
        ConfigError: one is; the error names its config path.
    """
    for path, value in _values(sections, ""):
        if isinstance(value, float):
            FINITE.check(path, value)


def check_arguments(sections: Mapping[str, Any]) -> None:
    """Check the numbers in the sections `optimizer` and `scheduler`, where they name a class of torch.

    Classes of the user's own may give the same names another meaning.

    Raises:
        ConfigError: a number is out of range.
    """
    for key, table in TABLES.items():
        if sections[key]["_target_"].startswith("torch.optim."):
            for name, span in table.items():
                for path, value in _values(sections[key].get(name), f"{key}.{name}"):
                    if value is not None:
                        span.check(path, value)


def _values(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield every value at or below a node with its config path."""
    if isinstance(node, Mapping):
        for key, each in node.items():
            yield from _values(each, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for index, each in enumerate(node):
            yield from _values(each, f"{path}[{index}]")
    else:
        yield path, node

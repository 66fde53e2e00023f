"""How tests look at a refusal: by the fields of its error, and once per message by its whole wording."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pipeline.errors import UNSET, ConfigError

# Options of torch.optim.SGD that a declaration may set.
OF_SGD = [
    "dampening",
    "differentiable",
    "foreach",
    "fused",
    "lr",
    "maximize",
    "momentum",
    "nesterov",
    "weight_decay",
]


@contextmanager
def refused(
    path: str,
    *,
    got: Any = UNSET,
    allowed: str | Collection[str] = "",
    hint: str = "",
    text: str = "",
) -> Iterator[pytest.ExceptionInfo[ConfigError]]:
    """Expect a `ConfigError` at a setting.

    Args:
        path: of the setting, exactly.
        got: the value it found; not compared where it is left out.
        allowed: what it allows, exactly; names in any order; not compared where it is left out.
        hint: a part of its way out.
        text: the whole sentence, for the one test that pins a message's wording.
    """
    with pytest.raises(ConfigError) as caught:
        yield caught
    error = caught.value
    assert error.path == path, str(error)
    if got is not UNSET:
        assert error.got == got, str(error)
    if allowed:
        assert (error.allowed if isinstance(allowed, str) else set(error.allowed)) == (
            allowed if isinstance(allowed, str) else set(allowed)
        ), str(error)
    assert hint in error.hint, str(error)
    if text:
        assert str(error) == text

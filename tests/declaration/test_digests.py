"""Digests: equal where two declarations or sources mean the same, different where they do not."""

from typing import Any

from pipeline.declaration.digests import digest


def test_order_of_keys_does_not_matter() -> None:
    assert digest({"a": 1, "b": {"c": 2, "d": 3}}) == digest({"b": {"d": 3, "c": 2}, "a": 1})


DIFFERENT: list[Any] = [1, 1.0, True, "1", [1], {"a": 1}, {"a": 1.0}, {"b": 1}, 0, False, None, "", [], {},
                        [1, 2], [2, 1], "true", "None", float("inf")]  # fmt: skip


def test_values_and_their_types_matter() -> None:
    assert len({digest(value) for value in DIFFERENT}) == len(DIFFERENT)


def test_digest_is_the_same_in_every_process() -> None:
    # By hand: the first 16 digits of `printf '{"a":1}' | sha256sum`.
    assert digest({"a": 1}) == "015abd7f5cc57a2d"

"""A row of the zoo: what is known of an architecture from elsewhere than this code."""

from dataclasses import dataclass

from pipeline.plans.view import Shape


@dataclass(frozen=True)
class Row:
    name: str
    shape: Shape
    outputs: int
    weights: int
    multiply_adds: int

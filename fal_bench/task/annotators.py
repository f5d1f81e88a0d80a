"""Who labels what clients buy."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, field_validator

from fal_bench.task.spec import Spec

MOST_CONFUSED = 1000
"""Most classes of a table of confusions."""


class RightAnnotators(Spec):
    """Every label bought is the true one."""

    kind: Literal["right"] = "right"


class NoisyAnnotators(Spec):
    """Some labels bought are wrong.

    Attributes:
        rate: share of samples whose label is another class, each one as likely.
    """

    kind: Literal["noisy"] = "noisy"
    rate: float = Field(gt=0, lt=1)


class ConfusedAnnotators(Spec):
    """Some classes are taken for others.

    Attributes:
        confusion: row c holds the chances of each label for a sample of class c, column by column.
    """

    kind: Literal["confused"] = "confused"
    confusion: Annotated[
        tuple[tuple[Annotated[float, Field(ge=0, le=1)], ...], ...],
        Field(min_length=2, max_length=MOST_CONFUSED),
    ]

    @field_validator("confusion")
    @classmethod
    def _chances(cls, rows: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
        for number, row in enumerate(rows):
            if len(row) != len(rows):
                raise ValueError(f"row {number} has {len(row)} chances for {len(rows)} classes")
            if not math.isclose(sum(row), 1, abs_tol=1e-6):
                raise ValueError(f"row {number} adds up to {sum(row):g}; make it 1")
        return rows


class Raters(Spec):
    """People who labelled the data, one vote each, as the data set brings them.

    The first label bought of a sample is the vote of one of its raters, drawn at random; each
    further vote is that of another one.
    """

    kind: Literal["raters"] = "raters"


Annotators = Annotated[
    RightAnnotators | NoisyAnnotators | ConfusedAnnotators | Raters, Field(discriminator="kind")
]

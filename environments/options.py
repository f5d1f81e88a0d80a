"""The choices that the FedRAL paper leaves open, each with its default."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fal_bench.environments.episode_data import AGENT_TRAINING, WARM_START
from fal_bench.errors import InvalidSpecError


class EpisodeOptions(BaseModel):
    """How an episode observes, acts, rewards and ends.

    Attributes:
        quantiles: length of the observation: quantiles of the margins, from least to largest.
        state_source: margins of the ``"state"`` samples, or of the unlabelled ``"pool"``.
        extras: append the shares of budget left and of pool labelled, the precision, its distance
            to the target, and the share of steps taken.
        action: ``"size"`` chooses how many of the lowest-ranked samples are labelled;
            ``"quantile"`` chooses at which rank a batch of ``batch_size`` starts;
            ``"size_x_quantile"`` chooses both.
        sizes: the batch sizes to choose from, ascending; None for a geometric grid.
        windows: how many starting ranks there are to choose from.
        batch_size: size of a ``"quantile"`` batch; None for the middle of the geometric grid.
        rank: order of the unlabelled pool: ``"margin"`` (smallest first), ``"entropy"`` (largest
            first) or ``"random"``.
        reward: ``"delta"`` is the gain in precision; ``"delta_cost"`` subtracts ``cost`` times the
            labelled share of the pool; ``"cost"`` is minus that share until the target is reached
            (a stochastic shortest path; after Konyushkova et al., 2018), and an episode that is
            cut before its target pays the rest of its budget;
            ``"authors"`` is the change of precision per share, plus a little noise.
        cost: weight of the labels in ``"delta_cost"``: precision worth the whole pool.
        purpose: the purpose under which pool labels are read.
        seed_labels: labels drawn at random at reset; None for one a class on average.
        budget: labels an episode may read from the pool, seed labels included; None for a fifth.
        target_precision: precision that ends an episode; None for no target.
        decline_patience: consecutive declines of the reward that cut an episode; None for never.
        max_steps: steps that cut an episode.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    quantiles: int = Field(default=32, ge=2)
    state_source: Literal["state", "pool"] = "state"
    extras: bool = False
    action: Literal["size", "quantile", "size_x_quantile"] = "size"
    sizes: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(default=None, min_length=1)
    windows: int = Field(default=8, ge=2)
    batch_size: int | None = Field(default=None, ge=1)
    rank: Literal["margin", "entropy", "random"] = "margin"
    reward: Literal["delta", "delta_cost", "cost", "authors"] = "delta"
    cost: float = Field(default=1.0, ge=0)
    purpose: str = AGENT_TRAINING
    seed_labels: int | None = Field(default=None, ge=1)
    budget: int | None = Field(default=None, ge=2)
    target_precision: float | None = Field(default=0.85, gt=0, le=1)
    decline_patience: int | None = Field(default=None, ge=1)
    max_steps: int = Field(default=20, ge=1)

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """Validate options given by name.

        Raises:
            InvalidSpecError: an option is unknown or has a value it cannot take.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise InvalidSpecError(
                f"Environment option {where!r} cannot be {first['input']!r} "
                f"({first['msg'].lower()})."
            ) from None

    def changed(self, **values: Any) -> Self:
        """Return these options with some values replaced, validated."""
        return self.of({**self.model_dump(), **values})

    def warm_start(self) -> Self:
        """Return the options of warm-start episodes.

        Samples are drawn at random, there is no target precision yet, and an episode is cut after
        two consecutive declines of the reward.
        """
        return self.changed(
            rank="random", target_precision=None, decline_patience=2, purpose=WARM_START
        )

"""How often an agent tries a random action."""

from __future__ import annotations

from dataclasses import dataclass

from fal_bench.errors import InvalidSpecError


@dataclass(frozen=True)
class LinearEpsilon:
    """Probability of a random action, falling linearly with the number of training episodes.

    Attributes:
        initial: probability in the first episode.
        final: probability in the last episode and later.
        episodes: training episodes over which it falls.
    """

    initial: float = 1.0
    final: float = 0.1
    episodes: int = 125

    def __post_init__(self) -> None:
        if not (0 <= self.initial <= 1 and 0 <= self.final <= 1) or self.episodes < 1:
            raise InvalidSpecError(
                "Exploration needs probabilities between 0 and 1 and at least one episode, not "
                f"{self.initial}, {self.final} and {self.episodes}."
            )

    def __call__(self, episode: int) -> float:
        """Return the probability in training episode ``episode``, counted from 0."""
        progress = min(episode / max(self.episodes - 1, 1), 1.0)
        return self.initial + progress * (self.final - self.initial)

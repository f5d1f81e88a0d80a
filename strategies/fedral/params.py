"""FedRAL's parameters: what the paper says, and a switch for what it leaves open."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fal_bench.plugins.strategy import Params

PRESETS: dict[str, dict[str, int]] = {
    "paper": {"warm_episodes": 5, "epochs": 25, "episodes": 5, "updates": 100, "max_steps": 20},
    "quick": {"warm_episodes": 2, "epochs": 4, "episodes": 2, "updates": 25, "max_steps": 10},
}
"""Lengths of the training: the paper's (five warm-start episodes are its prototype code's), and
one that fits the default suite."""

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]


class FedRALParams(Params):
    """Parameters of ``fedral``; ``docs/fedral.md`` discusses each.

    Attributes:
        mode: ``"pretrain"`` trains an agent in simulation before the first query and then chooses
            one batch a cycle greedily; ``"per_round"`` trains it again in every cycle, with an
            empty replay buffer; ``"online"`` simulates nothing and learns from one step a cycle;
            ``"transfer"`` uses a policy that was trained before.
        agent: what learns: ``"dqn"`` (the paper), or stable-baselines3's ``"ppo"`` or ``"a2c"``,
            for ``mode=pretrain`` alone. They learn after every epoch, from at most as many steps
            as its episodes may have; ``updates``, ``double``, ``bounded``, ``beta``,
            ``priority_exponent`` and ``final_epsilon`` are DQN's.
        preset: lengths of the training where they are not given: ``"quick"`` or ``"paper"``.
        policy: file of the policy, for ``"transfer"``.
        warm_episodes: warm-start episodes of random batches.
        epochs: epochs of agent training.
        episodes: episodes an epoch.
        updates: gradient steps after every episode or epoch (and in ``"online"`` after a cycle).
        updates_per: ``"episode"`` (the paper) or ``"epoch"``.
        max_steps: steps that cut an episode.
        refresh: further training episodes in every later cycle of ``"pretrain"``.
        action: what a batch is: its ``"size"``, its ``"quantile"`` of uncertainty, or
            ``"size_x_quantile"``.
        largest_batch: largest batch of the size grid; a twentieth of the pool, at least 8, if None.
        rank: order in which a batch is filled.
        state_source: margins of the ``"state"`` share or of the unlabelled ``"pool"``.
        quantiles: length of the observation.
        reward: ``"delta"`` (the paper), ``"delta_cost"``, ``"cost"`` or ``"authors"``.
        cost: weight of the labels in ``"delta_cost"``.
        reward_labels: held-out labels on which precision is measured, per client; a tenth of the
            client's data, at most 1000, if None. In ``"online"``, None measures precision on the
            batches as they are bought, before the model is trained on them.
        classifier: the classifier inside episodes: ``"softmax"`` and ``"ridge"`` are heads on the
            global model's embeddings, ``"finetune"`` refits the whole model.
        target_stat: target precision: the ``"max"`` or ``"median"`` of the warm-start episodes.
        tau: share of that precision that ends an episode.
        stop: when a client stops buying in the federation: ``"never"``, ``"warm-start"`` (the
            paper: at the target precision of the warm start), or at a precision, as in
            ``stop=0.5``. It is measured on the reward set, under the global model. The annotation
            budget, where the paper stops too, is the task's budget cap.
        episode_share: labels an episode may read, as a share of its samples.
        gamma: discount.
        lr: the agent's learning rate.
        double: Double DQN targets.
        bounded: clip TD targets to what a return can be, and keep values within twice that. The
            paper does not mention it; without it values diverge with ``preset=paper``, so that
            both presets have it.
        priority_exponent: exponent of prioritised replay; 0 samples uniformly.
        beta: importance weighting of prioritised replay.
        final_epsilon: probability of a random action at the end of the training.
    """

    mode: Literal["pretrain", "per_round", "online", "transfer"] = "pretrain"
    agent: Literal["dqn", "ppo", "a2c"] = "dqn"
    preset: Literal["quick", "paper"] = "quick"
    policy: str | None = None
    warm_episodes: Positive | None = None
    epochs: Count | None = None
    episodes: Positive | None = None
    updates: Count | None = None
    updates_per: Literal["episode", "epoch"] = "episode"
    max_steps: Positive | None = None
    refresh: Count = 0
    action: Literal["size", "quantile", "size_x_quantile"] = "size"
    largest_batch: Positive | None = None
    rank: Literal["margin", "entropy", "random"] = "margin"
    state_source: Literal["state", "pool"] = "state"
    quantiles: Annotated[int, Field(ge=2)] = 32
    reward: Literal["delta", "delta_cost", "cost", "authors"] = "delta"
    cost: Annotated[float, Field(ge=0)] = 1.0
    reward_labels: Positive | None = None
    classifier: Literal["softmax", "ridge", "finetune"] = "softmax"
    target_stat: Literal["max", "median"] = "max"
    tau: Annotated[float, Field(gt=0, le=1)] = 1.0
    stop: Literal["never", "warm-start"] | Annotated[float, Field(gt=0, le=1)] = "never"
    episode_share: Annotated[float, Field(gt=0, le=1)] = 0.25
    gamma: Annotated[float, Field(ge=0, le=1)] = 1.0
    lr: Annotated[float, Field(gt=0)] = 1e-3
    double: bool = True
    bounded: bool = True
    priority_exponent: Annotated[float, Field(ge=0, le=20)] = 3.0
    beta: Annotated[float, Field(ge=0, le=1)] = 0.0
    final_epsilon: Annotated[float, Field(ge=0, le=1)] = 0.1

    @model_validator(mode="after")
    def _policy_with_transfer(self) -> FedRALParams:
        if (self.mode == "transfer") != (self.policy is not None):
            raise ValueError("mode=transfer and policy=PATH belong together")
        return self

    @model_validator(mode="after")
    def _on_policy_with_pretrain(self) -> FedRALParams:
        if self.agent != "dqn" and (self.mode != "pretrain" or self.refresh):
            raise ValueError(
                f"agent={self.agent} is trained once; use mode=pretrain without refresh, or "
                "agent=dqn"
            )
        return self

    @model_validator(mode="after")
    def _stop_with_reward_set(self) -> FedRALParams:
        known = self.simulates or (self.mode == "online" and self.reward_labels is not None)
        if self.stop != "never" and not known:
            raise ValueError(
                "stop needs a reward set; use mode=pretrain or per_round, or mode=online with "
                "reward_labels"
            )
        if self.stop == "warm-start" and not self.simulates:
            raise ValueError("stop=warm-start needs a warm start; use mode=pretrain or per_round")
        return self

    def length(self, name: str) -> int:
        """Return one of the preset's lengths, unless it was given."""
        given: int | None = getattr(self, name)
        return PRESETS[self.preset][name] if given is None else given

    @property
    def simulates(self) -> bool:
        """Whether agents are trained in simulated episodes."""
        return self.mode in ("pretrain", "per_round")

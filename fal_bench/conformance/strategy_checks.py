"""What every strategy must satisfy: one function a check, in the order of the report."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import numpy as np
import torch

from fal_bench.conformance.advice import NOT_IDS, advice_on, causes, described, with_line
from fal_bench.conformance.deadline import HangError
from fal_bench.conformance.reach import openings
from fal_bench.conformance.separate import Memories, select_separately
from fal_bench.conformance.subject import (
    Broken,
    ClassSubject,
    Failure,
    NotApplicable,
    once,
    owned_by,
    params,
    within_limit,
)
from fal_bench.conformance.trial import (
    QUERIES,
    Picks,
    Trial,
    Watch,
    as_resumed,
    input_of,
    run_trial,
)
from fal_bench.conformance.worlds import (
    WORLDS,
    World,
    labelled,
    own_hidden,
    uneven,
    unlabelled,
    with_allotment,
    with_budget_above_pool,
    with_images,
    with_labels,
    with_left,
    with_other_labels,
    with_pool_reordered,
)
from fal_bench.data import loading
from fal_bench.errors import (
    AllotmentError,
    CoordinationError,
    FalbenchError,
    InvalidSpecError,
    LabelAccessError,
    MemoryContentError,
    NeedsError,
    PositionError,
    UndeclaredNeedError,
    message_of,
)
from fal_bench.federation.declared import check_suits
from fal_bench.federation.setting import Setting
from fal_bench.federation.view import LiveFederationView
from fal_bench.isolation.interrupts import let_interrupts_pass
from fal_bench.learning.model import Weights
from fal_bench.plugins.built_in import STRATEGY
from fal_bench.plugins.strategy import Strategy

OTHER_GLOBAL_SEED: Final = 12345
OTHER_SEED: Final = 1
LONGEST_WAIT: Final = 5.0
"""Seconds that server and clients wait for a message, one of which computes at a time."""

STEEP: Final = 1e4
"""Factor of the head's weights with which probabilities are exactly 0 and 1."""

_OWNERS: Final[dict[type[Exception], str]] = {
    NeedsError: "needs",
    AllotmentError: "allotment",
    UndeclaredNeedError: "needs",
    CoordinationError: "coordination",
    LabelAccessError: "hidden-labels",
    MemoryContentError: "memory",
}


class StrategySubject(ClassSubject[Strategy]):
    """One strategy under check."""

    kind = STRATEGY
    base = Strategy

    @once
    def world(self) -> World:
        """The first world that the strategy accepts."""
        refusals, made = [], self.made
        for world in WORLDS:
            try:
                within_limit(self.limit, partial(_offer, made, world.setting()))
            except InvalidSpecError as error:
                refusals.append(f"{world.name}: {error}")
            except Broken:
                raise
            except BaseException as error:
                let_interrupts_pass(error)
                what = f"check_task or check_shares raised {described(error, self.code)}"
                advice = advice_on(error, self.code)
                raise Broken("task", Failure(what, input_of(world.name, 0), advice)) from None
            else:
                return world
        raise Broken("task", Failure("It accepts none of the tasks: " + " ".join(refusals)))

    def setting(self, seed: int = 0) -> Setting:
        """Draw a new setting of the world."""
        return self.world.setting(seed)

    def run(self, setting: Setting, **options: Any) -> Trial:
        """Run a trial; see ``run_trial``.

        Raises:
            Failure: the strategy hangs.
        """
        watch: Watch = options.setdefault("watch", Watch())
        try:
            return run_trial(self.make, setting, limit=self.limit, **options)
        except HangError as error:
            cycle = max(watch.budgets, default=None)
            place = input_of(setting.task.name, setting.streams.seed, cycle=cycle)
            raise self.hung(error, "A call", place) from error

    @once
    def ordinary(self) -> Trial:
        """A whole run on the world as it is; others are compared with it."""
        with owned_by("returns"):
            trial = self.run(self.setting())
        error = trial.error
        if error is not None:
            what, advice = with_line(error, self.code), advice_on(error, self.code)
            raise Broken(_owner_of(error), Failure(what, trial.place, advice))
        return trial

    @once
    def again(self) -> Trial:
        """The same run once more, when all that is imported on the way has been imported."""
        _ = self.ordinary
        with owned_by("repeatable"):
            trial = self.run(self.setting())
            if trial.error is not None:
                what = f"Run a second time, it failed: {with_line(trial.error, self.code)}"
                raise Failure(what, trial.place)
        return trial

    def survives(self, setting: Setting, situation: str, **options: Any) -> None:
        """Run one query in an unusual situation.

        Raises:
            Failure: the strategy raised, broke its contract, or computed with invalid values.
            Broken: it does so in ordinary situations too.
        """
        _ = self.ordinary
        trial = self.run(setting, **{"queries": 1, **options})
        if trial.error is not None:
            what = f"{situation}: {with_line(trial.error, self.code)}"
            # What an exception means here, the check says best.
            advice = NOT_IDS if isinstance(trial.error, PositionError) else None
            raise Failure(what, trial.place, advice)
        if not trial.journal.states:
            raise RuntimeError(f"{situation}: the harness asked for no selection")
        if trial.numeric:
            raise Failure(f"{situation}: {trial.numeric[0]}", trial.place)


def _offer(strategy: Strategy, setting: Setting) -> None:
    try:
        check_suits(strategy, setting.task)
    except NeedsError as error:
        raise Broken("needs", Failure(str(error))) from None
    strategy.check_shares(setting.task, setting.sizes)


def _owner_of(error: BaseException) -> str:
    """Return the name of the check that an error of the harness or of a plugin belongs to."""
    chain = causes(error)
    kinds = [kind for cause in chain for kind in _OWNERS if isinstance(cause, kind)]
    if kinds:
        return _OWNERS[kinds[0]]
    return "positions" if isinstance(chain[-1], FalbenchError) else returns.name


check = StrategySubject.check


# What the class says, and what it returns.


@check
def declaration(subject: StrategySubject) -> None:
    """Name, flags and methods are what the harness expects.

    What to do: Give the class a name without spaces, commas or brackets, such as 'my-idea';
    override select (or select_all); see the attributes of fal_bench.Strategy.
    """
    kind: type[Strategy] = subject.code
    subject.check_class("-s")
    if kind.select is Strategy.select and kind.select_all is Strategy.select_all:
        raise Failure(f"{kind.__name__} overrides neither select nor select_all.")
    for flag in ("adaptive", "deterministic"):
        if not isinstance(getattr(kind, flag), bool):
            raise Failure(f"{flag} is {getattr(kind, flag)!r}, neither True nor False.")
    if not isinstance(kind.keeps, tuple) or not all(isinstance(one, str) for one in kind.keeps):
        raise Failure(f"keeps is {kind.keeps!r}, not a tuple of names.")


check(params)


@check
def task(subject: StrategySubject) -> str:
    """A small task suits it.

    What to do: Let check_task and check_shares raise InvalidSpecError only for what the strategy
    cannot do without; it must accept one of the worlds plain (a query pool only), shares (all four
    shares), images (all four shares, images of 16x16) and allotment (the server allots labels).
    """
    return f"runs in the world {subject.world.name!r}"


@check
def returns(subject: StrategySubject) -> str | None:
    """Every call returns, without an exception and in time.

    What to do: Fix the exception; look for a loop that may not end, or make the strategy faster;
    raise call_timeout if it is only slow. Never leave the process.
    """
    try:
        rows = subject.ordinary.journal.rows
    except Broken as broken:
        if broken.owner == returns.name:
            raise
        return None  # it did return, whatever else is wrong
    seconds = max((row.select_seconds for row in rows), default=0.0)
    return f"slowest selection {seconds:.2f} s"


@check
def needs(subject: StrategySubject) -> str:
    """Costly inputs are declared, and none is touched undeclared.

    What to do: Declare it, as in needs = frozenset({LocalModel()}), or do without; never catch
    UndeclaredNeedError.
    """
    declared = subject.made.needs
    if not isinstance(declared, frozenset):
        raise Failure(f"needs is a {type(declared).__name__}, not a frozenset.")
    undeclared = subject.ordinary.watch.undeclared
    if undeclared:
        raise Failure(
            f"It touched {undeclared[0]} without declaring it, and caught the error: whatever it "
            "does instead is not what its name promises."
        )
    return ", ".join(sorted(type(need).__name__ for need in declared)) or "none"


@check
def coordination(subject: StrategySubject) -> str:
    """All clients are answered, and messages are arrays.

    What to do: Return one selection a client, in order; let gather's function return a NumPy
    array, whose bytes are counted, and broadcast nothing else.
    """
    if subject.code.select_all is Strategy.select_all:
        raise NotApplicable("it selects client by client")
    trial = subject.ordinary
    if trial.watch.unsendable:
        raise Failure(f"A message is no array: {trial.watch.unsendable[0]}.", trial.where())
    return f"{trial.messages} bytes of messages in {len(trial.journal.states)} queries"


@check
def allotment(subject: StrategySubject) -> str:
    """A server that allots labels keeps to the limits and to the total.

    What to do: A client may buy more than federation.budgets says only where the task lets the
    server allot labels (allotment = { kind = "server" }), and never more than federation.limits
    says; all together buy federation.total_budget. Hand budgets out by federation.each(compute,
    budgets); in other tasks limits and budgets are the same.
    """
    if subject.code.select_all is Strategy.select_all:
        raise NotApplicable("it selects client by client")
    at_most = subject.world.task.query_size + 1
    for limit, words in ((None, "no limit but the pools"), (at_most, f"at most {at_most} each")):
        setting = with_allotment(subject.setting(), limit)
        subject.survives(setting, f"Where the server may allot labels, {words}")
    return "keeps to limits and total where the server may allot labels, and where not"


@check
def positions(subject: StrategySubject) -> str:
    """Exact number of distinct positions of unlabelled samples, as integers.

    What to do: Return positions in client.unlabelled (not ids), each once, exactly `budget` of
    them; an adaptive strategy (adaptive = True) may return fewer.
    """
    bought = sum(map(len, subject.ordinary.picks.values()))
    return f"{bought} samples in {len(subject.ordinary.journal.states)} queries"


# What it depends on, and what it leaves behind.


@check
def repeatable(subject: StrategySubject) -> None:
    """Same input and same stream, same picks.

    What to do: Draw from client.rng (federation.rng at the server) and nothing else; keep clocks,
    fresh generators such as np.random.default_rng(), and state on the class or in the module out
    of it.
    """
    first, again = subject.ordinary, subject.again
    difference = first.first_difference(again)
    if difference is not None:
        raise Failure(
            "Run twice on the same input and the same random stream, it selects other samples.",
            first.where(*difference),
        )


@check
def global_random(subject: StrategySubject) -> None:
    """Global random streams are neither read nor touched.

    What to do: Use client.rng instead of np.random, random or torch's default generator; for
    torch, make a torch.Generator and seed it from client.rng.
    """
    first, again = subject.ordinary, subject.again
    if again.random:
        raise Failure(
            f"It drew from, or seeded, a global random stream: {', '.join(again.random)}.",
            again.where(),
        )
    subject.require(repeatable)
    other = subject.run(subject.setting(), global_seed=OTHER_GLOBAL_SEED)
    difference = first.first_difference(other)
    if other.error is not None or difference is not None:
        raise Failure(
            "With the global random streams at another place it selects other samples.",
            first.where(*(difference or ())),
        )


@check
def memory(subject: StrategySubject) -> str:
    """What it remembers survives saving and loading.

    What to do: Keep all state in client.memory (or federation.memory), as JSON values and NumPy
    arrays; not on the class, in the module or in a file.
    """
    straight = subject.ordinary
    subject.require(global_random)
    # What it keeps outside its memory is now that of another federation, as it would be in a
    # worker that computes several runs.
    subject.run(subject.setting(OTHER_SEED))
    state = as_resumed(straight.journal.states[0])
    resumed = subject.run(subject.setting(), start=state, queries=QUERIES - 1)
    if resumed.error is not None:
        what = f"After a resume it failed: {with_line(resumed.error, subject.code)}"
        raise Failure(what, resumed.place)
    difference = straight.first_difference(resumed)
    if difference is not None:
        raise Failure(
            "Resumed from a checkpoint after the first query, it selects other samples than in "
            "one go: it remembers something outside client.memory.",
            straight.where(*difference),
        )
    kept = sorted({name for own in straight.journal.states[-1].memories for name in own})
    return "remembers " + ", ".join(kept) if kept else "remembers nothing"


@check
def settings(subject: StrategySubject) -> None:
    """Settings of the process are left as they were.

    What to do: Change settings only inside a context that puts them back (np.errstate,
    torch.no_grad); other strategies run in the same process.
    """
    trial = subject.again
    if trial.settings:
        raise Failure(f"It changed {', '.join(trial.settings)}.", trial.where())


@check
def mutation(subject: StrategySubject) -> None:
    """Models, views, samples and the pool are not changed.

    What to do: Work on copies: client.global_model.module() gives a network of your own,
    array.copy() an array of your own.
    """
    trial = subject.ordinary
    changed = [*trial.watch.mutated, *trial.mutated]
    if changed:
        raise Failure(f"It changed in place: {', '.join(dict.fromkeys(changed))}.", trial.where())


@check
def hidden_labels(subject: StrategySubject) -> str:
    """No way to labels that were not bought, or to test data.

    What to do: Use client.labels, and client.buy for more: it charges them. What shows true labels
    on purpose declares reference = True.
    """
    if getattr(subject.code, "reference", False):
        raise NotApplicable("it declares reference = True: it is there to see true labels")
    trial = subject.ordinary
    if trial.watch.refused:
        raise Failure(f"It asked for a label that it must not read: {trial.watch.refused[0]}")
    subject.require(repeatable)
    # Once with all labels changed that it had not bought before its first selection, once with
    # those that it never bought.
    for query in (0, QUERIES - 1):
        _compare_with_other_labels(subject, query)
    return "tried by asking, by looking around, and by changing hidden labels"


def _compare_with_other_labels(subject: StrategySubject, query: int) -> None:
    """Change what is hidden before the end of a query, and expect the same picks up to it."""
    trial = subject.ordinary
    setting = subject.setting()
    kept = trial.read_before(query) | {int(one) for own in setting.initial for one in own}
    other = with_other_labels(setting, kept, seed=query)
    found: list[str] = []

    def visit(federation: Any) -> None:
        if not found:
            found.extend(openings(federation, other))

    before = loading._load.cache_info()
    twin = subject.run(other, queries=query + 1, watch=Watch(visit))
    if found:
        raise Failure(f"There is a way to what must stay hidden: {found[0]}.", trial.where())
    if loading._load.cache_info() != before:  # worlds are loaded from nowhere
        raise Failure("It loads a data set by itself, which shows all labels.", trial.where())
    difference = trial.first_difference(twin, cycles=query + 1)
    if twin.error is not None or difference is not None:
        raise Failure(
            "With other labels on samples that it has not bought, and another test set, it "
            "selects other samples: it sees what it must not.",
            trial.where(*(difference or ())),
        )


@check
def isolation(subject: StrategySubject) -> None:
    """Clients learn of each other through counted messages only.

    What to do: Keep nothing of a client on self, on the class or in the module; what the server
    shall know goes through federation.gather, what clients shall know through
    federation.broadcast.
    """
    first = subject.ordinary
    if first.messages:
        raise NotApplicable("it exchanges messages, which are counted")
    subject.require(repeatable)
    setting = subject.setting()
    clients = len(setting.shares)
    observed = clients // 2  # it has a client before it, which may have left it its data
    for client in range(clients):
        if client != observed:
            ids = own_hidden(setting, client)
            images = setting.dataset.train_features[ids]
            other = images.flip(0) + torch.linspace(-1, 1, images.shape[-1])
            setting = with_images(setting, ids, other)
    # One query: later models are trained on what the other clients chose.
    twin = subject.run(setting, queries=1)
    same = first.picks.get((0, observed)) == twin.picks.get((0, observed))
    if twin.error is not None or not same:
        raise Failure(
            "With other unlabelled samples at the other clients, a client selects other samples, "
            "and no message was sent: it sees their data.",
            first.where(observed, 0),
        )


@check
def deployable(subject: StrategySubject) -> str:
    """Server and clients that exchange messages only select the same.

    Each of them runs select_all for itself, as in a real federation: the server runs nothing that
    is handed to gather or each, and a client runs it for itself alone.

    What to do: Let what happens next follow from federation.budgets, the parameters and what
    federation.broadcast returned, never from what gather returned or from what was given to
    broadcast: at a client, gather returns the client's own array in everybody's place. Objects
    of a client live in select_all of that client; ask whether they are there before using them
    outside of gather and each.
    """
    if subject.code.select_all is Strategy.select_all:
        raise NotApplicable("it selects client by client")
    if not subject.ordinary.messages:
        raise NotApplicable("it exchanges no messages; see isolation")
    subject.require(repeatable)
    apart: Picks = {}
    memories: Memories = []
    limit = min(subject.limit, LONGEST_WAIT)

    def visit(federation: LiveFederationView) -> None:
        memories.extend({} for _ in range(0 if memories else federation.clients + 1))
        chosen = select_separately(subject.make, federation, memories, limit)
        apart.update({(federation.cycle, client): own for client, own in enumerate(chosen)})

    trial = subject.run(subject.setting(), watch=Watch(visit))
    if trial.error is not None:
        raise Failure(f"With server and clients apart: {message_of(trial.error)}", trial.where())
    for (cycle, client), together in sorted(trial.picks.items()):
        if sorted(apart[cycle, client]) != sorted(together):
            raise Failure(
                "With server and clients apart, a client selects other samples: it sees what was "
                "not sent.",
                trial.where(client, cycle),
            )
    return f"the same samples in {len(trial.journal.states)} queries"


@check
def pool_order(subject: StrategySubject) -> None:
    """A deterministic strategy does not depend on the pool's order.

    What to do: Drop deterministic = True if the strategy draws at random or its method depends on
    the order; otherwise score each sample by itself and pick with
    fal_bench.acquisition.scores.smallest.
    """
    if not subject.code.deterministic:
        raise NotApplicable("it does not declare deterministic = True")
    first = subject.ordinary
    subject.require(repeatable)
    reordered, before = with_pool_reordered(subject.setting(), seed=0)
    twin = subject.run(reordered, queries=1, watch=Watch(_exchange_streams))
    for client in range(len(reordered.shares)):
        if _selected(first, client) != {before[sample] for sample in _selected(twin, client)}:
            raise Failure(
                "With the pool in another order and another random stream it selects other "
                "samples.",
                first.where(client, 0),
            )


def _exchange_streams(federation: LiveFederationView) -> None:
    rng = np.random.default_rng(1)
    for own in (federation, *federation._views):
        vars(own)["rng"] = rng


def _selected(trial: Trial, client: int) -> set[int]:
    return set(trial.picks.get((0, client), []))


# Unusual federations.


@check
def empty_client(subject: StrategySubject) -> None:
    """A client with nothing left to label.

    What to do: select is not called then, but the functions given to gather and each are: let them
    cope with client.unlabelled of length 0.
    """
    setting = subject.setting()
    subject.survives(with_left(setting, {0: 0}), "With nothing left to label at client 0")


@check
def one_left(subject: StrategySubject) -> None:
    """One sample left.

    What to do: Let clustering, nearest neighbours and statistics over the pool cope with a single
    sample.
    """
    setting = subject.setting()
    left = dict.fromkeys(range(len(setting.shares)), 1)
    subject.survives(with_left(setting, left), "With one sample left at every client")


@check
def whole_pool(subject: StrategySubject) -> None:
    """A budget above the pool, cut to the pool by the harness.

    What to do: Let select work with budget == len(client.unlabelled).
    """
    setting = with_budget_above_pool(subject.setting())
    subject.survives(setting, "With a budget for the whole pool")


@check
def single_class(subject: StrategySubject) -> None:
    """All labelled samples of one class.

    What to do: Take the number of classes from client.n_classes, and let statistics over classes
    cope with a single one.
    """
    setting = subject.setting()
    one = with_labels(setting, labelled(setting), 0)
    subject.survives(one, "With all labelled samples of class 0")


@check
def absent_class(subject: StrategySubject) -> None:
    """A class without a labelled sample.

    What to do: Count with minlength=client.n_classes, and keep class counts of 0 out of divisions
    and logarithms.
    """
    setting = subject.setting()
    absent = setting.dataset.n_classes - 1
    ids = labelled(setting)
    of_it = ids[(setting.dataset.train_labels[ids] == absent).numpy()]
    others = with_labels(setting, of_it, 0)
    counts = np.bincount(others.dataset.train_labels[ids], minlength=absent + 1)
    assert counts[absent] == 0
    assert (counts > 0).sum() > 1
    subject.survives(others, f"With no labelled sample of class {absent}")


@check
def uneven_clients(subject: StrategySubject) -> str:
    """Clients of unequal size: a large one, ones with one and two classes, one with one sample.

    What to do: Expect fewer labels than classes, pools of different sizes that are used up before
    others are, and clients without a pool: read len(client.unlabelled) and the budget each time.
    """
    subject.require(empty_client, one_left, whole_pool, single_class, absent_class)
    refused = ""
    for tiny in (True, False):
        setting = uneven(subject.world, tiny=tiny)
        try:
            within_limit(subject.limit, partial(_offer, subject.made, setting))
        except InvalidSpecError as error:
            refused = refused or str(error)
            continue
        subject.survives(setting, "With clients of unequal size", queries=QUERIES)
        return "as it is" if tiny else f"without a client of one sample ({refused})"
    raise NotApplicable(f"it refuses such tasks: {refused}")


@check
def duplicates(subject: StrategySubject) -> None:
    """Duplicate samples, fewer distinct ones than the budget.

    What to do: Expect distances and variances of 0, and fewer distinct points than clusters; break
    ties by position.
    """
    setting = subject.setting()
    for client, initial in enumerate(setting.initial):
        pool = unlabelled(setting, client)
        images = setting.dataset.train_features
        # All copies of one sample that is labelled and one that is not: fewer distinct samples
        # than the budget, and distances of 0 to what is labelled.
        setting = with_images(setting, pool[1:], images[int(pool[0])].clone())
        setting = with_images(setting, pool[2::2], images[int(initial[0])].clone())
    subject.survives(setting, "With copies of two samples only in every pool")


@check
def finite_scores(subject: StrategySubject) -> None:
    """No invalid value, even with constant or saturated predictions.

    What to do: Keep log(0), 0/0 and divisions by a zero spread out of the scores;
    fal_bench.acquisition.scores.entropy shows how. Where a warning is meant, say so with
    np.errstate.
    """
    trial = subject.ordinary
    if trial.numeric:
        raise Failure(f"NumPy warned: {trial.numeric[0]}", trial.where())
    for situation, retrain in (
        ("With a model of constant logits", _constant),
        ("With a model whose probabilities are exactly 0 and 1", _steep),
    ):
        subject.survives(subject.setting(), situation, retrain=retrain)


def _constant(weights: Weights) -> Weights:
    return {name: torch.zeros_like(tensor) for name, tensor in weights.items()}


def _steep(weights: Weights) -> Weights:
    return {
        name: tensor * STEEP if name.startswith("head.") else tensor
        for name, tensor in weights.items()
    }

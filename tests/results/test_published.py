"""What provenance.json says, and the runs that are rebuilt from it."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fal_bench.errors import FalbenchError, PublicationError
from fal_bench.inputs.selector import Selector
from fal_bench.learning.numerics import numerics_of
from fal_bench.results.identity import DEFAULT_TRAINER
from fal_bench.results.published import run_keys
from fal_bench.results.record import (
    FORMAT,
    PublishedEnvironment,
    PublishedStrategy,
    PublishedTask,
    Record,
    parse_record,
    read_record,
)
from fal_bench.sweep.spec import RunSpec
from fal_bench.task import Task

names = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
values = st.one_of(
    st.booleans(),
    st.none(),
    st.integers(-1000, 1000),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=12),
    st.lists(st.integers(0, 9), max_size=3),
)
selectors = st.builds(Selector, names, st.dictionaries(names, values, max_size=3))
prints = st.sampled_from(["version 1", "version 2, torch 2.14", "source " + 64 * "a"])
partitions = st.one_of(
    st.just({"kind": "iid"}),
    st.builds(lambda alpha: {"kind": "dirichlet", "alpha": alpha}, st.floats(1e-3, 1e3)),
    st.builds(lambda n: {"kind": "shards", "classes_per_client": n}, st.integers(1, 10)),
)
models = st.one_of(
    st.builds(
        lambda hidden, drop: {"kind": "mlp", "hidden": hidden, "dropout": drop},
        st.lists(st.integers(1, 300), max_size=3),
        st.sampled_from([0.0, 0.1, 0.25]),
    ),
    st.just({"kind": "resnet18", "weights": "imagenet"}),
)

milestones = st.sampled_from([(), (5,)])


@st.composite
def tasks(draw, name):
    clients, initial, query = (draw(st.integers(1, 12)) for _ in range(3))
    return Task(
        name=name,
        dataset=str(draw(selectors)),
        partition=draw(partitions),
        model=draw(models),
        clients=clients,
        initial_labels=initial,
        query_size=query,
        budget_cap=clients * (initial + draw(st.integers(1, 9)) * query),
        long_tail=draw(st.floats(1, 100)),
        optimiser={"lr": draw(st.floats(1e-6, 10)), "milestones": draw(milestones)},
        reset=draw(st.sampled_from(["scratch", "continue"])),
    )  # fmt: skip


@st.composite
def comparisons(draw):
    """Tasks, rows (strategy, fingerprint, trainer, its fingerprint, reference), seeds, device."""
    count = draw(st.integers(1, 3))
    chosen = [draw(tasks(f"task-{place}")) for place in range(count)]
    digests = draw(st.lists(st.sampled_from(["", "ab12"]), min_size=count, max_size=count))
    row = st.tuples(selectors, prints, selectors, prints, st.booleans())
    rows = draw(
        st.lists(row, min_size=1, max_size=3, unique_by=lambda one: (str(one[0]), str(one[2])))
    )
    seeds = list(range(draw(st.integers(1, 3))))
    return list(zip(chosen, digests, strict=True)), rows, seeds, draw(
        st.sampled_from(["cpu", "cuda"])
    )  # fmt: skip


def record_of(tasks_and_data, rows, seeds, device="cpu"):
    return Record(
        falbench="0.1.0",
        command="falbench compare",
        published="2026-01-02T03:04:05+00:00",
        first_finished="2026-01-01T00:00:00+00:00",
        last_finished="2026-01-01T01:00:00+00:00",
        compute_seconds=12.5,
        suite="mine",
        targets=(0.5, "auto"),
        accounting="strict",
        baseline="random",
        numerics=numerics_of(device),
        device=device,
        seeds=tuple(seeds),
        tasks=tuple(
            PublishedTask(
                name=task.name,
                hash=task.hash,
                canonical=task.canonical,
                pool=100,
                data=data or None,
            )
            for task, data in tasks_and_data
        ),
        strategies=tuple(
            PublishedStrategy(
                strategy=str(strategy),
                fingerprint=own,
                trainer=str(trainer),
                trainer_fingerprint=its,
                trainer_named=trainer != DEFAULT_TRAINER,
                reference=reference,
            )
            for strategy, own, trainer, its, reference in rows
        ),
        environments=(PublishedEnvironment(runs=1, facts={"torch": "2.14"}),),
        files={},
    )  # fmt: skip


@settings(max_examples=30)
@given(comparisons())
def test_the_rebuilt_runs_have_the_keys_that_were_published(tmp_path_factory, comparison):
    tasks_and_data, rows, seeds, device = comparison
    expected = {
        (one.task.name, one.label, one.seed): one.key
        for task, data in tasks_and_data
        for strategy, own, trainer, its, reference in rows
        for seed in seeds
        for one in [
            RunSpec(task, strategy, own, seed, device, trainer, its, reference=reference, data=data)
        ]
    }
    folder = tmp_path_factory.mktemp("published")
    (folder / "provenance.json").write_text(record_of(*comparison).text, encoding="utf-8")
    record = read_record(folder)
    assert run_keys(record) == expected
    assert record.n_runs == len(expected)


TASK = Task(name="a")
ROW = (Selector("random"), "version 1", Selector("cross-entropy"), "version 1", False)


@pytest.fixture
def text():
    return record_of([(TASK, "")], [ROW], [0, 1]).text


def test_the_text_is_stable_and_ends_with_a_newline(text):
    assert text.endswith("}\n")
    content = json.loads(text)
    assert list(content)[:3] == ["format", "falbench", "command"]
    assert list(content)[-2:] == ["files", "digest"]
    assert "sessions" not in content
    assert parse_record(text).text == text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("}", "", r"Cannot read '.*provenance.json' \(.*\); restore it, or publish again"),
        (f'"format": {FORMAT}', '"format": "one"', "its format"),
        (f'"format": {FORMAT}', f'"format": {FORMAT + 1}', "written by a newer falbench"),
        ('"numerics"', '"numeric"', "numerics: it is needed, and missing"),
        ('"seeds": [', '"seeds": ["x", ', "seeds.0: it must be a whole number, not 'x'"),
        ('"suite"', '"surprise": 1, "suite"', "surprise: unknown key"),
        (TASK.hash, 64 * "0", "The task 'a' of provenance.json does not belong to its hash"),
        (
            '"trainer_named": false',
            '"trainer_named": "no"',
            "strategies.0.trainer_named: it must be true or false",
        ),
        ('"trainer": "cross-entropy"', '"trainer": "x"', "trainer of 'random' is missing"),
        ('"strategy": "random"', '"strategy": "=random"', "strategy '=random': .*formula"),
        ('"seeds": [', '"seeds": [-1, ', "seeds.0: it must be at least 0"),
        ('"published": "2026', '"published": "x', "is no date"),
        ('"falbench": "0.1.0"', '"falbench": "1, and all is well"', "falbench: it must be text"),
        (
            '"strategy": "random"',
            f'"strategy": "x[a={1000 * "["}"',
            "Cannot|selector|64",
        ),
        (
            '"strategy": "random"',
            f'"strategy": "x[a={5000 * "1"}]"',
            "Cannot|selector|64",
        ),
        ('"suite": "mine"', f'"suite": "{100_001 * "x"}"', "suite: .*100000 characters"),
        ('"canonical": {', '"canonical": {"budget_cap": 1000000000', "budget_cap"),
        ('"torch"', '"to\\u202erch"', "environments.0.facts: .*cannot be shown"),
        ('"canonical": {', '"canonical": {"planet": "mars"', "does not know the task 'a'"),
    ],
)
def test_a_record_that_cannot_be_used_is_refused_in_one_sentence(tmp_path, text, old, new, message):
    assert old in text
    changed = text.replace(old, new)
    with contextlib.suppress(FalbenchError, ValueError):
        changed = parse_record(changed).text
    (tmp_path / "provenance.json").write_text(changed)
    with pytest.raises(PublicationError, match=message) as error:
        run_keys(read_record(tmp_path))
    assert "\n" not in str(error.value)


def test_a_missing_record_and_one_that_is_no_text_are_refused(tmp_path):
    with pytest.raises(PublicationError, match=r"no provenance\.json"):
        read_record(tmp_path)
    (tmp_path / "provenance.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(PublicationError, match="Cannot read"):
        read_record(tmp_path)
    (tmp_path / "provenance.json").write_text("[1]")
    with pytest.raises(PublicationError, match="its format"):
        read_record(tmp_path)


@given(st.data())
def test_a_record_that_was_changed_by_accident_is_not_read(tmp_path_factory, data):
    text = record_of([(TASK, "")], [ROW], [0, 1]).text
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from([c for c in '0123456789"atrue,{' if c != text[place]]))
    changed = data.draw(st.sampled_from([other, "", other + text[place]]))
    folder = tmp_path_factory.mktemp("published")
    (folder / "provenance.json").write_text(text[:place] + changed + text[place + 1 :])
    with pytest.raises(PublicationError):
        read_record(folder)


@pytest.mark.parametrize(
    ("tasks_and_data", "rows", "seeds", "twin"),
    [
        ([(TASK, ""), (TASK, "")], [ROW], [0], "task 'a'"),
        ([(TASK, "")], [ROW], [0, 0], "seed '0'"),
        ([(TASK, "")], [ROW, (*ROW[:4], True)], [0], "strategy 'random'"),
    ],
)
def test_a_name_that_stands_twice_is_refused(tasks_and_data, rows, seeds, twin):
    with pytest.raises(PublicationError, match=f"the {twin} stands twice"):
        parse_record(record_of(tasks_and_data, rows, seeds).text)

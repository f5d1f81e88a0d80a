import os
import time

import pytest

from fal_bench.errors import InvalidSpecError, UnknownNameError
from fal_bench.task import Dirichlet, Task
from fal_bench.task.suite import find_suite, find_task, load_suite, suite_names


def test_the_shipped_suites_load():
    assert {"fedral-digits", "quick", "smoke"} <= set(suite_names())
    assert suite_names() == sorted(suite_names())
    quick = load_suite("quick")
    assert quick.seeds == 5
    assert [task.name for task in quick.tasks] == ["digit-pairs-iid", "digit-pairs-dirichlet"]
    for task in quick.tasks:
        assert (task.clients, task.query_size, task.budget_cap) == (5, 10, 550)
        assert task.shares.model_dump() == {
            "state": 0.1,
            "warm_start": 0.1,
            "agent": 0.6,
            "pool": 0.2,
        }
    assert find_task("digit-pairs-dirichlet").partition == Dirichlet(alpha=0.1)
    assert find_suite("digit-pairs-dirichlet") == quick
    assert (quick.targets, quick.strategies) == ((), ())


def test_task_names_are_unique_over_the_shipped_suites():
    names = [task.name for suite in suite_names() for task in load_suite(suite).own_tasks]
    assert len(set(names)) == len(names)


def test_a_task_of_another_suite_is_taken_as_it_stands_there(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[defaults]\nrounds = 3\n[tasks.digits-iid]\nsuite = 'smoke'\n[tasks.b]\n")
    suite = load_suite(str(file))
    assert suite.tasks[0] == find_task("digits-iid")
    assert [task.name for task in suite.own_tasks] == ["b"]
    assert load_suite("standard").task("letter") == load_suite("tabular").task("letter")
    assert find_suite("letter").name == "tabular"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("suite = 'smok'", "key 'tasks.digits-iid.suite' is wrong: .*did you mean 'smoke'"),
        ("suite = 'quick'", "it is in suite 'smoke'"),
        ("suite = 3", "Unknown suite '3'"),
        ("suite = 'smoke'\nrounds = 3", "as it stands there; remove 'rounds'"),
    ],
)
def test_a_task_that_is_not_in_the_other_suite_or_changed_is_refused(table, message, tmp_path):
    (tmp_path / "mine.toml").write_text(f"[tasks.digits-iid]\n{table}\n")
    with pytest.raises(InvalidSpecError, match=message):
        load_suite(str(tmp_path / "mine.toml"))


def test_a_file_of_ones_own(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("defaults = {clients = 2, budget_cap = 60}\n[tasks.a]\n[tasks.b]\nrounds = 3\n")
    suite = load_suite(str(file))
    assert (suite.name, suite.seeds) == ("mine", 5)
    assert [(task.name, task.clients, task.rounds) for task in suite.tasks] == [
        ("a", 2, 20),
        ("b", 2, 3),
    ]
    assert suite.task("b").rounds == 3
    with pytest.raises(UnknownNameError, match="did you mean 'a'"):
        suite.task("A")


def test_a_file_may_name_targets_and_strategies(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        "description = 'Mine'\ntargets = [0.3, 1, 'auto', 0.3]\n"
        "strategies = ['random', 'logo[n_init=1,2]']\n[tasks.a]\n[tasks.b]\nrounds = 3\n"
    )
    suite = load_suite(str(file))
    assert [one.plain for one in suite.targets] == [0.3, 1.0, "auto"]
    assert suite.strategies == ("random", "logo[n_init=1,2]")
    assert suite.describe().split(". ") == [
        "Mine", "Tasks: a, b", "Seeds: 5", "Targets: 0.3, 1.0, auto",
        "Strategies: random, logo[n_init=1,2].",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tasks = [", "not valid TOML"),
        ("seeds = 3", "has no tasks"),
        ("sedes = 3\n[tasks.a]", "unknown key 'sedes'; did you mean 'seeds'?"),
        ("seeds = 'x'\n[tasks.a]", "'seeds' must be a number"),
        ("seeds = 0\n[tasks.a]", "'seeds' must be at least 1"),
        ("targets = 0.5\n[tasks.a]", "'targets' must be a list, not 0.5"),
        ("targets = []\n[tasks.a]", "'targets' needs at least one accuracy"),
        ("targets = [50]\n[tasks.a]", "'targets' must be above 0 and at most 1, not 50"),
        ("targets = ['half']\n[tasks.a]", "'targets' cannot be 'half'; write accuracies"),
        ("targets = [true]\n[tasks.a]", "'targets' cannot be 'True'"),
        ("targets = [nan]\n[tasks.a]", r"'targets\.0' must be a finite number"),
        ("strategies = 'random'\n[tasks.a]", "'strategies' must be a list, not 'random'"),
        ("strategies = []\n[tasks.a]", "'strategies' must name strategies, as in"),
        ("strategies = [3]\n[tasks.a]", "'strategies' must name strategies, as in"),
        ("strategies = ['logo[']\n[tasks.a]", r"'strategies': Cannot read 'logo\['"),
        ("tasks = {a = 3}", "'tasks.a' must be a table"),
        (
            "[tasks.a]\nclientz = 3",
            "'tasks.a.clientz' is wrong: unknown key; did you mean 'clients'?",
        ),
        ("[tasks.a]\nclients = 0", "'tasks.a.clients' is wrong: it must be at least 1, not 0"),
        ("[tasks.a]\nquery_size = 1.5", "query_size' is wrong: it must be a whole number, not 1.5"),
        ("[tasks.a]\noptimiser = {lr = 1e308}", "lr"),
        ("[tasks.a]\noptimiser = {weight_decay = 1e308}", "weight_decay"),
        ("[tasks.a]\nmax_cycles = 'x'", "max_cycles' is wrong: it must be a whole number, not 'x'"),
        (
            "[tasks.a]\nreset = 'no'",
            "reset' is wrong: it must be 'scratch' or 'continue', not 'no'",
        ),
        ("[tasks.a]\nmodel = 3", "'tasks.a.model' is wrong: it must be a table, not 3"),
        ("[tasks.a]\nmodel = {hidden = [3]}\nclientz = 3", "'tasks.a"),
        ("[tasks.a]\nmodel = 3\nclientz = 3", "'tasks.a"),
        ("[tasks.a]\ndataset = 3\nclientz = 3", "'tasks.a"),
        ("[tasks.a]\npartition = 'given'", r'write \{ kind = "given" \}'),
        ("[tasks.a]\npartition = {kind = 'given', target = 3}", 'target\' .* write "3"'),
        ("[tasks.a]\nhidden = [3]", "'mlp'; write model = .*hidden"),
        ("[tasks.a]\ndataset = 'table[path=a.csv,label=b]'\ndrop = ['id']", "data set 'table'"),
        ("[tasks.a]\nmodel = {kind = 'mlp', hiden = 3}", "model' is wrong: .*'hiden'.*'hidden'"),
        ("[tasks.a]\npartition = {kind = 'dirichlet'}", "partition.alpha' is wrong: it is needed"),
        ("[tasks.a]\nshares = {pool = 0.5}", "shares' is wrong: the shares must add up to 1"),
        ("[tasks.a]\nbudget_cap = 45", "budget_cap 45 .* raise it to"),
        ("[tasks.a]\npartition = {kind = 'x'}", "its kind must be one of 'iid', .*, not 'x'"),
        ("[tasks.'a b']", "'tasks.a b.name' is wrong"),
        (
            "[tasks.a]\nclients = 4\nbudget_cap = 80\n[tasks.b]\nclients = 4\nbudget_cap = 80",
            "same",
        ),
    ],
)
def test_a_wrong_file_is_explained_with_its_key(tmp_path, text, message):
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    with pytest.raises(InvalidSpecError, match=message):
        load_suite(str(file))


def test_files_that_are_not_there_or_not_text(tmp_path):
    with pytest.raises(InvalidSpecError, match=r"none\.toml': it does not exist"):
        load_suite(str(tmp_path / "none.toml"))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidSpecError, match="UTF-8"):
        load_suite(str(tmp_path / "binary.toml"))
    with pytest.raises(UnknownNameError, match=r"'quik'.*'quick'"):
        load_suite("quik")
    with pytest.raises(UnknownNameError):
        find_task("digit-pears")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    plain, marked = tmp_path / "plain.toml", tmp_path / "marked.toml"
    plain.write_text("description = 'Größe'\n[tasks.a]\n", encoding="utf-8")
    marked.write_bytes(b"\xef\xbb\xbf" + plain.read_bytes())
    assert load_suite(str(marked)).tasks == load_suite(str(plain)).tasks


@pytest.mark.parametrize("write", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_refused_at_once(tmp_path, write):
    write(tmp_path / "odd.toml")
    with pytest.raises(InvalidSpecError, match=r"odd\.toml"):
        load_suite(str(tmp_path / "odd.toml"))


def test_the_place_of_what_is_no_utf_8_is_named(tmp_path):
    (tmp_path / "old.toml").write_bytes(b"description = 'caf\xe9'\n[tasks.a]\n")
    with pytest.raises(InvalidSpecError, match=r"old\.toml.*byte 19"):
        load_suite(str(tmp_path / "old.toml"))


@pytest.mark.parametrize(
    ("text", "culprit"),
    [
        ("x = " + "[" * 100_000 + "]" * 100_000, "nested"),
        ("[tasks.a]\nmodel = {kind = 'own', x = " + "[" * 40 + "]" * 40 + "}", "'tasks'"),
        ("[tasks." + ".".join("a" * 100_000) + "]", "parts"),
        ("'a' . " * 60_000 + "a = 3", "parts"),
        ("seeds = " + "9" * 5000 + "\n[tasks.a]", "digits"),
        ("[tasks.a]\nclients = " + "9" * 3000, r"tasks\.a\.clients"),
        ("[tasks.a]\nmodel = {kind = 'own', x = inf}", r"tasks\.a\.model\.x"),
        ("description = 'a\u202eb'\n[tasks.a]", r"description.*202E"),
        ("[tasks.a]\ndataset = 'digits\u2066'", r"dataset.*2066"),
        ("".join(f"[tasks.a{n}]\n" for n in range(1001)), "1001 tasks"),
        ("#" * 2**19 + "\n[tasks.a]", "bytes"),
        ("[tasks.a]\nbudget_cap = 1000000000\nclients = 1", "budget_cap"),
        ("strategies = ['x[a=" + ",1" * 1000 + ",b=" + ",1" * 1000 + "]']\n[tasks.a]", "'strat"),
        *(
            (f"[tasks.a]\n{name} = 1000000001", rf"tasks\.a\.{name}")
            for name, field in Task.model_fields.items()
            if isinstance(field.default, int)
        ),
        ("[tasks.a]\noptimiser = {lr = 1e308}", "lr"),
        ("[tasks.a]\noptimiser = {weight_decay = 1e308}", "weight_decay"),
        ("[tasks.a]\nmax_cycles = 1000000001", "max_cycles"),
        ("[tasks.a]\noptimiser = {milestones = [1000000001]}", "milestones"),
        ("[tasks.a]\npartition = {kind = 'shards', classes_per_client = 1000000001}", "classes"),
        ("[tasks.a]\nmodel = {kind = 'mlp', hidden = [1000000001]}", "hidden"),
        ("[tasks.a]\nmodel = {kind = 'mlp', hidden = [" + "1," * 101 + "]}", "hidden"),
        ("[tasks.a]\nmodel = {kind = 'cnn', channels = [1000000001]}", "channels"),
        ("[tasks.a]\nmodel = {kind = 'cnn4', width = 1000000001}", "width"),
    ],
    ids=lambda one: one[:30] if isinstance(one, str) else None,
)
def test_absurd_sizes_are_refused_in_a_short_sentence(tmp_path, text, culprit):
    file = tmp_path / "absurd.toml"
    file.write_text(text, encoding="utf-8")
    started = time.process_time()
    with pytest.raises(InvalidSpecError, match=culprit) as caught:
        load_suite(str(file))
    assert time.process_time() - started < 1
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_texts_with_many_dots_are_no_keys(tmp_path):
    dots = "a.b." * 100
    file = tmp_path / "dots.toml"
    file.write_text(f'# {dots}\ndescription = """{dots}\n{dots}"""\n[tasks.a]\n', encoding="utf-8")
    assert load_suite(str(file)).description.count(".") == 400


def test_a_task_of_another_suite_comes_with_that_suite():
    with pytest.raises(UnknownNameError, match=r"'smoke'.*'quick'"):
        load_suite("quick").task("digits-iid")
    assert find_suite("digits-iid").name == "smoke"

"""The page on reproduction says what the published results say."""

import importlib.util
import io
import re
import sys
from pathlib import Path

import pandas as pd
import pytest

from fal_bench.errors import DataError, PublicationError
from fal_bench.learning.numerics import NUMERICS_VERSION
from fal_bench.plugins.registry import Registry
from fal_bench.publication.consistency import Published, contradictions
from fal_bench.publication.verification import runs_here
from fal_bench.results.published import file_states, read_record

ROOT = Path(__file__).parent.parent
PUBLISHED = sorted((ROOT / "results" / "published").iterdir())


def writer_of_the_page():
    spec = importlib.util.spec_from_file_location("reproduction", ROOT / "docs" / "reproduction.py")
    module = sys.modules["reproduction"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


WRITER = writer_of_the_page()
PAGE = (ROOT / "docs" / "reproduction.md").read_text(encoding="utf-8")
SAVING = "saving_vs_random"
LOSES, DRAWS, SAVES = {"worse"}, {"no evidence"}, {"better"}


def test_the_tables_are_those_of_the_published_results():
    """Written anew by ``python docs/reproduction.py``."""
    assert WRITER.page() == PAGE
    assert PAGE.count("<!-- end -->") == len(WRITER.TABLES)


each_folder = pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)


@each_folder
def test_published_files_are_those_that_were_published(folder):
    states = file_states(folder, read_record(folder))
    assert {file.state for file in states} == {"same"}


@each_folder
def test_published_results_of_this_numerics_version_can_be_verified(folder):
    """A raised version of a strategy asks for them to be published again."""
    record, results = read_record(folder), WRITER.opened(folder.name)
    if record.numerics != NUMERICS_VERSION:
        with pytest.raises(PublicationError, match=f"numerics version {record.numerics},"):
            runs_here(record, results, Registry.discover())
        return
    try:
        assert len(runs_here(record, results, Registry.discover())) == record.n_runs
    except DataError as error:
        pytest.skip(f"its data are not here: {error}")


@each_folder
def test_all_that_is_shown_follows_from_the_curves(folder):
    """A page that this falbench would draw otherwise is unchecked, and no contradiction."""
    checks = contradictions(Published(folder, read_record(folder), WRITER.opened(folder.name)))
    assert len(checks) == 8
    assert [check.note for check in checks if check.state == "differs"] == []


@pytest.mark.parametrize(
    "pair",
    [WRITER.LOW_BUDGET[1], WRITER.MANY_CLASSES[0], WRITER.KAFAL[0], WRITER.BILLS[0]],
    ids=lambda pair: f"{pair.task or pair.folder} {pair.bill}",
)
def test_a_row_is_what_the_command_prints(pair, falbench):
    """Strategies named by ``-s`` one by one are those alone, whatever trainers there are."""
    options = ["--task", pair.task] if pair.task else []
    code, out, _ = falbench(
        "report", ROOT / "results" / "published" / pair.folder, *options, "-s", pair.strategy,
        "-s", pair.baseline, "--baseline", pair.baseline, "--accounting", pair.bill,
        "--target-acc", pair.targets or "auto", "--format", "csv",
    )  # fmt: skip
    assert code == 0
    printed = pd.read_csv(io.StringIO(out)).query("strategy == @pair.strategy")
    assert list(printed["verdict"]) == pair.verdicts()
    shown = [row[SAVING] for row in pair.answers()]
    assert list(printed[SAVING]) == pytest.approx(shown, nan_ok=True)


def says(sentence):
    """Check that the page has a sentence; its claim is what the test goes on to check."""
    plain = re.sub(r"\s+", " ", PAGE)
    assert re.sub(r"\s+", " ", sentence) in plain


def answers(pairs, targets=(), **of):
    """Return the rows of pairs with such attributes, at all targets or some of them."""
    found = [
        row
        for pair in pairs
        if all(getattr(pair, key) in value for key, value in of.items())
        for row in pair.answers()
        if not targets or row["target_acc"] in targets or row["target_name"] in targets
    ]
    assert found
    return found


def verdicts(pairs, targets=(), **of):
    return {row["verdict"] for row in answers(pairs, targets, **of)}


def savings(pairs, targets=(), **of):
    return [row[SAVING] for row in answers(pairs, targets, **of)]


def test_coordination():
    quick, low = WRITER.COORDINATION, WRITER.LOW_BUDGET
    iid, skewed = [WRITER.IID], [WRITER.DIRICHLET]
    says("For four, five and ten IID clients coordination saves labels at every target")
    says("`fed-typiclust` at 30 % and `fed-probcover` at 60 % not significantly")
    assert verdicts(low, task=["fmnist-iid", "low-budget-4-iid"]) == SAVES
    assert min(savings(quick, task=iid)) > 0
    assert verdicts(quick, (0.4, 0.5), task=iid) == SAVES
    assert verdicts(quick, (0.6,), task=iid, strategy=["fed-typiclust"]) == SAVES
    assert verdicts(quick, (0.6,), task=iid, strategy=["fed-probcover"]) == DRAWS
    assert verdicts(quick, (0.3,), task=iid, strategy=["fed-typiclust"]) == DRAWS
    assert verdicts(quick, (0.3,), task=iid, strategy=["fed-probcover"]) == SAVES
    says("With two IID clients, which the paper's numbers are for, there is no evidence")
    assert verdicts(low, task=["low-budget-2-iid"]) == DRAWS
    says("For heterogeneous clients the saving is smaller or gone at every target")
    pairs = [
        (savings(quick, task=iid), savings(quick, task=skewed)),
        *(
            (savings(low, task=[one]), savings(low, task=[other]))
            for one, other in (
                ("fmnist-iid", "fmnist-dirichlet"),
                ("low-budget-2-iid", "low-budget-2-a0.1"),
                ("low-budget-4-iid", "low-budget-4-a0.1"),
            )
        ),
    ]
    assert all(a > b for one, other in pairs for a, b in zip(one, other, strict=True))
    says("`fed-typiclust` saves nothing significant, and with 1 to 10 labels a class")
    few = ["fmnist-low-budget", "low-budget-2-a0.1", "low-budget-4-a0.1"]
    assert verdicts(low, task=few) == LOSES
    rest = verdicts(quick, task=skewed, strategy=["fed-typiclust"])
    assert "better" not in rest | verdicts(low, task=["fmnist-dirichlet"])
    says("`fed-probcover` still saves at 30 % and loses at 50 and 60 %.")
    mine = {"task": skewed, "strategy": ["fed-probcover"]}
    assert verdicts(quick, (0.3,), **mine) == SAVES
    assert verdicts(quick, (0.5, 0.6), **mine) == LOSES


def test_whose_model():
    pairs = WRITER.WHOSE_MODEL
    says("For entropy the local model is better up to 50 %, for IID clients and at alpha = 0.1;")
    assert verdicts(pairs, (0.3, 0.4, 0.5), strategy=["sal-entropy"]) == SAVES
    says("at 60 % it is not, and for heterogeneous clients the global one wins.")
    assert verdicts(pairs, (0.6,), strategy=["sal-entropy"], task=[WRITER.IID]) == DRAWS
    assert verdicts(pairs, (0.6,), strategy=["sal-entropy"], task=[WRITER.DIRICHLET]) == LOSES
    says("For coreset the global model is ahead in every run, significantly at 40 and 50 %")
    says("same at 40 and 50 %; no evidence at 30 %")
    assert max(savings(pairs, strategy=["sal-coreset", "sal-margin"])) < 0
    assert verdicts(pairs, (0.4, 0.5), strategy=["sal-coreset"]) == LOSES
    assert verdicts(pairs, (0.3,), strategy=["sal-coreset"]) == DRAWS


def test_many_classes():
    pairs = WRITER.MANY_CLASSES
    says(
        "Entropy needs more labels than random up to 60 %, and at 65 %, where many runs do not get,"
    )
    assert verdicts(pairs, (0.3, 0.4, 0.5, 0.6), strategy=["fal-entropy"]) == LOSES
    last = answers(pairs, (0.65,), strategy=["fal-entropy"])[0]
    assert last["verdict"] == "no evidence"
    assert last["reached"] < 0.75 * last["runs"]
    says("IFAL needs more from 40 to 60 %.")
    assert verdicts(pairs, (0.4, 0.5, 0.6), strategy=["ifal"]) == LOSES
    assert verdicts(pairs, (0.3, 0.65), strategy=["ifal"]).isdisjoint(LOSES)


def test_targets():
    boards = {
        target: WRITER.leaderboard("quick", target).set_index("strategy")
        for target in (0.3, 0.4, 0.5, 0.6)
    }
    entropy = [boards[target].loc["fal-entropy", SAVING] for target in boards]
    confidence = [boards[target].loc["fal-least-confidence", SAVING] for target in boards]
    says(
        "Entropy and least confidence lose to random up to 50 %; at 60 % least confidence is ahead"
    )
    assert max(*entropy[:3], *confidence[:3]) < 0 < confidence[3]
    says("entropy is nearer than before, and random has fallen into the lower half of the field.")
    assert max(entropy[:3]) < entropy[3] < 0
    places = [boards[target]["rank"] for target in (0.3, 0.6)]
    assert places[0]["random"] < places[0].max() / 2 < places[1]["random"]


def test_kafal():
    pairs = WRITER.KAFAL
    both, plain, trained = "ksas[trainer=kcfu]", "random", "random[trainer=kcfu]"
    says("save labels against random in one run, for IID clients at 30 %.")
    whole = [
        (pair.task, row["target_acc"])
        for pair in pairs
        if (pair.strategy, pair.baseline) == (both, plain)
        for row in pair.answers()
        if row["verdict"] == "better"
    ]
    assert whole == [(WRITER.IID, 0.3)]
    says("random with KCFU's loss needs fewer labels than random without in every run.")
    assert verdicts(pairs, strategy=[trained], baseline=[plain]) == SAVES
    says("The selection needs more labels than random under either loss.")
    assert verdicts(pairs, strategy=["ksas"], baseline=[plain]) == LOSES
    assert verdicts(pairs, strategy=[both], baseline=[trained]) == LOSES


def test_logo():
    pairs = WRITER.LOGO
    says("LoGo beats entropy and coreset, and loses to BADGE and to margin, wherever a verdict is")
    for baseline in ("fal-entropy", "coreset"):
        assert verdicts(pairs, baseline=[baseline]) == SAVES | DRAWS
    for baseline in ("badge", "fal-margin"):
        assert verdicts(pairs, baseline=[baseline]) == LOSES | DRAWS
    says("Against random one run is better, on the long tail, one is worse,")
    found = [row["verdict"] for row in answers(pairs, baseline=["random"])]
    assert (found.count("better"), found.count("worse")) == (1, 1)
    assert "better" in verdicts(pairs, baseline=["random"], task=["fmnist-long-tail"])
    says(
        "Without the tail it stands better against random, BADGE and margin at 75 % of the cap than"
    )
    wanted = {
        "baseline": ["random", "badge", "fal-margin"],
        "task": ["fmnist-iid", "fmnist-dirichlet", "fmnist-large-budget"],
    }
    early, late = (savings(pairs, (one,), **wanted) for one in ("auto-25", "auto-75"))
    assert all(a < b for a, b in zip(early, late, strict=True))
    says("on `fmnist-low-budget` LoGo is `fal-entropy`, sample for sample.")
    curves = [
        WRITER.opened("standard")
        .narrow(tasks="fmnist-low-budget", strategies=name)
        .shown_curves()[["seed", "cycle", "labels", "accuracy", "loss"]]
        for name in ("logo", "fal-entropy")
    ]
    assert curves[0].equals(curves[1])


def test_long_tail():
    says("The accuracies at the cap stand in the order of FairFAL's table, but for BADGE, which")
    whole = WRITER.leaderboard("standard", task="fmnist-long-tail")
    final = whole.groupby("strategy")["accuracy_final"].first()
    ours = [final[name] for name in WRITER.FAIRFAL_TABLE if name != "badge"]
    assert ours == sorted(ours)
    assert list(WRITER.FAIRFAL_TABLE.values()) == sorted(WRITER.FAIRFAL_TABLE.values())
    assert final["ksas"] < final["badge"] < final["fairfal"]
    says("Of the savings only LoGo's and FairFAL's at 25 % of the cap are significant,")
    found = {
        (pair.strategy, row["target_name"])
        for pair in WRITER.LONG_TAIL
        for row in pair.answers()
        if row["verdict"] != "no evidence"
    }
    assert found == {("logo", "auto-25"), ("fairfal", "auto-25")}
    says("Holm's correction over the strategies, which a report of the whole board makes, leaves")
    assert set(whole[whole["strategy"].isin(WRITER.FAIRFAL_TABLE)]["verdict"]) == {
        "baseline",
        "no evidence",
    }
    says(
        "With the CNN FairFAL has the largest saving at all three targets, and none is significant;"
    )
    cnn = {"task": ["fmnist-cnn4-dirichlet"]}
    assert verdicts(WRITER.CONVOLUTIONAL, **cnn) == DRAWS
    for target in ("auto-25", "auto-50", "auto-75"):
        rows = answers(WRITER.CONVOLUTIONAL, (target,), **cnn)
        assert max(rows, key=lambda row: row[SAVING])["strategy"] == "fairfal"
    says("what margin saves with the perceptron is not seen there.")
    margin = {"strategy": ["fal-margin"]}
    assert verdicts(WRITER.CONVOLUTIONAL, task=["fmnist-dirichlet"], **margin) >= SAVES
    assert max(savings(WRITER.CONVOLUTIONAL, **cnn, **margin)) < 0


def test_cifar10():
    says("There is no evidence of a difference to random at any target, on neither processor,")
    assert verdicts(WRITER.CIFAR10) == DRAWS


def test_bills():
    pairs = WRITER.BILLS
    paper = {"bill": ["paper"]}
    says("On paper labels FedRAL needs no fewer labels than the margin with which it fills")
    controls = ["fal-margin", "margin-best-fixed-batch"]
    assert max(savings(pairs, strategy=["fedral"], baseline=controls, **paper)) < 0
    says("to random it loses at 40 %, and elsewhere there is no evidence.")
    against = {"strategy": ["fedral"], "baseline": ["random"], **paper}
    assert verdicts(pairs, (0.4,), **against) == LOSES
    assert verdicts(pairs, (0.3, 0.5, 0.6), **against) == DRAWS
    says("LeaDQ beats entropy and least confidence up to 50 %, and loses to margin.")
    uncertain = {"baseline": ["fal-entropy", "fal-least-confidence"], **paper}
    assert verdicts(pairs, (0.3, 0.4, 0.5), **uncertain) == SAVES
    assert "better" not in verdicts(pairs, (0.6,), **uncertain)
    assert verdicts(pairs, strategy=["leadq-pool"], baseline=["fal-margin"], **paper) == LOSES
    says("On strict labels both lose every comparison.")
    assert verdicts(pairs, bill=["strict"]) == LOSES


def test_labels_that_are_read_and_not_bought():
    says("Three strategies of `quick` read labels that they do not buy:")
    for folder in PUBLISHED:
        curves = WRITER.opened(folder.name).shown_curves()
        more = set(curves[curves["labels_strict"] > curves["labels"]]["strategy"])
        three = {"fedral", "margin-best-fixed-batch", "leadq-pool"}
        assert more == three if folder.name == "quick" else more <= three
    says("it reads more labels before its first query than random needs in all.")
    curves = WRITER.opened("quick").shown_curves()
    first = curves[(curves["strategy"] == "fedral") & (curves["cycle"] == 1)]
    random = curves[curves["strategy"] == "random"]
    assert (first["labels_strict"] - first["labels"]).min() > random["labels"].max()
    says("On `quick` no run with its evidential loss gets to 50 %, be the selection FEAL's or")
    evidential = curves[curves["strategy"].str.contains("evidential")]
    assert set(evidential["strategy"]) == {"feal[trainer=evidential]", "random[trainer=evidential]"}
    assert evidential["accuracy"].max() < 0.5

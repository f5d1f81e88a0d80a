"""Published charges and whether they add up."""

import pandas as pd
import pytest

from fal_bench.errors import PublicationError
from fal_bench.publication.closeness import imbalance
from fal_bench.report.export import write_csv
from fal_bench.results.published import read_published_charges

CHARGES = pd.DataFrame(
    [
        ("a", "NA", 0, "initial", 0, 10),
        ("a", "NA", 0, "agent-training", 0, 30),
        ("a", "NA", 0, "pool", 0, 5),
        ("a", "NA", 0, "reward", 1, 2),
        ("a", "NA", 0, "pool", 1, 5),
        ("a", "NA", 0, "reward", 2, 7),  # after the last model
        ("a", "other", 0, "initial", 0, 10),
    ],
    columns=["task", "strategy", "seed", "purpose", "cycle", "labels"],
)
CURVES = pd.DataFrame(
    [("a", "NA", 0, 0, 10), ("a", "NA", 0, 1, 45), ("a", "NA", 0, 2, 52), ("a", "other", 0, 0, 10)],
    columns=["task", "strategy", "seed", "cycle", "labels_strict"],
)


def test_charges_read_back(tmp_path):
    write_csv(CHARGES, tmp_path / "charges.csv")
    pd.testing.assert_frame_equal(read_published_charges(tmp_path / "charges.csv"), CHARGES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "does not have the columns"),
        ("", "Cannot read"),
        ("task,strategy,seed,purpose,cycle,labels\na,b,0,pool,x,1\n", "Cannot read .* 'x'"),
    ],
)
def test_what_is_no_table_of_charges_is_one_sentence(tmp_path, text, message):
    (tmp_path / "charges.csv").write_text(text)
    with pytest.raises(PublicationError, match=message):
        read_published_charges(tmp_path / "charges.csv")


def test_what_was_read_before_a_model_adds_up_to_its_strict_labels():
    assert imbalance(CURVES, CHARGES) == ""


@pytest.mark.parametrize("row", range(5))
@pytest.mark.parametrize("more", [-1, 1])
def test_one_label_more_or_less_is_found(row, more):
    changed = CHARGES.copy()
    changed.loc[row, "labels"] += more
    cycle = 0 if row == 0 else 1 if row < 3 else 2
    assert imbalance(CURVES, changed).startswith(f"a, NA, seed 0, cycle {cycle}: ")


@pytest.mark.parametrize("row", [0, 6])
def test_a_missing_row_is_found(row):
    assert imbalance(CURVES, CHARGES.drop(index=row))


def test_charges_without_a_curve_are_found():
    assert imbalance(CURVES[CURVES.strategy == "NA"], CHARGES).startswith("a, other, seed 0, ")

"""Files of external curves: what is read, and how every mistake is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fal_bench.errors import ExternalCurvesError
from fal_bench.external.reading import read_curves_text

GOOD = """task,strategy,seed,labels,accuracy
a,mine,0,10,0.1
a,mine,0,20,0.5
a,mine,1,10,0.2
"""
HASH = "0123456789abcdef" * 4


def read(text, **options):
    return read_curves_text(text, "curves.csv", **options)


def changed(line, text):
    """The good file with one of its lines (from 1) replaced."""
    lines = GOOD.splitlines()
    lines[line - 1] = text
    return "\n".join(lines)


def test_rows_without_cycles_are_numbered_in_their_order():
    rows = read(GOOD).rows
    assert [(row.seed, row.cycle, row.labels, row.accuracy) for row in rows] == [
        (0, 0, 10, 0.1),
        (0, 1, 20, 0.5),
        (1, 0, 10, 0.2),
    ]
    assert {row.labels_strict for row in rows} == {None}
    assert {row.task_hash for row in rows} == {None}


def test_cycles_order_the_rows_and_may_buy_nothing():
    text = (
        "cycle,task,strategy,seed,labels,accuracy\n2,a,s,0,20,0.3\n0,a,s,0,10,0.1\n1,a,s,0,10,0.2"
    )
    assert [row.accuracy for row in read(text).rows] == [0.1, 0.2, 0.3]


def test_optional_columns_and_what_spreadsheets_do_to_files():
    text = (
        "\ufeffTASK,task,strategy,seed,labels,accuracy,labels_strict,task_hash,reference,loss\r\n"
        f'x,a,"mine, mostly", 0 ,10.0,1,12.0,{HASH},TRUE,\r\n'
        "\r\n"
    )
    read_ = read(text)
    (row,) = read_.rows
    assert (row.strategy, row.seed, row.labels, row.labels_strict) == ("mine, mostly", 0, 10, 12)
    assert (row.task_hash, row.reference, row.loss) == (HASH, True, None)
    assert read_.ignored == ("TASK",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "curves.csv is empty; it needs task, strategy, seed, labels and accuracy."),
        (GOOD.splitlines()[0], "curves.csv has no rows below its heading."),
        (GOOD.replace("accuracy", "acc"), "curves.csv, line 1: there is no column accuracy; it"),
        (GOOD.replace(",", ";"), "line 1: there is no column task; .* separated by commas."),
        (GOOD.replace("strategy", "task"), "line 1: there is no column strategy"),
        (GOOD.replace("seed,", "task,seed,"), "line 1: there are two columns 'task'"),
        (changed(3, "a,mine,0,20"), "line 3: it has 4 values for 5 columns"),
        (changed(3, "a,mine,0,20,high"), "line 3, column accuracy: 'high' is not a number"),
        (changed(3, "a,mine,0,20,nan"), "line 3, column accuracy: 'nan' is not a finite number"),
        (changed(3, "a,mine,0,20,62"), "column accuracy: 62 is not between 0 and 1; write 0.62"),
        (changed(3, "a,mine,0,20,-0.1"), "line 3, column accuracy: -0.1 is not between 0 and 1"),
        (changed(3, "a,mine,0,,0.5"), "line 3, column labels: there is no value"),
        (changed(3, "a,mine,0,20.5,0.5"), "line 3, column labels: '20.5' is not a whole number"),
        (changed(3, "a,mine,-1,20,0.5"), "line 3, column seed: '-1' is not a whole number"),
        (changed(3, "a,,0,20,0.5"), "line 3, column strategy: there is no value"),
        (changed(3, "a,mi\x1bne,0,20,0.5"), "line 3, column strategy: a name must be printable"),
        (changed(3, "a,mine,0,5,0.5"), "line 3, column labels: .* fall from 10 to 5"),
        (changed(3, "a,mine,0,10,0.5"), "column labels: .* has labels 10 on line 2 already"),
        (changed(3, 'a,"mine,0,20,0.5'), "line 4: this is no CSV"),
    ],
)
def test_a_mistake_is_one_sentence_with_file_line_and_column(text, message):
    with pytest.raises(ExternalCurvesError, match=message) as caught:
        read(text)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).startswith("curves.csv")


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("cycle", ["0", "0", "0"], "line 3, column cycle: .* has cycle 0 on line 2 already"),
        ("cycle", ["0", "", "0"], "line 3, column cycle: there is no value"),
        ("cycle", ["1", "0", "0"], "line 2, column labels: .* fall from 20 to 10"),
        ("labels_strict", ["10", "", ""], "line 3, .* has a value in some rows only"),
        ("labels_strict", ["10", "19", ""], "line 3, .* 19 is below the 20 paper labels"),
        ("labels_strict", ["90", "80", ""], "line 3, .* fall from 90 to 80"),
        ("task_hash", ["abc", "", ""], "line 2, column task_hash: .* 64 hexadecimal digits"),
        ("task_hash", [HASH, "", ""], "line 3, column task_hash: .* same task on line 2"),
        ("reference", ["yes", "", ""], "line 2, column reference: 'yes' is neither true nor"),
        ("reference", ["true", "", ""], "line 3, column reference: .* same strategy on line 2"),
        ("loss", ["-1", "", ""], "line 2, column loss: -1 is below 0"),
        ("precision", ["2", "", ""], "line 2, column precision: 2 is not between 0 and 1"),
    ],
)
def test_mistakes_in_optional_columns(column, values, message):
    lines = zip(GOOD.splitlines(), [column, *values], strict=True)
    with pytest.raises(ExternalCurvesError, match=message):
        read("\n".join(f"{line},{value}" for line, value in lines))


def test_one_hash_is_one_task():
    text = f"task,strategy,seed,labels,accuracy,task_hash\na,s,0,1,0.1,{HASH}\nb,s,0,1,0.1,{HASH}\n"
    with pytest.raises(ExternalCurvesError, match=r"line 3, column task: .* same task_hash on"):
        read(text)


def test_lines_are_counted_from_that_of_the_file():
    with pytest.raises(ExternalCurvesError, match=r"curves.csv, line 4, column accuracy"):
        read(changed(3, "a,mine,0,20,high"), first_line=2)


@given(st.text(max_size=200), st.integers(0, 3))
def test_whatever_stands_in_a_file_is_read_or_refused(text, place):
    lines = GOOD.splitlines()
    lines[place] = text
    try:
        rows = read("\n".join(lines)).rows
    except ExternalCurvesError:
        return
    assert all(0 <= row.accuracy <= 1 and row.labels >= 0 for row in rows)

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fal_bench.errors import InvalidSpecError, shown
from fal_bench.inputs.arguments import as_path, as_whole, check_seconds, check_text
from fal_bench.inputs.values import MOST_NESTED, check_value, read_value

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), max_size=5),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.just("key"), parts),
    max_leaves=8,
)


def kind(value):
    """Name a case; pytest cannot show integers of thousands of digits either."""
    return type(value).__name__


bad = st.sampled_from([2**63, -(2**63) - 1, 10**5000, float("nan"), float("inf"), "\ud800", "\x1b"])


@given(values)
def test_values_of_json_are_read_as_they_are(value):
    check_value("key", value)
    assert read_value("key", json.dumps(value)) == value


@given(values, bad)
def test_a_bad_value_is_found_wherever_it_is(value, culprit):
    for holder in ([value, culprit], {"a": value, "b": {"c": culprit}}):
        with pytest.raises(ValueError, match=r"^'key\.[1b]") as caught:
            check_value("key", holder)
        str(caught.value).encode()


def test_depth_is_bounded():
    value = 1
    for _ in range(MOST_NESTED):
        value = [value]
    check_value("key", value)
    with pytest.raises(ValueError, match="'key' is nested"):
        check_value("key", [value])
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ValueError, match="'key' is nested"):
        check_value("key", value)


@pytest.mark.parametrize("value", [10**5000, "x" * 10**6, ["x"] * 10**6, "\ud800\u202e"], ids=kind)
def test_what_is_shown_is_short_and_can_be_printed(value):
    text = shown(value)
    assert len(text) < 250
    assert text.isprintable()


@pytest.mark.parametrize("value", [10**9, 10**5000, -1, 0, "3", 2.0, True], ids=kind)
def test_whole_numbers_have_bounds(value):
    assert as_whole("seeds", 7, 1, 7) == 7
    with pytest.raises(InvalidSpecError, match=r"seeds .*at (least 1,|most 1000,)"):
        as_whole("seeds", value, 1, 1000)


@pytest.mark.parametrize(
    "value", [10**5000, 1e300, float("inf"), float("nan"), 0, "3", None], ids=kind
)
def test_seconds_have_bounds(value):
    check_seconds("call_timeout", 0.5)
    with pytest.raises(InvalidSpecError, match="call_timeout"):
        check_seconds("call_timeout", value)


@pytest.mark.parametrize("name", ["se\udcf1al", "a\x00b", "a\x1b[2Jb", "a\u202eb", "a\nb", ""])
def test_paths_have_names_that_can_be_shown(name):
    with pytest.raises(InvalidSpecError, match="out") as caught:
        as_path("out", name)
    assert str(caught.value).isprintable()


def test_other_kinds_of_arguments_are_shown_shortly():
    with pytest.raises(InvalidSpecError, match="suite") as caught:
        check_text("suite", 10**5000)
    assert len(str(caught.value)) < 200

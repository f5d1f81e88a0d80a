import pytest
from hypothesis import given
from hypothesis import strategies as st

from fal_bench.errors import InvalidSpecError
from fal_bench.inputs.selector import Selector

names = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
values = st.one_of(
    st.booleans(),
    st.integers(-1000, 1000),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="ascii", categories=("L", "N", "P", "Zs")), max_size=12),
    st.lists(st.integers(0, 9), max_size=3),
)


@given(names, st.dictionaries(names, values, max_size=3))
def test_text_round_trips(name, params):
    selector = Selector(name, params)
    assert Selector.parse(str(selector)) == selector


@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("logo", {}),
        ("logo[]", {}),
        ("logo[n_init=4, lr_quirk=true]", {"n_init": 4, "lr_quirk": True}),
        ("fedral[mode=online]", {"mode": "online"}),
        ("x[sizes=[1,2],p=0.5]", {"sizes": [1, 2], "p": 0.5}),
    ],
)
def test_values_are_json_where_they_can_be(text, params):
    assert Selector.parse(text) == Selector(text.partition("[")[0], params)


@pytest.mark.parametrize("text", ["", "logo[", "logo[a]", "logo[=1]", "logo[a=1,a=2]", "a b"])
def test_malformed_text_is_refused(text):
    with pytest.raises(InvalidSpecError):
        Selector.parse(text)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("random", ["random"]),
        ("random, logo", ["random", "logo"]),
        ("logo[n_init=1,2]", ["logo[n_init=1]", "logo[n_init=2]"]),
        ("x[a=1,2,b=u,v]", ["x[a=1,b=u]", "x[a=1,b=v]", "x[a=2,b=u]", "x[a=2,b=v]"]),
        ("x[a=[1,2],[3]],y", ["x[a=[1,2]]", "x[a=[3]]", "y"]),
        ('x[a="b=c","d,e"]', ["x[a=b=c]", 'x[a="d,e"]']),
    ],
)
def test_grids_give_every_combination(text, labels):
    assert [str(selector) for selector in Selector.expand(text)] == labels


@pytest.mark.parametrize("text", ["", "x[1,2]", "x[a=1,2", "x[a=1],,y", "x[a=1,a=2]"])
def test_malformed_grids_are_refused(text):
    with pytest.raises(InvalidSpecError):
        Selector.expand(text)


def test_a_grid_is_no_single_selector():
    with pytest.raises(InvalidSpecError, match="'a' has several values"):
        Selector.parse("x[a=1,2]")


@given(names, st.dictionaries(names, values, max_size=3))
def test_one_selector_expands_to_itself(name, params):
    selector = Selector(name, params)
    assert Selector.expand(str(selector)) == [selector]


@pytest.mark.parametrize(
    ("text", "culprit"),
    [
        ("x[a=" + "[" * 100_000 + "]" * 100_000 + "]", "nested"),
        ("x[a=" + "[" * 40 + "]" * 40 + "]", "nested"),
        ("x[a=" + "9" * 5000 + "]", "64 bits"),
        (f"x[a={2**63}]", "64 bits"),
        (f"x[a=[1,{-(2**63) - 1}]]", r"a\.1.*64 bits"),
        ("x[a=NaN]", "finite"),
        ("x[a=1e999]", "finite"),
        ('x[a="\\ud800"]', "D800"),
        ("x[a=\udcf1]", "DCF1"),
        ('x[a={"\\u202e":1}]', "202E"),
        ("x\x1b", "001B"),
        ("x\u202e", "202E"),
        ("b" * 100_000 + "[", "bbb"),
    ],
    ids=lambda text: ascii(text[:12]),
)
def test_values_that_cannot_be_stored_or_shown_are_refused(text, culprit):
    with pytest.raises(InvalidSpecError, match=culprit) as caught:
        Selector.expand(text)
    assert len(str(caught.value)) < 1000
    str(caught.value).encode()


def test_a_grid_is_counted_before_it_is_expanded():
    thousand = ",".join(map(str, range(1000)))
    grid = f"x[a={thousand},b={thousand},c={thousand}]"
    with pytest.raises(InvalidSpecError, match="1000000000 strategies"):
        Selector.expand(grid)
    row = f"x[a={thousand}]"
    assert len(Selector.expand(*[row] * 10)) == 10_000
    with pytest.raises(InvalidSpecError, match="10001 strategies"):
        Selector.expand(*[row] * 10, "random")


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text):
    try:
        selectors = Selector.expand(text)
    except InvalidSpecError as error:
        str(error).encode()
    else:
        assert Selector.expand(",".join(map(str, selectors))) == selectors

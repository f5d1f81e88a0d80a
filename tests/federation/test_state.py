import io

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fal_bench.errors import PluginError
from fal_bench.federation.memory import from_json_array, join, split, to_json_array
from fal_bench.federation.state import RunState

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text().filter(lambda key: key != "__array__"), inner, max_size=3)
    ),
    max_leaves=8,
)


def through_a_file(state):
    file = io.BytesIO()
    np.savez(file, **state.to_arrays())
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        return RunState.from_arrays(dict(arrays))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.dictionaries(st.text(min_size=1), plain, max_size=3), min_size=1, max_size=3))
def test_any_json_memory_survives_a_file(memories):
    assume(not any("__array__" in memory for memory in memories))
    state = RunState(3, [(0, 5, "pool", 2)], memories)
    assert through_a_file(state) == state


def test_arrays_and_weights_survive_bit_for_bit():
    table = np.array([[0.1, np.nan], [np.inf, -0.0]])
    weights = {"head.weight": torch.randn(3, 2, generator=torch.Generator())}
    memory = {"q": {"table": table, "steps": [np.int64(3), {"mask": np.array([True, False])}]}}
    again = through_a_file(RunState(1, [], [memory], 0.5, 7, 8, weights))
    np.testing.assert_array_equal(again.memories[0]["q"]["table"], table)
    assert again.memories[0]["q"]["steps"][0] == 3
    assert again.memories[0]["q"]["steps"][1]["mask"].dtype == bool
    assert torch.equal(again.weights["head.weight"], weights["head.weight"])
    assert (again.select_seconds, again.bytes_up, again.bytes_down) == (0.5, 7, 8)


def test_checkpoints_of_earlier_versions_are_read():
    arrays = RunState(1, [(0, 5, "pool", 0)], [{}]).to_arrays()
    stored = from_json_array(arrays["state"])
    arrays["state"] = to_json_array({**stored, "purses": [3, 4]})
    assert RunState.from_arrays(arrays) == RunState(1, [(0, 5, "pool", 0)], [{}])


def test_keys_that_look_alike_are_kept_apart():
    arrays = {}
    memory = {
        "a.b": np.zeros(1),
        "a": {"b": np.ones(1)},
        "x[0]": np.full(1, 2),
        "x": [np.full(1, 3)],
    }
    again = join(split(memory, arrays), arrays)
    found = [again["a.b"], again["a"]["b"], again["x[0]"], again["x"][0]]
    assert [array.item() for array in found] == [0, 1, 2, 3]


def test_arrays_are_not_shared_after_a_round_trip():
    arrays = {}
    original = {"a": np.zeros(2)}
    copy = join(split(original, arrays), arrays)
    copy["a"][0] = 1
    assert original["a"][0] == 0


@pytest.mark.parametrize(
    "memory", [{"model": object()}, {"s": {1, 2}}, {3: "x"}, {"o": np.array([object()])}]
)
def test_what_json_and_arrays_cannot_hold_is_refused(memory):
    with pytest.raises(PluginError, match="memory"):
        split(memory, {})

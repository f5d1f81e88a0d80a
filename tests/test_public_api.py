import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fal_bench
from fal_bench.trainers.cross_entropy import CrossEntropy


def test_the_public_names_are_pinned():
    assert sorted(fal_bench.__all__) == [
        "Aggregation",
        "ClientView",
        "Comparison",
        "Dataset",
        "DistilledModel",
        "EpochPredictions",
        "FalbenchError",
        "FederationView",
        "GivenClients",
        "Inspection",
        "LocalModel",
        "LocalTraining",
        "Params",
        "Results",
        "RoundSnapshots",
        "Strategy",
        "TargetDomain",
        "Task",
        "Train",
        "Trainer",
        "__version__",
        "check",
        "check_strategy",
        "check_trainer",
        "clients",
        "compare",
        "dataset",
        "import_curves",
        "inspect",
        "load",
        "merge",
        "metric",
        "model",
        "publish",
        "report",
        "verify",
    ]
    for name in fal_bench.__all__:
        assert getattr(fal_bench, name) is not None
    assert dir(fal_bench) == fal_bench.__all__


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


def test_the_contract_can_be_imported_without_torch():
    modules = loaded_by("import fal_bench; fal_bench.Strategy, fal_bench.LocalModel")
    assert not {"torch", "sklearn", "pandas"} & modules


def test_a_finished_comparison_is_read_without_torch():
    modules = loaded_by("import fal_bench.api, fal_bench.results.stored")
    assert not {"torch", "sklearn"} & modules


def test_the_command_line_starts_without_heavy_imports():
    modules = loaded_by("import fal_bench.cli.main")
    assert not {"torch", "sklearn", "pandas", "numpy", "plotly"} & modules


class Own(fal_bench.Strategy):
    name = "own"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"seeds": "two"}, "seeds must be a whole number .*, not 'two'."),
        ({"seeds": [0, 1]}, r"seeds must be .*, not \[0, 1\]."),
        ({"seeds": 0}, "seeds must be a whole number .*, not 0."),
        ({"suite": 3}, "suite must be a name, not 3."),
        ({"suite": ""}, "suite must be a name, not ''."),
        ({"task": 1.0}, "task must be a name"),
        ({"baseline": 2}, "baseline must be a name"),
        ({"out": None}, "out must be a path, not None"),
        ({"out": ""}, "out must be a path, not ''"),
        ({"data_dir": 7}, "data_dir must be a path"),
        ({"strategies": [CrossEntropy]}, "strategies must be names"),
        ({"strategies": 5}, "strategies must be names, not 5."),
        ({"jobs": "x"}, "jobs must be a whole number of at least 1, not 'x'."),
        ({"jobs": 0}, "jobs must be .* not 0."),
        ({"jobs": True}, "jobs must be .* not True."),
        ({"backend": "foo"}, "backend must be processes, sequential, ray or dask, not 'foo'."),
        ({"device": 3}, "Unknown device 3; choose from: auto, cpu, cuda."),
        ({"call_timeout": "x"}, "call_timeout must be a number of seconds above 0, not 'x'."),
        ({"call_timeout": 0}, "call_timeout must be .* not 0."),
        ({"call_timeout": float("nan")}, "call_timeout must be .* not nan."),
        ({"memory_limit": 10}, "memory_limit must be a whole number of at least 1024, not 10."),
        ({"plugins": "nowhere.py"}, "There is no plugin file or folder 'nowhere.py'"),
        ({"plugins": [None]}, "None is no plugin"),
        ({"plugins": 4}, "plugins must be a path or a list of paths, not 4."),
        ({"target_acc": object}, "target_acc cannot be"),
        ({"target_acc": 1.5}, "target_acc must be above 0 and at most 1, not 1.5"),
        ({"accounting": "honest"}, "accounting must be strict, paper or cost, not 'honest'."),
    ],
)
def test_arguments_of_a_wrong_kind_or_value_are_one_sentence(options, sentence, tmp_path):
    options = {"suite": "smoke", "strategies": "random", "out": tmp_path / "out", **options}
    with pytest.raises(fal_bench.FalbenchError, match=f"^{sentence}") as caught:
        fal_bench.compare(**options)
    assert "--" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_numbers_and_paths_may_be_of_any_kind(tmp_path, suite):
    options = {"seeds": np.int64(1), "target_acc": np.float32(0.2), "task": "a", "jobs": np.int8(1)}
    result = fal_bench.compare(
        "random", suite=Path(suite), out=tmp_path / "out", progress=False, backend="sequential",
        **options,
    )  # fmt: skip
    assert len(result.leaderboard) == 1


@pytest.mark.parametrize("check", [fal_bench.check_strategy, fal_bench.check_trainer])
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"call_timeout": 0}, "call_timeout must be a number of seconds above 0, not 0."),
        ({"call_timeout": "x"}, "call_timeout must be"),
        ({"only": "nosuch"}, "Unknown check 'nosuch'"),
        ({"only": [3]}, "only must be names, not 3."),
    ],
)
def test_arguments_of_the_checks_are_checked_too(check, options, sentence):
    plugin = Own if check is fal_bench.check_strategy else CrossEntropy
    with pytest.raises(fal_bench.FalbenchError, match=f"^{sentence}"):
        check(plugin, **options)

import subprocess
import sys

import fal_bench


def test_the_public_names_are_pinned():
    assert sorted(fal_bench.__all__) == [
        "ClientView",
        "Comparison",
        "DistilledModel",
        "EpochPredictions",
        "FalbenchError",
        "FederationView",
        "LocalModel",
        "LocalTraining",
        "Params",
        "Strategy",
        "Task",
        "Train",
        "Trainer",
        "__version__",
        "check_strategy",
        "check_trainer",
        "compare",
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
    modules = loaded_by("import fal_bench.comparison, fal_bench.sweep.collect")
    assert not {"torch", "sklearn"} & modules


def test_the_command_line_starts_without_heavy_imports():
    modules = loaded_by("import fal_bench.cli.main")
    assert not {"torch", "sklearn", "pandas", "numpy", "plotly"} & modules

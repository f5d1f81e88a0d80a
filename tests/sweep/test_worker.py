"""What a worker says of the disc that it writes to: never that a plugin is to blame."""

import errno
import os

import pytest

from fal_bench.errors import StoreError
from fal_bench.inputs.selector import Selector
from fal_bench.isolation.child import NO_CHANNEL
from fal_bench.plugins.registry import Registry
from fal_bench.results.folder import RunFolder
from fal_bench.results.store import Store
from fal_bench.sweep.spec import plan_runs
from fal_bench.sweep.worker import Job, run_job
from fal_bench.task.suite import load_suite


@pytest.fixture
def job(suite, tmp_path):
    [run] = plan_runs([load_suite(suite).task("a")], [Selector("random")], [0], Registry.discover())
    store = Store(tmp_path / "results")
    store.prepare()
    return Job(store.root, (run,))


FAULTS = {
    "create": errno.EROFS,
    "resume": errno.EIO,
    "append": errno.ENOSPC,
    "checkpoint": errno.EFBIG,
    "finish": errno.EDQUOT,
}


@pytest.mark.parametrize(("write", "number"), FAULTS.items())
def test_a_disc_that_fails_is_no_runs_fault(job, monkeypatch, write, number):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, write, fail)
        with pytest.raises(StoreError, match=f"{job.root}.*{os.strerror(number)}"):
            run_job(NO_CHANNEL, job)
    store = Store(job.root)
    assert store.phase(job.specs[0]) in ("new", "partial")
    run_job(NO_CHANNEL, job)
    assert store.phase(job.specs[0]) == "done"


def test_a_run_that_another_worker_finished_in_the_meantime_stays_as_it_is(job):
    """As after the death of one worker of a cluster, while others go on."""
    run_job(NO_CHANNEL, job)
    before = Store(job.root).folder(job.specs[0]).rows()
    run_job(NO_CHANNEL, job)
    assert Store(job.root).folder(job.specs[0]).rows() == before  # their seconds, too

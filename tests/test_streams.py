import pickle

import numpy as np
import torch

from fal_bench.streams import Streams


def draw(streams, *key):
    return streams.numpy(*key).integers(2**62, size=4).tolist()


def test_a_stream_depends_on_all_of_its_key_and_on_nothing_else():
    base = draw(Streams(0, "task"), "init", 1, 2)
    assert draw(Streams(0, "task"), "init", 1, 2) == base
    others = [
        draw(Streams(1, "task"), "init", 1, 2),
        draw(Streams(0, "other"), "init", 1, 2),
        draw(Streams(0, "task"), "batches", 1, 2),
        draw(Streams(0, "task"), "init", 2, 1),
        draw(Streams(0, "task"), "init", 12),
    ]
    assert base not in others
    assert len({tuple(other) for other in others}) == len(others)


def test_torch_streams_leave_the_global_state_alone():
    before = torch.random.get_rng_state()
    first = torch.rand(3, generator=Streams(3, "t").torch("init", 0))
    again = torch.rand(3, generator=Streams(3, "t").torch("init", 0))
    assert torch.equal(first, again)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_stream_is_philox_with_its_key_and_its_children_follow_from_it() -> None:
    streams = Streams(3, "task")
    key = np.frombuffer(streams.key("batches", 1)[:16], dtype=np.uint64)
    plain = np.random.Generator(np.random.Philox(key=key))
    assert (streams.numpy("batches", 1).random(9) == plain.random(9)).all()
    children = [streams.numpy("batches", 1).spawn(2) for _ in range(2)]
    drawn = [[child.random() for child in two] for two in children]
    assert drawn[0] == drawn[1]
    assert drawn[0][0] != drawn[0][1]
    copied = pickle.loads(pickle.dumps(streams.numpy("batches", 1)))
    assert copied.random() == streams.numpy("batches", 1).random()

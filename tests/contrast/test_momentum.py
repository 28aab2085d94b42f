"""The queue of a momentum encoder holds the newest keys, whatever its length and that of the batch."""

from collections import deque

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from contrast.model import Net
from contrast.momentum import MomentumPair


@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 12))
def test_the_queue_is_first_in_first_out(size, batches, steps):
    pair = MomentumPair(Net((0.5,), (0.5,), nn.Identity(), nn.Identity()), torch.arange(-batches * size, 0.0)[:, None].clone())
    kept = deque(pair.queue.flatten().tolist(), maxlen=batches * size)
    for step in range(steps):
        keys = torch.arange(step * size, (step + 1.0) * size)
        pair.enqueue(keys[:, None])
        kept.extend(keys.tolist())
    assert pair.queue.flatten().roll(-int(pair.position)).tolist() == list(kept)

"""CUDA graphs: work recorded once and replayed, so that the host is out of the way.

Nothing here has a meaning on a CPU. While work is recorded it must not wait for the
device (`.item()`, copies to the host), and all it reads and writes must stay at its
address: inputs are copied into place before a replay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

# Runs before a recording: libraries choose algorithms and allocate, which a recording
# must not do.
WARM_UP = 3

Work = Callable[[], None]


def record(work: Work, generators: Iterable[torch.Generator] = ()) -> Work:
    """Record `work` on the current stream, which must not be the default one.

    Args:
        work: enqueues the operations; it is called once and nothing is computed yet.
        generators: all that it draws from. A replay draws what an eager run would
            from the generator's state at that moment: seed it, then replay.

    Returns:
        Replays the work on the stream that is then current.
    """
    graph = torch.cuda.CUDAGraph()
    for generator in generators:
        graph.register_generator_state(generator)
    stream = torch.cuda.current_stream()
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        work()
    return graph.replay


class GraphedNetwork:
    """A frozen eps network whose forward is a CUDA graph, one for each input shape.

    The result lies in the graph's own memory: the next call overwrites it.

    Args:
        network: without dropout or anything else that draws numbers, on a GPU.
        record: see the function of that name; tests put another in.
    """

    def __init__(self, network: nn.Module, record: Callable[..., Work] = record):
        self.network, self._record = network, record
        self._graphs: dict[torch.Size, tuple[list[Tensor], list[Tensor], Work]] = {}

    def __call__(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """eps of x (B, C, H, W), t (B,), y (B,)."""
        if x.shape not in self._graphs:
            self._graphs[x.shape] = self._prepare([x, t, y])
        inputs, results, replay = self._graphs[x.shape]
        for place, value in zip(inputs, (x, t, y), strict=True):
            place.copy_(value)
        replay()
        return results[0]

    def _prepare(
        self, example: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor], Work]:
        inputs = [value.clone() for value in example]
        results: list[Tensor] = []

        def work() -> None:
            results[:] = [self.network(*inputs)]

        with side_stream(example[0].device):
            for _ in range(WARM_UP):
                work()
            replay = self._record(work)
        return inputs, results, replay


@contextmanager
def side_stream(
    device: torch.device, stream: torch.cuda.Stream | None = None
) -> Iterator[None]:
    """Work on a stream of its own, after what is enqueued, before what follows.

    Args:
        device: on a CPU nothing is done.
        stream: which; None: a new one.
    """
    if device.type != "cuda":
        yield
        return
    stream = stream or torch.cuda.Stream(device)
    outer = torch.cuda.current_stream(device)
    stream.wait_stream(outer)
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        outer.wait_stream(stream)

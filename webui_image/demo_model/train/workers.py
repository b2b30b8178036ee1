"""Two halves of a batch on two single-threaded workers, instead of each operation on two threads.

The networks are so small that an operation split over threads spends its time waiting for the slower one. Every worker
has its own random numbers, so the result does not depend on which of them is faster.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import torch

__all__ = ["Workers"]

Loss = Callable[[torch.Generator], torch.Tensor]


class Workers:
    """Computes a loss over parts of a batch at once; a context manager that ends its threads."""

    def __init__(self, count: int, seed: int) -> None:
        self._chances = [torch.Generator().manual_seed(1000 * seed + number) for number in range(count)]
        self._threads = ThreadPoolExecutor(count)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()

    @property
    def chance(self) -> torch.Generator:
        """The first worker's random numbers, for decisions between two steps."""
        return self._chances[0]

    def backward(self, loss: Loss, parameters: Iterable[torch.nn.Parameter]) -> float:
        """Call `loss` once per worker with its random numbers; the mean loss, with its gradients in `parameters`."""
        wanted = list(parameters)

        def part(chance: torch.Generator) -> tuple[float, tuple[torch.Tensor, ...]]:
            torch.set_num_threads(1)
            value = loss(chance)
            return value.item(), torch.autograd.grad(value, wanted)

        parts = list(self._threads.map(part, self._chances))
        for parameter, *gradients in zip(wanted, *(found for _, found in parts), strict=True):
            parameter.grad = torch.stack(gradients).mean(0) if len(gradients) > 1 else gradients[0]
        return sum(value for value, _ in parts) / len(parts)

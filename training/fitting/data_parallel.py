"""Train one model with several processes, each of which computes a part of every batch.

Every process has all images and draws the same order and the same noise as a single process would.
It differentiates the loss of its own rows; the gradients are added up, so that all processes take
the same step. The weights are those of one process with the same batch size, within float error.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce


class Processes:
    """The processes of a training.

    Attributes:
        rank: Number of this process, from 0. The first one writes and publishes.
        size: Number of processes.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    def share(self, batch: int) -> float:
        """Return the weight of the mean over this process's rows in the mean over the batch."""
        start, stop = self._rows(batch)
        return 1 / self.size if batch < self.size else (stop - start) / batch

    def own(self, rows: Tensor, copies: int = 1, dim: int = 0) -> Tensor:
        """Return the rows of this process, along the axis `dim`.

        The rows are `copies` times the images of a batch, one copy after the other.
        """
        if self.size == 1:
            return rows
        batch = rows.shape[dim] // copies
        start, stop = self._rows(batch)
        index = torch.arange(start, stop, device=rows.device)
        return rows.index_select(dim, torch.cat([index + i * batch for i in range(copies)]))

    def _rows(self, batch: int) -> tuple[int, int]:
        """Return the first row and the end; a batch with fewer rows than processes is not divided."""
        if batch < self.size:
            return 0, batch
        return batch * self.rank // self.size, batch * (self.rank + 1) // self.size

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradients by their sums over the processes."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))

    def add(self, values: Tensor) -> Tensor:
        """Return the sums of a tensor without a gradient over the processes."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def send(self, text: str) -> str:
        """Return the text of the first process in every process; the texts of the others are ignored."""
        if self.size == 1:
            return text
        content = torch.tensor(list(text.encode()), dtype=torch.uint8)
        length = torch.tensor([len(content)])
        on = torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
        length = length.to(on)
        dist.broadcast(length, src=0)
        content = content.to(on) if self.rank == 0 else content.new_empty(int(length), device=on)
        dist.broadcast(content, src=0)
        return bytes(content.cpu().tolist()).decode()


ALONE = Processes()


def is_started_by_torchrun() -> bool:
    """Return True if torchrun started this process."""
    return dist.is_available() and dist.is_torchelastic_launched()


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Join the processes that torchrun started: with gloo on CPUs, with nccl on GPUs."""
    if not is_started_by_torchrun():
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(dist.get_node_local_rank())
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


def _total(values: Tensor) -> Tensor:
    """Return the sums of a tensor over the processes; gradients flow through them."""
    total: Tensor = all_reduce(values)  # type: ignore[no-untyped-call]
    return total


class _SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm whose statistics in training are those of the rows of all processes.

    torch.nn.SyncBatchNorm does the same on GPUs only.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name of the base class
        """Normalise x (batch, channels, height, width)."""
        if not self.training:
            return super().forward(input)
        axes = (0, 2, 3)
        count = _total(input.new_tensor(float(input.numel() // input.shape[1])))
        mean = _total(input.float().sum(axes)) / count
        centred = input.float() - mean[:, None, None]
        variance = _total(centred.square().sum(axes)) / count
        with torch.no_grad():
            self._remember(mean, variance * count / (count - 1).clamp(min=1))
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(input.dtype)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None  # noqa: S101 - the networks track statistics
        assert self.running_var is not None  # noqa: S101
        assert self.num_batches_tracked is not None  # noqa: S101
        self.num_batches_tracked.add_(1)
        momentum = self.momentum or 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)


def share_batch_norm(network: nn.Module, processes: Processes) -> None:
    """Let the batch norms of a network use the rows of all processes; their weights stay."""
    if processes.size == 1:
        return
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = _SharedBatchNorm

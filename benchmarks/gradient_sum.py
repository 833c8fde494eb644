"""Sum of gradients over processes: DistributedDataParallel against an all-reduce at the end.

    OMP_NUM_THREADS=1 torchrun --standalone --nproc_per_node 2 benchmarks/gradient_sum.py

Trains two equal networks of each stage on the same shards, one with each way of summing, and
compares their weights before it prints the times. Without dropout, on random features.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import torch.distributed as dist
from torch import Tensor, nn

from build import build_criterion, build_optimizer, loss_weights
from config.model_config import Config, make_config
from dataset.batches import Batch
from models.acmnet import ACMNet
from models.ftclnet import FTCLNet
from models.terms import weighted_sum
from utils.distributed import Processes, all_processes
from utils.errors import command

CLASSES, WARM_UP = 20, 2


class Side:
    """A network in training, with its way of summing gradients."""

    def __init__(self, config: Config, channels: int, processes: Processes, ddp: bool) -> None:
        torch.manual_seed(0)
        kind = FTCLNet if config.ftcl else ACMNet
        self.net: ACMNet = kind(channels, CLASSES, dropout=0.0)
        self.trained: nn.Module = processes.data_parallel(self.net) if ddp else self.net
        self.criterion = build_criterion(config, self.net)
        self.optimizer = build_optimizer(config, self.net)
        self.weights = loss_weights(config)
        self.scale = processes.world_size if ddp else 1
        self.ddp = ddp
        self.seconds: list[float] = []

    def step(self, features: Tensor, shard: Batch, labels: Tensor) -> None:
        """Trains on the shard of a batch with these labels."""
        dist.barrier()
        start = time.perf_counter()
        output = self.trained(features)
        losses = self.criterion(output, labels[shard.videos], shard.rows, labels).losses
        total = weighted_sum(losses, self.weights)
        self.optimizer.zero_grad()
        (total * self.scale).backward()
        if not self.ddp:
            gradients = [p.grad for p in self.net.parameters() if p.grad is not None]
            for work in [dist.all_reduce(g, async_op=True) for g in gradients]:
                work.wait()
        self.optimizer.step()
        dist.barrier()
        self.seconds.append(time.perf_counter() - start)


def compare(ftcl: bool, options: argparse.Namespace, processes: Processes) -> None:
    """Trains both sides, checks that their weights agree and prints the times."""
    config = make_config(ftcl=ftcl, batch_size=options.batch_size)
    after, ddp = (Side(config, options.channels, processes, ddp) for ddp in (False, True))
    videos = options.batch_size * (2 if ftcl else 1)
    rows = torch.arange(options.snippets).expand(videos, -1)
    batch = Batch(torch.arange(videos), rows, unit=2 if ftcl else 1)
    shard = batch.shard(processes.rank, processes.world_size)
    generator = torch.Generator().manual_seed(1)
    for step in range(options.steps + WARM_UP):
        features = torch.rand(videos, options.snippets, options.channels, generator=generator)
        labels = torch.eye(CLASSES)[torch.randint(3, (videos,), generator=generator)]
        for side in (after, ddp) if step % 2 else (ddp, after):
            side.step(features[shard.videos], shard, labels)
    for one, other in zip(after.net.parameters(), ddp.net.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    ratios = [d / a for a, d in zip(after.seconds[WARM_UP:], ddp.seconds[WARM_UP:], strict=True)]
    times = [1e3 * statistics.median(side.seconds[WARM_UP:]) for side in (after, ddp)]
    both = zip(after.net.parameters(), ddp.net.parameters(), strict=True)
    equal = all(one.equal(other) for one, other in both)
    print(
        f"{'FTCL-Net' if ftcl else 'ACM-Net'}: all-reduce at the end {times[0]:.0f} ms, "
        f"DistributedDataParallel {times[1]:.0f} ms, median ratio {statistics.median(ratios):.2f}; "
        f"weights {'identical' if equal else 'equal within 1e-5'}"
    )


@command("benchmarks/gradient_sum.py")
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--snippets", type=int, default=750, metavar="T")
    parser.add_argument("--channels", type=int, default=2048, metavar="D")
    parser.add_argument("--batch_size", type=int, default=16, metavar="B")
    parser.add_argument("--steps", type=int, default=8, metavar="N")
    options = parser.parse_args()
    with all_processes() as processes:
        for ftcl in (False, True):
            compare(ftcl, options, processes)


if __name__ == "__main__":
    main()

"""A small problem that runs through the training loop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from pose_tracking.training.loop import LoopOptions, TrainingLoop


class Regression:
    """Fit the sum of three numbers.

    Attributes:
        save_at: step before which a checkpoint is written, whatever the loop does.
        kill_at: step at which the process dies.
        poison_at: step whose batch is not finite.
    """

    def __init__(self, run_dir: Path, **options: object) -> None:
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
        optimizer = torch.optim.AdamW(self.model.parameters(), 1e-2)
        self.loop = TrainingLoop(self.model, optimizer, run_dir, LoopOptions(log_every=5, **options))  # type: ignore[arg-type]
        self.save_at = self.kill_at = self.poison_at = -1

    def batches(self, step: int) -> Iterator[torch.Tensor]:
        while True:
            if step == self.save_at:
                self.loop.save()
            if step == self.kill_at:
                raise KeyboardInterrupt
            values = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
            yield values * float("nan") if step == self.poison_at else values
            step += 1

    def losses(self, batch: torch.Tensor, step: int) -> dict[str, torch.Tensor]:
        return {"fit": (self.model(batch) - batch.sum(1, keepdim=True)).square().mean(), "_mean": batch.mean()}

    def run(self) -> dict[str, torch.Tensor]:
        self.loop.run(self.batches, self.losses)
        return self.loop.final_weights()

"""The training loop all networks share: resumable, bounded in steps or minutes, stopped by a non-finite loss.

A trainer gives a model, an optimizer and three functions; everything else (schedule, clipping, moving average,
checkpoints, log, curves, progress bar) is here::

    loop = TrainingLoop(model, optimizer, run_dir, LoopOptions(minutes=35.0), device)
    if resume:
        loop.resume()
    loop.run(make_batches, compute_losses, evaluate)
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from pose_tracking.core.config import option
from pose_tracking.core.errors import ConfigError

from .checkpoints import Checkpoints, Progress, save_weights
from .errors import TrainingError
from .log import TrainingLog
from .weight_average import weight_average

# Share of the minutes: on a slow machine a training gets few steps out of them, which must not be mostly warm-up.
MOST_WARMUP = 0.1
_BAR = "{desc}: {percentage:3.0f}%|{bar:20}| {elapsed}<{remaining} {postfix}"


@dataclass(frozen=True)
class LoopOptions:
    """How long to train and how to keep it stable."""

    steps: int | None = option(None, "stop after this many steps in all", range=(1, 1e9))
    minutes: float | None = option(None, "stop after this much training time in all", unit="min", range=(0.0, 1e6))
    warmup_steps: int = option(
        60, "steps over which the learning rate rises from zero; a tenth of the minutes at most", range=(0, 1e6)
    )
    final_lr: float = option(0.02, "share of the learning rate left at the end of the cosine", range=(0.0, 1.0))
    clip_norm: float = option(5.0, "largest gradient norm", range=(1e-6, 1e6))
    ema: float = option(0.0, "decay of the moving average of the weights; 0 turns it off", range=(0.0, 0.99999))
    bf16: bool = option(False, "compute in bfloat16 where it is safe (autocast)")
    log_every: int = option(20, "steps between log lines", range=(1, 1e6))
    checkpoint_minutes: float = option(3.0, "time between checkpoints", unit="min", range=(0.01, 1e4))
    evaluate_minutes: float = option(10.0, "time between evaluations", unit="min", range=(0.01, 1e4))


def cosine_factor(progress: float, final: float) -> float:
    """Learning-rate factor at `progress` (0 to 1) through a half cosine from 1 down to `final`."""
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))


class TrainingLoop:
    """Runs optimisation steps and keeps everything a restart needs in `run_dir`.

    Files: those of `Checkpoints`, ``best.safetensors``, ``log.jsonl`` and ``loss.png``.

    Attributes:
        step: optimisation steps done so far.
        seconds: time spent so far, evaluations and checkpoints included (not the last one), over all restarts.
        best: best score `evaluate` gave so far, or None.
        average: moving average of the model's weights (its ``module``), or None.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        run_dir: str | Path,
        options: LoopOptions,
        device: torch.device | str = "cpu",
    ) -> None:
        if options.steps is None and options.minutes is None:
            raise ConfigError("training needs an end: give --steps or --minutes")
        self.model, self.optimizer, self.options = model, optimizer, options
        self.run_dir, self.device = Path(run_dir), torch.device(device)
        self.step, self.seconds = 0, 0.0
        self.best: float | None = None
        self.average = weight_average(model, options.ema) if options.ema > 0 else None
        self._checkpoints = Checkpoints(self.run_dir, model, optimizer, self.average, self.device)
        self._log = TrainingLog(self.run_dir)
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self._stop = False

    @property
    def progress(self) -> float:
        """Share of the budget used, 0 to 1."""
        parts = [0.0]
        if self.options.steps is not None:
            parts.append(self.step / self.options.steps)
        if self.options.minutes is not None:
            parts.append(self.seconds / max(self.options.minutes * 60, 1e-9))
        return min(max(parts), 1.0)

    def run(
        self,
        make_batches: Callable[[int], Iterable[Any]],
        compute_losses: Callable[[Any, int], dict[str, Tensor]],
        evaluate: Callable[[nn.Module], dict[str, float]] | None = None,
        score: str = "",
        evaluate_at_end: bool = True,
    ) -> dict[str, float]:
        """Train until the budget is used or a SIGINT/SIGTERM asks for a stop after the current step.

        Args:
            make_batches: called with the first step to do; gives an endless stream of batches. For runs to be
                repeatable and resumable a batch must depend on nothing but the step (e.g. seed a generator with it).
            compute_losses: called with a batch and its step; gives named losses whose sum is minimised. Names
                that start with "_" are only logged.
            evaluate: called now and then, and at the end, with the model, or its average where there is one, in
                eval mode.
            score: name of the value of `evaluate` of which the best is kept (higher is better).
            evaluate_at_end: False where the caller measures the trained model anyway.

        Returns:
            The last values of `evaluate`, or {}.

        Raises:
            TrainingError: a loss or a gradient is not finite; the last checkpoint stays as it was.
        """
        bar = tqdm(total=1000, initial=int(self.progress * 1000), desc="train", bar_format=_BAR, mininterval=2.0)
        means = _Means()
        metrics: dict[str, float] = {}
        saved_at, evaluated_at = self.seconds, self.seconds
        self._log.trim(self.step)
        batches = iter(make_batches(self.step))
        with self._stop_on_signal(), bar:
            clock = time.monotonic()
            while self.progress < 1 and not self._stop:
                means.add(self._optimize(compute_losses, next(batches)))
                self.step += 1
                now = time.monotonic()
                self.seconds, clock = self.seconds + now - clock, now
                if self.step % self.options.log_every == 0:
                    self._log_step(means.take(), bar)
                bar.update(int(self.progress * 1000) - bar.n)
                if evaluate is not None and self._evaluation_is_due(evaluated_at):
                    metrics, evaluated_at = self._evaluate(evaluate, score), self.seconds
                if self.seconds - saved_at > self.options.checkpoint_minutes * 60:
                    self.save()
                    saved_at = self.seconds
        self.save()
        if evaluate is not None and evaluate_at_end and not self._stop:
            metrics = self._evaluate(evaluate, score)
            self.save()
        return metrics

    def _evaluation_is_due(self, evaluated_at: float) -> bool:
        """Whether the last one, at `evaluated_at` (s), is long ago, and that at the end not about to come."""
        interval = self.options.evaluate_minutes * 60
        left = math.inf if self.options.minutes is None else self.options.minutes * 60 - self.seconds
        return self.seconds - evaluated_at > interval and left > interval / 2

    def _optimize(self, compute_losses: Callable[[Any, int], dict[str, Tensor]], batch: Any) -> dict[str, float]:
        warmup = (self.step + 1) / max(self.options.warmup_steps, 1)
        if self.options.minutes is not None:
            warmup = max(warmup, self.progress / MOST_WARMUP)
        factor = min(warmup, 1.0) * cosine_factor(self.progress, self.options.final_lr)
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        self.model.train()
        autocast = torch.autocast(self.device.type, dtype=torch.bfloat16) if self.options.bf16 else nullcontext()
        with autocast:
            losses = compute_losses(batch, self.step)
        total = torch.stack([v.float() for k, v in losses.items() if not k.startswith("_")]).sum()
        values = {k.lstrip("_"): float(v.detach()) for k, v in losses.items()}
        if not math.isfinite(float(total.detach())):
            named = ", ".join(f"{k} {v:g}" for k, v in values.items())
            raise TrainingError(
                f"loss is not finite at step {self.step} ({named}): training stopped, {self._restart_hint()}"
            )
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        norm = nn.utils.clip_grad_norm_(
            (p for g in self.optimizer.param_groups for p in g["params"]), self.options.clip_norm
        )
        if not torch.isfinite(norm):
            raise TrainingError(f"gradient is not finite at step {self.step}: training stopped, {self._restart_hint()}")
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        return {"loss": float(total.detach()), **values, "grad_norm": float(norm)}

    def _restart_hint(self) -> str:
        if self._checkpoints.exist():
            return f"resume from the checkpoint in {self.run_dir} with a lower learning rate"
        return "start again with a lower learning rate"

    def _log_step(self, means: dict[str, float], bar: tqdm) -> None:
        lr = self.optimizer.param_groups[0]["lr"]
        self._log.add({"step": self.step, "seconds": round(self.seconds, 2), "lr": lr, **means})
        bar.set_postfix_str(f"step {self.step} loss {means['loss']:.3f}", refresh=False)

    @property
    def _final_model(self) -> nn.Module:
        return self.average.module if self.average is not None else self.model

    def _evaluate(self, evaluate: Callable[[nn.Module], dict[str, float]], score: str) -> dict[str, float]:
        model = self._final_model.eval()
        with torch.no_grad():
            metrics = evaluate(model)
        if score and math.isfinite(metrics[score]) and (self.best is None or metrics[score] > self.best):
            self.best = metrics[score]
            save_weights(model.state_dict(), self.run_dir / "best.safetensors")
        named = {f"eval_{name}": value for name, value in metrics.items()}
        self._log.add({"step": self.step, "seconds": round(self.seconds, 2), **named})
        tqdm.write(f"step {self.step}: " + ", ".join(f"{k} {v:.4g}" for k, v in metrics.items()))
        return metrics

    def final_weights(self) -> dict[str, Tensor]:
        """State dict to ship: the moving average where there is one, else the model's own."""
        return {k: v.detach().cpu() for k, v in self._final_model.state_dict().items()}

    def save(self) -> None:
        """Write a checkpoint and the loss curves."""
        self._checkpoints.save(Progress(self.step, self.seconds, self.best))
        self._log.plot()

    def resume(self) -> bool:
        """Continue from the checkpoint in `run_dir`; False where there is none yet.

        Raises:
            TrainingError: the checkpoint is corrupt or of another model.
        """
        if not self._checkpoints.exist():
            return False
        progress = self._checkpoints.load()
        self.step, self.seconds, self.best = progress.step, progress.seconds, progress.best
        return True

    @contextmanager
    def _stop_on_signal(self) -> Iterator[None]:
        """Finish the step and save on SIGINT/SIGTERM instead of dying in the middle of it."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(number: int, frame: Any) -> None:
            self._stop = True

        old = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)


class _Means:
    """Means of named values since the last `take`."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.count = 0

    def add(self, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1

    def take(self) -> dict[str, float]:
        means = {name: value / self.count for name, value in self.sums.items()}
        self.sums, self.count = {}, 0
        return means

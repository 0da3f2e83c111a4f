"""The training loop both networks share: resumable, bounded in steps or minutes, stopped by a non-finite loss.

A trainer gives a model, an optimizer and two functions; everything else (schedule, clipping, moving average,
checkpoints, log, curves, progress bar) is here::

    loop = TrainingLoop(model, optimizer, run_dir, LoopOptions(minutes=35.0), device)
    if resume:
        loop.resume()
    loop.run(make_batches, compute_losses, evaluate)
"""

from __future__ import annotations

import json
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
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from pose_tracking.core.config import option
from pose_tracking.core.errors import ConfigError, OutputError, PoseTrackingError
from pose_tracking.core.files import atomic_path
from pose_tracking.core.seeds import seed_everything as seed_everything  # the trainers take it from here


class TrainingError(PoseTrackingError):
    """Training cannot go on; the message names the step."""


@dataclass(frozen=True)
class LoopOptions:
    """How long to train and how to keep it stable."""

    steps: int | None = option(None, "stop after this many steps in all", range=(1, 1e9))
    minutes: float | None = option(None, "stop after this much training time in all", unit="min", range=(0.0, 1e6))
    warmup_steps: int = option(60, "steps over which the learning rate rises from zero", range=(0, 1e6))
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


class MovingAverage:
    """Exponential moving average of a model's floating-point parameters (buffers are copied)."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards `model`; the decay grows with the steps, so that the start is forgotten."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for key, value in model.state_dict().items():
            if value.dtype.is_floating_point:
                self.values[key].lerp_(value.detach(), 1 - decay)
            else:
                self.values[key].copy_(value)

    @contextmanager
    def swapped_into(self, model: nn.Module) -> Iterator[None]:
        """`model` with the averaged weights for the length of a ``with`` block."""
        own = {k: v.detach().clone() for k, v in model.state_dict().items()}
        model.load_state_dict(self.values)
        try:
            yield
        finally:
            model.load_state_dict(own)


class TrainingLoop:
    """Runs optimisation steps and keeps everything a restart needs in `run_dir`.

    Files: ``weights_<step>.safetensors``, ``average_<step>.safetensors`` (with `LoopOptions.ema`) and
    ``optimizer_<step>.pt`` of the newest checkpoint, ``checkpoint.json`` that names it (written last, so that a kill
    at any moment leaves a whole checkpoint), ``best.safetensors``, ``log.jsonl`` and ``loss.png``.

    Attributes:
        step: optimisation steps done so far.
        seconds: time spent so far, evaluations and checkpoints included (not the last one), over all restarts.
        best: best score `evaluate` gave so far, or None.
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
        self.average = MovingAverage(model, options.ema) if options.ema > 0 else None
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
    ) -> dict[str, float]:
        """Train until the budget is used or a SIGINT/SIGTERM asks for a stop after the current step.

        Args:
            make_batches: called with the first step to do; gives an endless stream of batches. For runs to be
                repeatable and resumable a batch must depend on nothing but the step (e.g. seed a generator with it).
            compute_losses: called with a batch and its step; gives named losses whose sum is minimised. Names
                that start with "_" are only logged.
            evaluate: called now and then, and at the end, with the (averaged) model in eval mode.
            score: name of the value of `evaluate` of which the best is kept (higher is better).

        Returns:
            The last values of `evaluate`, or {}.

        Raises:
            TrainingError: a loss or a gradient is not finite; the last checkpoint stays as it was.
        """
        bar = tqdm(total=1000, initial=int(self.progress * 1000), desc="train", bar_format=_BAR, mininterval=2.0)
        sums: dict[str, float] = {}
        metrics: dict[str, float] = {}
        count, saved_at, evaluated_at = 0, self.seconds, self.seconds
        self._trim_log()
        batches = iter(make_batches(self.step))
        with self._stop_on_signal(), bar:
            clock = time.monotonic()
            while self.progress < 1 and not self._stop:
                values = self._optimize(compute_losses, next(batches))
                self.step += 1
                now = time.monotonic()
                self.seconds, clock = self.seconds + now - clock, now
                for name, value in values.items():
                    sums[name] = sums.get(name, 0.0) + value
                count += 1
                if self.step % self.options.log_every == 0:
                    means = {name: value / count for name, value in sums.items()}
                    lr = self.optimizer.param_groups[0]["lr"]
                    self._log({"step": self.step, "seconds": round(self.seconds, 2), "lr": lr, **means})
                    bar.set_postfix_str(f"step {self.step} loss {means['loss']:.3f}", refresh=False)
                    sums, count = {}, 0
                bar.update(int(self.progress * 1000) - bar.n)
                if evaluate is not None and self.seconds - evaluated_at > self.options.evaluate_minutes * 60:
                    metrics, evaluated_at = self._evaluate(evaluate, score), self.seconds
                if self.seconds - saved_at > self.options.checkpoint_minutes * 60:
                    self.save()
                    saved_at = self.seconds
        self.save()
        if evaluate is not None and not self._stop:
            metrics = self._evaluate(evaluate, score)
            self.save()
        return metrics

    def _optimize(self, compute_losses: Callable[[Any, int], dict[str, Tensor]], batch: Any) -> dict[str, float]:
        warmup = min(1.0, (self.step + 1) / max(self.options.warmup_steps, 1))
        factor = warmup * cosine_factor(self.progress, self.options.final_lr)
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
            self.average.update(self.model, self.step)
        return {"loss": float(total.detach()), **values, "grad_norm": float(norm)}

    def _restart_hint(self) -> str:
        if self._pointer.is_file():
            return f"resume from the checkpoint in {self.run_dir} with a lower learning rate"
        return "start again with a lower learning rate"

    def _evaluate(self, evaluate: Callable[[nn.Module], dict[str, float]], score: str) -> dict[str, float]:
        self.model.eval()
        with self.average.swapped_into(self.model) if self.average else nullcontext():
            with torch.no_grad():
                metrics = evaluate(self.model)
            if score and math.isfinite(metrics[score]) and (self.best is None or metrics[score] > self.best):
                self.best = metrics[score]
                _save_weights(self.model.state_dict(), self.run_dir / "best.safetensors")
        self._log(
            {"step": self.step, "seconds": round(self.seconds, 2), **{f"eval_{k}": v for k, v in metrics.items()}}
        )
        tqdm.write(f"step {self.step}: " + ", ".join(f"{k} {v:.4g}" for k, v in metrics.items()))
        return metrics

    # -- checkpoints ------------------------------------------------------------------------------------------------

    @property
    def _pointer(self) -> Path:
        return self.run_dir / "checkpoint.json"

    def final_weights(self) -> dict[str, Tensor]:
        """State dict to ship: the moving average where there is one, else the model's own."""
        source = self.average.values if self.average else self.model.state_dict()
        return {k: v.detach().cpu() for k, v in source.items()}

    def save(self) -> None:
        """Write a checkpoint and the loss curves."""
        tag = f"{self.step:08d}"
        _save_weights(self.model.state_dict(), self.run_dir / f"weights_{tag}.safetensors")
        if self.average:
            _save_weights(self.average.values, self.run_dir / f"average_{tag}.safetensors")
        state = {
            "optimizer": self.optimizer.state_dict(),
            "torch_rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
        }
        with atomic_path(self.run_dir / f"optimizer_{tag}.pt") as path, _as_output_error(path):
            torch.save(state, path)
        with atomic_path(self._pointer) as path:
            path.write_text(json.dumps({"step": self.step, "seconds": self.seconds, "best": self.best}))
        for pattern in ("weights_*.safetensors", "average_*.safetensors", "optimizer_*.pt"):
            for old in self.run_dir.glob(pattern):
                if tag not in old.name:
                    old.unlink(missing_ok=True)
        plot_log(self.run_dir / "log.jsonl", self.run_dir / "loss.png")

    def resume(self) -> bool:
        """Continue from the checkpoint in `run_dir`; False where there is none yet.

        Raises:
            TrainingError: the checkpoint is corrupt or of another model.
        """
        if not self._pointer.is_file():
            return False
        try:
            info = json.loads(self._pointer.read_text())
            tag = f"{int(info['step']):08d}"
            self.model.load_state_dict(load_file(self.run_dir / f"weights_{tag}.safetensors", str(self.device)))
            if self.average:
                average = load_file(self.run_dir / f"average_{tag}.safetensors", str(self.device))
                for key, value in self.average.values.items():
                    value.copy_(average[key])
            state = torch.load(self.run_dir / f"optimizer_{tag}.pt", map_location="cpu", weights_only=True)
            self.optimizer.load_state_dict(state["optimizer"])
            torch.set_rng_state(state["torch_rng"])
            if state["cuda_rng"] is not None and self.device.type == "cuda":
                torch.cuda.set_rng_state(state["cuda_rng"], self.device)
            self.step, self.seconds, self.best = int(info["step"]), float(info["seconds"]), info["best"]
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            reason = str(error).splitlines()[0]
            raise TrainingError(f"{self.run_dir}: the checkpoint cannot be resumed ({reason})") from error
        return True

    # -- log --------------------------------------------------------------------------------------------------------

    def _log(self, record: dict[str, float]) -> None:
        with (self.run_dir / "log.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")

    def _trim_log(self) -> None:
        """Drop log lines of steps that a kill threw away."""
        path = self.run_dir / "log.jsonl"
        lines = [line for line in read_log(path) if line["step"] <= self.step] if self.step else []
        with atomic_path(path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in lines))

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


_BAR = "{desc}: {percentage:3.0f}%|{bar:20}| {elapsed}<{remaining} {postfix}"


@contextmanager
def _as_output_error(path: Path) -> Iterator[None]:
    """torch and safetensors report a full disk as errors of their own."""
    try:
        yield
    except (RuntimeError, SafetensorError) as error:
        raise OutputError(f"{path}: cannot be written ({str(error).splitlines()[0]})") from error


def _save_weights(state: dict[str, Tensor], path: Path) -> None:
    with atomic_path(path) as temporary, _as_output_error(path):
        save_file({k: v.detach().contiguous().cpu() for k, v in state.items()}, temporary)
        temporary.chmod(0o644)  # safetensors makes files only their owner may read


def export_half(state: dict[str, Tensor], path: str | Path, metadata: dict[str, str] | None = None) -> None:
    """Write a state dict as safetensors, floating-point tensors in half precision.

    Raises:
        TrainingError: a weight is not finite or does not fit half precision.
        OutputError: the file cannot be written.
    """
    out = {}
    for key, value in state.items():
        value = value.detach().cpu()
        if value.dtype.is_floating_point:
            value = value.half()
            if not torch.isfinite(value).all():
                raise TrainingError(f"{path}: weight {key} does not fit half precision; not exported")
        out[key] = value.contiguous()
    with atomic_path(path) as temporary, _as_output_error(Path(path)):
        save_file(out, temporary, metadata=metadata)
        temporary.chmod(0o644)


def read_log(path: str | Path) -> list[dict[str, float]]:
    """Records of a ``log.jsonl``; [] where there is none. A last line cut short by a kill is left out."""
    path = Path(path)
    records = []
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records


def plot_log(log: str | Path, picture: str | Path) -> None:
    """Draw every loss (left) and evaluation value (right) of a log against the step into a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    records = read_log(log)
    losses = [r for r in records if "loss" in r]
    evaluations = [r for r in records if "loss" not in r]
    figure = Figure(figsize=(11, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for axis, rows, title in ((left, losses, "training"), (right, evaluations, "evaluation")):
        names = {k for r in rows for k in r} - {"step", "seconds", "lr", "grad_norm"}
        for name in sorted(names):
            points = [(r["step"], r[name]) for r in rows if name in r]
            axis.plot(*zip(*points, strict=True), label=name, marker="o" if rows is evaluations else "")
        axis.set(title=title, xlabel="step")
        axis.grid(alpha=0.3)
        if names:
            axis.legend(fontsize="small")
    left.set_yscale("log")
    with atomic_path(picture) as path:
        figure.savefig(path, dpi=90)

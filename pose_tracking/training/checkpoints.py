"""Checkpoints of a training, from which a killed run goes on, and the weights it exports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from pose_tracking.core.errors import OutputError
from pose_tracking.core.files import atomic_path

from .errors import TrainingError

POINTER_FILE = "checkpoint.json"


@dataclass(frozen=True)
class Progress:
    """How far a run is: optimisation steps and seconds so far, and the best score of an evaluation, if any."""

    step: int
    seconds: float
    best: float | None


class Checkpoints:
    """Saves and restores a model, its average, its optimizer and torch's random state in a run folder.

    Files: ``weights_<step>.safetensors``, ``average_<step>.safetensors`` (where there is an average) and
    ``optimizer_<step>.pt`` of the newest checkpoint, and ``checkpoint.json`` that names it. That one is written last,
    so that a kill at any moment leaves a whole checkpoint.
    """

    def __init__(
        self,
        run_dir: Path,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        average: AveragedModel | None,
        device: torch.device,
    ) -> None:
        self.run_dir, self.model, self.optimizer = run_dir, model, optimizer
        self.average, self.device = average, device

    def exist(self) -> bool:
        """Whether there is anything to go on from."""
        return (self.run_dir / POINTER_FILE).is_file()

    def save(self, progress: Progress) -> None:
        """Write a checkpoint and remove the one before.

        Raises:
            OutputError: a file cannot be written.
        """
        tag = f"{progress.step:08d}"
        save_weights(self.model.state_dict(), self.run_dir / f"weights_{tag}.safetensors")
        if self.average:
            save_weights(self.average.module.state_dict(), self.run_dir / f"average_{tag}.safetensors")
        state = {
            "optimizer": self.optimizer.state_dict(),
            "torch_rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
        }
        with atomic_path(self.run_dir / f"optimizer_{tag}.pt") as path, _as_output_error(path):
            torch.save(state, path)
        with atomic_path(self.run_dir / POINTER_FILE) as path:
            path.write_text(json.dumps(asdict(progress)))
        for pattern in ("weights_*.safetensors", "average_*.safetensors", "optimizer_*.pt"):
            for old in self.run_dir.glob(pattern):
                if tag not in old.name:
                    old.unlink(missing_ok=True)

    def load(self) -> Progress:
        """Restore the newest checkpoint.

        Raises:
            TrainingError: it is corrupt or of another model.
        """
        try:
            info = json.loads((self.run_dir / POINTER_FILE).read_text())
            progress = Progress(int(info["step"]), float(info["seconds"]), info["best"])
            tag = f"{progress.step:08d}"
            self.model.load_state_dict(load_file(self.run_dir / f"weights_{tag}.safetensors", str(self.device)))
            if self.average:
                weights = load_file(self.run_dir / f"average_{tag}.safetensors", str(self.device))
                self.average.module.load_state_dict(weights)
                self.average.n_averaged.fill_(progress.step + 1)
            state = torch.load(self.run_dir / f"optimizer_{tag}.pt", map_location="cpu", weights_only=True)
            self.optimizer.load_state_dict(state["optimizer"])
            torch.set_rng_state(state["torch_rng"])
            if state["cuda_rng"] is not None and self.device.type == "cuda":
                torch.cuda.set_rng_state(state["cuda_rng"], self.device)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            reason = str(error).splitlines()[0]
            raise TrainingError(f"{self.run_dir}: the checkpoint cannot be resumed ({reason})") from error
        return progress


@contextmanager
def _as_output_error(path: Path) -> Iterator[None]:
    """torch and safetensors report a full disk as errors of their own."""
    try:
        yield
    except (RuntimeError, SafetensorError) as error:
        raise OutputError(f"{path}: cannot be written ({str(error).splitlines()[0]})") from error


def save_weights(state: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a state dict as safetensors.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic_path(path) as temporary, _as_output_error(path):
        save_file({k: v.detach().contiguous().cpu() for k, v in state.items()}, temporary, metadata=metadata)
        temporary.chmod(0o644)  # safetensors makes files only their owner may read


def add_note(path: str | Path, notes: dict[str, str]) -> None:
    """Add to what a weight file says of itself.

    Raises:
        OutputError: the file cannot be written.
    """
    with safe_open(path, "pt") as file:
        known = file.metadata() or {}
    save_weights(load_file(path), Path(path), {**known, **notes})


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
        out[key] = value
    save_weights(out, Path(path), metadata)

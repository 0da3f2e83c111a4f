"""Options of what runs the networks."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from pose_tracking.core.config import option, validate

AUTO = "auto"
ENGINES = (AUTO, "torch", "openvino", "onnxruntime")
PRECISIONS = (AUTO, "fp32", "bf16", "int8")


@dataclass(frozen=True)
class InferenceConfig:
    """What runs the networks, and how exactly."""

    engine: str = option(
        AUTO,
        "what runs the networks; auto takes OpenVINO where it is installed and the device is a CPU, PyTorch otherwise",
        choices=ENGINES,
    )
    precision: str = option(
        AUTO,
        "number format of the networks' arithmetic: auto takes bf16 with OpenVINO on a CPU that has it (AVX512-BF16, "
        "AMX), fp32 otherwise; int8 takes the detector's trunk that `pose-tracking optimize` has stored in the bundle, "
        "and auto for all else. Weights, boxes and poses stay fp32",
        choices=PRECISIONS,
    )

    @property
    def asks_for_more_than_torch(self) -> bool:
        """Whether PyTorch in fp32 is not what is asked for by name."""
        return self.engine not in (AUTO, "torch") or self.precision in ("bf16", "int8")

    def with_given(self, engine: str | None = None, precision: str | None = None) -> InferenceConfig:
        """These options with those that are given in their place.

        Raises:
            ConfigError: there is none of that name.
        """
        config = replace(self, engine=engine or self.engine, precision=precision or self.precision)
        validate(config, "inference")
        return config


def help_of(name: str) -> str:
    """The help of an option of `InferenceConfig`."""
    return next(str(field.metadata["help"]) for field in fields(InferenceConfig) if field.name == name)

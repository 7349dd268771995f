"""Settings of one training stage."""

from __future__ import annotations

from dataclasses import dataclass

from .._core.errors import TrainingError
from .device import DEVICES

GRADIENT_BITS = (2, 3, 4, 5, 6, 7, 8, 32)


@dataclass(frozen=True)
class TrainSettings:
    """How to train.

    Attributes:
        lr: peak learning rate; `schedule` "cosine" decays it to 0 over the run, "constant" keeps it.
        warmup_epochs: linear rise from 0 to `lr`.
        weight_decay: on weights of layers only; never on batch-norm, biases and quantizer parameters.
        distill: share of the loss that compares with the float model's softmax (0 = labels only).
        penalty: factor of what the methods add to the loss (see `quant.Rule.penalty`).
        swap: of a network of several bit-widths, probability that a pass takes blocks of its teacher, falling to 0.
        width_teacher: who teaches lower bit-widths, see `train.objective.Collaboration`.
        gradient_bits: of the gradients of the sums of layers with quantized weights, 2 to 8; 32: float.
        last_stage_epochs: final epochs that go through whole integer levels.
        bf16: compute in bfloat16 where the CPU has it. compile: use torch.compile.
        checkpoint_s: seconds between checkpoints.
        device: see `train.device.device_of`; only on the CPU equal runs give equal bits.
    Raises: TrainingError for a value that makes no sense.
    """

    epochs: int = 10
    batch_size: int = 128
    optimizer: str = "sgd"
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    warmup_epochs: float = 0.0
    distill: float = 0.5
    temperature: float = 1.0
    penalty: float = 1.0
    swap: float = 0.0
    width_teacher: str = "best"
    gradient_bits: int = 32
    last_stage_epochs: int = 2
    evaluate_every: int = 5
    seed: int = 0
    bf16: bool = True
    compile: bool = True
    checkpoint_s: float = 60.0
    device: str = "auto"

    def __post_init__(self) -> None:
        known_words = {
            "optimizer": ("sgd", "adam", "shift_adamax"), "schedule": ("cosine", "constant"),
            "width_teacher": ("best", "highest", "next"), "device": DEVICES,
        }  # fmt: skip
        for name, known in known_words.items():
            if getattr(self, name) not in known:
                raise TrainingError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        for name in (
            "epochs", "weight_decay", "warmup_epochs", "last_stage_epochs", "seed", "momentum", "distill", "penalty",
            "swap",
        ):  # fmt: skip
            if not getattr(self, name) >= 0:
                raise TrainingError(f"{name} must be 0 or more, got {getattr(self, name)}")
        for name in ("batch_size", "lr", "temperature", "evaluate_every"):
            if not getattr(self, name) > 0:
                raise TrainingError(f"{name} must be more than 0, got {getattr(self, name)}")
        if self.gradient_bits not in GRADIENT_BITS:
            raise TrainingError(f"gradient_bits must be one of {GRADIENT_BITS}, got {self.gradient_bits}")
        if self.distill > 1 or self.momentum >= 1:
            raise TrainingError(f"distill is at most 1 and momentum below 1, got {self.distill} and {self.momentum}")
        if self.swap > 1:
            raise TrainingError(f"swap is a probability, at most 1, got {self.swap}")

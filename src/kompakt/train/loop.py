"""The training loop: forward, loss, backward, optimizer, quantizers' own steps, in one place and one order."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._core.cpu import cpu_flags
from .._core.errors import TrainingError
from ..data import Dataset
from ..quant import Quantizer
from .batches import Batches
from .checkpoint import Metrics, Progress, restore, save
from .evaluate import accuracy, predict
from .interrupt import Interrupt

Forward = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class TrainSettings:
    """Settings of one training stage.

    Attributes:
        lr: peak learning rate; `schedule` "cosine" decays it to 0 over the run, "constant" keeps it.
        warmup_epochs: linear rise from 0 to `lr`.
        weight_decay: on weights of layers only; never on batch-norm, biases and quantizer parameters.
        distill: share of the loss that compares with the float model's softmax (0 = labels only).
        last_stage_epochs: final epochs that go through whole integer levels.
        bf16: compute in bfloat16 where the CPU has it. compile: use torch.compile.
        checkpoint_s: seconds between checkpoints.
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
    last_stage_epochs: int = 2
    evaluate_every: int = 5
    seed: int = 0
    bf16: bool = True
    compile: bool = True
    checkpoint_s: float = 60.0


def train(
    module: nn.Module, dataset: Dataset, settings: TrainSettings, folder: Path, *,
    teacher: nn.Module | None = None, resume: bool = False, fingerprint: str = "",
    on_progress: Callable[[dict[str, object]], None] = lambda record: None,
) -> Progress:  # fmt: skip
    """Train `module` in place; checkpoints and metrics go to `folder`.

    Args:
        teacher: float model for distillation; needed if `settings.distill` > 0.
        resume: continue from `folder/checkpoint.pt` if it is there; the result is bitwise that of an unbroken run.
        fingerprint: names the run; a checkpoint of another one is refused.
        on_progress: called with a record a few times a minute and after each epoch.
    Raises: TrainingError if the loss is not finite (epoch and step named). KeyboardInterrupt once the state is saved.
    """
    return _Run(module, dataset, settings, folder, teacher, fingerprint, on_progress).go(resume)


class _Run:
    def __init__(
        self, module: nn.Module, dataset: Dataset, settings: TrainSettings, folder: Path, teacher: nn.Module | None,
        fingerprint: str, on_progress: Callable[[dict[str, object]], None],
    ) -> None:  # fmt: skip
        self.module = in_memory_format(module, torch.channels_last)
        self.dataset, self.settings, self.fingerprint, self.on_progress = dataset, settings, fingerprint, on_progress
        self.device = next(module.parameters()).device
        self.batches = Batches(dataset, settings.batch_size, settings.seed, self.device)
        self.optimizer = make_optimizer(module, settings)
        self.quantizers = [m for m in module.modules() if isinstance(m, Quantizer)]
        self.teacher = _frozen(teacher).to(self.device) if settings.distill > 0 and teacher is not None else None
        self.checkpoint, self.metrics_path = folder / "checkpoint.pt", folder / "metrics.jsonl"
        self.bf16 = settings.bf16 and has_fast_bf16(self.device)
        self.forward: Forward = torch.compile(self.module) if settings.compile else self.module
        self.teacher_forward: Forward | None = self.teacher
        if settings.compile and self.teacher is not None:
            self.teacher_forward = torch.compile(self.teacher)

    def go(self, resume: bool) -> Progress:
        torch.manual_seed(self.settings.seed)
        progress = Progress()
        if resume and self.checkpoint.exists():
            progress = restore(self.checkpoint, self.module, self.optimizer, self.fingerprint)
        metrics = Metrics(self.metrics_path, progress.metrics_bytes)
        try:
            with Interrupt() as interrupt:
                self._epochs(progress, metrics, interrupt)
        finally:
            metrics.close()
        return progress

    def _epochs(self, progress: Progress, metrics: Metrics, interrupt: Interrupt) -> None:
        last_stage = self.settings.epochs - self.settings.last_stage_epochs
        started = time.monotonic() - progress.seconds
        saved = time.monotonic()
        while progress.epoch < self.settings.epochs:
            epoch = progress.epoch
            if epoch >= last_stage:
                for quantizer in self.quantizers:
                    quantizer.rule.finish()
                if epoch == last_stage and progress.step == 0:
                    metrics.write(event="stage", name="whole levels", epoch=epoch)
            self.module.train()
            losses: list[Tensor] = []
            for x, labels in self.batches.epoch(epoch, progress.step):
                losses.append(self._step(x, labels, epoch * self.batches.steps + progress.step))
                progress.step += 1
                progress.seconds = time.monotonic() - started
                if progress.step % 20 == 0:
                    self._report(progress, losses)
                if interrupt.requested or time.monotonic() - saved > self.settings.checkpoint_s:
                    self._save(progress, metrics)
                    saved = time.monotonic()
                    interrupt.stop_if_requested()
            progress.epoch, progress.step = epoch + 1, 0
            self._finish_epoch(progress, metrics, losses)
            self._save(progress, metrics)

    def _step(self, x: Tensor, labels: Tensor, global_step: int) -> Tensor:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, global_step / self.batches.steps)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            logits = self.forward(x).float()
            loss = F.cross_entropy(logits, labels)
            if self.teacher_forward is not None:
                with torch.no_grad():
                    target = self.teacher_forward(x).float()
                loss = (1 - self.settings.distill) * loss + self.settings.distill * self._distance(logits, target)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        for quantizer in self.quantizers:
            quantizer.rule.after_step()
        return loss.detach()

    def _distance(self, logits: Tensor, target: Tensor) -> Tensor:
        t = self.settings.temperature
        distance: Tensor = F.kl_div(F.log_softmax(logits / t, 1), F.softmax(target / t, 1), reduction="batchmean")
        return t * t * distance

    def _report(self, progress: Progress, losses: list[Tensor]) -> None:
        loss = _finite_mean(losses[-20:], f"epoch {progress.epoch}, step {progress.step}")
        done = progress.epoch + progress.step / self.batches.steps
        self.on_progress({
            "event": "step", "epoch": progress.epoch, "step": progress.step, "steps": self.batches.steps, "loss": loss,
            "seconds": progress.seconds, "eta_s": progress.seconds * (self.settings.epochs / done - 1),
        })  # fmt: skip

    def _finish_epoch(self, progress: Progress, metrics: Metrics, losses: list[Tensor]) -> None:
        loss = _finite_mean(losses, f"the end of epoch {progress.epoch}") if losses else None
        record = {
            "event": "epoch", "epoch": progress.epoch, "epochs": self.settings.epochs, "loss": loss,
            "lr": learning_rate(self.settings, progress.epoch), "seconds": round(progress.seconds, 2),
        }  # fmt: skip
        if progress.epoch % self.settings.evaluate_every == 0 or progress.epoch == self.settings.epochs:
            logits = predict(self.module, self.dataset, self.dataset.test)
            record["val_top1"] = accuracy(logits, self.dataset.test.labels)
        metrics.write(**record)
        self.on_progress(record)

    def _save(self, progress: Progress, metrics: Metrics) -> None:
        progress.metrics_bytes = metrics.size
        save(self.checkpoint, progress, self.module, self.optimizer, self.fingerprint)


def _finite_mean(losses: list[Tensor], where: str) -> float:
    loss = float(torch.stack(losses).mean())
    if not math.isfinite(loss):
        raise TrainingError(f"loss is {loss} at {where}; lower [train] lr or start from a trained model")
    return loss


def make_optimizer(module: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """SGD (Nesterov) or Adam; weight decay acts on weights of two or more axes only."""
    trained = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    if settings.optimizer == "adam":
        return torch.optim.Adam(groups, lr=settings.lr)
    return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, nesterov=settings.momentum > 0)


def learning_rate(settings: TrainSettings, epoch: float) -> float:
    """Learning rate at a (fractional) epoch."""
    if epoch < settings.warmup_epochs:
        return settings.lr * (epoch / settings.warmup_epochs)
    if settings.schedule == "constant":
        return settings.lr
    share = (epoch - settings.warmup_epochs) / max(settings.epochs - settings.warmup_epochs, 1e-9)
    return settings.lr * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32 there: any GPU of today, a CPU with AVX-512 BF16 or AMX."""
    if device.type != "cpu":
        return True
    return bool({"avx512_bf16", "amx_bf16"} & cpu_flags())


def in_memory_format(module: nn.Module, memory_format: torch.memory_format) -> nn.Module:
    """The same module, its four-axis tensors laid out anew."""
    module.to(memory_format=memory_format)  # type: ignore[call-overload]  # the stubs lack this form
    return module


def _frozen(teacher: nn.Module) -> nn.Module:
    teacher = in_memory_format(copy.deepcopy(teacher).eval(), torch.channels_last)
    for parameter in teacher.parameters():
        parameter.requires_grad_(False)
    return teacher

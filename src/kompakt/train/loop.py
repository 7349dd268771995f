"""The training loop: forward, loss, backward, optimizer, quantizers' own steps, in one place and one order."""

from __future__ import annotations

import copy
import functools
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from .._core.errors import TrainingError
from ..data import NO_LABEL, Dataset
from ..quant import Moment, Quantizer, QuantizerTraining, quantized_gradients
from ..quant.widths import networks_of
from .batches import Batches
from .checkpoint import Metrics, Progress, restore, save
from .device import device_of
from .evaluate import predict, score
from .interrupt import Interrupt
from .objective import make_objective
from .optimizer import has_fast_bf16, learning_rate, make_optimizer
from .replay import Replay
from .settings import TrainSettings


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
    Returns: the position at the end. The module is then where it was before, whichever device it was trained on.
    Raises: TrainingError if the loss is not finite (epoch and step named), data and network do not fit, or a checkpoint
        is damaged or of another run. KeyboardInterrupt once the state is saved.
    """
    home = next(module.parameters()).device
    try:
        return _Run(module, dataset, settings, folder, teacher, fingerprint, on_progress).go(resume)
    finally:
        module.to(home)


class _Run:
    def __init__(
        self, module: nn.Module, dataset: Dataset, settings: TrainSettings, folder: Path, teacher: nn.Module | None,
        fingerprint: str, on_progress: Callable[[dict[str, object]], None],
    ) -> None:  # fmt: skip
        self.device = device_of(settings.device)
        self.module = in_memory_format(module.to(self.device), torch.channels_last)
        self.dataset, self.settings, self.fingerprint, self.on_progress = dataset, settings, fingerprint, on_progress
        self.batches = Batches(dataset, settings.batch_size, settings.seed, self.device)
        self.optimizer = make_optimizer(module, settings)
        self.quantizers = QuantizerTraining(module)
        if settings.distill > 0 and teacher is None:
            raise TrainingError(
                f"distill = {settings.distill} needs the float model: give teacher, or set distill to 0"
            )
        self.teacher = _frozen(teacher).to(self.device) if settings.distill > 0 and teacher is not None else None
        self.checkpoint, self.metrics_path = folder / "checkpoint.pt", folder / "metrics.jsonl"
        self.bf16 = settings.bf16 and has_fast_bf16(self.device)
        self.objective = make_objective(self.module, settings, self.teacher)

    def go(self, resume: bool) -> Progress:
        self._check_fit()
        torch.manual_seed(self.settings.seed)
        progress = Progress()
        if resume and self.checkpoint.exists():
            progress = restore(self.checkpoint, self.module, self.optimizer, self.fingerprint)
        metrics = Metrics(self.metrics_path, progress.metrics_bytes)
        try:
            with Interrupt() as interrupt, quantized_gradients(self.module, self.settings.gradient_bits):
                self._epochs(progress, metrics, interrupt)
        finally:
            metrics.close()
        return progress

    def _check_fit(self) -> None:
        """One image through the network before anything is trained."""
        labels, first = self.dataset.train.labels, self.dataset.train.head(1)
        lowest = NO_LABEL if labels.ndim == 2 else 0  # steps of a sequence may have none
        try:
            found = predict(self.module, self.dataset, first).shape
        except RuntimeError as error:
            raise TrainingError(f"the network does not run on images of shape {first.images.shape}: {error}") from error
        if len(found) != labels.ndim + 1 or labels.min() < lowest or labels.max() >= found[-1]:
            raise TrainingError(
                f"data and network do not fit: labels are {labels.min()}..{labels.max()}, outputs have shape {found}"
            )

    def _epochs(self, progress: Progress, metrics: Metrics, interrupt: Interrupt) -> None:
        last_stage = self.settings.epochs - self.settings.last_stage_epochs
        started = time.monotonic() - progress.seconds
        saved = time.monotonic()
        while progress.epoch < self.settings.epochs:
            epoch = progress.epoch
            if epoch >= last_stage:
                self.quantizers.finish()
                if epoch == last_stage and progress.step == 0:
                    metrics.write(event="stage", name="whole levels", epoch=epoch)
            self.module.train()
            # In one place: small tensors that outlive a step, one a step, keep the heap from using large blocks again.
            losses = torch.zeros(self.batches.steps, device=self.device)
            losses[: progress.step] = torch.tensor(progress.losses)
            for x, labels in self.batches.epoch(epoch, progress.step):
                losses[progress.step] = self._step(x, labels, epoch * self.batches.steps + progress.step)
                progress.step += 1
                progress.seconds = time.monotonic() - started
                if progress.step % 20 == 0:
                    self._report(progress, losses[: progress.step])
                if interrupt.requested or time.monotonic() - saved > self.settings.checkpoint_s:
                    self._save(progress, metrics, losses[: progress.step])
                    saved = time.monotonic()
                    interrupt.stop_if_requested()
            _check_finite(losses, progress)
            progress.epoch, progress.step = epoch + 1, 0
            self._finish_epoch(progress, metrics, losses)
            self._save(progress, metrics, losses[:0])
            interrupt.stop_if_requested()

    def _step(self, x: Tensor, labels: Tensor, global_step: int) -> Tensor:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, global_step / self.batches.steps)
        target, replay = self._target(x), Replay(self.module) if self.quantizers.has_controllers else None
        loss = task_loss = self._loss(x, labels, target, global_step)
        penalty = self.quantizers.penalty()
        if penalty is not None:
            loss = loss + self.settings.penalty * penalty
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if global_step == 0:
            _check_gradients(self.module)
        if replay is not None:
            again = functools.partial(replay, lambda: self._loss(x, labels, target, global_step))
            ends_epoch = (global_step + 1) % self.batches.steps == 0
            self.quantizers.before_step(Moment(task_loss.detach(), again, self.settings.penalty, ends_epoch))
        self.optimizer.step()
        self.quantizers.after_step()
        return loss.detach()

    @torch.no_grad()
    def _target(self, x: Tensor) -> Tensor | None:
        """What the teacher says."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            return self.objective.target(x)

    def _loss(self, x: Tensor, labels: Tensor, target: Tensor | None, global_step: int) -> Tensor:
        """Without penalties."""
        done = global_step / (self.settings.epochs * self.batches.steps)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            return self.objective(x, labels, target, done)

    def _report(self, progress: Progress, losses: Tensor) -> None:
        _check_finite(losses, progress)
        loss = float(losses[-20:].mean())
        done = progress.epoch + progress.step / self.batches.steps
        self.on_progress({
            "event": "step", "epoch": progress.epoch, "step": progress.step, "steps": self.batches.steps, "loss": loss,
            "seconds": progress.seconds, "eta_s": progress.seconds * (self.settings.epochs / done - 1), **self._bits(),
        })  # fmt: skip

    def _finish_epoch(self, progress: Progress, metrics: Metrics, losses: Tensor) -> None:
        record = {
            "event": "epoch", "epoch": progress.epoch, "epochs": self.settings.epochs,
            "loss": float(losses.mean()),
            "lr": learning_rate(self.settings, progress.epoch), "seconds": round(progress.seconds, 2), **self._bits(),
        }  # fmt: skip
        if progress.epoch % self.settings.evaluate_every == 0 or progress.epoch == self.settings.epochs:
            for bits, network in networks_of(self.module):
                found, suffix = score(network, self.dataset, self.dataset.test), "" if bits is None else f"_{bits}"
                # Without a bit-width: of the only network, or of the highest.
                record = {f"val_{key}": value for key, value in found.items()} | record
                record |= {f"val_{key}{suffix}": value for key, value in found.items()}
        metrics.write(**record)
        self.on_progress(record)

    def _bits(self) -> dict[str, float]:
        """Of methods that change them."""
        bits = self.quantizers.mean_bits()
        return {} if bits is None else {"mean_bits": round(bits, 3)}

    def _save(self, progress: Progress, metrics: Metrics, losses: Tensor) -> None:
        _check_finite(losses, progress)  # a state that is lost already must not replace a good one
        progress.metrics_bytes, progress.losses = metrics.size, losses.tolist()
        save(self.checkpoint, progress, self.module, self.optimizer, self.fingerprint)


def _check_gradients(module: nn.Module) -> None:
    """Raise TrainingError if a quantizer's parameter is not part of what is trained."""
    for path, part in module.named_modules():
        for name, parameter in part.named_parameters() if isinstance(part, Quantizer) else ():
            if parameter.requires_grad and parameter.grad is None:
                raise TrainingError(
                    f"{path}.{name}: no gradient arrives, this quantizer is not part of the network that is trained; "
                    "attach quantizers first, then make whatever captures the network"
                )


def _check_finite(losses: Tensor, progress: Progress) -> None:
    """Raise TrainingError naming the first step (counted from 1) of the epoch whose loss is NaN or Inf."""
    if torch.isfinite(losses).all():
        return
    bad = int(torch.isfinite(losses).logical_not().nonzero()[0])
    step = progress.step - len(losses) + bad + 1
    raise TrainingError(
        f"loss is {float(losses[bad])} at epoch {progress.epoch}, step {step}; "
        "lower [train] lr or start from a trained model"
    )


def in_memory_format(module: nn.Module, memory_format: torch.memory_format) -> nn.Module:
    """The same module, its four-axis tensors laid out anew."""
    module.to(memory_format=memory_format)  # type: ignore[call-overload]  # the stubs lack this form
    return module


def _frozen(teacher: nn.Module) -> nn.Module:
    teacher = in_memory_format(copy.deepcopy(teacher).eval(), torch.channels_last)
    for parameter in teacher.parameters():
        parameter.requires_grad_(False)
    return teacher

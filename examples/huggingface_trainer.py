"""The same with Hugging Face's Trainer: python examples/huggingface_trainer.py [RECIPE]   (extra: examples)"""

import sys

import torch.nn.functional as F
from digits_task import digits_task, report
from torch import nn
from transformers import Trainer, TrainerCallback, TrainingArguments

import kompakt as kp

EPOCHS, LAST = 10, 2


class WithLoss(nn.Module):  # the Trainer wants a module that knows its loss
    def __init__(self, job):
        super().__init__()
        self.job, self.network = job, job.module

    def forward(self, x, labels):
        self.again = lambda: F.cross_entropy(self.network(x), labels)
        self.loss = self.again()
        return {"loss": self.loss + self.job.penalty()}


class Steps(TrainerCallback):
    def on_epoch_begin(self, args, state, control, model, **_):
        if round(state.epoch) == EPOCHS - LAST:
            model.job.last_stage()

    def on_pre_optimizer_step(self, args, state, control, model, **_):
        ends = (state.global_step + 1) % (state.max_steps // EPOCHS) == 0
        model.job.before_step(model.loss, model.again, ends_epoch=ends)

    def on_optimizer_step(self, args, state, control, model, **_):
        model.job.step()


train, test, model = digits_task()
images, samples = train.tensors[0], [{"x": x, "labels": label} for x, label in train]
job = kp.prepare(model, *(sys.argv[1:] or ["w2a2-lq"]), images[:2], calibration=images[:256])
settings = TrainingArguments(
    output_dir="digits", num_train_epochs=EPOCHS, per_device_train_batch_size=64, learning_rate=2e-3,
    lr_scheduler_type="constant", max_grad_norm=0.0, use_cpu=True, save_strategy="no", report_to="none",
)  # fmt: skip
Trainer(WithLoss(job), settings, train_dataset=samples, callbacks=[Steps()]).train()
report(job.finish(), model, test)

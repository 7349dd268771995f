"""The same with Lightning's Trainer: python examples/lightning_trainer.py [RECIPE]   (extra: examples)"""

import sys

import lightning
import torch.nn.functional as F
from digits_task import digits_task, report
from torch.optim import Adam
from torch.utils.data import DataLoader

import kompakt as kp

EPOCHS, LAST = 10, 2


class Compression(lightning.LightningModule):
    def __init__(self, job):
        super().__init__()
        self.job, self.network = job, job.module.train()

    def training_step(self, batch):
        self.again = lambda: F.cross_entropy(self.network(batch[0]), batch[1])
        self.loss = self.again()
        return self.loss + self.job.penalty()

    def on_train_epoch_start(self):
        if self.current_epoch == EPOCHS - LAST:
            self.job.last_stage()

    def on_before_optimizer_step(self, optimizer):
        self.job.before_step(self.loss, self.again, ends_epoch=self.trainer.is_last_batch)

    def on_train_batch_end(self, *_):
        self.job.step()

    def configure_optimizers(self):
        return Adam(self.network.parameters(), lr=2e-3)


train, test, model = digits_task()
images, batches = train.tensors[0], DataLoader(train, batch_size=64, shuffle=True)
job = kp.prepare(model, *(sys.argv[1:] or ["w2a2-lq"]), images[:2], calibration=images[:256])
trainer = lightning.Trainer(max_epochs=EPOCHS, accelerator="cpu", logger=False, enable_checkpointing=False)
trainer.fit(Compression(job), batches)
report(job.finish(), model, test)

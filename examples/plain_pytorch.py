"""A training loop of your own, with any recipe: python examples/plain_pytorch.py [RECIPE]"""

import sys
from functools import partial

import torch
import torch.nn.functional as F
from digits_task import digits_task, report
from torch.utils.data import DataLoader

import kompakt as kp

EPOCHS, LAST = 10, 2


def loss_of(x, labels):
    return F.cross_entropy(job.module(x), labels)


train, test, model = digits_task()
images, batches = train.tensors[0], DataLoader(train, batch_size=64, shuffle=True)
job = kp.prepare(model, *(sys.argv[1:] or ["w2a2-lq"]), images[:2], calibration=images[:256])
optimizer = torch.optim.Adam(job.module.parameters(), lr=2e-3)
for epoch in range(EPOCHS):
    if epoch == EPOCHS - LAST:
        job.last_stage()  # from here on the integers that the file will hold
    job.module.train()
    for i, batch in enumerate(batches, 1):
        loss = loss_of(*batch)
        optimizer.zero_grad()
        (loss + job.penalty()).backward()
        job.before_step(loss, partial(loss_of, *batch), ends_epoch=i == len(batches))  # for adaqat and bmpq
        optimizer.step()
        job.step()  # keeps the quantizers' own parameters legal
report(job.finish(), model, test)

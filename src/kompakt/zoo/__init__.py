"""Stock architectures and the loader of pretrained weights."""

from .digits_net import DigitsNet as DigitsNet
from .pretrained import Pretrained as Pretrained
from .pretrained import load as load
from .resnet_cifar import ResNetCifar as ResNetCifar

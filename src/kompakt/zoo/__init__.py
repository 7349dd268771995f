"""Stock architectures, by name with random weights, and the loader of pretrained weights."""

from .block_diagonal import BlockDiagonal as BlockDiagonal
from .densenet import DenseNetCifar as DenseNetCifar
from .digits_net import DigitsNet as DigitsNet
from .fully_connected import FullyConnected as FullyConnected
from .inception import InceptionCifar as InceptionCifar
from .mobilenet_v2 import MobileNetV2 as MobileNetV2
from .nets import NETS as NETS
from .nets import Net as Net
from .nets import build as build
from .nets import noise as noise
from .pretrained import Pretrained as Pretrained
from .pretrained import load as load
from .recurrent import LstmClassifier as LstmClassifier
from .resnet import ResNet18 as ResNet18
from .resnet_cifar import ResNetCifar as ResNetCifar
from .vgg_small import VggSmall as VggSmall
from .vision_transformer import VisionTransformer as VisionTransformer

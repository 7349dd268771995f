"""Stock architectures, by name with random weights, and the loader of pretrained weights."""

from .block_diagonal import BlockDiagonal as BlockDiagonal
from .densenet import DenseNetCifar as DenseNetCifar
from .digits_net import DigitsNet as DigitsNet
from .fully_connected import FullyConnected as FullyConnected
from .inception import InceptionCifar as InceptionCifar
from .mnist_nets import LeNet5 as LeNet5
from .mnist_nets import PerceptronMnist as PerceptronMnist
from .mobilenet_v2 import MobileNetV2 as MobileNetV2
from .nets import NETS as NETS
from .nets import Net as Net
from .nets import build as build
from .nets import noise as noise
from .pretrained import Pretrained as Pretrained
from .pretrained import load as load
from .quantized import Quantized as Quantized
from .quantized import load_quantized as load_quantized
from .recurrent import CharacterLstm as CharacterLstm
from .recurrent import LstmClassifier as LstmClassifier
from .recurrent import WordModel as WordModel
from .resnet import ResNet18 as ResNet18
from .resnet8 import ResNet8 as ResNet8
from .resnet_cifar import ResNetCifar as ResNetCifar
from .resnet_cifar import Variant as Variant
from .squeezenet import SqueezeNet as SqueezeNet
from .vgg_small import VggSmall as VggSmall
from .vision_transformer import VisionTransformer as VisionTransformer

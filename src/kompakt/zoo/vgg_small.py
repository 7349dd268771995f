"""VGG-small: the six-convolution network on which papers on 1- and 2-bit networks report."""

from __future__ import annotations

from torch import Tensor, nn

WIDTHS = (128, 256, 512)


class VggSmall(nn.Module):
    """(N, 3, 32, 32) -> (N, classes) logits.

    Source: Zhang et al., "LQ-Nets", ECCV 2018, section 4.1: the network of Courbariaux et al. (2016) with one fully
    connected layer instead of three.
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, width in zip((3, *WIDTHS[:-1]), WIDTHS, strict=True):
            layers += [*_convolution(inputs, width), *_convolution(width, width), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(WIDTHS[-1] * 4 * 4, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x).flatten(1))
        return logits


def _convolution(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]

"""A sample of ImageNet: one image of each class, for calibration and relative comparison."""

from __future__ import annotations

import io
import zipfile

import numpy as np

from .._core.errors import DataError
from ._locate import locate
from .types import Dataset, Split

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CALIBRATION_EVERY = 5
SIDE = 256


def imagenet_sample() -> Dataset:
    """1,000 test images (3, 256, 256), uint8, in the order of the classes; every fifth one trains, too.

    They are no validation images, and calibration sees a fifth of them, without labels: accuracies on them compare
    networks with each other, not with published ones.

    Raises: DataError where the archive is not found or damaged, or Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise DataError("the images are JPEG files, which need Pillow: pip install 'kompakt[data]'") from error
    path = locate("data/imagenet-sample") / "images_256.zip"
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(archive.namelist())
            images = [np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in names]
        stacked = np.stack(images).transpose(0, 3, 1, 2)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: expected JPEG images of {SIDE}x{SIDE} in a zip file ({error})") from error
    test = Split(np.ascontiguousarray(stacked), np.arange(len(stacked), dtype=np.int64))
    train = Split(test.images[::CALIBRATION_EVERY], test.labels[::CALIBRATION_EVERY])
    return Dataset("imagenet-sample", train, test, MEAN, STD, scale=1 / 255)

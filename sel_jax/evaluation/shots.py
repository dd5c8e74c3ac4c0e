"""Pictures of a report: small, encoded, and as text of a page.

Contract: JPEGs at most 720 pixels wide; nothing is read or written.
"""

import base64
import dataclasses

import cv2
from jaxtyping import UInt8
import numpy as np

from sel_jax.arrays import Rgb8

_WIDTH = 720
_QUALITY = 88


@dataclasses.dataclass(frozen=True)
class Shot:
  """One image of an entry, encoded.

  Attributes:
    low: JPEG of the input.
    restored: JPEG of the result.
    clean: JPEG of the clean image, or None if there is none.
  """

  low: bytes
  restored: bytes
  clean: bytes | None

  @classmethod
  def create(cls, *, low: Rgb8, restored: Rgb8, clean: Rgb8 | None) -> 'Shot':
    """From [H, W, 3] uint8 images."""
    last = None if clean is None else jpeg(clean)
    return cls(jpeg(low), jpeg(restored), last)


def jpeg(image: Rgb8) -> bytes:
  """A small JPEG of [H, W, 3] uint8."""
  scale = min(1.0, _WIDTH / image.shape[1])
  size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
  small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
  quality = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
  return cv2.imencode('.jpg', small[:, :, ::-1], quality)[1].tobytes()


def uri(encoded: bytes) -> str:
  """A JPEG as the address of an image."""
  return 'data:image/jpeg;base64,' + base64.b64encode(encoded).decode()


def decoded(encoded: bytes) -> UInt8[np.ndarray, 'H W 3']:
  """A JPEG's pixels.

  Raises:
    ValueError: if it is none.
  """
  image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
  if image is None:
    raise ValueError('not a JPEG')
  return image[:, :, ::-1]

"""One tone for a photograph that was restored in tiles.

Contract: images are float32 [H, W, 3] on the host. What is matched is coarse
brightness and colour alone; detail stays the image's own.
"""

import cv2
from jaxtyping import Float
import numpy as np

from sel_jax.arrays import Rgb

# Below this dark a ratio of tones means nothing.
_FLOOR = 0.02
_STRONGEST = 4.0


def thumbnail(image: Rgb, side: int) -> Float[np.ndarray, 'h w 3']:
  """The image reduced so that its longer side is `side` pixels."""
  height, width = image.shape[:2]
  scale = side / max(height, width)
  size = (max(1, round(width * scale)), max(1, round(height * scale)))
  small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
  return small.reshape(size[1], size[0], 3)


def match_tone(
  image: Rgb, small: Float[np.ndarray, 'h w 3'], spread: float
) -> None:
  """Multiplies an image, in place, so that its coarse tones are another's.

    image *= blur(small) / blur(thumbnail of image)

  Args:
    image: [H, W, 3] in [0, 1].
    small: [h, w, 3], the tones wanted, reduced as by `thumbnail`.
    spread: standard deviation of the blur, pixels of `small`.
  """
  height, width = image.shape[:2]
  blur = lambda x: np.maximum(cv2.GaussianBlur(x, (0, 0), spread), _FLOOR)
  own = thumbnail(image, max(small.shape[:2]))
  ratio = (blur(small) / blur(own)).reshape(small.shape)
  ratio = np.clip(ratio, 1 / _STRONGEST, _STRONGEST)
  for channel in range(3):  # one at a time: a photograph may be large
    wide = np.ascontiguousarray(ratio[..., channel])
    image[..., channel] *= cv2.resize(
      wide, (width, height), interpolation=cv2.INTER_LINEAR
    )

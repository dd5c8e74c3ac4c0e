"""EXIF data as Pillow holds them.

Contract: directories beside the first one are read while the file is open.
"""

from PIL import ExifTags
from PIL import Image

# Directories of their own: the camera's settings, and the place.
PARTS = ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo


def loaded(found: Image.Exif) -> Image.Exif:
  """The same, with its directories, which would be lost with the file."""
  for part in PARTS:
    found.get_ifd(part)
  return found

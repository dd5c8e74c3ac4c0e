"""Brightens photographs with a trained model: no ground truth, any size.

python -m experiments.enhance photo.jpg folder/ --checkpoint=runs/lol \
      --output=enhanced
"""

import argparse
from pathlib import Path
import sys

from tqdm import tqdm

from experiments import command_line
from experiments.evaluate import add_sampler_flags
from experiments.evaluate import load
from sel_jax.data import images
from sel_jax.data import sources
from sel_jax.errors import InputError


def collect(inputs: list[str], output: Path) -> dict[Path, Path]:
  """Photograph -> where its result goes; file names are kept.

  Raises:
    InputError: for a missing path, a folder without photographs, or two
      results of one name.
  """
  photos: list[Path] = []
  for given in map(Path, inputs):
    if given.is_dir():
      found = sources.list_images(given)
      if not found:
        raise InputError(
          f'{given}: no image files in it ({", ".join(images.EXTENSIONS)})'
        )
      photos += found
    elif given.exists():
      photos.append(given)
    else:
      raise InputError(f'{given}: no such file or folder; check the path')
  plan: dict[Path, Path] = {}
  owner: dict[Path, Path] = {}
  for photo in photos:
    target = output / photo.name
    if target.resolve() == photo.resolve():
      raise InputError(
        f'{photo}: would be overwritten by its own result; choose another '
        '--output'
      )
    if owner.setdefault(target, photo).resolve() != photo.resolve():
      raise InputError(
        f'{photo} and {owner[target]} have one name; enhance them into '
        'different folders'
      )
    plan[photo] = target
  return plan


def main() -> int:
  """Entry point; returns the exit status."""
  parser = argparse.ArgumentParser(
    prog='experiments.enhance', description=__doc__.splitlines()[0]
  )
  parser.add_argument('inputs', nargs='+', metavar='PHOTO_OR_FOLDER')
  add_sampler_flags(parser)
  parser.add_argument('--output', default='enhanced', help='folder to write to')
  args = parser.parse_args()

  plan = collect(args.inputs, Path(args.output))
  enhancer = load(args)
  images.ensure_directory(args.output)
  failed = 0
  for photo, target in tqdm(plan.items(), unit='photo', dynamic_ncols=True):
    try:
      image = images.to_float(images.read_image(photo))
      images.write_image(target, enhancer(image))
    except InputError as error:
      failed += 1
      tqdm.write(f'error: {error}', file=sys.stderr)
  done = len(plan) - failed
  print(f'{done} photograph(s) written to {args.output}', end='')
  print(f', {failed} failed' if failed else '')
  return 2 if failed else 0


if __name__ == '__main__':
  command_line.run(main)

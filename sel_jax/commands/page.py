"""The page of `demo`: what it does, and what it looks like.

Contract: Gradio comes as an argument; `Studio` works without it.
"""

from collections.abc import Callable
import dataclasses
import functools
import logging
from pathlib import Path
import tempfile
from typing import Any

import numpy as np

from sel_jax import programs
from sel_jax.diffusion import SAMPLERS
from sel_jax.errors import InputError
from sel_jax.images import codec
from sel_jax.images import metadata
from sel_jax.inference import drawings
from sel_jax.inference import Enhancer
from sel_jax.inference.restorer import Progress

_log = logging.getLogger(__name__)

# Longest side of what the page shows; the download is whole.
_SHOWN = 1600
_WAITING = 8
# Stops brighter or darker that the page offers.
_STOPS = 2.0
# The most steps and the last seed that it takes.
_STEPS, _SEEDS = 100, 2**31 - 1
_TEXT = """# Brighten a dark photograph
Drop a photograph, press *Brighten*, move the slider. Nothing leaves this
machine. The download keeps size, depth, EXIF data and colour profile."""


def _shown(image: np.ndarray) -> np.ndarray:
  """uint8, reduced to what a page can show."""
  return drawings.reduced(codec.to_uint8(image), _SHOWN)


def _number(
  name: str, value: Any, least: float, most: float, *, whole: bool = False
) -> None:
  """Refuses what is none: a request need not come from the page's sliders."""
  kind = int if whole else int | float
  if (
    not isinstance(value, kind)
    or isinstance(value, bool)
    or not least <= value <= most
  ):
    kind_of = 'whole number' if whole else 'number'
    raise InputError(
      f'{name}: give a {kind_of} from {least:.12g} to {most:.12g}'
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Studio:
  """What the page does, without the page.

  Attributes:
    enhancer: the model.
    folder: where results go.
  """

  enhancer: Enhancer
  folder: Path

  @property
  def takes_exposure(self) -> bool:
    """Whether a person may ask for another brightness."""
    return self.enhancer.predictor is not None

  @property
  def most_steps(self) -> int:
    """The most steps that a person may ask for."""
    return min(self.enhancer.method.sde.steps, _STEPS)

  def _check(
    self, ev: Any, sampler: Any, steps: Any, strength: Any, seed: Any
  ) -> None:
    _number('Brightness', ev, -_STOPS, _STOPS)
    if sampler not in list(SAMPLERS):  # unhashable things too
      raise InputError(f'Sampler: give one of {", ".join(SAMPLERS)}')
    _number('Steps', steps, 1, self.most_steps, whole=True)
    _number('Strength', strength, 0, 1)
    _number('Seed', seed, 0, _SEEDS, whole=True)

  @functools.lru_cache(maxsize=2)  # noqa: B019 (lives as long as the page)
  def with_settings(self, sampler: str, steps: int) -> Enhancer:
    """The model with another sampler; kept, so that it compiles once."""
    grid = 'log_snr' if sampler.endswith('2m') else self.enhancer.spec.grid
    return self.enhancer.with_settings(sampler=sampler, steps=steps, grid=grid)

  def restore(
    self,
    path: str,
    ev: Any,
    sampler: Any,
    steps: Any,
    strength: Any,
    seed: Any,
    on_progress: Progress,
  ) -> tuple[np.ndarray, np.ndarray, str]:
    """Restores an uploaded file, `ev` stops brighter than is most plausible.

    The settings are what a request says, which may be anything.

    Returns:
      Before and after, as the page shows them, and the file to download.

    Raises:
      InputError: if it is no photograph or too large, or whatever goes wrong
        with it; names it without folder. For a setting out of its range.
    """
    self._check(ev, sampler, steps, strength, seed)
    source = Path(path)
    try:
      picture = metadata.read_picture(source)
      low = codec.to_float(picture.pixels)
      enhancer = self.with_settings(sampler, steps)
      result = enhancer(
        low, ev=ev, strength=strength, seed=seed, on_progress=on_progress
      )
      ending = codec.result_path(source).suffix.lower()
      ending = ending if ending in codec.WRITTEN else '.png'
      folder = Path(tempfile.mkdtemp(dir=self.folder))
      destination = folder / f'{source.stem[:80]}_enhanced{ending}'
      metadata.write_picture(destination, result, picture)
    except InputError as error:
      text = str(error).replace(str(source), source.name)
      raise InputError(text) from None
    except Exception as error:  # that of one photograph; the page goes on
      _log.exception('%s: could not be brightened', source.name)
      raise InputError(
        f'{source.name}: could not be brightened ({type(error).__name__}); '
        'the terminal that serves the page says more'
      ) from None
    return _shown(low), _shown(result), str(destination)


def _inputs(studio: Studio, gr: Any) -> list[Any]:
  """Photograph, stops, sampler, steps, strength and seed."""
  spec = studio.enhancer.spec
  return [
    gr.File(
      label='Photograph',
      file_types=list(codec.EXTENSIONS),
      elem_id='photo',
      height=160,
    ),
    gr.Slider(
      -_STOPS,
      _STOPS,
      value=0,
      step=0.1,
      label='Brightness',
      info='Stops of light; acts when it is let go.',
      elem_id='ev',
      visible=studio.takes_exposure,
    ),
    gr.Dropdown(list(SAMPLERS), value=spec.sampler, label='Sampler'),
    gr.Slider(
      1,
      studio.most_steps,
      value=min(spec.steps, studio.most_steps),
      step=1,
      label='Steps',
      info='More is slower.',
    ),
    gr.Slider(
      0, 1, value=1, step=0.05, label='Strength', info='0 changes nothing.'
    ),
    gr.Number(
      value=spec.seed,
      precision=0,
      minimum=0,
      label='Seed',
      info='Another one draws another result.',
    ),
  ]


def _told(progress: Any) -> tuple[Progress, Callable[[bool], None]]:
  """What a restoration calls, so that Gradio's progress says how far it is."""
  progress(0.0, desc='Brightening')
  done = 0.0

  def on_progress(share: float) -> None:
    nonlocal done
    done = min(done + share, 1.0)
    progress(done, desc='Brightening')

  def on_compile(is_on: bool) -> None:
    if is_on:
      progress(done, desc='Compiling, once for photographs of about this size')

  return on_progress, on_compile


def build_page(studio: Studio, gr: Any) -> Any:
  """The page as Gradio blocks.

  Args:
    studio: what the page does.
    gr: the module Gradio.
  """

  def handle(
    path: str | None,
    ev: float,
    sampler: str,
    steps: int,
    strength: float,
    seed: int,
    progress: Any = gr.Progress(),  # noqa: B008
  ) -> tuple[tuple[np.ndarray, np.ndarray], Any]:
    if not path:
      raise gr.Error('Drop a photograph first.', print_exception=False)
    on_progress, on_compile = _told(progress)
    try:
      with programs.announced(on_compile):
        before, after, file = studio.restore(
          path, ev, sampler, steps, strength, seed, on_progress
        )
    except InputError as error:
      raise gr.Error(str(error), print_exception=False) from None
    return (before, after), gr.DownloadButton(value=file, interactive=True)

  with gr.Blocks(title='sel_jax', delete_cache=(600, 3600)) as page:
    gr.Markdown(_TEXT)
    with gr.Row():
      with gr.Column(scale=1, min_width=280):
        inputs = _inputs(studio, gr)
        button = gr.Button('Brighten', variant='primary', elem_id='go')
        download = gr.DownloadButton(
          'Download', interactive=False, elem_id='download'
        )
      with gr.Column(scale=3):
        slider = gr.ImageSlider(
          label='Before | after',
          interactive=False,
          max_height=640,
          elem_id='slider',
          format='png',
        )
    gr.on(
      [button.click, inputs[1].release],
      handle,
      inputs,
      [slider, download],
      concurrency_limit=1,
      trigger_mode='always_last',
      api_visibility='private',
    )
  return page.queue(max_size=_WAITING, api_open=False)

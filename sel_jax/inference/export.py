"""A trained model as a file that other programs run without this package.

Contract: StableHLO holds the whole sampler, ONNX one call of the network;
weights are inside. Both are compared with the model before the file is kept.
"""

import dataclasses
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sel_jax import files
from sel_jax.errors import InputError
from sel_jax.inference import tone
from sel_jax.inference.denoising import denoiser
from sel_jax.inference.denoising import way_from
from sel_jax.inference.denoising import whole_sampler
from sel_jax.inference.enhancer import Enhancer
from sel_jax.inference.tiling import side_multiple
from sel_jax.models import ConditionalNAFNet
from sel_jax.models import unrolled_params

PLATFORMS = ('cpu', 'cuda', 'tpu')
_ENOUGH = 1e-4
# Asked for in what is compared.
_EXPOSURE = np.array([0.4], np.float32)


def _check_size(enhancer: Enhancer, size: tuple[int, int] | None) -> None:
  """Raises InputError for sides that the network cannot take."""
  multiple = side_multiple(enhancer.method.model)
  if size and any(side <= 0 or side % multiple for side in size):
    raise InputError(f'size {size}: give multiples of {multiple}')


def _portable(enhancer: Enhancer, **options):
  """The method with forms of its layers that every platform has."""
  model = enhancer.method.model
  if isinstance(model, ConditionalNAFNet):
    model = model.clone(depthwise='shift', **options)
  return dataclasses.replace(enhancer.method, model=model)


def _example(height: int, width: int) -> np.ndarray:
  """A picture to compare with, [1, H, W, 3]."""
  rng = np.random.default_rng(0)
  return rng.uniform(0, 0.3, (1, height, width, 3)).astype(np.float32)


def _compare(name: str, found, expected) -> float:
  difference = float(np.abs(np.asarray(found) - np.asarray(expected)).max())
  if not difference <= _ENOUGH:
    raise ArithmeticError(
      f'{name}: the exported model differs by {difference:.1e} from the '
      'original; nothing was written'
    )
  return difference


def _check_stablehlo(
  enhancer: Enhancer, *, size: tuple[int, int] | None = None
) -> None:
  """Raises InputError for what cannot be exported as StableHLO."""
  _check_size(enhancer, size)
  spec = enhancer.spec
  if enhancer.method.sde.by_noise and not spec.sigma:
    raise InputError(
      'a denoising model is exported for one noise; give --sigma, 8-bit units'
    )
  if size is None and (spec.pool or spec.dynamic):
    raise InputError(
      'eval.pool and eval.dynamic need fixed sizes in an export; give --size'
    )


def stablehlo(
  enhancer: Enhancer,
  path: str | os.PathLike,
  *,
  size: tuple[int, int] | None = None,
  platforms: tuple[str, ...] = PLATFORMS,
) -> float:
  """Writes the whole sampler as a serialized `jax.export` of StableHLO.

  `jax.export.deserialize(bytes).call(low, seed)` takes [B, H, W, 3] float32 in
  [0, 1], H and W multiples of `tiling.side_multiple`, and a uint32, and returns
  the restored images in [0, 1]. A model that takes the exposure has a third
  argument, [B] float32: the mean intensity asked for, NaN for none.

  Args:
    enhancer: the model with the sampler's settings in force.
    path: where the new file goes.
    size: height and width; left out, both and the batch are free.
    platforms: rows of `PLATFORMS`.

  Returns:
    The greatest difference from the model itself on an example.

  Raises:
    InputError: if the size does not fit, or a setting needs a fixed one.
    ArithmeticError: if the exported model differs.
  """
  _check_stablehlo(enhancer, size=size)
  multiple, spec = side_multiple(enhancer.method.model), enhancer.spec
  method = _portable(enhancer)
  run = whole_sampler(method, spec)
  way = way_from(method, spec, method.sde.first(spec.sigma / 255))

  def restore(low, seed, exposure=None):
    key = jax.random.key(seed)
    image = run(enhancer.params, key, low, way=way, exposure=exposure)
    told = () if exposure is None else (exposure,)
    finish = jax.vmap(lambda one, e=None: tone.finished(one, spec, e))
    return finish(jnp.clip(image, 0, 1), *told)

  shape = f'b, {multiple}*h, {multiple}*w, 3'
  dims = (1, *size, 3) if size else jax.export.symbolic_shape(shape)
  arguments = [
    jax.ShapeDtypeStruct(dims, jnp.float32),
    jax.ShapeDtypeStruct((), jnp.uint32),
  ]
  if enhancer.takes_exposure:
    arguments.append(jax.ShapeDtypeStruct(dims[:1], jnp.float32))
  export = jax.export.export(jax.jit(restore), platforms=platforms)
  content = export(*arguments).serialize()
  height, width = size or (2 * multiple, 3 * multiple)
  values = [_example(height, width), np.uint32(0)]
  if enhancer.takes_exposure:
    values.append(_EXPOSURE)
  again = jax.export.deserialize(content)
  found = jax.jit(again.call)(*values)
  difference = _compare(str(path), found, jax.jit(restore)(*values))
  with files.replacing(path) as part:
    part.write_bytes(content)
  return difference


def _converter() -> tuple[Any, Any]:
  """jax2onnx and onnxruntime."""
  try:
    import jax2onnx
    import onnxruntime
  except ImportError as error:
    raise InputError(
      f'ONNX needs {error.name}, which wants an environment of its own: make '
      'test-onnx, then .venv-onnx/bin/python -m experiments.export'
    ) from error
  return jax2onnx, onnxruntime


def _check_onnx(
  enhancer: Enhancer, *, size: tuple[int, int] = (256, 256)
) -> None:
  """Raises InputError for what cannot be exported as ONNX."""
  _check_size(enhancer, size)
  if not isinstance(enhancer.method.model, ConditionalNAFNet):
    raise InputError('ONNX: only nafnet can be exported so; use .stablehlo')
  _converter()


def onnx(
  enhancer: Enhancer,
  path: str | os.PathLike,
  *,
  size: tuple[int, int] = (256, 256),
) -> float:
  """Writes one call of the network, (x_t, mu, t) -> e_hat, as ONNX.

  Inputs 'x' and 'mu' are [1, H, W, 3] float32, 't' is [1] float32, and of a
  model that takes it 'exposure' is [1] float32, NaN for none.

  Args:
    enhancer: the model.
    path: where the new file goes.
    size: height and width, multiples of `tiling.side_multiple`.

  Returns:
    The greatest difference from the network itself, run by onnxruntime.

  Raises:
    InputError: without the converter, or for another network than NAFNet.
    ArithmeticError: if the exported network differs.
  """
  _check_onnx(enhancer, size=size)
  jax2onnx, onnxruntime = _converter()
  method = _portable(enhancer, scan=False)
  params = unrolled_params(enhancer.params)
  estimate = denoiser(method, enhancer.spec)

  def network(x, mu, t, exposure=None):
    return estimate(params, x, mu, t.astype(jnp.int32), exposure=exposure)

  inputs = {'x': (1, *size, 3), 'mu': (1, *size, 3), 't': (1,)}
  low = _example(*size)
  state = low + 0.1 * np.random.default_rng(1).normal(size=low.shape)
  values = [state.astype(np.float32), low, np.full(1, 7, np.float32)]
  if enhancer.takes_exposure:
    inputs['exposure'] = (1,)
    values.append(_EXPOSURE)
  with files.replacing(path) as part:
    jax2onnx.to_onnx(
      network,
      inputs=list(inputs.values()),
      return_mode='file',
      output_path=str(part),
      input_names=list(inputs),
    )
    session = onnxruntime.InferenceSession(
      str(part), providers=['CPUExecutionProvider']
    )
    names = [entry.name for entry in session.get_inputs()]
    found = session.run(None, dict(zip(names, values)))[0]
    return _compare(str(path), found, jax.jit(network)(*values))


FORMATS = {'.stablehlo': stablehlo, '.onnx': onnx}
_CHECKS = {'.stablehlo': _check_stablehlo, '.onnx': _check_onnx}


def _ending(path: str | os.PathLike) -> str:
  """The ending of a path, a row of `FORMATS`."""
  ending = Path(path).suffix
  if ending not in FORMATS:
    raise InputError(f'{path}: unknown format; end in {" or ".join(FORMATS)}')
  return ending


def check(enhancer: Enhancer, path: str | os.PathLike, **options: Any) -> None:
  """Refuses what `export` would refuse before it starts.

  Args:
    enhancer: the model.
    path: where the new file would go.
    **options: those that `export` would get.

  Raises:
    InputError: for an unknown ending, and as the formats say.
  """
  _CHECKS[_ending(path)](enhancer, **options)


def export(
  enhancer: Enhancer, path: str | os.PathLike, **options: Any
) -> float:
  """Writes the format that the ending of `path` names; see `FORMATS`.

  Raises:
    InputError: for an unknown ending, and as the formats say.
  """
  return FORMATS[_ending(path)](enhancer, path, **options)

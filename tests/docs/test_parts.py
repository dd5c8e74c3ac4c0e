"""The guides to parts of one's own: what they show works as it stands.

Each page is followed in a folder outside the repository, as its reader would,
and its checkpoint is carried elsewhere.
"""

import contextlib
import dataclasses
import json
import math
import os
import subprocess
import sys
from unittest import mock

from helpers.command_lines import blocks_of_page
from helpers.command_lines import commands_in
from helpers.commands import ENVIRONMENT
from helpers.commands import refused
from helpers.commands import ROOT
from helpers.examples import examples_of
from helpers.examples import run_example
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from sel_jax import models
from sel_jax.data.pairs import SOURCES
from sel_jax.diffusion import IRSDE
from sel_jax.diffusion import OBJECTIVES
from sel_jax.diffusion import SAMPLERS
from sel_jax.diffusion import SDESpec
from sel_jax.diffusion import time_grid
from sel_jax.entropy import DIVERGENCES
from sel_jax.entropy import KERNELS
from sel_jax.evaluation import measure
from sel_jax.evaluation import METRICS
from sel_jax.images import codec
from sel_jax.losses import LOSSES
from sel_jax.models import MODELS
from sel_jax.settings import Settings
from sel_jax.training.writers import LOGGERS
from sel_jax.training.writers import Writers

FOLDER = ROOT / 'docs' / 'guides' / 'parts'
INDEX = FOLDER / 'index.md'
# Page -> the table that its module adds a row to.
TABLES = {
  'network': MODELS,
  'objective': OBJECTIVES,
  'loss': LOSSES,
  'divergence': DIVERGENCES,
  'kernel': KERNELS,
  'sampler': SAMPLERS,
  'source': SOURCES,
  'metric': METRICS,
  'logger': LOGGERS,
}
# Page -> a figure that its run has in the log.
LOGGED = {'loss': 'log_l1', 'metric': 'val/mae'}
ALLOWED = '--imports=my_parts'
EVERY = pytest.mark.parametrize('name', TABLES)
# All of it: what the pages show is of no use to the package itself.
pytestmark = pytest.mark.fence


def _page(name):
  return FOLDER / f'{name}.md'


def _files(name):
  """File -> its text, of the Python blocks of a page."""
  examples = examples_of(_page(name))
  return {title.strip('`'): text + '\n' for title, text in examples.items()}


def test_every_page_is_listed_and_followed():
  pages = {path.stem for path in FOLDER.glob('*.md')} - {INDEX.stem}
  assert pages == set(TABLES)
  text = INDEX.read_text()
  assert all(f']({name}.md)' in text for name in pages)
  assert text.partition('{toctree}')[2].split()[1:-1] == [*TABLES]


@EVERY
def test_a_page_has_a_module_a_configuration_and_commands(name):
  languages = [block.language for block in blocks_of_page(_page(name))]
  assert languages == ['python', 'python', 'bash']
  files = _files(name)
  assert list(files) == ['my_parts.py', 'my_config.py']
  for text in files.values():
    assert text.startswith('"""')
  assert "config.imports = ('my_parts',)" in files['my_config.py']
  assert '## The contract' in _page(name).read_text()
  first, *others = [c.program for c in commands_in(_page(name))]
  assert first == 'experiments.train'
  assert 'experiments.enhance' in others


@pytest.fixture
def row():
  """Page -> the row that its module adds, and its name, for one test."""
  with contextlib.ExitStack() as stack:
    for table in TABLES.values():
      stack.enter_context(mock.patch.dict(table))

    def load(name):
      before = {page: set(table) for page, table in TABLES.items()}
      run_example(_files(name)['my_parts.py'])
      added = {n: set(t) - before[n] for n, t in TABLES.items()}
      assert [n for n, keys in added.items() if keys] == [name]
      (key,) = added[name]
      return key, TABLES[name][key]

    yield load


IMAGES = np.random.default_rng(0).uniform(-0.2, 1.2, (2, 2, 6, 7, 3))
PRED, TARGET = IMAGES.astype(np.float32)


def _is_sound(loss, *pairs):
  """Whether values and gradients are finite, [B]."""
  for pred, target in pairs:
    value, pull = jax.vjp(lambda x, y=target: loss(x, y), jnp.asarray(pred))
    (gradient,) = pull(jnp.ones_like(value))
    assert value.shape == (len(pred),)
    assert np.isfinite(value).all() and np.isfinite(gradient).all()


def test_the_network_takes_any_size_and_time(row):
  _, cls = row('network')
  network = cls(width=4, depth=1).clone(dtype=jnp.bfloat16)
  params = models.init_params(jax.random.key(0), network)
  leaves = jax.tree.leaves_with_path(params)
  assert {leaf.dtype for _, leaf in leaves} == {np.dtype('float32')}
  # What is not drawn is a bias.
  assert {p[-1].key for p, leaf in leaves if not np.any(leaf)} == {'bias'}
  run = jax.jit(network.apply)
  for t in (3, np.array([1, 100])):
    out = run({'params': params}, PRED, TARGET, t)
    assert out.shape == PRED.shape and out.dtype == jnp.float32
    assert np.isfinite(out).all()


def test_the_objective_is_least_at_the_noise(row):
  _, objective = row('objective')
  sde = IRSDE.create(SDESpec())
  mu, x_0 = np.clip(PRED, 0, 1), np.clip(TARGET, 0, 1)
  noise = np.random.default_rng(1).normal(size=x_0.shape).astype(np.float32)
  for t in (np.array([1, 2]), np.array([50, 100])):
    x_t = sde.perturb(x_0, mu, t, noise)

    def pair(noise_hat, t=t, x_t=x_t):
      return objective(sde, noise_hat, x_t, x_0, mu, t, noise)

    pred, target = pair(noise)
    assert pred.shape == target.shape == x_0.shape
    np.testing.assert_allclose(pred, target, atol=2e-4)
    assert np.min(target) >= 0 and np.max(target) <= 1
    _is_sound(lambda x, _, f=pair: jnp.sum(f(x)[0], (1, 2, 3)), (PRED, PRED))
    np.testing.assert_array_equal(pair(PRED)[1], target)


def test_the_loss_is_sound_and_zero_for_equal_images(row):
  _, loss = row('loss')
  dark = np.zeros_like(PRED)
  _is_sound(loss, (PRED, TARGET), (PRED, PRED), (dark, TARGET), (dark, dark))
  np.testing.assert_array_equal(loss(PRED, PRED), 0)
  alone = loss(PRED[:1], TARGET[:1])
  np.testing.assert_allclose(loss(PRED, TARGET)[:1], alone, rtol=1e-6)


def test_the_divergence_is_zero_for_equal_densities_alone(row):
  _, divergence = row('divergence')
  rng = np.random.default_rng(0)
  p, q = rng.dirichlet(np.full(16, 0.3), (2, 50)).astype(np.float32)
  empty, tiny = np.zeros_like(p), np.full_like(p, 1e-38)

  def distance(p, q, eps=0.0):
    return divergence.finish(jnp.sum(divergence.term(p, q, eps), axis=-1))

  for x in (p, empty, tiny):
    np.testing.assert_array_equal(distance(x, x), 0)
  values = distance(p, q)
  assert (values > 0).all() and (values <= 1).all()
  np.testing.assert_allclose(distance(q, p), values, rtol=1e-5)
  pairs = ((p, q), (p, p), (p, empty), (empty, p), (empty, empty), (tiny, p))
  _is_sound(distance, *pairs, (p, tiny), (tiny, tiny))
  merged = divergence.term(2 * p, 2 * q, 0.0)
  np.testing.assert_allclose(merged, 2 * divergence.term(p, q, 0.0), rtol=1e-5)


def test_the_kernel_integrates_to_one_and_its_cdf_is_the_integral(row, x64):
  _, kernel = row('kernel')

  # Its ends and 0, where it may have kinks, are ends of intervals.
  grid = jnp.linspace(-2 * kernel.support, 2 * kernel.support, 4001)
  density = np.asarray(kernel.density(grid))
  assert density.min() >= 0
  np.testing.assert_allclose(density, density[::-1], atol=1e-15)
  integral = scipy.integrate.cumulative_simpson(density, x=grid, initial=0)
  assert integral[-1] == pytest.approx(1, abs=1e-9)
  np.testing.assert_allclose(kernel.cdf(grid), integral, atol=1e-9)
  slope = jax.vmap(jax.grad(kernel.cdf))(grid)
  np.testing.assert_allclose(slope, density, atol=1e-12)
  far = jnp.asarray([-1e4, 1e4])
  np.testing.assert_array_equal(kernel.cdf(far), [0, 1])
  assert np.isfinite(jax.vmap(jax.grad(kernel.density))(far)).all()
  for accuracy in (1e-7, 1e-15):
    assert kernel.cdf(jnp.asarray(-kernel.tail(accuracy))) <= accuracy


def test_the_kernel_is_accurate_in_its_tail(row):
  _, kernel = row('kernel')
  v = np.linspace(-kernel.support, 0, 101)[1:].astype(np.float32)
  with jax.enable_x64(True):
    exact = kernel.cdf(jnp.asarray(v, jnp.float64))
  np.testing.assert_allclose(kernel.cdf(jnp.asarray(v)), exact, rtol=1e-5)


def test_the_sampler_keeps_the_marginal(row):
  _, sampler = row('sampler')
  sde = IRSDE.create(SDESpec())
  for steps in (1, 100):
    times = time_grid(sde.steps, steps)
    t, s = times[:-1], times[1:]
    c = sampler(sde, t, s)
    for field in dataclasses.fields(c):
      assert getattr(c, field.name).shape == (steps,), field.name
    signal = c.state * sde.signal[t] + c.clean
    np.testing.assert_allclose(signal, sde.signal[s], atol=1e-6)
    std = np.hypot(c.state * sde.marginal_std[t] + c.noise, c.random)
    np.testing.assert_allclose(std, sde.marginal_std[s], atol=1e-6)
    assert c.change[0] == 0
    assert c.clean[-1] == 1 and c.random[-1] == 0


def test_the_source_leaves_out_what_is_excluded(row, pairs):
  _, cls = row('source')
  folder = pairs / 'train' / 'high'
  source = cls(root=str(folder), exponent=2.0)
  assert source.place == str(folder)
  assert source.open('val', ()) is None
  found = source.open('train', ('1',))
  assert [pair.name for pair in found] == ['0', '2']
  assert len(found) == len(found.marks()) == len(set(found.marks())) == 2
  assert found.marks() != cls(root=str(folder)).open('train', ('1',)).marks()
  for pair in found:
    clean = codec.read_image(folder / f'{pair.name}.png')
    np.testing.assert_array_equal(pair.clean, clean)
    wanted = np.rint(255 * (clean / 255.0) ** 2)
    assert pair.low.dtype == np.uint8
    np.testing.assert_allclose(pair.low, wanted, atol=1)


def test_the_metric_is_measured(row):
  key, metric = row('metric')
  clean = np.full((8, 9, 3), 40, np.uint8)
  for step in (-7, 0, 12):
    restored = (clean + np.float32(step)).astype(np.uint8)
    found = measure(restored=restored, clean=clean, names=(key,))
    assert found == {key: abs(step), f'{key}_gt_mean': 0}
    assert format(found[key], metric.form) == f'{abs(step)}.00'
  assert not metric.higher


# What the page's module asks of Weights & Biases, a line of JSON per call.
WANDB = """
import json, pathlib

class Run:
  def __init__(self, file):
    self.file = pathlib.Path(file)

  def log(self, values, *, step):
    with self.file.open('a') as file:
      file.write(json.dumps([step, values]) + chr(10))

  def finish(self):
    self.log('finished', step=-1)

def init(*, project, id, resume, dir, config):
  assert project and id and resume == 'allow' and config['seed'] == 0
  return Run(pathlib.Path(dir) / 'wandb.jsonl')

def Image(image):
  return list(image.shape)
"""


def _heard(workdir):
  lines = (workdir / 'wandb.jsonl').read_text().splitlines()
  return [json.loads(line) for line in lines]


def test_the_logger_hears_figures_and_pictures(row, tmp_path, monkeypatch):
  (tmp_path / 'wandb.py').write_text(WANDB)
  monkeypatch.syspath_prepend(tmp_path)
  key, _ = row('logger')
  settings = Settings().changed({'train.loggers': (key,)})
  with Writers(settings, tmp_path, 0) as writers:
    writers.scalars(1, {'loss': 2.0})
    writers.image(1, 'val/strip', np.zeros((4, 12, 3), np.uint8))
  assert _heard(tmp_path) == [
    [1, {'loss': 2.0}],
    [1, {'val/strip': [4, 12, 3]}],
    [-1, 'finished'],
  ]


def _run(folder, program, words, *, path=ROOT):
  """A command in a process of its own, started in a folder."""
  environment = ENVIRONMENT | {
    'PYTHONPATH': str(path),
    'SEL_JAX_DATA': '',
    'SEL_JAX_IMPORTS': '',
  }
  return subprocess.run(
    [sys.executable, '-m', program, *words],
    cwd=folder,
    env=environment,
    capture_output=True,
    text=True,
  )


def _is_refused(done):
  # No checkpoint is asked for a metric.
  module = 'MODULE' if "'mae'" in done.stderr else 'my_parts'
  refused(done, f'--imports={module}')


@pytest.fixture
def places(pairs, tmp_path):
  """A folder of a reader with pairs and a photograph, and one elsewhere."""
  mine, elsewhere = tmp_path / 'mine', tmp_path / 'elsewhere'
  for folder in (mine, elsewhere):
    folder.mkdir()
    codec.write_image(folder / 'photo.jpg', np.full((40, 60, 3), 12, np.uint8))
  (mine / 'data').mkdir()
  (mine / 'data' / 'lol_v1').symlink_to(pairs)
  (mine / 'photographs').symlink_to(pairs / 'train' / 'high')
  (mine / 'wandb.py').write_text(WANDB)
  return mine, elsewhere


@EVERY
def test_a_page_is_followed_and_its_checkpoint_goes_as_far_as_it_says(
  name, places
):
  mine, elsewhere = places
  for file, text in _files(name).items():
    (mine / file).write_text(text)
  first, *others = commands_in(_page(name))
  done = _run(mine, first.program, first.arguments)
  assert done.returncode == 0, done.stderr
  assert 'does nothing' not in done.stderr
  workdir = mine / 'runs' / 'mine'
  log = list(map(json.loads, (workdir / 'log.jsonl').read_text().splitlines()))
  losses = [line['loss'] for line in log if 'loss' in line]
  assert len(losses) == 4 and all(map(math.isfinite, losses))
  if name == 'logger':
    assert [step for step, _ in _heard(workdir)][-1] == -1
    assert {step for step, _ in _heard(workdir)} >= {1, 2, 3, 4}
  if figure := LOGGED.get(name):
    assert any(math.isfinite(line.get(figure, math.nan)) for line in log)

  restored = []
  for command in others:
    program, words = command.program, command.arguments
    asks = ALLOWED in words
    less = [w.replace('=runs/', f'={workdir.parent}/') for w in words]
    if asks:
      # It could be found, but is not imported because a checkpoint names it.
      less.remove(ALLOWED)
      done = _run(elsewhere, program, less, path=f'{ROOT}{os.pathsep}{mine}')
      _is_refused(done)
    place = mine if asks else elsewhere
    done = _run(place, program, words if asks else less)
    assert done.returncode == 0, done.stderr
    if program == 'experiments.enhance':
      picture = place / 'enhanced' / 'photo.jpg'
      restored.append(codec.read_image(picture).shape)
      picture.unlink()
  assert set(restored) == {(40, 60, 3)}

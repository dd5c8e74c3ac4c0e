import jax
import numpy as np
import pytest

from sel_jax import models
from sel_jax import programs
from sel_jax.configs import sample
from sel_jax.data.pairs import open_pairs
from sel_jax.data.pairs import Pair
from sel_jax.errors import InputError
from sel_jax.evaluation import evaluator
from sel_jax.inference import Enhancer
from sel_jax.settings import Settings
from sel_jax.training.validation import Validation

SETTINGS = Settings.parse(sample.get_config()).changed(
  {
    'model.width': 4, 'model.enc': (1,), 'model.middle': 0, 'model.dec': (1,),
    'eval.steps': 1,
  }
)  # fmt: skip


@pytest.fixture(autouse=True)
def small(monkeypatch):
  """Two corners of the sample set's photographs."""
  whole = open_pairs(SETTINGS.data.pairs, 'val')
  pairs = [Pair(p.name, p.low[:40, :48], p.clean[:40, :48]) for p in whole]
  monkeypatch.setattr('sel_jax.build.validation_pairs', lambda _: pairs)
  return pairs


def _params(seed):
  model = SETTINGS.model.network
  return models.init_params(jax.random.key(seed), model)


def test_validation_measures_as_evaluation_does():
  validate, enhancer = Validation(SETTINGS), Enhancer.create(SETTINGS)
  found, compiled = [], []
  for seed in (0, 1):
    with programs.announced(compiled.append):
      metrics, picture = validate(_params(seed))
    same = enhancer.with_params(_params(seed))
    rows = evaluator.evaluate(same, validate._pairs, limit=1)
    assert metrics == {name: rows[0][name] for name in metrics}
    height, width, _ = validate._pairs[0].low.shape
    assert picture.shape == (height, 3 * width, 3)
    found.append(metrics)
  assert found[0]['psnr'] != found[1]['psnr']
  assert len(compiled) == 2  # it began and ended once


def test_processes_share_the_work_and_its_result(monkeypatch, small):
  dark = small[0].low
  pairs = [Pair(str(n), dark, dark + np.uint8(n)) for n in range(3)]
  monkeypatch.setattr('sel_jax.build.validation_pairs', lambda _: pairs)
  settings = SETTINGS.changed({'eval.images': 0})
  whole, _ = Validation(settings)(_params(0))
  found = []

  def gather(rows, counts):
    assert counts == [2, 1] and len(rows) == counts[len(found)]
    found.append(rows)
    return np.concatenate(found)

  monkeypatch.setattr('sel_jax.training.parallel.gather_rows', gather)
  for rank in (0, 1):
    shared, _ = Validation(settings, share=(rank, 2))(_params(0))
  assert shared == pytest.approx(whole)


@pytest.mark.parametrize(
  ('best', 'sign'), [('psnr', 1), ('delta_e', -1), ('delta_e_gt_mean', -1)]
)
def test_a_run_is_ranked_by_the_figure_that_it_names(best, sign):
  validate = Validation(SETTINGS.changed({'train.best': best}))
  metrics, _ = validate(_params(0))
  assert set(metrics) == {'psnr', 'ssim', 'psnr_gt_mean', best}
  assert validate.score(metrics) == sign * metrics[best]


def test_a_figure_that_is_none_is_named():
  settings = SETTINGS.changed({'train.best': 'beauty'})
  with pytest.raises(InputError, match="train.best='beauty': .*'psnr'"):
    Validation(settings)

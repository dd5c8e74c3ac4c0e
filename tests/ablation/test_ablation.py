import csv
import functools
import json
import math
import xml.etree.ElementTree as ElementTree

import jax
import numpy as np
import pytest

from sel_jax.ablation import report
from sel_jax.ablation import trials
from sel_jax.ablation.plan import Plan
from sel_jax.ablation.summary import Summary
from sel_jax.ablation.trials import every_trial
from sel_jax.ablation.trials import run as run_trials
from sel_jax.ablation.trials import summarize
from sel_jax.configs import ablations
from sel_jax.configs import lol
from sel_jax.errors import InputError
from sel_jax.evaluation import text_report
from sel_jax.inference import Enhancer


def _result(variant, seed, gain):
  rng = np.random.default_rng(0)  # one difficulty an image, whatever the seed
  noise = np.random.default_rng([seed, len(variant)])
  rows = [
    {'name': str(n), 'psnr': 20 + 4 * hard + gain + 0.1 * noise.normal()}
    for n, hard in enumerate(rng.normal(size=20))
  ]
  costs = {'steps': 400 + seed, 'seconds': 61.44 + seed}
  return {'variant': variant, 'seed': seed, **costs, 'images': rows}


RESULTS = [
  _result(name, seed, gain)
  for seed in range(3)
  for name, gain in (('base', 0.0), ('better', 0.5), ('same <b>', 0.0))
]


def test_a_paired_gain_is_seen_through_the_spread_of_images():
  base, better, same = summarize(RESULTS, 'psnr')
  assert base['seeds'] == 3 and base['gain'] == 0
  assert better['low'] < base['high']  # unpaired, nothing could be said
  assert 0.4 < better['gain_low'] < better['gain'] < better['gain_high'] < 0.6
  assert same['gain_low'] < 0.05 and same['gain_high'] > -0.05
  assert 0 < base['std'] < 0.1
  single = summarize(RESULTS[:3], 'psnr')[0]
  assert math.isnan(single['std'])


def test_a_gain_is_paired_by_seed_whatever_the_order():
  rows = summarize(RESULTS, 'psnr')
  base, shuffled = RESULTS[::3], RESULTS[1::3][::-1]
  assert summarize([*base, *shuffled], 'psnr')[1] == pytest.approx(rows[1])
  part = summarize([*base, RESULTS[7]], 'psnr')[1]  # the last seed alone
  differences = [
    mine['psnr'] - other['psnr']
    for mine, other in zip(
      RESULTS[7]['images'], RESULTS[6]['images'], strict=True
    )
  ]
  assert part['gain'] == pytest.approx(np.mean(differences))
  apart = summarize([RESULTS[0], RESULTS[7]], 'psnr')[1]
  assert math.isnan(apart['gain']) and math.isnan(apart['gain_low'])
  table = report.table([RESULTS[0], RESULTS[7]], ('psnr',))
  assert 'nan' not in table


def test_table_and_plot_show_every_variant():
  table = report.table(RESULTS, ('psnr',))
  means, gains, p = (part.splitlines() for part in table.split('\n\n'))
  assert (
    len(means) == 5
    and '| better | 3 | 20 | 401 | 62 | 19.78 ± 0.02' in means[3]
  )
  assert len(gains) == 4 and '| better | +0.5' in gains[2]
  better, same = (float(line.split('|')[2]) for line in p[2:])
  assert better < 0.001 and same > 0.05
  for part in means, gains, p:
    assert len({line.count('|') for line in part}) == 1
  plot = report.plot(RESULTS, 'psnr')
  root = ElementTree.fromstring(plot)
  circles = [e for e in root.iter() if e.tag.endswith('circle')]
  assert len(circles) == 3 * (1 + 3)
  assert 'same &lt;b&gt;' in plot


def test_other_programs_read_every_figure_and_a_table():
  lines = list(csv.reader(report.csv(RESULTS, ('psnr',)).splitlines()))
  assert lines[0] == ['variant', 'seed', 'image', 'psnr']
  assert len(lines) == 1 + 9 * 20
  assert float(lines[1][3]) == RESULTS[0]['images'][0]['psnr']
  latex = report.latex(RESULTS, ('psnr',))
  assert latex.startswith(r'\begin{tabular}{lr}')
  assert r'better & 19.78 $\pm$ 0.02 \\' in latex
  odd = [{**RESULTS[0], 'variant': 'a_b & 5 %'}]
  assert r'a\_b \& 5 \% &' in report.latex(odd, ('psnr',))


def test_a_table_of_one_run_has_no_spread_and_no_gain():
  table = report.table(RESULTS[:1], ('psnr',))
  assert '±' not in table and 'gain' not in table and 'nan' not in table
  went_on = {**RESULTS[0], 'seconds': None}
  table = report.table([went_on], ('psnr',))
  assert 'seconds' not in table and '| base | 1 | 20 | 400 | 1' in table
  table = report.table([went_on, RESULTS[1]], ('psnr',))
  assert '| base | 1 | 20 | 400 |  | 1' in table and '| 61 |' in table


def test_a_summary_tells_what_the_results_do(tmp_path):
  results = [{**result, 'config': {'seed': 0}} for result in RESULTS]
  results[0]['images'][0]['psnr'] = results[0]['seconds'] = None
  path = tmp_path / 'summary.json'
  Summary('python -m x', 'test', ('psnr',), results).write(path)
  found = Summary.read(path)
  assert (found.command, found.split) == ('python -m x', 'test')
  for given, read in zip(results, found.results, strict=True):
    assert 'config' not in read and given['images'][0].keys() == {
      'name',
      'psnr',
    }
    assert [r['name'] for r in given['images']] == [
      r['name'] for r in read['images']
    ]
  rows = [summarize(r, 'psnr')[1] for r in (results, found.results)]
  assert {k: v for k, v in rows[0].items() if k != 'variant'} == pytest.approx(
    {k: v for k, v in rows[1].items() if k != 'variant'}, abs=1e-5, nan_ok=True
  )
  path.write_text('{"trials": []}')
  with pytest.raises(InputError, match='not the summary of an ablation'):
    Summary.read(path)
  with pytest.raises(InputError, match='none.json: No such file'):
    Summary.read(tmp_path / 'none.json')


def test_a_preset_takes_another_base_and_some_of_its_variants():
  plain = ablations.get_config('bandwidth')
  small = ablations.get_config('bandwidth,small')
  assert small.variants == plain.variants and small.seeds == plain.seeds
  assert small.base == lol.get_config('small')
  small.only = ('bandwidth 0.5', 'L1')
  found = Plan.parse(small)
  assert {t.variant for t in found.trials} == {'bandwidth 0.5', 'L1'}
  small.only = ('bandwith 0.5',)
  with pytest.raises(InputError, match="did you mean 'bandwidth 0.5'"):
    Plan.parse(small)
  for name, near in (('bandwith', 'bandwidth'), ('detail,smal', 'small')):
    with pytest.raises(ValueError, match=f"did you mean '{near}'"):
      ablations.get_config(name)


@pytest.mark.fence
@pytest.mark.parametrize('preset', ablations._PRESETS)
def test_every_preset_resolves(preset):
  config = ablations.get_config(preset)
  variants = {name: dict(changes) for name, changes in config.variants}
  found = every_trial(config.base.to_dict(), variants, config.seeds)
  assert len(found) == len(variants) * len(config.seeds)
  texts = [json.dumps(t.settings.to_dict(), sort_keys=True) for t in found]
  assert len(set(texts)) == len(texts)  # no two are the same run
  assert {t.settings.seed for t in found} == set(config.seeds)


@pytest.mark.parametrize(
  ('variants', 'message'),
  [
    ({'a': {'loss.l7': 1.0}}, r"'a': config\.loss\.l7: unknown key.*'l\d'"),
    ({'a': {'l1': 1.0}}, "variant 'a': config.l1"),
    ({'a': {'los.l1': 1.0}}, r"'a': config\.los\.l1: .*did you mean 'loss'"),
    ({'a b': {}, 'a-b': {'loss.l1': 1.0}}, "'a b', .*'a-b', .*'a-b_seed0'"),
    ({'a': {'entropy.kernel': 'round'}}, r"'a': config\.entropy\.kernel='ro"),
    ({'a': {'seed': 1}}, "variant 'a': changes the seed"),
  ],
)
def test_variants_that_do_not_fit_are_named(variants, message):
  base = ablations.get_config('tiny').base.to_dict()
  with pytest.raises(InputError, match=message):
    every_trial(base, variants, (0,))


def test_calls_that_the_diffusion_has_not_are_named():
  base = ablations.get_config('tiny').base.to_dict()
  with pytest.raises(InputError, match=r"'a': config.eval.steps=11.*10 times"):
    every_trial(base, {'a': {}}, (0,), calls=(1, 11))
  (trial,) = every_trial(base, {'a': {}}, (0,), calls=(1, 4))
  assert trial.labels == {'a, 1 call': 1, 'a, 4 calls': 4}


def test_a_variant_that_chooses_a_row_finds_its_keys_in_the_base():
  base = ablations.get_config('tiny').base.to_dict()
  base['optim']['milestones'] = (2, 3)  # of another schedule than the base's
  (trial,) = every_trial(base, {'a': {'optim.schedule': 'multistep'}}, (0,))
  assert trial.settings.optim.course.milestones == (2, 3)


def test_results_of_before_are_those_of_the_same_settings(tmp_path):
  base = ablations.get_config('tiny').base
  todo = every_trial(base.to_dict(), {'a': {}}, (3,))
  stored = json.loads(base.to_json_best_effort()) | {'seed': 3}
  stored['sde']['kind'] = stored['sde'].pop('name', 'ir')  # of version 0.1
  results = tmp_path / 'results.json'

  def write(config):
    trial = {**_result('a', 3, 0.0), 'config': config}
    results.write_text(json.dumps({'split': 'test', 'trials': [trial]}))

  def done():
    found = run_trials(todo, tmp_path, split='test', names=('psnr',))
    return [result['variant'] for result in found]

  write(stored)
  assert done() == ['a']
  write(todo[0].settings.to_dict())
  assert done() == ['a']
  stored['optim']['lr'] = 0.5
  write(stored)
  with pytest.raises(InputError, match="'a', seed 3 was run with other set"):
    done()
  write({'another': 'configuration'})
  with pytest.raises(InputError, match='other settings'):
    done()


@pytest.mark.fence
def test_an_ablation_runs_once_and_refuses_to_mix(run, pairs, tmp_path):
  workdir = tmp_path / 'ablation'
  flags = (
    '--config=configs/ablations.py:tiny',
    f'--config.base.data.root={pairs}',
    '--config.base.model.middle=0',  # compiles sooner
    '--config.seeds=(0,)',
    f'--workdir={workdir}',
  )
  done = run('ablate', *flags)
  assert done.returncode == 0, done.stderr
  results = json.loads((workdir / 'results.json').read_text())
  assert results['split'] == 'test'
  first, second = results['trials']
  assert [first['variant'], second['variant']] == ['entropy', 'L1']
  assert len(first['images']) == 3
  measured = {'psnr', 'ssim', 'psnr_gt_mean'}
  assert first['images'][0].keys() == {'name', 'seconds', *measured}
  assert first['images'] != second['images']
  assert '| L1 | 1 |' in (workdir / 'table.md').read_text()
  summary = Summary.read(workdir / 'summary.json')
  assert summary.command == (
    'python -m experiments.ablate --config=configs/ablations.py:tiny '
    "--config.base.model.middle=0 '--config.seeds=(0,)'"
  )
  assert summary.metrics == ('psnr', 'ssim', 'psnr_gt_mean')
  kept = json.loads((workdir / 'results.json').read_text())['trials']
  assert [r['psnr'] for r in summary.results[1]['images']] == pytest.approx(
    [r['psnr'] for r in kept[1]['images']], abs=1e-5
  )
  assert (workdir / 'plot.svg').exists()
  logs = [workdir / f'{n}_seed0' / 'log.jsonl' for n in ('entropy', 'L1')]
  texts = [log.read_text() for log in logs]
  heads = [json.loads(text.splitlines()[0]) for text in texts]
  assert 'entropy' in heads[0] and 'l1' in heads[1]
  before = {p: p.stat().st_mtime_ns for p in workdir.rglob('*') if p.is_file()}
  done = run('ablate', *flags)
  assert done.returncode == 0 and '2/2: L1, 0' in done.stdout
  changed = [p.name for p, at in before.items() if p.stat().st_mtime_ns != at]
  assert set(changed) <= {
    'table.md', 'table.tex', 'results.csv', 'plot.svg', 'summary.json',
  }  # fmt: skip
  done = run('ablate', *flags, '--config.base.optim.lr=0.1')
  assert done.returncode == 2 and 'other settings' in done.stderr
  done = run('ablate', *flags, "--config.metrics=('beauty',)")
  assert done.returncode == 2 and "'beauty'" in done.stderr
  # The same runs at other numbers of calls: measured, not trained again.
  done = run('ablate', *flags, '--config.calls=(1, 2)')
  assert done.returncode == 0, done.stderr
  assert '4/4: L1, 2 calls, 0' in done.stdout
  kept = json.loads((workdir / 'results.json').read_text())['trials']
  by_name = {result['variant']: result['images'] for result in kept}
  assert by_name['L1, 2 calls'] != by_name['L1, 1 call']
  plain = lambda rows: [{**row, 'seconds': 0} for row in rows]
  assert plain(by_name['L1, 2 calls']) == plain(by_name['L1'])  # its own 2
  assert [log.read_text() for log in logs] == texts


def test_an_interval_covers_the_spread_of_seeds():
  figures = np.repeat([[20.0], [21.0], [22.0]], 50, axis=1)
  low, high = text_report.bootstrap(figures)
  assert low == pytest.approx(20, abs=0.1) and high == pytest.approx(
    22, abs=0.1
  )
  images = np.random.default_rng(0).normal(20, 1, 400)
  low, high = text_report.bootstrap(images)
  expected = 1.96 * images.std() / 20
  assert (high - low) / 2 == pytest.approx(expected, rel=0.05)
  same = text_report.bootstrap(np.stack([images] * 3))
  np.testing.assert_allclose(same, (low, high), atol=0.02)


@pytest.mark.fence
def test_every_run_starts_from_the_weights_that_are_named(trained, tmp_path):
  base = Enhancer.from_checkpoint(trained).settings.to_dict()
  changes = {'optim.lr': 1e-12, 'optim.final_lr': 1e-12, 'train.steps': 1}
  changes['init'] = str(trained)
  todo = every_trial(base, {'still': changes}, (0,))
  options = {'split': 'val', 'names': ('psnr',)}
  workdir = tmp_path / 'tuned'
  list(run_trials(todo, workdir, **options))
  start = Enhancer.from_checkpoint(trained).params
  tuned = Enhancer.from_checkpoint(workdir / todo[0].folder).params
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, atol=1e-6), tuned, start
  )
  drawn = every_trial(base, {'still': {**changes, 'init': ''}}, (0,))
  with pytest.raises(InputError, match='was run with other settings'):
    list(run_trials(drawn, workdir, **options))


def test_what_cannot_be_told_has_its_plain_figure_where_exposure_is_given():
  row = {'name': 'a', 'psnr': 20.0, 'psnr_gt_mean': 22.0}
  assert trials.figure(row, 'psnr_given') == 20.0
  assert trials.figure({**row, 'psnr_given': 23.0}, 'psnr_given') == 23.0
  assert trials.figure({**row, 'psnr': None}, 'psnr') is None
  results = [
    {'variant': name, 'seed': 0, 'images': [{**row, **more}]}
    for name, more in (('not told', {}), ('told', {'psnr_given': 23.0}))
  ]
  found = trials.summarize(results, 'psnr_given')
  assert [one['mean'] for one in found] == [20.0, 23.0]
  assert found[1]['gain'] == 3.0

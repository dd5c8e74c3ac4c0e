"""The progress bar of a run."""

import time

from sel_jax.configs import sample
from sel_jax.settings import Settings
from sel_jax.training.progress import Progress


def test_the_bar_says_that_it_compiles_and_does_not_count_it(tmp_path):
  settings = Settings.parse(sample.get_config()).changed(
    {'train.loggers': (), 'train.steps': 9}
  )
  with Progress(settings, tmp_path, 4) as progress:
    bar = progress._bar
    assert 'compiling' in str(bar) and bar.n == 4
    time.sleep(0.6)
    progress.update(5, {'loss': 1.0}, log=False)
    assert 'compiling' not in str(bar) and bar.n == 5
    progress.update(6, {'loss': 1.0}, log=False)
    assert bar.n == 6 and bar.format_dict['elapsed'] < 0.5


def test_a_run_that_has_nothing_to_do_does_not_compile(tmp_path):
  settings = Settings.parse(sample.get_config()).changed({'train.steps': 4})
  with Progress(settings, tmp_path, 4) as progress:
    assert 'compiling' not in str(progress._bar)

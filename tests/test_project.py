"""The project's own files agree with one another."""

from pathlib import Path
import re

import pytest
import yaml

import sel_jax

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / 'Makefile').read_text()
TARGETS = set(re.findall(r'^([a-z-]+):', MAKEFILE, re.MULTILINE))
WORKFLOWS = sorted(ROOT.glob('.github/workflows/*.yml'))


def _jobs(path):
  return yaml.safe_load(path.read_text())['jobs'].items()


@pytest.mark.parametrize('path', WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_starts_targets_of_the_makefile_and_nothing_else(path):
  started = []
  for name, job in _jobs(path):
    matrix = job.get('strategy', {}).get('matrix', {}).get('target', [''])
    for step in job['steps']:
      for target in matrix if 'run' in step else ():
        line = step['run'].replace('${{ matrix.target }}', target)
        word, *targets = line.split()
        assert word == 'make' and targets, f'{name}: {line}'
        assert set(targets) <= TARGETS, f'{name}: {line}'
        started += targets
  assert started


def test_the_workflows_run_every_supported_python():
  job = dict(_jobs(ROOT / '.github/workflows/tests.yml'))['test']
  metadata = (ROOT / 'pyproject.toml').read_text()
  named = re.findall(r'Python :: (3\.\d+)', metadata)
  assert job['strategy']['matrix']['python'] == named


def test_ci_and_pre_commit_start_targets():
  ci = (ROOT / '.ci' / 'run').read_text()
  assert re.findall(r'^make (\S+)$', ci, re.MULTILINE) == ['check', 'test']
  hooks = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())
  entries = [hook['entry'] for repo in hooks['repos'] for hook in repo['hooks']]
  assert entries
  for entry in entries:
    word, target = entry.split()
    assert word == 'make' and target in TARGETS


def test_every_target_says_what_it_is_for():
  """`make help` lists targets by the words behind ##."""
  told = set(re.findall(r'^([a-z-]+):.*##', MAKEFILE, re.MULTILINE))
  assert told == TARGETS
  phony = MAKEFILE.partition('.PHONY:')[2].partition('\n\n')[0]
  assert set(phony.replace('\\', ' ').split()) == TARGETS


def test_the_version_is_one():
  citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
  assert citation['version'] == sel_jax.__version__
  changes = (ROOT / 'CHANGELOG.md').read_text()
  date = citation['date-released']
  assert f'## {sel_jax.__version__} - {date}' in changes


def test_the_readme_is_a_front_door():
  lines = (ROOT / 'README.md').read_text().splitlines()
  assert len(lines) <= 100
  for target in re.findall(r'\]\(([^)]+)\)', '\n'.join(lines)):
    if not target.startswith('http'):
      assert (ROOT / target).exists(), target

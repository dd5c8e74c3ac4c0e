"""Pairs that a benchmark measures on, and the flags that name them."""

import argparse
from pathlib import Path

from benchmarks.lib import front
from sel_jax.commands.command_line import Parser
from sel_jax.data import folders
from sel_jax.data.pairs import open_pairs
from sel_jax.data.pairs import Pair
from sel_jax.data.pairs import PairsSpec
from sel_jax.evaluation import evaluator


def add(parser: Parser, *, split: str) -> None:
  """Flags --data, --split and --limit.

  Args:
    parser: the benchmark's.
    split: the one that is measured if none is named.
  """
  add = parser.add_argument
  add('--data', default='', help='folder of pairs; empty is the sample set')
  add('--split', choices=folders.SPLITS, default=split)
  add('--limit', type=front.number(0), default=0, help='images; 0 is all')


def spec(args: argparse.Namespace) -> PairsSpec:
  """Where the pairs of --data come from."""
  if args.data:
    return PairsSpec.create(root=str(Path(args.data).resolve()))
  return PairsSpec.create(source='sample')


def measured(args: argparse.Namespace) -> list[Pair]:
  """The pairs that --data, --split and --limit name, read."""
  every = open_pairs(spec(args), args.split)
  return [every[n] for n in evaluator.chosen(len(every), args.limit)]

"""The same run many times, one thing changed."""

from sel_jax.ablation.plan import Plan
from sel_jax.ablation.report import plot
from sel_jax.ablation.report import table
from sel_jax.ablation.summary import Summary
from sel_jax.ablation.trials import every_trial
from sel_jax.ablation.trials import run
from sel_jax.ablation.trials import summarize
from sel_jax.ablation.trials import Trial

# %% [markdown]
# # From a training log to a table
#
# A run of a minute on the built-in photographs, its log as curves, and its
# result measured. `configs/lol.py:small` on LOL-v1 works the same way.

# %%
import json
from pathlib import Path
import tempfile

from IPython.display import display
from IPython.display import Markdown
import matplotlib.pyplot as plt
import numpy as np

from sel_jax.configs import sample
from sel_jax.data.pairs import open_pairs
from sel_jax.data.pairs import PairsSpec
from sel_jax.evaluation import evaluator
from sel_jax.evaluation import text_report
from sel_jax.inference import Enhancer
from sel_jax.settings import Settings
from sel_jax.training import train

# %% [markdown]
# ## Train

# %%
config = sample.get_config()
config.train.update(steps=100, log_every=5, eval_every=100, save_every=100)
config.optim.warmup = 10
workdir = Path(tempfile.mkdtemp())
settings = Settings.parse(config)
train(settings, workdir)
print(f'{settings.train.steps} updates')

# %% [markdown]
# ## The log
#
# `log.jsonl` holds a line for every `log_every` steps: each term of the loss,
# the gradient's norm, the learning rate, and validation figures where they
# were due.

# %%
log = (workdir / 'log.jsonl').read_text()
lines = [json.loads(text) for text in log.splitlines()]
curves = {}
for line in lines:
  for key, value in line.items():
    if key != 'step' and value is not None:
      curves.setdefault(key, []).append((line['step'], value))
shown = [k for k in ('loss', 'l1', 'entropy', 'grad_norm') if k in curves]
figure, axes = plt.subplots(1, len(shown), figsize=(3.2 * len(shown), 2.8))
for axis, key in zip(axes, shown, strict=True):
  axis.plot(*np.array(curves[key]).T)
  axis.set_title(key)
  axis.set_xlabel('step')
figure.tight_layout()
plt.show()

# %% [markdown]
# ## The table
#
# The best checkpoint on the validation photograph, by two samplers.

# %%
pairs = open_pairs(PairsSpec.create(source='sample'), 'val')
rows = []
pictures = []
for sampler, steps in (('posterior', 5), ('dpm2m', 5)):
  enhancer = Enhancer.from_checkpoint(workdir, sampler=sampler, steps=steps)
  found = evaluator.evaluate(
    enhancer,
    pairs,
    on_image=lambda name, **images: pictures.append(images),
  )
  summary = text_report.summarize(found)
  rows.append(
    f'| {sampler}, {steps} steps | {summary["psnr"]["mean"]:.2f} | '
    f'{summary["ssim"]["mean"]:.4f} | {summary["psnr_gt_mean"]["mean"]:.2f} |'
  )
head = '| sampler | PSNR | SSIM | PSNR, GT-mean |\n| --- | --- | --- | --- |\n'
display(Markdown(head + '\n'.join(rows)))

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 3.4))
for axis, name in zip(axes, ('low', 'restored', 'clean'), strict=True):
  axis.imshow(pictures[0][name])
  axis.set_title(name)
  axis.axis('off')
plt.show()

"""How good the restored photographs are."""

from sel_jax.evaluation.evaluator import evaluate
from sel_jax.evaluation.evaluator import measure
from sel_jax.evaluation.metrics import match_gt_mean
from sel_jax.evaluation.metrics import METRICS
from sel_jax.evaluation.metrics import psnr
from sel_jax.evaluation.metrics import ssim

"""Losses of images: (pred, target) [B, H, W, C] -> [B]."""

from sel_jax.losses.perceptual import lpips
from sel_jax.losses.pixels import charbonnier
from sel_jax.losses.pixels import detail_l1
from sel_jax.losses.pixels import gt_mean
from sel_jax.losses.pixels import l1
from sel_jax.losses.pixels import l2
from sel_jax.losses.structure import ssim
from sel_jax.losses.weighted import Loss
from sel_jax.losses.weighted import weighted_sum

LOSSES: dict[str, Loss] = {
  'l1': l1,
  'l2': l2,
  'charbonnier': charbonnier,
  'ssim': ssim,
  'detail_l1': detail_l1,
  'gt_mean': gt_mean,
  'lpips': lpips,
}

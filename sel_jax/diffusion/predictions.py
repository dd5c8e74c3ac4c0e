"""What the network's output stands for, and the noise estimate it implies.

Contract: (sde, output, x_t, mu, t) -> e_hat, images [B, H, W, C]; everything
downstream sees e_hat alone. All three are one model of y = x - mu in other
coordinates; they differ in which error the network's own error becomes.
"""

from sel_jax.arrays import Same
from sel_jax.arrays import Times
from sel_jax.diffusion.sde import at_time
from sel_jax.diffusion.sde import IRSDE


def noise(sde: IRSDE, output: Same, x_t: Same, mu: Same, t: Times) -> Same:
  """The output is e_hat (IR-SDE); its error reaches x_0_hat times s_t / a_t."""
  del sde, x_t, mu, t
  return output


def clean(sde: IRSDE, output: Same, x_t: Same, mu: Same, t: Times) -> Same:
  """The output is x_0_hat - mu: no amplification at large t."""
  return sde.noise_from_clean(x_t, mu + output, mu, t)


def velocity(sde: IRSDE, output: Same, x_t: Same, mu: Same, t: Times) -> Same:
  """The output is v = a_t e - (s_t / lambda) (x_0 - mu) / lambda.

  Source: arXiv 2202.00512 appendix D, for the variance-preserving y / lambda;
  then e = (s_t / lambda) y_t / lambda + a_t v. Well scaled at every t.
  """
  decay = at_time(sde.decay, t, x_t)
  std = at_time(sde.marginal_std, t, x_t)
  return std * (x_t - mu) / sde.scale**2 + decay * output


PREDICTIONS = {'noise': noise, 'clean': clean, 'velocity': velocity}

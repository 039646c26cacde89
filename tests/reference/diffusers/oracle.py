"""diffusers' own SkyReels-V2 classes in double precision, with a record of what they draw and decide.

This file restates nothing of the model, the solver or the pipelines. The classes run as they are: this file
only gives them their inputs, widens their casts, and records.
"""
import contextlib
import sys

import numpy as np
import torch
from diffusers import AutoencoderKLWan, SkyReelsV2Transformer3DModel, UniPCMultistepScheduler


@contextlib.contextmanager
def widened(dtype):
    """Within this context, .float() leaves a double as it is, and new tensors have this dtype."""
    narrow = torch.Tensor.float
    torch.Tensor.float = lambda t: t if t.dtype == torch.float64 else narrow(t)
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.Tensor.float = narrow
        torch.set_default_dtype(torch.float32)


def transformer(folder, dtype):
    return SkyReelsV2Transformer3DModel.from_pretrained(folder, torch_dtype=dtype).to(dtype).eval()


def autoencoder():
    """A small random VAE with the real one's strides: it only has to turn pictures into some latents."""
    torch.manual_seed(7)
    return AutoencoderKLWan(base_dim=8, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1).eval()


class OfficialSigmas(UniPCMultistepScheduler):
    """diffusers' solver on the official u_i = 0.999 (1 - i/N), where diffusers has linspace(1, 0.001).

    diffusers itself shifts these values, truncates 1000 sigma to the timestep and rounds sigma to float32."""

    def set_timesteps(self, num_inference_steps=None, device=None, sigmas=None, mu=None):
        start = float(np.float32(1) - np.float32(0.001))
        super().set_timesteps(device=device, sigmas=np.linspace(start, 0, num_inference_steps + 1)[:-1])
        self.sigmas = self.sigmas.to(torch.get_default_dtype())


class WrittenThrough(OfficialSigmas):
    """Writes each result over the given sample, as the diffusion-forcing pipelines do.

    There a frame's scheduler gets a view of the latents, and assigning its first result changes the tensor
    that it kept as last_sample. A pipeline that only rebinds `latents` does not; this class makes it behave
    the same."""

    def step(self, model_output, timestep, sample, return_dict=True):
        return (sample.copy_(super().step(model_output, timestep, sample, return_dict=False)[0]),)


def scheduler(kind, shift):
    return kind(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift)


class Listener:
    """Draws the noise of a run in float32 from one generator, and records what the pipeline makes of it."""

    def __init__(self, pipeline, seed, guidance, dtype):
        self.noise, self.added, self.matrices, self.velocities = [], [], [], []
        self.given = self.first_latents = self.timesteps = None
        self.guidance, self.dtype = guidance, dtype
        self.generator = torch.Generator().manual_seed(seed)
        self.branches = []
        pipeline.transformer.register_forward_hook(self.heard_velocity)
        self.prepare = pipeline.prepare_latents
        pipeline.prepare_latents = self.prepare_latents
        if hasattr(pipeline, "generate_timestep_matrix"):
            self.generate = pipeline.generate_timestep_matrix
            pipeline.generate_timestep_matrix = self.generate_timestep_matrix

    def draw(self, shape):
        return torch.randn(shape, generator=self.generator, dtype=torch.float32)

    def randn_tensor(self, shape, **_):
        self.noise.append(self.draw(shape))
        self.added.append([])
        self.branches = []
        return self.noise[-1].to(self.dtype, copy=True)

    def randn_like(self, tensor, **_):
        self.added[-1].append(self.draw(tensor.shape))
        return self.added[-1][-1].to(tensor.dtype)

    def prepare_latents(self, *arguments, **named):
        """Rounds the VAE's latents to what the file can hold, so that both programs start from the same."""
        result = self.prepare(*arguments, **named)
        if len(self.noise) > 1 or result[-1] is None or len(result) == 4 and result[2] is None:
            return result
        at = 1 if len(result) == 2 else 2
        self.given = result[at].to(torch.float32)
        return result[:at] + (self.given.to(self.dtype),) + result[at + 1:]

    def generate_timestep_matrix(self, *arguments):
        matrix, index, mask, interval = self.generate(*arguments)
        self.matrices.append((matrix, mask, torch.tensor(interval)))
        return matrix, index, mask, interval

    def heard_velocity(self, _, __, output):
        """Records the guided velocity of a chunk's first iteration; pipelines call the conditional branch
        first."""
        if len(self.velocities) == len(self.noise):
            return
        self.branches.append(output[0][0])
        if self.guidance <= 1:
            self.velocities.append(self.branches[0])
        elif len(self.branches) == 2:
            conditional, unconditional = self.branches
            self.velocities.append(unconditional + self.guidance * (conditional - unconditional))

    def step_ended(self, _, __, ___, state):
        if self.first_latents is None:
            self.first_latents = state["latents"][0].clone()
        return state

    @contextlib.contextmanager
    def installed(self, pipeline):
        module = sys.modules[type(pipeline).__module__]
        kept = module.randn_tensor, torch.randn_like
        module.randn_tensor, torch.randn_like = self.randn_tensor, self.randn_like
        try:
            yield
        finally:
            module.randn_tensor, torch.randn_like = kept


def run(pipeline, seed, guidance, dtype, **arguments):
    """Runs the pipeline; returns its latents [C, F, h, w] and the listener that recorded the run."""
    listener = Listener(pipeline, seed, guidance, dtype)
    pipeline.set_progress_bar_config(disable=True)
    with torch.no_grad(), listener.installed(pipeline):
        latents = pipeline(guidance_scale=guidance, output_type="latent",
                           callback_on_step_end=listener.step_ended, **arguments).frames[0]
    listener.timesteps = pipeline.scheduler.timesteps.tolist()
    return latents, listener

#!/usr/bin/env python3
"""Prints the seconds of one forward of SkyReels-V2 DF 1.3B in diffusers, in bf16 on random weights, on a GPU.

The size is 480x832, 81 frames, which are 32,760 tokens, with a timestep for each frame. build/reel computes
this forward twice in an iteration of configs/benchmark-1.3b.yaml at that size. It uses PyTorch's
scaled_dot_product_attention; the result is the median of five after two that warm up. Prints the versions and
the seconds. Exits with 77, with the reason, if PyTorch, diffusers or a GPU is missing.
"""

import statistics
import sys
import time

try:
    import torch
    import diffusers
    from diffusers import SkyReelsV2Transformer3DModel
except (ImportError, RuntimeError) as error:  # diffusers wraps what its parts lack
    print(f"{type(error).__name__}: {str(error).splitlines()[0]}")
    sys.exit(77)

FRAMES, ROWS, COLUMNS = 21, 60, 104  # latents
BLOCKS = 30


def model_on(device):
    """The 1.3B transformer; torch's own initial weights keep its values finite."""
    with torch.device(device):
        transformer = SkyReelsV2Transformer3DModel(
            num_attention_heads=12,
            attention_head_dim=128,
            in_channels=16,
            out_channels=16,
            text_dim=4096,
            freq_dim=256,
            ffn_dim=8960,
            num_layers=BLOCKS,
            cross_attn_norm=True,
            qk_norm="rms_norm_across_heads",
            eps=1e-6,
            rope_max_seq_len=1024,
            inject_sample_info=True,
        )
    transformer = transformer.to(torch.bfloat16).eval()
    transformer.rope.float()
    return transformer


def inputs_on(device):
    half = {"device": device, "dtype": torch.bfloat16}
    return {
        "hidden_states": torch.randn(1, 16, FRAMES, ROWS, COLUMNS, **half),
        "timestep": torch.linspace(999, 1, FRAMES, device=device).round().long()[None],
        "encoder_hidden_states": torch.randn(1, 512, 4096, **half),
        "enable_diffusion_forcing": True,
        "fps": [1],
        "return_dict": False,
    }


def main():
    if not torch.cuda.is_available():
        print("PyTorch sees no GPU")
        return 77
    torch.manual_seed(0)
    transformer, inputs = model_on("cuda"), inputs_on("cuda")
    seconds = []
    with torch.inference_mode():
        for turn in range(7):
            torch.cuda.synchronize()
            began = time.perf_counter()
            velocity = transformer(**inputs)[0]
            torch.cuda.synchronize()
            if turn >= 2:
                seconds.append(time.perf_counter() - began)
    if not torch.isfinite(velocity).all():
        print("the velocity is not finite", file=sys.stderr)
        return 1
    versions = f"PyTorch {torch.__version__}, diffusers {diffusers.__version__}"
    print(f"{versions}, a forward: {statistics.median(seconds):.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

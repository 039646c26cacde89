#!/usr/bin/env python3
"""Compares diffusers and reel on the CPU: one forward, and a whole sampling loop with guidance.

    tests/bench/peer_cpu.py [forward] [sampling] [--compute fp32 bf16] [--layers 4] [--json FILE] [--tiny]
    tests/bench/peer_cpu.py --help

The script writes a random model of the 1.3B shape with fewer layers in diffusers' layout, in fp32; both
programs read it. Threads, weights, inputs and dtype are the same; in bf16, diffusers keeps in fp32 what it
always does. A forward in PyTorch and one in reel (forward_bench --on-demand, which sleeps meanwhile) take
turns after one of each that warms up; the results are medians. The two velocities have to agree. diffusers
embeds prompt and timesteps in every forward, reel once for a job, before the timed forwards. The sampling
loop includes everything but loading in both programs: for reel, the job's seconds minus the seconds of its
log's weights events. Its settings are those of tests/reference/diffusers. Exits with 77, with the reason, if
a package is missing.
"""

import argparse
import copy
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests/reference/diffusers"))
try:
    import diffusers
    import numpy
    import torch
    from diffusers import SkyReelsV2DiffusionForcingPipeline, SkyReelsV2Transformer3DModel
    from safetensors.torch import save_file

    import oracle
except (ImportError, RuntimeError) as error:  # diffusers wraps what its parts lack
    print(f"{type(error).__name__}: {str(error).splitlines()[0]}")
    sys.exit(77)
try:
    import h5py  # only to compare latents; the timings do not need it
except ImportError:
    h5py = None

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
BOUNDS = {"fp32": 1e-4, "bf16": 2e-2}
LARGE = {
    "num_attention_heads": 12,
    "attention_head_dim": 128,
    "ffn_dim": 8960,
    "text_dim": 4096,
    "freq_dim": 256,
}
TINY = {"num_attention_heads": 4, "attention_head_dim": 32, "ffn_dim": 352, "text_dim": 48, "freq_dim": 64}
TEXT_ROWS, SEED, SHIFT, GUIDANCE = 512, 42, 8.0, 6.0


def relative_error(found, expected):
    return float(
        numpy.linalg.norm(found.astype(float) - expected) / numpy.linalg.norm(expected.astype(float))
    )


def turns(most, seconds):
    """Counts to `most`, but ends before a turn as long as the last one would exceed this many seconds."""
    began = last = time.monotonic()
    for turn in range(most):
        now = time.monotonic()
        if turn > 0 and now - began + (now - last) > seconds:
            return
        last = now
        yield turn


class Work:
    """A model in a folder, its inputs, and the commands that start both programs."""

    def __init__(self, asked, folder):
        self.asked, self.folder = asked, pathlib.Path(folder)
        self.environment = {**os.environ, "OMP_NUM_THREADS": str(asked.threads), "GOMP_SPINCOUNT": "1000"}
        shape = TINY if asked.tiny else LARGE
        torch.manual_seed(SEED)
        self.transformer = SkyReelsV2Transformer3DModel(
            **shape, num_layers=asked.layers, in_channels=16, out_channels=16, inject_sample_info=True
        ).eval()
        self.transformer.save_pretrained(self.folder / "transformer")
        grid = (asked.frames, 2 * asked.height, 2 * asked.width)
        rows = torch.randn(2, TEXT_ROWS, shape["text_dim"])
        self.inputs = {
            "latent": torch.randn(16, *grid),
            "timesteps": torch.linspace(999, 1, asked.frames).long(),
            "prompt_embeds": rows[0].clone(),
            "negative_prompt_embeds": rows[1].clone(),
            "noise.0": torch.randn(1, 16, *grid, generator=torch.Generator().manual_seed(SEED))[0],
        }
        save_file(self.inputs, self.folder / "inputs.safetensors")

    def model(self, numbers):
        """The model as from_pretrained returns it; that function itself needs one more package."""
        model = copy.deepcopy(self.transformer)
        kept = set(model._keep_in_fp32_modules)
        for name, parameter in model.named_parameters():
            if not kept & set(name.split(".")):
                parameter.data = parameter.data.to(TYPES[numbers])
        return model


class Server:
    """A forward_bench process, which does a forward on demand."""

    def __init__(self, work, numbers):
        self.velocity = work.folder / f"velocity-{numbers}"
        command = [work.asked.build / "tests/forward_bench", work.folder, "--compute", numbers, "--on-demand"]
        command += ["--inputs", work.folder / "inputs.safetensors", "--velocity", self.velocity]
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=work.environment,
        )
        self.expect()

    def expect(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"forward_bench ended with {self.process.wait()}")
        return line.strip()

    def seconds(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.expect())

    def end(self):
        self.process.stdin.close()
        if self.process.wait() != 0:
            sys.exit(f"forward_bench ended with {self.process.returncode}")
        return numpy.fromfile(self.velocity, dtype=numpy.float32)


def torch_seconds(model, inputs):
    began = time.perf_counter()
    velocity = model(**inputs)[0]
    return time.perf_counter() - began, velocity


def compare_forward(work, numbers):
    model, dtype = work.model(numbers), TYPES[numbers]
    inputs = {
        "hidden_states": work.inputs["latent"][None].to(dtype),
        "timestep": work.inputs["timesteps"][None],
        "encoder_hidden_states": work.inputs["prompt_embeds"][None].to(dtype),
        "enable_diffusion_forcing": True,
        "fps": [1],
        "return_dict": False,
    }
    theirs, ours = [], []
    with torch.inference_mode():
        velocity = torch_seconds(model, inputs)[1]
        server = Server(work, numbers)
        for _ in turns(work.asked.rounds, work.asked.seconds):
            theirs.append(torch_seconds(model, inputs)[0])
            ours.append(server.seconds())
    error = relative_error(server.end(), velocity.float().numpy().ravel())
    return theirs, ours, error


def pixel_frames(latent):
    return 4 * (latent - 1) + 1


def job_of(work, numbers, name):
    asked = work.asked
    inputs, frames = str(work.folder / "inputs.safetensors"), pixel_frames(asked.frames)
    return {
        "model": {"path": str(work.folder), "compute": numbers},
        "video": {"width": 16 * asked.width, "height": 16 * asked.height, "frames": frames, "fps": 24},
        "prompt": {"embeds": inputs},
        "sampler": {"steps": asked.steps, "shift": SHIFT, "guidance_scale": GUIDANCE, "noise": inputs},
        "diffusion_forcing": {"base_frames": frames},
        "device": "cpu",
        "checkpoint": {"directory": "off"},
        "output": {"latents": f"{name}.h5", "log": f"{name}.jsonl"},
    }


def reel_job_seconds(work, numbers, name):
    """The seconds of the whole job without loading, and those of the iterations alone."""
    path = pathlib.Path(f"{name}.json")  # JSON is YAML
    path.write_text(json.dumps(job_of(work, numbers, name)))
    done = subprocess.run(
        [str(work.asked.build / "reel"), "run", str(path)],
        env=work.environment,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        sys.exit(done.stderr)
    events = [json.loads(line) for line in pathlib.Path(f"{name}.jsonl").read_text().splitlines()]
    of = {
        kind: sum(e["seconds"] for e in events if e["event"] == kind) for kind in ("done", "weights", "step")
    }
    return of["done"] - of["weights"], of["step"]


def pipeline_of(work, numbers):
    pipeline = SkyReelsV2DiffusionForcingPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=oracle.autoencoder(),
        transformer=work.model(numbers),
        scheduler=oracle.scheduler(oracle.OfficialSigmas, SHIFT),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def pipeline_seconds(work, pipeline, steps):
    asked = work.asked
    began = time.perf_counter()
    latents = pipeline(
        prompt=None,
        height=16 * asked.height,
        width=16 * asked.width,
        num_frames=pixel_frames(asked.frames),
        base_num_frames=pixel_frames(asked.frames),
        num_inference_steps=steps,
        guidance_scale=GUIDANCE,
        prompt_embeds=work.inputs["prompt_embeds"][None],
        negative_prompt_embeds=work.inputs["negative_prompt_embeds"][None],
        causal_block_size=1,
        fps=24,
        generator=torch.Generator().manual_seed(SEED),
        output_type="latent",
    ).frames[0]
    return time.perf_counter() - began, latents


def compare_sampling(work, numbers):
    pipeline, theirs, ours = pipeline_of(work, numbers), [], []
    pipeline_seconds(work, pipeline, 1)
    for turn in turns(work.asked.sampling_rounds, work.asked.seconds):
        name = work.folder / f"job-{numbers}-{turn}"
        seconds, latents = pipeline_seconds(work, pipeline, work.asked.steps)
        theirs.append(seconds)
        ours.append(reel_job_seconds(work, numbers, name)[0])
    if not h5py:
        return theirs, ours, None
    with h5py.File(f"{name}.h5") as file:
        return theirs, ours, relative_error(file["latents"][()], latents.float().numpy())


def compare(work, what, numbers):
    measure, bound = {
        "forward": (compare_forward, BOUNDS[numbers]),
        # guidance amplifies the rounding of a velocity, and steps add it up
        "sampling": (compare_sampling, BOUNDS[numbers] if numbers == "fp32" else 1e-1),
    }[what]
    theirs, ours, error = measure(work, numbers)
    diffusers_seconds, reel_seconds = statistics.median(theirs), statistics.median(ours)
    agrees = error is None or error < bound
    said = "latents not compared for want of h5py" if error is None else f"error {error:.1e}, bound {bound:g}"
    said += "" if agrees else ": they disagree"
    print(
        f"{what} {numbers}: diffusers {diffusers_seconds:.4f} s, reel {reel_seconds:.4f} s, "
        f"{diffusers_seconds / reel_seconds:.2f} times as fast, {len(ours)} rounds; {said}",
        flush=True,
    )
    return {
        "what": what,
        "numbers": numbers,
        "diffusers": diffusers_seconds,
        "reel": reel_seconds,
        "rounds": len(ours),
        "error": error,
        "bound": bound,
        "agrees": agrees,
    }


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", help="forward, sampling; both if none is named")
    parser.add_argument("--compute", nargs="+", default=["fp32", "bf16"], choices=TYPES)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--frames", type=int, default=9, help="of tokens, like height and width")
    parser.add_argument("--height", type=int, default=15)
    parser.add_argument("--width", type=int, default=26)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sampling-rounds", type=int, default=3)
    parser.add_argument(
        "--seconds", type=float, default=300, help="of each comparison: fewer rounds, at least one"
    )
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--build", type=pathlib.Path, default=SOURCE / "build")
    parser.add_argument("--json")
    parser.add_argument("--tiny", action="store_true", help="a small model: that it works")
    asked = parser.parse_args()
    if not set(asked.what) <= {"forward", "sampling"}:
        parser.error(f"expected forward or sampling, not {' '.join(asked.what)}")
    return asked


def main():
    asked = arguments()
    torch.set_num_threads(asked.threads)
    diffusers.logging.set_verbosity_error()
    versions = f"PyTorch {torch.__version__}, diffusers {diffusers.__version__}"
    tokens = asked.frames * asked.height * asked.width
    print(f"{versions}; {asked.layers} layers, {tokens} tokens, {asked.threads} threads", flush=True)
    with tempfile.TemporaryDirectory(prefix="reel-peer-") as folder:
        work = Work(asked, folder)
        rows = [
            compare(work, what, numbers)
            for what in asked.what or ("forward", "sampling")
            for numbers in asked.compute
        ]
    if asked.json:
        about = {"versions": versions, "layers": asked.layers, "tokens": tokens, "threads": asked.threads}
        about["steps"] = asked.steps
        pathlib.Path(asked.json).write_text(json.dumps({**about, "rows": rows}, indent=1))
    return 0 if all(row["agrees"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())

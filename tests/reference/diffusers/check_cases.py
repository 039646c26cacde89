"""Runs reel on every sampling case of this folder and prints how far its result is from diffusers'.

    python tests/reference/diffusers/check_cases.py [--reel build/reel] [--ranks 1] [CASE ...]
                                                                    (h5py, numpy, safetensors)

The script writes a job file for each case, runs it with `reel run`, and compares /latents, the timestep
matrices, update masks and intervals of the output. It exits with 1 when a case fails. The program cannot make
a single transformer call: a test that is linked with the runtime checks those cases.
"""
import argparse
import glob
import json
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np
from safetensors.numpy import load_file, safe_open

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(f"{HERE}/../../..")
BOUND = 1e-4


def pixel_frames(latent):
    return 4 * (latent - 1) + 1


def relative_error(found, expected):
    return np.linalg.norm(found.astype(float) - expected) / np.linalg.norm(expected.astype(float))


def job_of(case, folder, inputs, output):
    """The job file of a case; JSON is YAML."""
    h, w = case["latent_hw"]
    forcing = {"base_frames": pixel_frames(case.get("base_latent_frames", case["latent_frames"]))}
    for key in ("ar_step", "causal_block_size", "causal_attention", "addnoise_condition"):
        if key in case:
            forcing[key] = case[key]
    if "overlap_latent_frames" in case:
        forcing["overlap_frames"] = pixel_frames(case["overlap_latent_frames"])
    if "prefix_latent_frames" in case:
        forcing["prefix_latents"] = inputs
    if "end_latent_frames" in case:
        forcing["end_latents"] = inputs
    return {"model": {"path": f"{HERE}/../{folder}/diffusers", "compute": "fp32"},
            "video": {"width": 8 * w, "height": 8 * h, "frames": pixel_frames(case["latent_frames"]),
                      "fps": case["fps"]},
            "prompt": {"embeds": inputs},
            "sampler": {"steps": case["steps"], "shift": case["shift"],
                        "guidance_scale": case["guidance_scale"], "noise": inputs},
            "diffusion_forcing": forcing,
            "checkpoint": {"directory": "off"},
            "output": {"latents": output}}


def run(reel, ranks, job, path):
    with open(path, "w") as file:
        json.dump(job, file)
    start = [f"{ROOT}/launch/reel-mpirun", "-n", str(ranks)] if ranks > 1 else []
    done = subprocess.run([*start, reel, "run", path], capture_output=True, text=True)
    return "" if done.returncode == 0 else f"exit {done.returncode}: {done.stderr.strip()}"


def wrong_tables(output, expected):
    """The names of the timestep matrices, masks and intervals that differ."""
    wrong = []
    for name, value in expected.items():
        kind, chunk = name.split(".")[1:3] if name.count(".") == 2 else ("", "")
        if kind in ("timestep_matrix", "update_mask", "interval"):
            if not np.array_equal(output[f"chunks/{chunk}/{kind}"][()], value):
                wrong.append(f"{kind}.{chunk}")
    return wrong


def check(path, reel, ranks, scratch):
    folder, name = os.path.basename(os.path.dirname(path)), os.path.basename(path).split(".")[0]
    case = {key: json.loads(value) for key, value in safe_open(path, "np").metadata().items()}
    inputs, output = path.replace(".expected.", ".inputs."), f"{scratch}/{folder}-{name}.h5"
    failure = run(reel, ranks, job_of(case, folder, inputs, output), f"{scratch}/{folder}-{name}.yaml")
    if failure:
        print(f"{folder + '/' + name:32} {failure}")
        return False
    expected = load_file(path)
    with h5py.File(output) as file:
        latents, wrong = file["latents"][()], wrong_tables(file, expected)
    error = relative_error(latents, expected["expected.latents"])
    good = error < BOUND and not wrong
    print(f"{folder + '/' + name:32} {error:9.1e} {case['float32_error']:9.1e}   "
          f"{', '.join(wrong) if wrong else 'exact'}{'' if good else '   FAILED'}")
    if name == "sync":
        other = load_file(f"{HERE}/{folder}/untouched-scheduler.safetensors")["latents"]
        error = relative_error(latents, other)
        verdict = "refused, as it must be" if error > BOUND else "FAILED: not refused"
        print(f"{'  from the untouched scheduler':32} {error:9.1e} {'':9}   {verdict}")
        good = good and error > BOUND
    return good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--reel", default=f"{ROOT}/build/reel")
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("cases", nargs="*")
    asked = parser.parse_args()
    paths = sorted(glob.glob(f"{HERE}/*/*.expected.safetensors"))
    paths = [p for p in paths if not asked.cases or os.path.basename(p).split(".")[0] in asked.cases]
    print(f"{'case':32} {'reel':>9} {'float32':>9}   tables      (relative L2 from diffusers in float64;\n"
          f"{'':55} float32: diffusers itself in single precision)")
    with tempfile.TemporaryDirectory() as scratch:
        good = [check(path, asked.reel, asked.ranks, scratch) for path in paths]
    print(f"{sum(good)} of {len(good)} cases within {BOUND:g}")
    return 0 if good and all(good) else 1


if __name__ == "__main__":
    sys.exit(main())

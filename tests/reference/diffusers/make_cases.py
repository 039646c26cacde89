"""Makes the reference cases of diffusers: transformer calls and whole sampling runs.

    python tests/reference/diffusers/make_cases.py          (torch, diffusers, safetensors, numpy)

Writes tiny-df/ and tiny-i2v/ beside this file, in the format of tests/reference/README.md. README.md here
says which settings make both programs do the same job. The cases are computed in double precision and stored
as float32.
"""
import json
import os
import sys

import diffusers
import torch
from diffusers import (SkyReelsV2DiffusionForcingImageToVideoPipeline, SkyReelsV2DiffusionForcingPipeline,
                       SkyReelsV2DiffusionForcingVideoToVideoPipeline, SkyReelsV2ImageToVideoPipeline,
                       UniPCMultistepScheduler)
from safetensors.torch import load_file, safe_open, save

import oracle

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = os.path.dirname(HERE)
NEUTRAL = {"ar_step": 0, "causal_block_size": 1, "causal_attention": False, "addnoise_condition": 0}
NOT_THE_JOB = ("kind", "folder", "overlap", "image", "last_image", "video")  # arguments of diffusers
SCHEDULE = "u_i = 0.999 (1 - i/N), shifted, float32; timesteps trunc(1000 sigma): not diffusers' own sigmas"


def pixel_frames(latent):
    return 4 * (latent - 1) + 1


def relative_error(found, expected):
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def store(path, tensors, metadata):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    narrow = {k: (t.float() if t.dtype == torch.float64 else t).contiguous() for k, t in tensors.items()}
    made = {"command": "python tests/reference/diffusers/make_cases.py",
            "versions": {"diffusers": diffusers.__version__, "torch": str(torch.__version__)}}
    blob = save(narrow, {k: json.dumps(v) for k, v in {**metadata, **made}.items()})
    size = int.from_bytes(blob[:8], "little")
    header = json.loads(blob[8:8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))  # the library's order is random
    text = json.dumps(header, separators=(",", ":")).encode().ljust(size)
    assert len(text) == size
    with open(path, "wb") as file:
        file.write(blob[:8] + text + blob[8 + size:])


def normal(generator, *shape):
    return torch.randn(shape, generator=generator, dtype=torch.float32)


# --- transformer calls ---


def call(model, latent, timesteps, prompt, fps):
    """latent [C, F, h, w] with a timestep for every frame."""
    dtype = model.dtype
    return model(latent[None].to(dtype), timesteps[None], prompt[None].to(dtype),
                 enable_diffusion_forcing=True, fps=[0 if fps == 16 else 1], return_dict=False)[0][0]


def forward(name, seed, shape, timesteps, fps, block=1):
    g = torch.Generator().manual_seed(seed)
    latent, prompt = normal(g, 16, *shape), normal(g, 20, 48)
    timesteps = torch.tensor(timesteps)
    out = {}
    for dtype in (torch.float64, torch.float32):
        with torch.no_grad(), oracle.widened(dtype):
            model = oracle.transformer(f"{MODELS}/tiny-df/diffusers", dtype)
            model._set_ar_attention(block)
            out[dtype] = call(model, latent, timesteps, prompt, fps)
    error = relative_error(out[torch.float32], out[torch.float64])
    metadata = {"name": name, "seed": seed, "latent": shape, "timesteps": timesteps.tolist(), "fps": fps,
                "class": "SkyReelsV2Transformer3DModel", "float32_error": error}
    if block > 1:
        metadata["causal_block_size"] = block
    store(f"{HERE}/tiny-df/{name}.safetensors",
          {"latent": latent, "timesteps": timesteps, "prompt_embeds": prompt,
           "expected.output": out[torch.float64]}, metadata)
    print(f"{name:28} diffusers in float32 {error:.1e}")


def official_forward(name):
    """Compares diffusers with the stored output of the official implementation, on the same inputs."""
    path = f"{MODELS}/tiny-df/{name}.safetensors"
    case = load_file(path)
    metadata = safe_open(path, "pt").metadata()
    with torch.no_grad(), oracle.widened(torch.float64):
        model = oracle.transformer(f"{MODELS}/tiny-df/diffusers", torch.float64)
        model._set_ar_attention(json.loads(metadata.get("causal_block_size", "1")))
        out = call(model, case["latent"], case["timesteps"], case["prompt_embeds"],
                   json.loads(metadata["fps"]))
    print(f"{name:28} diffusers from official {relative_error(out, case['expected.output']):.1e}")


# --- sampling runs ---


def pictures(generator, frames, h, w):
    """Pixels [1, 3, frames, 8h, 8w] in 0..1."""
    return torch.rand((1, 3, frames, 8 * h, 8 * w), generator=generator)


def padded(prompt):
    """Pads with zero rows to the 512 rows of the i2v model, as the text encoder's wrapper does."""
    return torch.nn.functional.pad(prompt, (0, 0, 0, 512 - prompt.shape[1]))


def pipeline_of(kind, folder, solver, shift, dtype):
    parts = {"tokenizer": None, "text_encoder": None, "vae": oracle.autoencoder(),
             "scheduler": oracle.scheduler(solver, shift)}
    with oracle.widened(dtype):
        parts["transformer"] = oracle.transformer(f"{MODELS}/{folder}/diffusers", dtype)
        if kind is SkyReelsV2ImageToVideoPipeline:
            parts.update(image_encoder=None, image_processor=None)
        return kind(**parts)


def arguments_of(case, seed):
    """The arguments of the pipeline, the same in both precisions."""
    g = torch.Generator().manual_seed(seed)
    h, w = case["latent_hw"]
    width = 32 if case["folder"] == "tiny-i2v" else 48
    given = {"prompt": None, "height": 8 * h, "width": 8 * w,
             "num_frames": pixel_frames(case["latent_frames"]), "num_inference_steps": case["steps"],
             "prompt_embeds": normal(g, 1, 20, width)}
    if case["guidance_scale"] > 1:
        given["negative_prompt_embeds"] = normal(g, 1, 20, width)
    if case["folder"] == "tiny-df":
        base = case.get("base_latent_frames", case["latent_frames"])
        given.update(base_num_frames=pixel_frames(base), ar_step=case["ar_step"], fps=case["fps"],
                     causal_block_size=case["causal_block_size"],
                     addnoise_condition=case["addnoise_condition"])
    if "overlap" in case:
        given["overlap_history"] = pixel_frames(case["overlap"])
    if case.get("image"):
        given["image"] = pictures(g, 1, h, w)[:, :, 0]
    if case.get("last_image"):
        given["last_image"] = pictures(g, 1, h, w)[:, :, 0]
    if case.get("video"):
        given["video"] = pictures(g, case["video"], h, w)
    clip = normal(g, 1, 257, 1280) if case["folder"] == "tiny-i2v" else None
    return given, clip


def sample(case, seed, dtype, solver=None):
    given, clip = arguments_of(case, seed)
    solver = solver or (oracle.OfficialSigmas if clip is None else oracle.WrittenThrough)
    pipeline = pipeline_of(case["kind"], case["folder"], solver, case["shift"], dtype)
    if not case["causal_attention"]:
        pipeline.transformer._set_ar_attention = lambda _: None
    if clip is not None:
        pipeline.encode_image = lambda *_: clip
        pipeline.encode_prompt = lambda prompt_embeds, negative_prompt_embeds, **_: (
            padded(prompt_embeds), padded(negative_prompt_embeds))
    if case.get("video"):
        pipeline.video_processor.preprocess_video = lambda video, **_: 2 * video - 1
    with oracle.widened(dtype):
        latents, heard = oracle.run(pipeline, seed + 1000, case["guidance_scale"], dtype, **given)
    return latents, heard, given, clip


def iterations_of(heard, case, k):
    """The timestep matrix, update mask and interval of a chunk. A pipeline without chunks gives its list of
    timesteps: the matrix then has the same timestep for all frames."""
    if heard.matrices:
        matrix, mask, interval = heard.matrices[k]
    else:
        times = torch.tensor(heard.timesteps)
        matrix = times[:, None].expand(-1, case["latent_frames"])
        mask = torch.ones_like(matrix)
        interval = torch.tensor([[0, case["latent_frames"]]]).expand(len(times), -1)
    return {f"expected.timestep_matrix.{k}": matrix, f"expected.update_mask.{k}": mask.to(torch.uint8),
            f"expected.interval.{k}": interval}


def inputs_of(heard, given, clip, prefix):
    inputs = {name: given[name][0] for name in ("prompt_embeds", "negative_prompt_embeds") if name in given}
    for k, noise in enumerate(heard.noise):
        inputs[f"noise.{k}"] = noise[0]
        if heard.added[k]:
            inputs[f"addnoise.{k}"] = torch.cat(heard.added[k])
    if clip is not None:
        inputs.update({"clip_fea": clip[0], "y.0": heard.given[0]})
    elif heard.given is not None:
        inputs["prefix_latents"] = heard.given[0]
        if len(heard.given) == 2:
            inputs["end_latents"] = heard.given[1]
    assert not prefix or inputs["prefix_latents"].shape[1] == prefix
    return inputs


def whole_run(name, seed, kind, **case):
    case = {**NEUTRAL, "folder": "tiny-df", "fps": 24, "guidance_scale": 6.0, "steps": 6, "shift": 8.0,
            "latent_hw": [4, 6], **case, "kind": kind}
    latents, heard, given, clip = sample(case, seed, torch.float64)
    error = relative_error(sample(case, seed, torch.float32)[0], latents)
    prefix = 1 if case.get("image") and clip is None else case["overlap"] if case.get("video") else 0
    metadata = {key: value for key, value in case.items()
                if key not in NOT_THE_JOB and value != NEUTRAL.get(key)}
    if "overlap" in case and case.get("base_latent_frames"):
        metadata["overlap_latent_frames"] = case["overlap"]
    if prefix:
        metadata["prefix_latent_frames"] = prefix
    if case.get("last_image"):
        metadata["end_latent_frames"] = 1
        latents = latents[:, :case["latent_frames"]]
    expected = {"expected.latents": latents, "expected.latents.0.0": heard.first_latents}
    for k in range(len(heard.noise)):
        expected.update(iterations_of(heard, case, k))
        expected[f"expected.velocity.{k}.0"] = heard.velocities[k]
    assert latents.shape[1] == case["latent_frames"]
    path = f"{HERE}/{case['folder']}/{name}"
    inputs = inputs_of(heard, given, clip, prefix)
    metadata = {"name": name, "seed": seed, **metadata, "class": kind.__name__, "schedule": SCHEDULE,
                "float32_error": error}
    if clip is not None:
        first_call(inputs, heard)
    store(path + ".inputs.safetensors", inputs, {"fps": case["fps"]})
    store(path + ".expected.safetensors", expected, metadata)
    print(f"{name:28} diffusers in float32 {error:.1e}")
    return {**case, "name": name}, latents


def first_call(inputs, heard):
    """Adds the run's first transformer call as a case of its own, in the same file, because clip_fea is
    large."""
    frames = inputs["noise.0"].shape[1]
    inputs.update({"latent": inputs["noise.0"].clone(), "y": inputs.pop("y.0"),
                   "timesteps": torch.full((frames,), heard.timesteps[0]),
                   "expected.output": heard.branches[0]})


def untouched(name, case, seed, dtype, solver, latents, schedule):
    """Stores the result of unmodified diffusers and its distance: a comparison must be able to refuse it."""
    found = sample(case, seed, dtype, solver)[0]
    plain = oracle.scheduler(solver, case["shift"])
    plain.set_timesteps(case["steps"])
    distance = relative_error(found, latents)
    store(f"{HERE}/{case['folder']}/{name}.safetensors",
          {"latents": found, "sigmas": plain.sigmas, "timesteps": plain.timesteps},
          {"like": case["name"], "distance": distance, "schedule": schedule})
    print(f"{name:28} from {case['name']} {distance:.1e}")


def main():
    diffusers.logging.set_verbosity_error()
    for name in ("forward-df", "forward-uneven", "forward-causal"):
        official_forward(name)
    forward("forward-df", 1, [5, 4, 6], [999, 875, 640, 20, 0], 24)
    forward("forward-uneven", 2, [3, 6, 10], [700, 300, 0], 16)
    forward("forward-causal", 3, [6, 4, 6], [0, 0, 500, 500, 999, 999], 24, block=2)

    plain, image, video = (SkyReelsV2DiffusionForcingPipeline, SkyReelsV2DiffusionForcingImageToVideoPipeline,
                           SkyReelsV2DiffusionForcingVideoToVideoPipeline)
    wave = {"ar_step": 2, "causal_block_size": 2}
    causal = {**wave, "causal_attention": True}
    sync, latents = whole_run("sync", 10, plain, latent_frames=5)
    # in float32: the untouched solver's float32 sigmas do not mix with doubles
    untouched("untouched-scheduler", sync, 10, torch.float32, UniPCMultistepScheduler, latents,
              "diffusers' own")
    whole_run("no-guidance-fps16", 11, plain, latent_frames=4, guidance_scale=1.0, fps=16, steps=5, shift=5.0)
    whole_run("async", 12, plain, latent_frames=6, guidance_scale=5.0, **causal)
    whole_run("async-frames", 13, plain, latent_frames=4, ar_step=1, fps=16)
    whole_run("async-bidirectional", 14, plain, latent_frames=6, **wave)
    long = {"latent_hw": [4, 4], "latent_frames": 8, "base_latent_frames": 5, "overlap": 2, "steps": 5}
    whole_run("long", 15, plain, **{**long, "latent_frames": 10})
    whole_run("long-addnoise", 16, plain, **long, addnoise_condition=20)
    whole_run("long-async-addnoise", 17, plain, **{**long, "base_latent_frames": 6, "steps": 4}, **causal,
              addnoise_condition=20)
    whole_run("prefix-addnoise", 18, video, latent_hw=[4, 4], latent_frames=5, overlap=2, video=9, steps=5,
              addnoise_condition=20)
    whole_run("prefix-long", 19, video, **long, video=5)
    ends = {"image": True, "last_image": True}
    whole_run("last-image-async", 21, image, latent_frames=4, **ends, ar_step=2, steps=5)
    whole_run("last-image-long", 22, image, **ends, latent_hw=[4, 4], latent_frames=7, base_latent_frames=4,
              overlap=1, steps=4)
    i2v, latents = whole_run("i2v", 30, SkyReelsV2ImageToVideoPipeline, folder="tiny-i2v", latent_frames=3,
                             image=True, shift=3.0, guidance_scale=5.0, steps=4)
    untouched("untouched-loop", i2v, 30, torch.float64, oracle.OfficialSigmas, latents, SCHEDULE)


if __name__ == "__main__":
    sys.exit(main())

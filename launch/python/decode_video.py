#!/usr/bin/env python3
"""Decodes the latents of an output of reel into a video file."""

import os
import sys

import workflow
from workflow import BAD_COMMAND, BAD_INPUT, need

DESCRIPTION = """\
Decodes output.latents of a job into a video. --model is the model's folder in diffusers layout; only its
vae/ is read. The latents are decoded one frame at a time, so a long video needs no more memory than a short
one.

  launch/python/decode_video.py --model models/SkyReels-V2-DF-14B-540P -o swan.mp4 \\
      configs/skyreels-v2-df-14b-540p.h5
"""
SUFFIXES = (".mp4", ".mkv", ".mov")


def make_parser():
    parser = workflow.Parser(prog="decode_video.py", description=DESCRIPTION)
    add = parser.add_argument
    add("latents", metavar="LATENTS.h5", help="the file that the job calls output.latents")
    add("--model", required=True, metavar="DIR", help="the model's folder, diffusers layout")
    add("-o", "--output", metavar="FILE", help="the video to write (default: LATENTS.mp4)")
    add("--partial", action="store_true", help="decode the finished frames of a video that is not complete")
    add(
        "--tiling",
        action="store_true",
        help="decode in blended tiles of 256 x 256 pixels: slower, but needs far less device memory",
    )
    add(
        "--fps",
        type=workflow.multiple(1, 0, "a positive integer"),
        metavar="N",
        help="frames per second (default: as the job says)",
    )
    add(
        "--crf",
        type=int,
        choices=range(52),
        default=14,
        metavar="0..51",
        help="quality of H.264: 0 is lossless, 23 is visibly lossy (default: %(default)s)",
    )
    workflow.add_compute(parser, "fp32")
    return parser


def attribute(file, path, name):
    need(name in file.attrs, BAD_INPUT, f"{path} has no attribute {name}, expected an output file of reel")
    return int(file.attrs[name])


def check(file, path, partial):
    """Checks that the file can become a video. Returns its dataset, width, height and fps."""
    import h5py

    latents = file.get("latents")
    need(
        isinstance(latents, h5py.Dataset),
        BAD_INPUT,
        f"{path} has no dataset /latents, expected an output file of reel",
    )
    width, height = attribute(file, path, "width"), attribute(file, path, "height")
    frames = (attribute(file, path, "frames") + 3) // 4
    shape = (16, latents.shape[1] if latents.ndim > 1 else 0, height // 8, width // 8)
    need(
        latents.shape == shape,
        BAD_INPUT,
        f"{path}: /latents is {list(latents.shape)}, expected [16, F, {shape[2]}, {shape[3]}] "
        f"for {width} x {height}",
    )
    need(shape[1] > 0, BAD_INPUT, f"{path} is not complete: none of its {frames} latent frames is finished")
    need(
        partial or attribute(file, path, "complete"),
        BAD_INPUT,
        f"{path} is not complete: {shape[1]} of {frames} latent frames are finished; run the job again to "
        "resume it, or decode these with --partial",
    )
    return latents, width, height, attribute(file, path, "fps")


def frames_of(latents, path):
    import numpy

    for f in range(latents.shape[1]):
        with workflow.reading(path, "an undamaged file"):
            frame = numpy.asarray(latents[:, f], dtype=numpy.float32)
        need(
            bool(numpy.isfinite(frame).all()),
            BAD_INPUT,
            f"{path}: latent frame {f} has values that are not finite",
        )
        yield frame


def pictures_of(decoded, total):
    """Yields the decoded pictures as bytes [height, width, 3], and shows a progress line on a terminal."""
    import torch

    for done, group in enumerate(decoded, 1):
        pixels = ((group + 1) * 127.5).round().to(torch.uint8)
        yield from pixels.permute(1, 2, 3, 0).cpu().numpy()
        if sys.stderr.isatty():
            print(
                f"\r{done}/{total} latent frames",
                end="\n" if done == total else "",
                file=sys.stderr,
                flush=True,
            )


def work(options):
    output = options.output or os.path.splitext(options.latents)[0] + ".mp4"
    need(
        output.endswith(SUFFIXES), BAD_COMMAND, f"--output is {output}, expected one of {', '.join(SUFFIXES)}"
    )
    workflow.need_file(options.latents, "an output file of reel")
    workflow.check_output(output)
    import h5py

    with workflow.reading(options.latents, "an output file of reel"):
        file = h5py.File(options.latents, "r", locking=False)
    with file:
        latents, width, height, fps = check(file, options.latents, options.partial)
        from autoencoder import Autoencoder, write_video

        device = workflow.open_device(options.device)
        autoencoder = Autoencoder(options.model, device, workflow.torch_dtype(options.dtype))
        decoded = autoencoder.decode(frames_of(latents, options.latents), options.tiling)
        with workflow.written_aside(output) as aside:
            count = write_video(
                aside, pictures_of(decoded, latents.shape[1]), width, height, options.fps or fps, options.crf
            )
    print(f"{output}: {count} frames of {width} x {height}, {options.fps or fps} a second")


def main(arguments=None):
    return workflow.run(make_parser(), work, arguments)


if __name__ == "__main__":
    sys.exit(main())

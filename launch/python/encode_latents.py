#!/usr/bin/env python3
"""Encodes pictures or a video into the latents that a job starts or ends with."""

import sys
from collections import deque

import workflow
from workflow import BAD_COMMAND, BAD_INPUT, need

DESCRIPTION = """\
Writes the safetensors file for a job's diffusion_forcing.prefix_latents or diffusion_forcing.end_latents. It
holds prefix_latents or end_latents [16, F, h, w] of 4F-3 pixel frames. --model is the model's folder in
diffusers layout; only its vae/ is read. Pictures are cropped at the centre to the aspect ratio of
width x height, then resampled.

  launch/python/encode_latents.py --model models/SkyReels-V2-DF-14B-540P --width 960 --height 544 \\
      -o start.safetensors start.png
  launch/python/encode_latents.py --model models/SkyReels-V2-DF-14B-540P --width 960 --height 544 \\
      -o start.safetensors --video before.mp4 --frames 17 --fps 24
"""


def make_parser():
    parser = workflow.Parser(prog="encode_latents.py", description=DESCRIPTION)
    add = parser.add_argument
    add("images", nargs="*", metavar="IMAGE", help="a picture, or 4k+1 consecutive pictures")
    add("--video", metavar="FILE", help="take frames of this video instead of pictures")
    add(
        "--frames",
        type=workflow.frame_count,
        default=17,
        metavar="N",
        help="with --video: pixel frames to take, 4k+1 (default: %(default)s)",
    )
    add(
        "--take",
        choices=("first", "last"),
        help="with --video: which frames (default: last for prefix, to continue the video; first for end)",
    )
    add(
        "--fps",
        type=workflow.multiple(1, 0, "a positive integer"),
        metavar="N",
        help="with --video: first resample it in time to the job's fps (default: all its frames as they are)",
    )
    add(
        "--role",
        choices=("prefix", "end"),
        default="prefix",
        help="what the latents are for (default: %(default)s)",
    )
    add("--model", required=True, metavar="DIR", help="the model's folder, diffusers layout")
    add("--width", type=workflow.side, required=True, help="video.width of the job")
    add("--height", type=workflow.side, required=True, help="video.height of the job")
    add("-o", "--output", required=True, metavar="FILE", help="the safetensors file to write")
    workflow.add_compute(parser, "fp32")
    return parser


def check(options):
    need(
        bool(options.video) != bool(options.images), BAD_COMMAND, "expected either pictures or --video"
    )
    need(
        options.video or len(options.images) % 4 == 1,
        BAD_COMMAND,
        f"{len(options.images)} pictures are given, expected 4k+1 (1, 5, 9, ...)",
    )
    for path in options.images:
        workflow.need_file(path, "a picture")
    if options.video:
        workflow.need_file(options.video, "a video")
    workflow.check_output(options.output)


def frames_of_video(options):
    from autoencoder import fit, read_video

    take = options.take or ("last" if options.role == "prefix" else "first")
    kept, seen = deque(maxlen=options.frames), 0
    for frame in read_video(options.video, options.fps):
        kept.append(frame)
        seen += 1
        if take == "first" and seen == options.frames:
            break
    need(
        len(kept) == options.frames,
        BAD_INPUT,
        f"{options.video} has {seen} frames, expected at least {options.frames} (--frames)",
    )
    return [fit(frame, options.width, options.height) for frame in kept]


def work(options):
    check(options)
    import numpy
    from autoencoder import Autoencoder, in_groups, read_picture

    device = workflow.open_device(options.device)
    if options.video:
        frames = frames_of_video(options)
    else:
        frames = [read_picture(path, options.width, options.height) for path in options.images]
    autoencoder = Autoencoder(options.model, device, workflow.torch_dtype(options.dtype))
    latents = autoencoder.encode(in_groups(numpy.stack(frames)))
    workflow.save_tensors(
        options.output,
        {f"{options.role}_latents": latents},
        {"from": options.video or " ".join(options.images)},
    )


def main(arguments=None):
    return workflow.run(make_parser(), work, arguments)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Encodes texts, and for image-to-video models a picture, into the tensors of a job's prompt.embeds."""

import json
import os
import re
import sys

import workflow
from workflow import BAD_COMMAND, BAD_INPUT, need

NEGATIVE = (
    "overexposed, oversaturated, blurred, grey, static, motionless, low quality, compression artefacts, "
    "subtitles, watermark, deformed body, malformed hands, extra fingers, fused fingers, badly drawn face, "
    "extra legs, cluttered background, crowd in the background, walking backwards"
)

TOKEN_NAMES = {"shared.weight", "encoder.embed_tokens.weight"}

DESCRIPTION = """\
Writes the safetensors file for a job's prompt.embeds: prompt_embeds and negative_prompt_embeds [rows, width],
prompt_embeds.<chunk> where the prompt changes, and for image-to-video models clip_fea [257, 1280] and
y [20, F, h, w]. --model is the model's folder in diffusers layout. Its tokenizer/ and text_encoder/ are read,
with --image also image_encoder/, image_processor/ and vae/. TEXT may be @FILE to read the text from FILE.

  launch/python/embed_prompt.py --model models/SkyReels-V2-DF-14B-540P --prompt "a swan on a lake" \\
      --chunk 1 "the swan takes off" -o prompt.safetensors
  launch/python/embed_prompt.py --model models/Wan2.1-I2V-14B-480P --prompt @scene.txt \\
      --image start.png --width 832 --height 480 --frames 81 -o prompt.safetensors
"""


def make_parser():
    parser = workflow.Parser(prog="embed_prompt.py", description=DESCRIPTION)
    add = parser.add_argument
    add("--model", required=True, metavar="DIR", help="the model's folder, diffusers layout")
    add("--prompt", required=True, metavar="TEXT", help="what to show")
    add(
        "--negative",
        default=NEGATIVE,
        metavar="TEXT",
        help="what not to show; the authors of the models publish their own texts (default: %(default)s)",
    )
    add(
        "--chunk",
        nargs=2,
        action="append",
        default=[],
        metavar=("CHUNK", "TEXT"),
        help="the prompt from that chunk on (1 is the second); may be repeated",
    )
    add(
        "--negative-chunk",
        nargs=2,
        action="append",
        default=[],
        metavar=("CHUNK", "TEXT"),
        help="the same for what not to show",
    )
    add(
        "--max-length",
        type=workflow.multiple(1, 0, "a positive integer"),
        default=512,
        metavar="TOKENS",
        help="most tokens of a text: the model's text length (default: %(default)s)",
    )
    image = parser.add_argument_group("image-to-video models")
    image.add_argument("--image", metavar="FILE", help="the picture to start from; makes clip_fea and y")
    image.add_argument("--width", type=workflow.side, help="video.width of the job")
    image.add_argument("--height", type=workflow.side, help="video.height of the job")
    image.add_argument(
        "--frames",
        type=workflow.frame_count,
        help="pixel frames of y: video.frames of the job, or those of a chunk",
    )
    image.add_argument(
        "--chunk-image",
        nargs=3,
        action="append",
        default=[],
        metavar=("CHUNK", "FILE", "FRAMES"),
        help="make y.<chunk>, used instead of y, for a chunk of FRAMES pixel frames, overlap included",
    )
    add("-o", "--output", required=True, metavar="FILE", help="the safetensors file to write")
    workflow.add_compute(parser, "bf16")
    return parser


def chunk_number(text, option):
    need(
        text.isdecimal() and int(text) > 0,
        BAD_COMMAND,
        f"{option}: {text} is not a chunk, expected 1, 2, ...",
    )
    return int(text)


def read_text(text):
    if not text.startswith("@"):
        return text
    workflow.need_file(text[1:], "a text file")
    with workflow.reading(text[1:], "UTF-8 text"), open(text[1:], encoding="utf-8") as file:
        return file.read()


def texts_of(options):
    """Returns the texts by the names of their tensors."""
    texts = {"prompt_embeds": options.prompt, "negative_prompt_embeds": options.negative}
    for option, name, given in (
        ("--chunk", "prompt_embeds", options.chunk),
        ("--negative-chunk", "negative_prompt_embeds", options.negative_chunk),
    ):
        for chunk, text in given:
            key = f"{name}.{chunk_number(chunk, option)}"
            need(key not in texts, BAD_COMMAND, f"{option} {chunk} is given twice")
            texts[key] = text
    return {name: clean(read_text(text)) for name, text in texts.items()}


def clean(text):
    """As the models were trained: repaired letters, no HTML entities (also no nested ones), single spaces."""
    import html
    import ftfy

    return re.sub(r"\s+", " ", html.unescape(html.unescape(ftfy.fix_text(text)))).strip()


def images_of(options):
    """Returns (tensor's name, file, pixel frames) for every y."""
    if not options.image:
        need(not options.chunk_image, BAD_COMMAND, "--chunk-image is given without --image")
        return []
    for name in ("width", "height", "frames"):
        need(getattr(options, name), BAD_COMMAND, f"--image needs --{name} too")
    images = [("y", options.image, options.frames)]
    for chunk, path, frames in options.chunk_image:
        name = f"y.{chunk_number(chunk, '--chunk-image')}"
        need(
            frames.isdecimal() and int(frames) % 4 == 1,
            BAD_COMMAND,
            f"--chunk-image {chunk}: {frames} frames, expected 4k+1 (5, 9, 13, ...)",
        )
        need(name not in [image[0] for image in images], BAD_COMMAND, f"--chunk-image {chunk} is given twice")
        images.append((name, path, int(frames)))
    return images


def stored_embedding(folder, dtype):
    """Reads the token embedding, which a file may call shared.weight or encoder.embed_tokens.weight."""
    from safetensors import safe_open

    for file in sorted(os.listdir(folder)):
        if file.endswith(".safetensors"):
            with safe_open(os.path.join(folder, file), "pt") as tensors:
                for name in TOKEN_NAMES & set(tensors.keys()):
                    return tensors.get_tensor(name).to(dtype)
    return None


def open_text_encoder(model, device, dtype):
    """Opens the encoder and sets its token embedding. It has two names in transformers, and releases differ
    in whether one fills the other. Without this, the encoder might run on values that were never read."""
    from torch.nn import Embedding
    from transformers import UMT5EncoderModel

    folder = workflow.part_of_model(model, "text_encoder", "config.json")
    with workflow.reading(folder, "the safetensors of a UMT5 encoder"):
        encoder, report = UMT5EncoderModel.from_pretrained(
            folder, dtype=dtype, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
        tokens = stored_embedding(folder, dtype)
    missing = sorted(set(report["missing_keys"]) - TOKEN_NAMES if tokens is not None else TOKEN_NAMES)
    need(
        not missing,
        BAD_INPUT,
        f"{folder} lacks {', '.join(missing[:3])}{', ...' if missing[3:] else ''}, "
        "expected all tensors of a UMT5 encoder",
    )
    encoder.shared = Embedding.from_pretrained(tokens)
    encoder.encoder.set_input_embeddings(encoder.shared)
    return encoder.to(device).eval()


def embed_texts(options, texts, device):
    import torch
    from transformers import AutoTokenizer

    folder = workflow.part_of_model(options.model, "tokenizer", "tokenizer_config.json")
    with workflow.reading(folder, "a tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    encoder = open_text_encoder(options.model, device, workflow.torch_dtype(options.dtype))
    tensors = {}
    for name, text in texts.items():
        tokens = tokenizer(text, add_special_tokens=True)["input_ids"]
        if len(tokens) > options.max_length:
            print(
                f"note: {name}: the text has {len(tokens)} tokens, the first {options.max_length} are used",
                file=sys.stderr,
            )
            tokens = tokenizer(text, add_special_tokens=True, truncation=True, max_length=options.max_length)[
                "input_ids"
            ]
        ids = torch.tensor([tokens], device=device)
        with torch.no_grad():
            tensors[name] = (
                encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0].cpu()
            )
    return tensors


def see(options, pictures, device):
    """clip_fea: the last layer but one's output for the first picture, resized to the encoder's square."""
    import torch
    from transformers import CLIPVisionModel

    folder = workflow.part_of_model(options.model, "image_encoder", "config.json")
    settings = "preprocessor_config.json"
    settings = os.path.join(workflow.part_of_model(options.model, "image_processor", settings), settings)
    dtype = workflow.torch_dtype(options.dtype)
    with workflow.reading(settings, "image_mean and image_std, three numbers each"):
        with open(settings, encoding="utf-8") as file:
            stored = json.load(file)
        mean, std = (
            torch.tensor(stored[key], dtype=torch.float32, device=device).view(1, 3, 1, 1)
            for key in ("image_mean", "image_std")
        )
    with workflow.reading(folder, "the safetensors of a CLIP vision encoder"):
        encoder = CLIPVisionModel.from_pretrained(
            folder, dtype=dtype, local_files_only=True, use_safetensors=True
        )
    encoder = encoder.to(device).eval()
    side = encoder.config.image_size
    pixels = torch.as_tensor(pictures[0], device=device).permute(2, 0, 1)[None].float() / 255
    pixels = torch.nn.functional.interpolate(pixels, size=(side, side), mode="bicubic", align_corners=False)
    with torch.no_grad():
        states = encoder(((pixels - mean) / std).to(dtype), output_hidden_states=True).hidden_states
    return states[-2][0].cpu()


def condition(autoencoder, picture, frames):
    """y [20, F, h, w]: 4 mask channels, 1 in the known frame, and the latents of that frame and grey ones."""
    import numpy
    import torch

    def groups():
        yield picture[None].astype(numpy.float32) / 127.5 - 1
        for _ in range((frames - 1) // 4):
            yield numpy.zeros((4,) + picture.shape, dtype=numpy.float32)

    latents = autoencoder.encode(groups()).cpu()
    mask = torch.zeros((4,) + latents.shape[1:])
    mask[:, 0] = 1
    return torch.cat([mask, latents])


def embed_images(options, images, device):
    from autoencoder import Autoencoder, read_picture
    import torch

    pictures = [read_picture(path, options.width, options.height) for _, path, _ in images]
    tensors = {"clip_fea": see(options, pictures, device)}
    autoencoder = Autoencoder(options.model, device, torch.float32)
    for (name, _, frames), picture in zip(images, pictures):
        tensors[name] = condition(autoencoder, picture, frames)
    return tensors


def work(options):
    texts, images = texts_of(options), images_of(options)
    for _, path, _ in images:
        workflow.need_file(path, "a picture")
    workflow.check_output(options.output)
    device = workflow.open_device(options.device)
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    tensors = embed_texts(options, texts, device)
    if images:
        tensors.update(embed_images(options, images, device))
    workflow.save_tensors(options.output, tensors, texts)


def main(arguments=None):
    return workflow.run(make_parser(), work, arguments)


if __name__ == "__main__":
    sys.exit(main())

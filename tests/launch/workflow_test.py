#!/usr/bin/env python3
"""From words and pictures to a video file, with small random models and reel on two ranks in between.

workflow_test.py REEL SOURCE: the program under test and the root of the source tree.
"""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile

REEL, SOURCE = (os.path.abspath(argument) for argument in sys.argv[1:3])
sys.path.insert(0, os.path.join(SOURCE, "launch/python"))
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"  # with models this small, more threads only slow each other down
sys.dont_write_bytecode = True

import h5py  # noqa: E402
import imageio_ffmpeg  # noqa: E402
import numpy  # noqa: E402
import torch  # noqa: E402
from diffusers import AutoencoderKLWan  # noqa: E402
from PIL import Image  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    PreTrainedTokenizerFast,
    UMT5Config,  # noqa: E402
    UMT5EncoderModel,
)

import decode_video  # noqa: E402
import embed_prompt  # noqa: E402
import encode_latents  # noqa: E402
import autoencoder as autoencoder_module  # noqa: E402
from autoencoder import Autoencoder  # noqa: E402

WIDTH, HEIGHT, FRAMES, FPS = 96, 64, 13, 12
EYES = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.25, 0.26, 0.27]}


def close(a, b, bound=2e-5):
    return a.shape == b.shape and float((a - b).norm() / b.norm()) < bound


# Small random models in diffusers layout.


def make_tokenizer(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -10.0)]
    pieces += [(letter, -3.0) for letter in "▁abcdefghijklmnopqrstuvwxyz&é"]
    pieces += [("▁swan", -1.0), ("▁lake", -1.0), ("▁a", -1.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    return len(pieces)


def make_model(folder, text_width):
    torch.manual_seed(7)
    words = make_tokenizer(os.path.join(folder, "tokenizer"))
    text = UMT5EncoderModel(
        UMT5Config(
            vocab_size=words,
            d_model=text_width,
            d_kv=8,
            d_ff=64,
            num_layers=2,
            num_heads=4,
            feed_forward_proj="gated-gelu",
            tie_word_embeddings=False,
        )
    )
    for parameter in text.parameters():  # biases by distance as large as the values that they are added to
        parameter.data.normal_(0, 0.5)
    weights = {name: tensor.clone() for name, tensor in text.state_dict().items()}
    del weights["encoder.embed_tokens.weight"]  # released files store the embedding once, under this name
    text.save_pretrained(os.path.join(folder, "text_encoder"))
    save_file(weights, os.path.join(folder, "text_encoder", "model.safetensors"), metadata={"format": "pt"})
    vae = AutoencoderKLWan(base_dim=8, z_dim=16, dim_mult=[1, 2, 2, 2], num_res_blocks=1)
    vae.save_pretrained(os.path.join(folder, "vae"))
    return words, weights


def make_eyes(folder):
    config = CLIPVisionConfig(
        hidden_size=1280,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=224,
        patch_size=14,
    )
    CLIPVisionModel(config).save_pretrained(os.path.join(folder, "image_encoder"))
    os.mkdir(os.path.join(folder, "image_processor"))
    with open(
        os.path.join(folder, "image_processor", "preprocessor_config.json"), "w", encoding="utf-8"
    ) as file:
        json.dump(EYES, file)


def make_picture(path, width, height, phase=0):
    y, x = numpy.mgrid[0:height, 0:width].astype(numpy.float32)
    picture = numpy.stack(
        [127 + 120 * numpy.sin(x / 40 + phase), 127 + 120 * numpy.cos(y / 30), 255 * x / width], -1
    )
    Image.fromarray(picture.astype(numpy.uint8)).save(path)


# The programs.


def script(name, *arguments):
    done = subprocess.run(
        [sys.executable, os.path.join(SOURCE, "launch/python", name), *map(str, arguments)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{name} {arguments}: {done.returncode}\n{done.stderr}"
    return done.stdout


def refused(main, code, words, *arguments):
    """Runs a program in this process; checks the exit code, and that one line has these words."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        found = main(list(map(str, arguments)))
    assert found == code and re.search(words, said.getvalue()), f"{arguments}: {found}: {said.getvalue()}"
    assert said.getvalue().count("\n") == 1, said.getvalue()


def reel(folder, ranks, **sections):
    job = {
        "sampler": "{steps: 2, seed: 5}",
        "checkpoint": "{directory: 'off'}",
        "diffusion_forcing": "{base_frames: 97, overlap_frames: 0}",
        "video": f"{{width: {WIDTH}, height: {HEIGHT}, frames: {FRAMES}, fps: {FPS}}}",
        **sections,
    }
    path = os.path.join(folder, "job.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{key}: {value}\n" for key, value in job.items())
    done = subprocess.run(
        [os.path.join(SOURCE, "launch", "reel-mpirun"), "-n", str(ranks), REEL, "run", path],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"reel run: {done.returncode}\n{done.stderr}"


# The tests.


def words_become_what_the_encoder_gives_them_when_padded(folder, words, weights):
    """Compares with the official way: 512 tokens, a mask, and everything behind the mask cut off."""
    output = os.path.join(folder, "prompt.safetensors")
    script(
        "embed_prompt.py",
        "--model",
        folder,
        "--prompt",
        "  a swan < &amp;amp;\n caf\u00c3\u00a9 ",
        "--negative",
        "a lake",
        "--chunk",
        1,
        "a lake",
        "--max-length",
        20,
        "--dtype",
        "fp32",
        "-o",
        output,
    )
    found = load_file(output)
    assert sorted(found) == ["negative_prompt_embeds", "prompt_embeds", "prompt_embeds.1"], sorted(found)
    assert torch.equal(found["prompt_embeds.1"], found["negative_prompt_embeds"])
    tokenizer = PreTrainedTokenizerFast.from_pretrained(os.path.join(folder, "tokenizer"))
    tokens = tokenizer("a swan < & café", padding="max_length", max_length=512, return_tensors="pt")
    length = int(tokens["attention_mask"].sum())
    config = UMT5Config.from_pretrained(os.path.join(folder, "text_encoder"))
    encoder = UMT5EncoderModel(config).eval()
    encoder.load_state_dict({**weights, "encoder.embed_tokens.weight": weights["shared.weight"]})
    with torch.no_grad():
        masked = encoder(tokens["input_ids"], tokens["attention_mask"]).last_hidden_state[0, :length]
        unmasked = encoder(tokens["input_ids"]).last_hidden_state[0, :length]
    assert close(found["prompt_embeds"], masked)
    assert not close(found["prompt_embeds"], unmasked)
    return output


def tokens_are_found_under_either_name(folder, weights):
    file = os.path.join(folder, "text_encoder", "model.safetensors")
    given = weights["shared.weight"]
    for name in ("encoder.embed_tokens.weight", "shared.weight"):
        others = {key: tensor for key, tensor in weights.items() if key != "shared.weight"}
        save_file({**others, name: given}, file, metadata={"format": "pt"})
        encoder = embed_prompt.open_text_encoder(folder, torch.device("cpu"), torch.float32)
        assert torch.equal(encoder.encoder.embed_tokens.weight, given), name


def latents_are_the_normalised_mean(folder, vae):
    """encode_latents gives the mean of the VAE's distribution, normalised."""
    mean, std = (
        torch.tensor(values).view(1, 16, 1, 1, 1)
        for values in (vae.config.latents_mean, vae.config.latents_std)
    )
    pictures = []
    for i in range(5):
        pictures.append(os.path.join(folder, f"{i}.png"))
        make_picture(pictures[i], WIDTH, HEIGHT, i / 3)
    output = os.path.join(folder, "start.safetensors")
    script(
        "encode_latents.py", "--model", folder, "--width", WIDTH, "--height", HEIGHT, "-o", output, *pictures
    )
    found = load_file(output)["prefix_latents"]
    pixels = torch.stack([torch.from_numpy(numpy.array(Image.open(path))) for path in pictures])
    with torch.no_grad():
        moments = vae.encode(pixels.permute(3, 0, 1, 2)[None] / 127.5 - 1).latent_dist
    assert close(found, ((moments.mean - mean) / std)[0])
    assert not close(found, moments.mean[0])
    return output


def pictures_are_cut_about_their_centre():
    from autoencoder import fit

    wide = Image.new("RGB", (400, 100), (255, 0, 0))
    wide.paste((0, 255, 0), (150, 0, 250, 100))
    assert (fit(wide, 64, 64) == numpy.array([0, 255, 0])).all()
    assert (
        fit(wide, 64, 32).shape == (32, 64, 3) and not (fit(wide, 64, 32) == numpy.array([0, 255, 0])).all()
    )


def decoding_by_frames_is_decoding_at_once(folder, vae):
    """Decodes whole, and in tiles; the tiles are small here, two by two."""
    torch.manual_seed(1)
    z = torch.randn(16, 3, 8, 11)
    autoencoder_module.TILE, autoencoder_module.STRIDE = 8, 6
    vae.enable_tiling(64, 64, 48, 48)
    mean, std = (
        torch.tensor(values).view(16, 1, 1, 1) for values in (vae.config.latents_mean, vae.config.latents_std)
    )
    autoencoder = Autoencoder(folder, torch.device("cpu"), torch.float32)
    answers = []
    for tiled in (False, True):
        vae.use_tiling = tiled
        with torch.no_grad():
            expected = vae.decode((z * std + mean)[None]).sample[0]
        found = torch.cat(list(autoencoder.decode(z.unbind(1), tiled)), dim=1)
        assert close(found, expected), tiled
        answers.append(found)
    assert not close(answers[0], answers[1])  # otherwise there were no tiles
    return autoencoder


def probe(path):
    """Returns width, height, frames, frames per second, and the pictures."""
    frames = imageio_ffmpeg.read_frames(path)
    meta = next(frames)
    width, height = meta["size"]
    pictures = [numpy.frombuffer(frame, numpy.uint8).reshape(height, width, 3) for frame in frames]
    return width, height, len(pictures), meta["fps"], numpy.stack(pictures)


def brightness_error(pictures, expected):
    """The error of brightness alone, because colour is stored at half the resolution."""
    return numpy.abs((pictures - expected) @ numpy.array([0.2126, 0.7152, 0.0722])).mean()


def a_video_is_made_and_can_be_watched(folder, autoencoder, prompt, start):
    latents = os.path.join(folder, "latents.h5")
    reel(
        folder,
        2,
        model="{path: 'synthetic:tiny'}",
        prompt=f"{{embeds: {prompt}}}",
        diffusion_forcing=f"{{base_frames: 97, overlap_frames: 0, prefix_latents: {start}}}",
        output=f"{{latents: {latents}}}",
    )
    with h5py.File(latents) as file:
        made = torch.from_numpy(file["latents"][:])
    prefix = load_file(start)["prefix_latents"]
    assert torch.equal(made[:, : prefix.shape[1]], prefix)
    video = os.path.join(folder, "video.mp4")
    script("decode_video.py", latents, "--model", folder, "-o", video, "--crf", 1)
    width, height, count, fps, pictures = probe(video)
    assert (width, height, count, fps) == (WIDTH, HEIGHT, FRAMES, FPS), (width, height, count, fps)
    expected = torch.cat(list(autoencoder.decode(made.unbind(1))), dim=1).permute(1, 2, 3, 0)
    expected = ((expected + 1) * 127.5).numpy()
    error, other = brightness_error(pictures, expected), brightness_error(pictures[::-1], expected)
    assert error < 2 < other, (error, other)
    return latents, video


def a_video_can_go_on(folder, video):
    """The video's last frames become a prefix."""
    output = os.path.join(folder, "more.safetensors")
    arguments = ["--model", folder, "--width", 64, "--height", 48, "-o", output, "--video", video]
    with contextlib.redirect_stdout(io.StringIO()):
        assert encode_latents.main(list(map(str, arguments + ["--frames", 9]))) == 0
        last = load_file(output)["prefix_latents"]
        assert encode_latents.main(list(map(str, arguments + ["--frames", 9, "--take", "first"]))) == 0
    assert last.shape == (16, 3, 6, 8) and not torch.equal(last, load_file(output)["prefix_latents"])
    refused(encode_latents.main, 4, "has 13 frames, expected at least 17", *arguments)


def what_the_last_layer_but_one_sees(folder, picture):
    eyes, seen = CLIPVisionModel.from_pretrained(os.path.join(folder, "image_encoder")).eval(), []
    layers = [module for module in eyes.modules() if type(module).__name__ == "CLIPEncoderLayer"]
    layers[-2].register_forward_hook(
        lambda layer, given, made: seen.append(made if torch.is_tensor(made) else made[0])
    )
    pixels = (
        torch.from_numpy(autoencoder_module.read_picture(picture, 64, 48)).permute(2, 0, 1)[None] / 127.5 - 1
    )
    pixels = (
        torch.nn.functional.interpolate(pixels, size=(224, 224), mode="bicubic", align_corners=False) / 2
        + 0.5
    )
    mean, std = (torch.tensor(EYES[key]).view(1, 3, 1, 1) for key in ("image_mean", "image_std"))
    with torch.no_grad():
        eyes(pixel_values=(pixels - mean) / std)
    return seen[0][0]


def a_picture_comes_to_life(folder):
    """Image-to-video: clip_fea and y, with the text width of the small i2v model."""
    make_model(folder, 32)
    make_eyes(folder)
    picture = os.path.join(folder, "start.png")
    make_picture(picture, 100, 64)
    prompt, latents = os.path.join(folder, "prompt.safetensors"), os.path.join(folder, "i2v.h5")
    with contextlib.redirect_stdout(io.StringIO()):
        assert (
            embed_prompt.main(
                [
                    "--model",
                    folder,
                    "--prompt",
                    "a swan",
                    "--image",
                    picture,
                    "--width",
                    "64",
                    "--height",
                    "48",
                    "--frames",
                    "9",
                    "--dtype",
                    "fp32",
                    "-o",
                    prompt,
                ]
            )
            == 0
        )
    found = load_file(prompt)
    assert found["clip_fea"].shape == (257, 1280) and found["y"].shape == (20, 3, 6, 8)
    assert bool((found["y"][:4, 0] == 1).all()) and bool((found["y"][:4, 1:] == 0).all())
    assert close(found["clip_fea"], what_the_last_layer_but_one_sees(folder, picture))
    start = os.path.join(folder, "start.safetensors")
    with contextlib.redirect_stdout(io.StringIO()):
        assert (
            encode_latents.main(["--model", folder, "--width", "64", "--height", "48", "-o", start, picture])
            == 0
        )
    assert close(found["y"][4:, :1], load_file(start)["prefix_latents"])
    reel(
        folder,
        1,
        model=f"{{path: {SOURCE}/tests/reference/tiny-i2v/native}}",
        video="{width: 64, height: 48, frames: 9}",
        prompt=f"{{embeds: {prompt}}}",
        output=f"{{latents: {latents}}}",
    )


def a_video_that_is_not_finished_is_decoded_on_demand(folder, latents):
    half, video = os.path.join(folder, "half.h5"), os.path.join(folder, "half.mp4")
    with h5py.File(latents) as whole, h5py.File(half, "w") as file:
        file["latents"] = whole["latents"][:, :2]
        file.attrs.update(whole.attrs)
        file.attrs["complete"] = 0
    refused(decode_video.main, 4, "2 of 4 latent frames are finished", half, "--model", folder, "-o", video)
    assert not os.path.exists(video)
    with contextlib.redirect_stdout(io.StringIO()):
        assert decode_video.main([half, "--model", folder, "-o", video, "--partial", "--tiling"]) == 0
    assert probe(video)[:4] == (WIDTH, HEIGHT, 5, FPS)
    with h5py.File(half, "r+") as file:
        file["latents"][0, 1, 0, 0] = numpy.nan
    refused(
        decode_video.main,
        4,
        "latent frame 1 has values that are not finite",
        half,
        "--model",
        folder,
        "-o",
        video,
        "--partial",
    )
    with h5py.File(half, "r+") as file:
        file.attrs["width"] = 16
    refused(decode_video.main, 4, r"expected \[16, F, 8, 2\]", half, "--model", folder, "--partial")


def mistakes_are_one_sentence(folder):
    """In the table, words in capitals stand for the values that are defined before it."""
    embed, encode, decode = embed_prompt.main, encode_latents.main, decode_video.main
    stands_for = {
        "OUT": f"-o {folder}/none.safetensors",
        "MODEL": f"--model {folder}",
        "ASK": f"--model {folder} --prompt a -o {folder}/none.safetensors",
        "SIZE": f"--width 64 --height 48 --model {folder} -o {folder}/none.safetensors",
    }
    table = [
        (embed, 2, "--prompt", "MODEL OUT"),
        (embed, 2, "--chunk 1 is given twice", "ASK --chunk 1 a --chunk 1 b"),
        (embed, 2, "one is not a chunk", "ASK --chunk one a"),
        (embed, 2, "--image needs --width too", "ASK --image {0}/0.png"),
        (embed, 4, "nowhere does not exist", "MODEL OUT --prompt @{0}/nowhere"),
        (embed, 4, "nowhere is not a folder", "OUT --model {0}/nowhere --prompt a"),
        (embed, 4, "image_encoder has no config", "SIZE --prompt a --frames 9 --image {0}/0.png"),
        (embed, 5, "there is no folder", "MODEL --prompt a -o {0}/nowhere/a.safetensors"),
        (encode, 2, "100 is not a multiple of 16", "MODEL OUT --width 100 --height 48 {0}/0.png"),
        (encode, 2, "2 pictures are given", "SIZE {0}/0.png {0}/0.png"),
        (encode, 4, "job.yaml could not be read", "SIZE {0}/job.yaml"),
        (encode, 4, "a video that ffmpeg can read", "SIZE --video {0}/job.yaml"),
        (decode, 4, "job.yaml could not be read", "{0}/job.yaml MODEL"),
        (decode, 2, "expected one of .mp4", "{0}/latents.h5 MODEL -o a.gif"),
        (decode, 4, "vae has no config.json", "{0}/latents.h5 --model {1}"),
    ]
    if not torch.cuda.is_available():
        table.append((encode, 11, "there are 0 CUDA devices", "SIZE {0}/0.png --device cuda"))
    for script_main, code, words, line in table:
        line = re.sub("[A-Z]{3,}", lambda word: stands_for[word.group()], line)
        refused(script_main, code, words, *line.format(folder, SOURCE).split())
    weights = load_file(os.path.join(folder, "text_encoder", "model.safetensors"))
    del weights["encoder.block.1.layer.0.SelfAttention.q.weight"]
    save_file(weights, os.path.join(folder, "text_encoder", "model.safetensors"), metadata={"format": "pt"})
    refused(
        embed,
        4,
        "text_encoder lacks encoder.block.1.layer.0.SelfAttention.q.weight, expected",
        *stands_for["ASK"].split(),
    )
    with open(os.path.join(folder, "text_encoder", "model.safetensors"), "w", encoding="utf-8") as file:
        file.write("torn")
    refused(embed, 4, "text_encoder could not be read", *stands_for["ASK"].split())
    assert not os.path.exists(os.path.join(folder, "none.safetensors")) and not [
        name for name in os.listdir(folder) if ".tmp." in name
    ]


def main():
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    diffusers_logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as folder:
        t2v, i2v = os.path.join(folder, "t2v"), os.path.join(folder, "i2v")
        words, weights = make_model(t2v, 48)
        vae = AutoencoderKLWan.from_pretrained(os.path.join(t2v, "vae")).eval()
        pictures_are_cut_about_their_centre()
        prompt = words_become_what_the_encoder_gives_them_when_padded(t2v, words, weights)
        tokens_are_found_under_either_name(t2v, weights)
        start = latents_are_the_normalised_mean(t2v, vae)
        autoencoder = decoding_by_frames_is_decoding_at_once(t2v, vae)
        latents, video = a_video_is_made_and_can_be_watched(t2v, autoencoder, prompt, start)
        a_video_can_go_on(t2v, video)
        a_video_that_is_not_finished_is_decoded_on_demand(t2v, latents)
        mistakes_are_one_sentence(t2v)
        a_picture_comes_to_life(i2v)
    print("from words and pictures to a video file: as it should be")


if __name__ == "__main__":
    main()

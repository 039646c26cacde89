"""The video autoencoder of Wan2.1 and SkyReels-V2, a few frames at a time, and its input and output pictures.

The encoder takes 1 frame, then groups of 4; the decoder gives 1 frame for the first latent frame and 4 for
each later one. The caches of the causal convolutions carry what a group needs from the previous groups, so
the memory does not grow with the length of the video.
"""

import contextlib
import os
import subprocess
import tempfile

from workflow import BAD_INPUT, BAD_OUTPUT, Fault, first_line, need, need_file, part_of_model, reading

# Tiles of the decoder, in latent pixels: neighbours overlap by TILE - STRIDE, where they are blended.
TILE, STRIDE, SCALE = 32, 24, 8


class Autoencoder:
    """An AutoencoderKLWan with its latent normalisation: z = (mu - mean) / std."""

    def __init__(self, model, device, dtype):
        import torch
        from diffusers import AutoencoderKLWan
        from diffusers.utils import logging

        folder = part_of_model(model, "vae", "config.json")
        logging.set_verbosity_error()
        with reading(folder, "the weights of an AutoencoderKLWan"):
            self.vae = AutoencoderKLWan.from_pretrained(
                folder, local_files_only=True, low_cpu_mem_usage=False
            )
        config = self.vae.config
        need(
            config.z_dim == 16 and getattr(config, "patch_size", None) is None,
            BAD_INPUT,
            f"{folder}/config.json: z_dim is {config.z_dim}, expected 16 channels, the autoencoder of Wan2.1",
        )
        self.vae.to(device, dtype).eval().requires_grad_(False)
        self.device, self.dtype = device, dtype
        shape = (16, 1, 1, 1)
        self.mean = torch.tensor(config.latents_mean, dtype=torch.float32, device=device).view(shape)
        self.std = torch.tensor(config.latents_std, dtype=torch.float32, device=device).view(shape)

    def encode(self, groups):
        """Returns latents [16, F, h, w] of F groups of pixels [1 or 4, height, width, 3] in [-1, 1]."""
        import torch

        self.vae.clear_cache()
        cache, latents = [None] * len(self.vae._enc_feat_map), []
        with torch.no_grad():
            for group in groups:
                pixels = torch.as_tensor(group).to(self.device, self.dtype).permute(3, 0, 1, 2)[None]
                moments = self.vae.quant_conv(self.vae.encoder(pixels, feat_cache=cache, feat_idx=[0]))
                latents.append((moments[0, :16].float() - self.mean) / self.std)
        return torch.cat(latents, dim=1)

    def decode(self, latents, tiled=False):
        """Yields for each latent frame [16, h, w] its pictures [3, 1 or 4, 8 h, 8 w], in [-1, 1]."""
        import torch

        caches = {}
        self.vae.clear_cache()
        slots = len(self.vae._feat_map)
        with torch.no_grad():
            for latent in latents:
                z = torch.as_tensor(latent).to(self.device, torch.float32)[:, None] * self.std + self.mean
                z = z[None].to(self.dtype)
                tiles = [[(0, 0)]]
                if tiled:
                    tiles = [
                        [(i, j) for j in range(0, z.shape[4], STRIDE)] for i in range(0, z.shape[3], STRIDE)
                    ]
                pictures = [[self._decode_tile(z, at, caches, slots, tiled) for at in row] for row in tiles]
                picture = blend(pictures) if tiled else pictures[0][0]
                yield picture[0].float().clamp(-1, 1)

    def _decode_tile(self, z, at, caches, slots, tiled):
        """Decodes one tile of one latent frame. Caches of tiles stay in host memory between frames."""
        cache = [to_device(entry, self.device) for entry in caches.get(at, [None] * slots)]
        if tiled:
            z = z[:, :, :, at[0] : at[0] + TILE, at[1] : at[1] + TILE]
        pixels = self.vae.decoder(self.vae.post_quant_conv(z), feat_cache=cache, feat_idx=[0])
        caches[at] = [to_device(entry, "cpu") for entry in cache] if tiled else cache
        return pixels


def to_device(entry, device):
    """Moves a cache entry to a device, if it is a tensor: an entry may also be empty or a marker."""
    return entry.to(device) if hasattr(entry, "to") else entry


def blend(tiles):
    """Joins rows of tiles into one picture; each tile is blended with the tiles above and to its left."""
    import torch

    shared, stride = (TILE - STRIDE) * SCALE, STRIDE * SCALE
    for i, row in enumerate(tiles):
        for j, tile in enumerate(row):
            if i > 0:
                fade(tiles[i - 1][j], tile, shared, -2)
            if j > 0:
                fade(row[j - 1], tile, shared, -1)
    cut = [torch.cat([tile[..., :stride, :stride] for tile in row], dim=-1) for row in tiles]
    return torch.cat(cut, dim=-2)


def fade(before, tile, shared, axis):
    """Blends the start of tile, in place, with the end of before: linearly, over `shared` places of axis."""
    import torch

    shared = min(shared, before.shape[axis], tile.shape[axis])
    shape = [1] * tile.dim()
    shape[axis] = shared
    weight = (torch.arange(shared, device=tile.device, dtype=tile.dtype) / shared).view(shape)
    start = tile.narrow(axis, 0, shared)
    end = before.narrow(axis, before.shape[axis] - shared, shared)
    start.copy_(end * (1 - weight) + start * weight)


# Pictures.


def fit(image, width, height):
    """A picture as [height, width, 3] bytes: cropped at the centre to the aspect ratio, then resampled."""
    import numpy
    from PIL import Image

    across, down = image.size
    if across * height > down * width:
        across = max(1, down * width // height)
    else:
        down = max(1, across * height // width)
    left, top = (image.size[0] - across) // 2, (image.size[1] - down) // 2
    image = image.convert("RGB").crop((left, top, left + across, top + down))
    return numpy.array(image.resize((width, height), Image.BICUBIC))


def read_picture(path, width, height):
    from PIL import Image, ImageOps

    need_file(path, "a picture")
    with reading(path, "a picture"), Image.open(path) as image:
        return fit(ImageOps.exif_transpose(image), width, height)


def read_video(path, fps):
    """Yields the frames of a video file as pictures, resampled in time to fps unless that is None."""
    import imageio_ffmpeg
    from PIL import Image

    need_file(path, "a video")
    with reading(path, "a video that ffmpeg can read"):
        frames = imageio_ffmpeg.read_frames(
            os.path.abspath(path), pix_fmt="rgb24", output_params=["-vf", f"fps={fps}"] if fps else []
        )
        size = tuple(next(frames)["size"])
        for frame in frames:
            yield Image.frombytes("RGB", size, frame)


def in_groups(frames):
    """Yields frames of bytes [n, height, width, 3] as encoder groups: 1, 4, 4, ... frames in [-1, 1]."""
    import numpy

    for first, end in [(0, 1)] + [(first, first + 4) for first in range(1, len(frames), 4)]:
        yield frames[first:end].astype(numpy.float32) / 127.5 - 1


def write_video(path, pictures, width, height, fps, crf):
    """Writes pictures [height, width, 3] of bytes as H.264, in path's container. Returns their number."""
    import imageio_ffmpeg

    try:
        program = imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise Fault(
            BAD_INPUT, f"there is no ffmpeg ({first_line(error)}), see launch/python/requirements.txt"
        ) from error
    given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps), "-i", "-"]
    colours = [
        "-vf",
        "scale=out_color_matrix=bt709:out_range=tv",
        "-pix_fmt",
        "yuv420p",
        "-colorspace",
        "bt709",
        "-color_primaries",
        "bt709",
        "-color_trc",
        "bt709",
    ]
    made = ["-an", "-c:v", "libx264", "-crf", str(crf), "-movflags", "+faststart", os.path.abspath(path)]
    count = 0
    with tempfile.TemporaryFile() as said:
        ffmpeg = subprocess.Popen(
            [program, "-y", "-loglevel", "error"] + given + colours + made,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        try:
            for picture in pictures:
                ffmpeg.stdin.write(picture.tobytes())
                count += 1
        except BrokenPipeError:
            pass  # ffmpeg has failed, and its own message says why
        finally:
            with contextlib.suppress(BrokenPipeError):
                ffmpeg.stdin.close()
            code = ffmpeg.wait()
        said.seek(0)
        words = first_line(said.read().decode(errors="replace")) if code else ""
    need(code == 0, BAD_OUTPUT, f"ffmpeg ended with code {code}: {words}")
    return count

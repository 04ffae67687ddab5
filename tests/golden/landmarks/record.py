"""Record what the tflite runtime makes of the landmark networks (developer script; needs `tflite` and
`ai-edge-litert`, which the project itself does not).

    python tests/golden/landmarks/record.py --npm mediapipe-pose-0.5.1675469404.tgz --wheel mediapipe-0.10.21-*.whl

Writes beside itself `whole.npz` (samples of every output of every network on `probe_picture`, kernels as
applications run them) and `operations.npz` (samples of every intermediate tensor, plain reference kernels).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
WHOLE_SAMPLES, OPERATION_SAMPLES = 2048, 24


def probe_picture(height: int, width: int) -> np.ndarray:
    """(height, width, 3) float32 in 0..1: stripes and hashed noise from integer arithmetic alone."""
    y, x, c = np.mgrid[0:height, 0:width, 0:3].astype(np.int64)
    stripes = (x * (5 + 2 * c) + y * (3 + c) + (x * y) // (16 + 8 * c)) % 256
    noise = ((x * 73856093) ^ (y * 19349663) ^ (c * 83492791)) >> 7 & 63
    return ((stripes * 3 // 4 + noise) / 255).astype(np.float32)


def sample(values: np.ndarray, count: int) -> np.ndarray:
    """At most `count` values spread evenly over a tensor in NHWC order, float32."""
    flat = np.asarray(values, np.float32).reshape(-1)
    return flat[np.linspace(0, len(flat) - 1, min(count, len(flat))).astype(int)]


def main() -> None:
    sys.path.insert(0, str(HERE.parents[2] / "training"))
    import convert_landmarks
    from ai_edge_litert.interpreter import Interpreter

    parser = argparse.ArgumentParser()
    parser.add_argument("--npm", type=Path, required=True)
    parser.add_argument("--wheel", type=Path, required=True)
    args = parser.parse_args()
    whole: dict[str, np.ndarray] = {}
    operations: dict[str, np.ndarray] = {}
    for name, source in convert_landmarks.SOURCES.items():
        data = convert_landmarks.read_member(
            args.npm if source.package is convert_landmarks.NPM else args.wheel, source.member
        )
        for every in (False, True):
            runtime = Interpreter(model_content=data, num_threads=1, experimental_preserve_all_tensors=every)
            runtime.allocate_tensors()
            entry = runtime.get_input_details()[0]
            low, high = source.input_range
            runtime.set_tensor(entry["index"], (probe_picture(*entry["shape"][1:3]) * (high - low) + low)[None])
            runtime.invoke()
            if not every:
                for out in runtime.get_output_details():
                    whole[f"{name}/{source.outputs[out['name']]}"] = sample(
                        runtime.get_tensor(out["index"]), WHOLE_SAMPLES
                    )
                continue
            converter = convert_landmarks.Converter(data)
            converter.convert()
            for op in converter.ops:
                operations[f"{name}/{op['out']}"] = sample(runtime.get_tensor(int(op["out"][1:])), OPERATION_SAMPLES)
    np.savez_compressed(HERE / "whole.npz", **whole)
    np.savez_compressed(HERE / "operations.npz", **operations)


if __name__ == "__main__":
    main()

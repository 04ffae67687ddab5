"""Reading arrays out of stored Python objects without running them.

Body model files and estimators' results hold pickles: numpy arrays, SciPy column-compressed matrices, and lists and
dicts of them. A pickle is a program, and loading it runs whatever it names. This reader gives every name it knows an
inert record that only keeps its state, and refuses all others by name; the records then become arrays.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

LARGEST_ARRAY = 200_000_000  # numbers
_PLAIN = ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", "u2", "u4", "u8", "b1")


class _Record:
    """Stands for a class of numpy or SciPy while an object is read: keeps the state, runs nothing."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Dtype(_Record):
    def __init__(self, code: Any = "", *_: Any) -> None:
        self.code = code.decode("latin1") if isinstance(code, bytes) else str(code)

    @property
    def holds_objects(self) -> bool:
        return self.code in ("O", "O8")

    def numbers(self) -> np.dtype[Any]:
        """The plain number type; its byte order is in the state."""
        order = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else "<"
        if self.code not in _PLAIN:
            raise pickle.UnpicklingError(f"an array has the type {self.code!r}")
        return np.dtype(self.code).newbyteorder(">" if order in (">", b">") else "<")


class _Array(_Record):
    def value(self) -> Any:
        """From a pickled ndarray's state (version, shape, dtype, fortran order, bytes or objects)."""
        if not isinstance(self.state, tuple) or len(self.state) != 5 or not isinstance(self.state[2], _Dtype):
            raise pickle.UnpicklingError("an array has an unknown form")
        _, shape, dtype, fortran, content = self.state
        if dtype.holds_objects and isinstance(content, list):
            items = [plain(item) for item in content]
            return items[0] if shape == () and len(items) == 1 else items
        if not isinstance(content, bytes | str):
            raise pickle.UnpicklingError("an array holds no bytes")
        raw = content.encode("latin1") if isinstance(content, str) else content
        return np.frombuffer(raw, dtype.numbers()).reshape(shape, order="F" if fortran else "C")


class _Scalar(_Record):
    def __init__(self, dtype: Any = None, raw: Any = b"") -> None:
        self.dtype, self.raw = dtype, raw

    def value(self) -> Any:
        if not isinstance(self.dtype, _Dtype) or not isinstance(self.raw, bytes):
            raise pickle.UnpicklingError("a number has an unknown form")
        return np.frombuffer(self.raw, self.dtype.numbers())[0]


class _Sparse(_Record):
    def value(self) -> NDArray[Any]:
        """From a SciPy csc matrix's state (data, indices, indptr, shape), dense."""
        state = {key: plain(item) for key, item in self.state.items()} if isinstance(self.state, dict) else {}
        rows, columns = (int(n) for n in state.get("_shape", state.get("shape", (0, 0))))
        data, indices, starts = (np.asarray(state.get(key)) for key in ("data", "indices", "indptr"))
        if rows * columns > LARGEST_ARRAY or len(starts) != columns + 1 or len(data) != len(indices):
            raise pickle.UnpicklingError(f"a sparse matrix of {rows} x {columns} is damaged or too large")
        dense = np.zeros((rows, columns), data.dtype)
        np.add.at(dense, (indices, np.repeat(np.arange(columns), np.diff(starts))), data)
        return dense


def _new_array(*_: Any) -> _Array:
    return _Array()


def _new_record(kind: Any, *_: Any) -> _Sparse:
    if kind is not _Sparse:
        raise pickle.UnpicklingError("it rebuilds an object that is no array")
    return _Sparse()


def _new_bytes(text: str, _encoding: str = "latin1") -> bytes:
    return text.encode("latin1")


def _from_buffer(buffer: Any, dtype: Any, shape: Any, order: str) -> _Array:
    found = _Array()
    found.state = (1, shape, dtype, order == "F", bytes(buffer))
    return found


_NUMPY = ("numpy.core.", "numpy._core.")
_KNOWN: dict[tuple[str, str], Any] = {
    **{(f"{root}multiarray", "_reconstruct"): _new_array for root in _NUMPY},
    **{(f"{root}multiarray", "scalar"): _Scalar for root in _NUMPY},
    **{(f"{root}numeric", "_frombuffer"): _from_buffer for root in _NUMPY},
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("scipy.sparse.csc", "csc_matrix"): _Sparse,
    ("scipy.sparse._csc", "csc_matrix"): _Sparse,
    ("copy_reg", "_reconstructor"): _new_record,
    ("copyreg", "_reconstructor"): _new_record,
    ("__builtin__", "object"): object,
    ("builtins", "object"): object,
    ("_codecs", "encode"): _new_bytes,
    ("collections", "OrderedDict"): dict,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is no array")
        return _KNOWN[module, name]


def plain(found: Any) -> Any:
    """Records -> arrays, through dicts, lists and tuples; refuses whatever is not data."""
    if isinstance(found, _Array | _Scalar | _Sparse):
        return found.value()
    if isinstance(found, dict):
        return {plain(key): plain(item) for key, item in found.items()}
    if isinstance(found, list | tuple):
        return type(found)(plain(item) for item in found)
    if found is None or isinstance(found, bool | int | float | str | bytes):
        return found
    if isinstance(found, _Dtype):
        return found.code
    raise pickle.UnpicklingError(f"it holds a {type(found).__name__}")


def read_object(stream: IO[bytes]) -> Any:
    """Arrays, numbers, text and containers of them from one pickle; nothing in it is run.

    Raises ValueError with the reason when it holds anything else or is damaged.
    """
    return _refuse(lambda: plain(_ArrayUnpickler(stream, encoding="latin1").load()))


def read_array(archive: zipfile.ZipFile, key: str) -> NDArray[Any]:
    """One array of an npz file, stored plainly or as an object that is an array. Raises ValueError otherwise."""
    with archive.open(f"{key}.npy") as member:
        content = member.read()
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    dtype = header(stream)[2]
    if not dtype.hasobject:
        return np.load(io.BytesIO(content), allow_pickle=False)
    try:
        found = read_object(stream)
    except ValueError as error:
        raise ValueError(f"The entry {key!r} holds a stored object that is not read: {error}") from error
    if not isinstance(found, np.ndarray):
        raise ValueError(f"The entry {key!r} holds a stored {type(found).__name__}; an array is needed.")
    return found


def _refuse(read: Callable[[], Any]) -> Any:
    """Whatever goes wrong inside a damaged or hostile pickle becomes a ValueError with its reason."""
    try:
        return read()
    except (pickle.UnpicklingError, ValueError, EOFError, AttributeError, TypeError, IndexError, KeyError) as error:
        raise ValueError(f"the stored object is not plain data ({error}).") from error
    except (MemoryError, RecursionError, OverflowError) as error:
        raise ValueError("the stored object is too large or too deep.") from error

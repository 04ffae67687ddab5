"""An 8-wide float32 vector for numba kernels.

numba's optimiser does not vectorise the blending loops of a splat rasteriser: trip counts are short and
arrays may alias. So the vector is made a type of its own: `Float8`, held by LLVM as `<8 x float>`, a value in
a register that ordinary kernel code adds, multiplies and compares. LLVM turns it into one AVX register, two
SSE or NEON registers, whatever the processor has; no compiler is needed on the user's machine.

Inside a kernel:

    x = load8(array, 16)            # array[16:24] of a contiguous float32 array, any alignment
    y = x * x + spread8(scalar)     # operators + - * / contract to fused multiply-add
    store8(array, 16, y)

numba's file cache notices edits of the file that holds a kernel, not of this one: after an edit here delete
the cached kernels (`find . -name '*.nbi' -delete`).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, register_model

WIDTH = 8
_FLOAT = ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, WIDTH)
_INT = ir.IntType(32)
# Contraction allows a*b+c to become one fused instruction; no other liberty is taken, so that NaN and the
# order of additions stay as written.
_FLAGS = ("contract",)


class Float8Type(types.Type):
    """Eight float32 lanes."""

    def __init__(self) -> None:
        super().__init__(name="Float8")


float8 = Float8Type()


@register_model(Float8Type)
class Float8Model(models.PrimitiveModel):
    """A Float8 is an LLVM vector, never memory."""

    def __init__(self, manager: Any, front_end_type: types.Type) -> None:
        super().__init__(manager, front_end_type, _VECTOR)


def _constant(value: float) -> ir.Constant:
    return ir.Constant(_VECTOR, [ir.Constant(_FLOAT, value)] * WIDTH)


def _spread(builder: ir.IRBuilder, scalar: ir.Value) -> ir.Value:
    lane0 = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), scalar, ir.Constant(_INT, 0))
    mask = ir.Constant(ir.VectorType(_INT, WIDTH), [ir.Constant(_INT, 0)] * WIDTH)
    return builder.shuffle_vector(lane0, ir.Constant(_VECTOR, ir.Undefined), mask)


def _multiply_add(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
    """a b + c, fused where the processor can; asking for llvm.fma would call a slow library where it cannot."""
    return builder.fadd(builder.fmul(a, b, flags=_FLAGS), c, flags=_FLAGS)


def _shuffle(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, order: list[int]) -> ir.Value:
    mask = ir.Constant(ir.VectorType(_INT, len(order)), [ir.Constant(_INT, i) for i in order])
    return builder.shuffle_vector(a, b, mask)


def _register_operator(function: Any, emit: str) -> None:
    """Types and lowers one arithmetic operator for vector-vector and vector-scalar operands."""
    forms = [(float8, float8), (float8, types.float32), (types.float32, float8)]

    class Operator(ConcreteTemplate):
        cases = [signature(float8, *form) for form in forms]  # noqa: RUF012

    infer_global(function)(Operator)
    for form in forms:

        def lower(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
            left, right = (
                value if kind == float8 else _spread(builder, value) for kind, value in zip(sig.args, args, strict=True)
            )
            return getattr(builder, emit)(left, right, flags=_FLAGS)

        lower_builtin(function, *form)(lower)


for _function, _emit in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _register_operator(_function, _emit)


def _negate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
    return builder.fneg(args[0])


class _Negation(ConcreteTemplate):
    cases = [signature(float8, float8)]  # noqa: RUF012


infer_global(operator.neg)(_Negation)
lower_builtin(operator.neg, float8)(_negate)


def _pointer(context: Any, builder: ir.IRBuilder, array_type: types.Array, array: Any, index: Any) -> ir.Value:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


def _is_flat_float32(array: types.Type) -> bool:
    return isinstance(array, types.Array) and array.ndim == 1 and array.layout == "C" and array.dtype == types.float32


@intrinsic
def load8(typing: Any, array: types.Type, index: types.Type) -> Any:
    """array[index:index+8] of a contiguous 1-D float32 array; nothing checks the bounds."""
    if not _is_flat_float32(array):
        return None

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return builder.load(_pointer(context, builder, sig.args[0], args[0], args[1]), align=4)

    return float8(array, types.intp), emit


@intrinsic
def store8(typing: Any, array: types.Type, index: types.Type, value: types.Type) -> Any:
    """array[index:index+8] = value; nothing checks the bounds."""
    if not _is_flat_float32(array) or value != float8:
        return None

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        builder.store(args[2], _pointer(context, builder, sig.args[0], args[0], args[1]), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, float8), emit


@intrinsic
def lanes8(typing: Any, array: types.Type, start: types.Type, step: types.Type) -> Any:
    """array[start], array[start + step], ... array[start + 7 step]: one column of eight rows."""
    if not _is_flat_float32(array):
        return None

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        index, vector = args[1], ir.Constant(_VECTOR, ir.Undefined)
        for lane in range(WIDTH):
            number = builder.load(builder.gep(data, [index]))
            vector = builder.insert_element(vector, number, ir.Constant(_INT, lane))
            index = builder.add(index, args[2])
        return vector

    return float8(array, types.intp, types.intp), emit


@intrinsic
def store_rows8(
    typing: Any, array: Any, start: Any, v0: Any, v1: Any, v2: Any, v3: Any, v4: Any, v5: Any, v6: Any, v7: Any
) -> Any:
    """Writes the 8 x 8 transpose: array[start + 8 l + k] = lane l of argument k."""
    if not _is_flat_float32(array):
        return None

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        rows = list(args[2:])
        # Interleaving the first half of the rows with the second, three times, transposes.
        for _ in range(3):
            mixed = []
            for first, second in zip(rows[:4], rows[4:], strict=True):
                mixed.append(_shuffle(builder, first, second, [0, 8, 1, 9, 2, 10, 3, 11]))
                mixed.append(_shuffle(builder, first, second, [4, 12, 5, 13, 6, 14, 7, 15]))
            rows = mixed
        for number, row in enumerate(rows):
            index = builder.add(args[1], ir.Constant(args[1].type, WIDTH * number))
            builder.store(row, _pointer(context, builder, sig.args[0], args[0], index), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, *[float8] * WIDTH), emit


@intrinsic
def low_halves8(typing: Any, a: types.Type, b: types.Type) -> Any:
    """a[0:4] and b[0:4] side by side."""

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return _shuffle(builder, args[0], args[1], [0, 1, 2, 3, 8, 9, 10, 11])

    return float8(float8, float8), emit


@intrinsic
def high_halves8(typing: Any, a: types.Type, b: types.Type) -> Any:
    """a[4:8] and b[4:8] side by side."""

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return _shuffle(builder, args[0], args[1], [4, 5, 6, 7, 12, 13, 14, 15])

    return float8(float8, float8), emit


@intrinsic
def store_triples8(typing: Any, array: types.Type, index: types.Type, a: Any, b: Any, c: Any) -> Any:
    """array[index + 3 l + (0, 1, 2)] = lane l of a, b, c."""
    if not _is_flat_float32(array):
        return None

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        for part in range(3):
            places = [divmod(8 * part + j, 3) for j in range(8)]  # (lane, which of a, b, c)
            pair = [lane + 8 * which if which < 2 else 0 for lane, which in places]
            whole = [j if which < 2 else 8 + lane for j, (lane, which) in enumerate(places)]
            mixed = _shuffle(builder, _shuffle(builder, args[2], args[3], pair), args[4], whole)
            index = builder.add(args[1], ir.Constant(args[1].type, 8 * part))
            builder.store(mixed, _pointer(context, builder, sig.args[0], args[0], index), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, float8, float8, float8), emit


@intrinsic
def sqrt8(typing: Any, value: types.Type) -> Any:
    """Square root of every lane, correctly rounded."""

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        kind = ir.FunctionType(_VECTOR, [_VECTOR])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.sqrt.v8f32"), [args[0]])

    return float8(float8), emit


@intrinsic
def abs8(typing: Any, value: types.Type) -> Any:
    """Absolute value of every lane."""

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        kind = ir.FunctionType(_VECTOR, [_VECTOR])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.fabs.v8f32"), [args[0]])

    return float8(float8), emit


@intrinsic
def spread8(typing: Any, value: types.Type) -> Any:
    """Eight copies of a float32."""

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return _spread(builder, args[0])

    return float8(types.float32), emit


def _minmax(comparison: str) -> Callable[..., Any]:
    def typer(typing: Any, a: types.Type, b: types.Type) -> Any:
        def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
            return builder.select(builder.fcmp_ordered(comparison, args[0], args[1]), args[0], args[1])

        return float8(float8, float8), emit

    return typer


min8 = intrinsic(_minmax("<"))
max8 = intrinsic(_minmax(">"))


@intrinsic
def keep_above8(typing: Any, test: types.Type, bound: types.Type, a: types.Type, b: types.Type) -> Any:
    """Per lane: a where test > bound, else b (also where test is NaN)."""

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return builder.select(builder.fcmp_ordered(">", args[0], args[1]), args[2], args[3])

    return float8(float8, float8, float8, float8), emit


# p(x) ~ 2^x on [-1, 0], lowest power first: least maximal relative error (8.4e-8) with p(0) = 1 held.
EXP2_COEFFICIENTS = (1.0, 0.693143725, 0.24018015, 0.0552973598, 0.00920579769, 0.000944903644)


@intrinsic
def exp2_short8(typing: Any, value: types.Type) -> Any:
    """2^value for lanes in [-8, 0]: a polynomial of value/8, squared three times.

    The short range needs neither floor nor exponent bits. Lanes below -8 are raised to -8; the relative
    error stays under 2e-6.
    """

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        floor = _constant(-8.0)
        low = builder.select(builder.fcmp_ordered(">", args[0], floor), args[0], floor)
        x = builder.fmul(low, _constant(0.125))
        result = _constant(EXP2_COEFFICIENTS[-1])
        for coefficient in reversed(EXP2_COEFFICIENTS[:-1]):
            result = _multiply_add(builder, result, x, _constant(coefficient))
        for _ in range(3):
            result = builder.fmul(result, result)
        return result

    return float8(float8), emit


# log2(1 + f) ~ f p(f) for 1 + f in [sqrt(1/2), sqrt(2)], lowest power first: least maximal error (4.8e-8).
LOG2_COEFFICIENTS = (
    1.44269478, -0.721357167, 0.480939448, -0.360087216, 0.286707461, -0.250069052, 0.23689042, -0.145744532,
)  # fmt: skip
_SQRT_HALF_BITS = 0x3F3504F3


@intrinsic
def log2_8(typing: Any, value: types.Type) -> Any:
    """Binary logarithm of positive, normal lanes, absolute error under 3e-7; any other lane gives some number."""

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        ints = ir.VectorType(_INT, WIDTH)

        def whole(number: int) -> ir.Constant:
            return ir.Constant(ints, [ir.Constant(_INT, number)] * WIDTH)

        # Value = mantissa 2^exponent with the mantissa in [sqrt(1/2), sqrt(2)).
        bits = builder.bitcast(args[0], ints)
        exponent = builder.ashr(builder.sub(bits, whole(_SQRT_HALF_BITS)), whole(23))
        mantissa = builder.bitcast(builder.sub(bits, builder.shl(exponent, whole(23))), _VECTOR)
        f = builder.fsub(mantissa, _constant(1.0))
        result = _constant(LOG2_COEFFICIENTS[-1])
        for coefficient in reversed(LOG2_COEFFICIENTS[:-1]):
            result = _multiply_add(builder, result, f, _constant(coefficient))
        return _multiply_add(builder, result, f, builder.sitofp(exponent, _VECTOR))

    return float8(float8), emit


@intrinsic
def pack_range8(typing: Any, first: types.Type, last: types.Type) -> Any:
    """int(first) | int(last) << 16 of lanes in [0, 32767], as the bits of a Float8."""

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        ints = ir.VectorType(_INT, WIDTH)
        low, high = builder.fptosi(args[0], ints), builder.fptosi(args[1], ints)
        shift = ir.Constant(ints, [ir.Constant(_INT, 16)] * WIDTH)
        return builder.bitcast(builder.or_(low, builder.shl(high, shift)), _VECTOR)

    return float8(float8, float8), emit


def _fold(builder: ir.IRBuilder, vector: ir.Value, combine: Callable[[ir.Value, ir.Value], ir.Value]) -> ir.Value:
    """Pairwise reduction of the lanes: 8, 4, 2, 1."""
    width = WIDTH
    while width > 1:
        width //= 2
        low = _shuffle(builder, vector, vector, list(range(width)))
        high = _shuffle(builder, vector, vector, list(range(width, 2 * width)))
        vector = combine(low, high)
    return builder.extract_element(vector, ir.Constant(_INT, 0))


@intrinsic
def sum8(typing: Any, value: types.Type) -> Any:
    """Sum of the lanes, pairwise, as float32."""

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return _fold(builder, args[0], lambda a, b: builder.fadd(a, b))

    return types.float32(float8), emit


@intrinsic
def largest8(typing: Any, value: types.Type) -> Any:
    """Largest lane as float32."""

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return _fold(builder, args[0], lambda a, b: builder.select(builder.fcmp_ordered(">", a, b), a, b))

    return types.float32(float8), emit


@intrinsic
def sums8(typing: Any, v0: Any, v1: Any, v2: Any, v3: Any, v4: Any, v5: Any, v6: Any, v7: Any) -> Any:
    """Float8 whose lane k is the sum of the lanes of argument k.

    Three rounds of interleave-and-add, 7 additions in all, instead of eight separate reductions.
    """

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        def pair(a: ir.Value, b: ir.Value) -> ir.Value:
            even = _shuffle(builder, a, b, [0, 2, 8, 10, 4, 6, 12, 14])
            odd = _shuffle(builder, a, b, [1, 3, 9, 11, 5, 7, 13, 15])
            return builder.fadd(even, odd)

        quads = [pair(args[i], args[i + 1]) for i in (0, 2, 4, 6)]
        halves = [pair(quads[0], quads[1]), pair(quads[2], quads[3])]
        low = _shuffle(builder, halves[0], halves[1], [0, 1, 2, 3, 8, 9, 10, 11])
        high = _shuffle(builder, halves[0], halves[1], [4, 5, 6, 7, 12, 13, 14, 15])
        return builder.fadd(low, high)

    return float8(*[float8] * WIDTH), emit


@intrinsic
def fetch_add(typing: Any, array: types.Type, index: types.Type, amount: types.Type) -> Any:
    """Atomically adds `amount` to array[index] (1-D int64) and returns the value before."""
    if not (isinstance(array, types.Array) and array.ndim == 1 and array.dtype == types.int64):
        return None

    def emit(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", builder.gep(data, [args[1]]), args[2], "monotonic")

    return types.int64(array, types.intp, types.int64), emit

"""Cloth drawn from a recipe at true size: what `Material.pattern` may say.

    {"name": "stripes",            one of PATTERNS; 'plain' when it is missing or the recipe is empty
     "colours": [(r, g, b), ...],  sRGB 0..1, up to four; the material's tint is the first one when it is missing
     "period_m": 0.05,             metres of one repeat
     "duty": 0.5,                  share of the repeat that has the second colour
     "angle_deg": 0,               turn of the drawing; stripes lie level at 0 and stand upright at 90
     "turned": False,              the UV chart lies on its side: u runs up the body
     "weave": "jersey",            grain of the cloth, one of WEAVES; each pattern has its own when it is missing
     "fade": 0.0, "seed": 1,
     "decals": ["logo_chest", "print_chest", "print_back", "buttons", "pocket_chest", "pockets_back", ...]}

Colours are mixed in linear light. Periods are metres on the surface by way of `Material.metres_per_uv`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from training.people.grain import at, smooth, white

PATTERNS = (
    "plain", "stripes", "check", "plaid", "dots", "floral", "camouflage", "pinstripe", "herringbone", "blocks",
    "gradient", "marble", "zigzag", "houndstooth", "argyle", "tie_dye",
)  # fmt: skip
WEAVES = ("jersey", "denim", "knit", "melange", "canvas", "smooth", "leather", "strands")
DEFAULT_PERIOD = {"stripes": 0.05, "check": 0.04, "plaid": 0.12, "dots": 0.05, "floral": 0.18, "camouflage": 0.3,
                  "pinstripe": 0.02, "herringbone": 0.03, "blocks": 0.45, "gradient": 1.0, "marble": 0.4,
                  "zigzag": 0.1, "houndstooth": 0.04, "argyle": 0.14, "tie_dye": 0.6}  # fmt: skip
GREY = (0.45, 0.45, 0.47)
# Sports and work wear carry other names in recipes than the drawing has.
ALSO = {"print": "plain", "denim": "plain", "knit": "plain", "melange": "plain", "leather": "plain", "camo": "camouflage",
        "stripe": "stripes", "checks": "check", "tartan": "plaid", "solid": "plain", "logo": "plain"}  # fmt: skip


def linear(srgb: NDArray[np.floating]) -> NDArray[np.float32]:
    """sRGB 0..1 -> linear light 0..1 (IEC 61966-2-1)."""
    s = np.asarray(srgb, np.float32)
    return np.where(s <= 0.04045, s / 12.92, ((s + 0.055) / 1.055) ** 2.4).astype(np.float32)


def encoded(light: NDArray[np.floating]) -> NDArray[np.float32]:
    """Linear light -> sRGB 0..1, clipped; the inverse of `linear` to 1e-5 (a table over the square root)."""
    flat = np.ascontiguousarray(light, np.float32)
    return _encode(flat.ravel(), CURVE).reshape(flat.shape)


def _curve() -> NDArray[np.float32]:
    x = (np.arange(4098) / 4096.0) ** 2
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055).astype(np.float32)


CURVE = _curve()


@njit(cache=True, error_model="numpy")
def _encode(light, curve):  # type: ignore[no-untyped-def]
    out = np.empty_like(light)
    for n in range(light.size):
        at = np.sqrt(min(max(light[n], np.float32(0.0)), np.float32(1.0))) * np.float32(4096.0)
        i = int(at)
        out[n] = curve[i] + (curve[i + 1] - curve[i]) * (at - i)
    return out


def drawn(
    pattern: dict[str, Any], tint: tuple[float, ...] | None, metres_per_uv: float, size: int
) -> NDArray[np.float32]:
    """A recipe -> (size, size, 3) linear light; row 0 is v = 1. ValueError for an unknown pattern or weave."""
    named = str(pattern.get("name", pattern.get("kind", "plain")))
    name = ALSO.get(named, named)
    weave = str(pattern.get("weave", named if named in WEAVES else "jersey"))
    if name not in PATTERNS:
        raise ValueError(f"The pattern came as '{named}'; it needs one of {', '.join(PATTERNS)}.")
    if weave not in WEAVES:
        raise ValueError(f"The weave came as '{weave}'; it needs one of {', '.join(WEAVES)}.")
    given = [tuple(float(v) for v in c) for c in pattern.get("colours", ())]
    if tint is not None and not given:
        given = [tuple(float(v) for v in tint)]
    colours = linear(np.array((given or [GREY])[:4], np.float32))
    while len(colours) < 4:
        last = colours[-1]
        # One colour was given: the partners are lighter or darker sisters of it.
        colours = np.vstack([colours, last * 0.35 if last.mean() > 0.25 else 0.35 + 0.65 * last])
    period = float(pattern.get("period_m", DEFAULT_PERIOD.get(name, 0.05)))
    angle = np.radians(float(pattern.get("angle_deg", 0.0)) + (90.0 if name == "pinstripe" else 0.0))
    seed = int(pattern.get("seed", 0))
    numbers = np.array([
        metres_per_uv, max(period, 0.004), float(pattern.get("duty", 0.5)), np.cos(angle), np.sin(angle),
        1.0 if pattern.get("turned") else 0.0, float(pattern.get("fade", 0.45 if weave == "denim" else 0.0)),
    ])  # fmt: skip
    out = np.empty((size, size, 3), np.float32)
    _weave(out, PATTERNS.index(name), WEAVES.index(weave), colours.astype(np.float32), numbers, seed,
           smooth(11, 4), smooth(23, 16), white(5))  # fmt: skip
    return out


@njit(cache=True, error_model="numpy")
def _band(t, duty, soft):  # type: ignore[no-untyped-def]
    """1 inside the band of a repeat, 0 outside, its edges as soft as a texel."""
    t = t - np.floor(t)
    edge = min(min(t, duty - t) if t < duty else -min(t - duty, 1.0 - t), 1.0)
    return min(max(0.5 + edge / max(soft, 1e-6), 0.0), 1.0)


@njit(cache=True, error_model="numpy")
def _weave(out, pattern, weave, colours, numbers, seed, broad, fine, speck):  # type: ignore[no-untyped-def]
    size = out.shape[0]
    metres, period, duty, c, s, turned, fade = numbers
    soft = metres / size / period
    wrinkled = 0.5 if weave == 2 else 1.0
    ox, oy = (seed * 0.61803) % 1.0, (seed * 0.41421) % 1.0
    for row in range(size):
        for column in range(size):
            u, v = (column + 0.5) / size * metres, (1.0 - (row + 0.5) / size) * metres
            if turned > 0:
                u, v = v, u
            x, y = (c * u + s * v) / period, (c * v - s * u) / period
            lump = at(broad, u / 0.7 + ox, v / 0.7 + oy)
            k1 = k2 = k3 = 0.0
            if pattern == 1:
                k1 = _band(y + oy, duty, soft)
            elif pattern == 2:
                k1 = 0.5 * (_band(x, duty, soft) + _band(y, duty, soft))
            elif pattern == 3:
                k1 = 0.5 * (_band(x, duty, soft) + _band(y, duty, soft))
                k2 = 0.8 * max(_band(x + 0.25 + duty / 2, 0.06, soft), _band(y + 0.25 + duty / 2, 0.06, soft))
            elif pattern == 4:
                odd = np.floor(y) % 2
                dx, dy = x + 0.5 * odd - np.floor(x + 0.5 * odd) - 0.5, y - np.floor(y) - 0.5
                k1 = min(max((0.45 * duty + 0.08 - np.sqrt(dx * dx + dy * dy)) / soft + 0.5, 0.0), 1.0)
            elif pattern == 5:
                a, b = at(broad, x * 0.5 + ox, y * 0.5 + oy), at(fine, x * 0.5 + oy, y * 0.5)
                k1 = min(max((b - 0.56) * 25.0, 0.0), 1.0)
                k2 = min(max((a - 0.55) * 25.0, 0.0), 1.0) * k1
                k3 = min(max((0.40 - b) * 25.0, 0.0), 1.0)
            elif pattern == 6:
                a, b = at(broad, x * 0.5 + ox, y * 0.5), at(broad, x * 0.5 + 0.5, y * 0.5 + oy)
                k1 = min(max((a - 0.5) * 60.0, 0.0), 1.0)
                k2 = min(max((b - 0.56) * 60.0, 0.0), 1.0)
                k3 = min(max((0.4 - b) * 60.0, 0.0), 1.0)
            elif pattern == 7:
                k1 = 0.6 * _band(y, 0.08, soft)
            elif pattern == 8:
                tri = 2.0 * abs(x * 0.5 - np.floor(x * 0.5) - 0.5)
                k1 = 0.7 * _band(2.0 * y + 2.0 * tri, 0.5, 2.0 * soft)
            elif pattern == 9:
                k1 = _band(y + oy, 0.5, soft)
                k2 = _band(y + oy + 0.04, 0.08, soft)
            elif pattern == 10:
                k1 = min(max(y + 0.2 * (lump - 0.5), 0.0), 1.0)
            elif pattern == 11:
                a = at(broad, x * 0.5 + ox, y * 0.5 + oy)
                k1 = 0.5 + 0.5 * np.sin(25.0 * a + 6.0 * x)
            elif pattern == 12:
                tri = 2.0 * abs(x - np.floor(x) - 0.5)
                k1 = _band(y + 0.6 * tri, duty, soft)
            elif pattern == 13:  # four light and four dark threads, woven two over two
                tx, ty = int(np.floor(x * 8.0)), int(np.floor(y * 8.0))
                over = (tx + ty) % 4 < 2
                k1 = 1.0 if ((tx % 8) < 4 if over else (ty % 8) < 4) else 0.0
            elif pattern == 14:
                dx, dy = x - np.floor(x) - 0.5, 0.6 * (y - np.floor(y) - 0.5) / 0.6
                k1 = min(max((0.5 - abs(dx) - abs(dy)) / soft, 0.0), 1.0)
                k2 = 0.8 * max(_band(x + y + 0.02, 0.04, 2 * soft), _band(x - y + 0.02, 0.04, 2 * soft))
            elif pattern == 15:  # rings around a knot, dye that ran
                rx, ry = u - 0.5 * metres, v - 0.6 * metres
                r = np.sqrt(rx * rx + ry * ry) / period + 0.35 * lump + 0.1 * np.sin(7.0 * np.arctan2(ry, rx))
                k1 = 0.5 + 0.5 * np.sin(18.0 * r)
                k2 = min(max(np.sin(11.0 * r + 2.0) * 1.5, 0.0), 1.0)
            shade = 1.0 + 0.10 * (lump - 0.5) + 0.06 * (at(fine, u / 0.25, v / 0.25) - 0.5)
            grit = speck[row % 256, column % 256] - 0.5
            if weave < 6:  # small wrinkles, lit from above: the rise of a smooth relief over a centimetre
                rise = at(broad, u / 0.55 + oy, (v + 0.012) / 0.42 + ox) - at(broad, u / 0.55 + oy, v / 0.42 + ox)
                crease = at(fine, u / 0.8 + ox, (v + 0.006) / 0.5) - at(fine, u / 0.8 + ox, v / 0.5)
                shade += wrinkled * min(max(1.5 * rise + 0.5 * crease, -0.14), 0.14)
            if weave == 0:
                shade *= 1.0 + 0.06 * grit
            elif weave == 1:  # denim: twill, grain, and blotches where it was worn
                twill = np.sin((u + v) * 2200.0)
                worn = at(broad, u / 0.9 + oy, v / 0.9 + ox)
                worn = max(worn - 0.45, 0.0) * 3.0
                shade *= (1.0 + 0.22 * grit + 0.05 * twill) * (1.0 + fade * 1.6 * worn)
            elif weave == 2:  # knit: ribs upright, rows level
                shade *= 1.0 + 0.10 * np.sin(u * 698.0) + 0.04 * np.sin(v * 900.0) + 0.10 * grit
            elif weave == 3:
                shade *= 1.0 + 0.30 * grit + 0.25 * (at(fine, u / 0.03, v / 0.05) - 0.5)
            elif weave == 4:
                shade *= 1.0 + 0.10 * grit + 0.05 * np.sin(u * 1500.0) * np.sin(v * 1500.0)
            elif weave == 5:
                shade *= 1.0 + 0.02 * grit
            elif weave == 6:
                shade *= 1.0 + 0.25 * (at(fine, u / 0.12, v / 0.12) - 0.5) + 0.06 * grit
            else:  # hair: locks and strands run along v, whatever a metre is
                su, sv = u / metres + 0.012 * (at(broad, 3.0 * u / metres, 2.0 * v / metres) - 0.5), v / metres
                lock = at(fine, su * 2.5 + ox, sv * 0.3)
                strand = at(fine, su * 9.0, sv * 0.5 + oy)
                hair = at(speck, su * 1.5625, sv * 0.012) - 0.5
                shade = max(1.0 + 1.5 * (lock - 0.5) + 1.1 * (strand - 0.5) + 0.45 * hair, 0.25)
            for i in range(3):
                value = colours[0, i]
                value += (colours[1, i] - value) * k1
                value += (colours[2, i] - value) * k2
                value += (colours[3, i] - value) * k3
                out[row, column, i] = max(value * shade, 0.0)

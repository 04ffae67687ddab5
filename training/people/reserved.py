"""What only tests may see: poses, garments, hair, prints and skins that no person below seed 9000 ever has."""

from __future__ import annotations

RESERVED: dict[str, tuple[str, ...]] = {
    "pose": (
        "throw",
        "tree",
        "side_lunge",
        "kneel_both",
        "dance_low",
        "fight02",
        "standing04",
        "run01",
        "contra__head_head",
        "crossed__pocket_pocket",
        "sit_legover__talk_lap",
        "squat__up_relax",
        "step__carry_carry",
        "wide__back_back",
        "walking_1_f58",
        "walking_5_f250",
        "soccer_5_f550",
        "directing_traffic_1_f810",
        "washwindow_1_f730",
        "lunge__talk_carry",
    ),
    "garment": (
        "folded t-shirt",
        "belted shorts",
        "loose tee f",
        "folded trousers",
        "kimono",
        "poncho",
        "culottes",
        "shoes03",
        "bucket_hat",
    ),
    "hair": ("braid01", "short03", "pigtails", "mohawk"),
    "print": ("camouflage", "zigzag", "marble", "houndstooth", "argyle", "tie_dye"),
    "skin": (
        "middleage_lightskinned_male_diffuse2",
        "young_lightskinned_female_diffuse3",
        "old_darkskinned_male_diffuse",
        "young_lightskinned_male_diffuse3",
    ),
}


def reserved_for_test(kind: str, name: str) -> bool:
    """Whether only test people may have it. kind: a key of RESERVED; ValueError for another."""
    if kind not in RESERVED:
        raise ValueError(f"There is no kind {kind!r} of reserved thing; known are {', '.join(RESERVED)}.")
    return name in RESERVED[kind]


def allowed(kind: str, weights: dict[str, float], split: str, favour: float = 3.0) -> dict[str, float]:
    """The choices of a split with their weights: training without what is reserved, tests with it favoured."""
    if split == "train":
        return {n: w for n, w in weights.items() if not reserved_for_test(kind, n)}
    return {n: w * (favour if reserved_for_test(kind, n) else 1.0) for n, w in weights.items()}

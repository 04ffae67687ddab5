"""Known weight and model files: what each is for, where it comes from, its licence, and whether it is here.

A role ('landmarks', 'body', ...) is what a step asks for; `--weights ROLE=PATH` overrides the file that answers it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from pipelines.step import MissingNeed, UserError

ASSETS = Path(__file__).resolve().parent.parent / "assets"


@dataclass(frozen=True)
class WeightFile:
    """One known file or folder of files. shipped: path below assets/, or '' when the user must bring it."""

    role: str
    title: str
    shipped: str
    suffixes: tuple[str, ...]
    licence: str
    source: str
    how_to_get: str
    replaceable: bool = True


KNOWN: dict[str, WeightFile] = {
    w.role: w
    for w in (
        WeightFile(
            "landmarks", "BlazePose, hand and face landmark networks", "weights/landmarks", (), "Apache-2.0",
            "MediaPipe (Google), converted by training/convert_landmarks.py",
            "It is part of the repository; get a complete copy of it.",
        ),
        WeightFile(
            "body", "Anny body model, exported", "body/anny.npz", (".npz",), "Apache-2.0 (code), CC0 (data)",
            "Anny (NAVER) on MakeHuman data, exported by training/export_anny.py",
            "It is part of the repository; get a complete copy of it.", replaceable=False,
        ),
        WeightFile(
            "lift", "Landmark lift of the body fit", "body/lift.npz", (".npz",),
            "Apache-2.0 (trained by us on CC0 people)", "training/body_lift.py",
            "It is part of the repository; get a complete copy of it.", replaceable=False,
        ),
        WeightFile(
            "hgm.layers", "HGM's compact layer network", "", (".safetensors",),
            "Apache-2.0 (trained by us on CC0 people)", "training/hgm/train_layers.py",
            "No trained file is part of this version and no method needs one; training.hgm.train_layers makes one.",
        ),
        WeightFile(
            "smplx", "SMPL-X body model (optional)", "", (".npz",), "SMPL-X licence (non-commercial; register)",
            "smpl-x.is.tue.mpg.de",
            "Register at smpl-x.is.tue.mpg.de and download SMPLX_NEUTRAL.npz; no system of this version needs it.",
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Weights:
    """The files of one run. chosen: {role: path} from the user."""

    chosen: dict[str, str] = field(default_factory=dict)

    def path(self, role: str) -> Path:
        """The file or folder for a role; MissingNeed with the way to get it, UserError for a wrong path."""
        known = find_role(role)
        if role in self.chosen:
            path = Path(self.chosen[role]).expanduser()
            if not path.exists():
                raise UserError(f"--weights {role} came as '{path}', and there is no such file; check the path.")
            check_file(path, role)
            return path
        path = ASSETS / known.shipped
        if not known.shipped or not path.exists():
            raise MissingNeed(f"{known.title} is not on this machine. {known.how_to_get}")
        return path

    def fingerprint(self, role: str) -> str:
        """Hex digest of the bytes behind a role (part of the cache key)."""
        path = self.path(role)
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        digest = hashlib.sha256()
        for file in files:
            stat = file.stat()
            digest.update(file.name.encode() + _digest_of(str(file), stat.st_size, stat.st_mtime_ns).encode())
        return digest.hexdigest()[:16]

    def licence(self, role: str) -> str:
        """The licence of a role's known file, or a note that the user chose another file."""
        return f"chosen by the user: {Path(self.chosen[role]).name}" if role in self.chosen else KNOWN[role].licence


def find_role(role: str) -> WeightFile:
    """The known file of a role; UserError with the roles there are."""
    if role not in KNOWN:
        raise UserError(f"There is no weight role '{role}'; there is {', '.join(KNOWN)}.")
    return KNOWN[role]


def parse_choices(pairs: list[str], used: set[str]) -> dict[str, str]:
    """['role=path', ...] from the command line -> {role: path}; everything checked. used: roles of the run's steps."""
    chosen = {}
    for pair in pairs:
        role, equals, path = pair.partition("=")
        if not equals or not path:
            raise UserError(f"--weights came with '{pair}'; it needs ROLE=PATH.")
        known = find_role(role)
        if not known.replaceable:
            raise UserError(
                f"--weights {role} came, but the program has one {role} model only; "
                "a body fitted elsewhere comes in with --replace body.fit=body.npz."
            )
        if role not in used:
            raise UserError(f"--weights {role} came, but no step of this system uses it; leave it out.")
        chosen[role] = path
        Weights(chosen).path(role)
    return chosen


def check_file(path: Path, role: str) -> str:
    """Whether a file can serve a role, as one sentence; UserError when it cannot. Nothing is unpickled."""
    known = find_role(role)
    if role == "landmarks":
        missing = [n for n in ("pose_detection", "pose_landmark_heavy") if not list(path.glob(f"{n}*.safetensors"))]
        if not path.is_dir() or missing:
            raise UserError(
                f"'{path}' came for '{role}'; it needs a folder with {', '.join(missing) or 'the networks'}."
            )
        return f"'{path.name}' holds the landmark networks."
    if path.suffix not in known.suffixes:
        raise UserError(f"'{path.name}' came for '{role}'; it needs a {' or '.join(known.suffixes)} file.")
    if path.suffix == ".safetensors":
        return _check_safetensors(path, role)
    import zipfile

    if not zipfile.is_zipfile(path):
        raise UserError(f"'{path.name}' came for '{role}', but it is not a readable NPZ file; get a complete copy.")
    names = {Path(n).stem for n in zipfile.ZipFile(path).namelist()}
    wanted = {
        "body": {"template", "faces"},
        "lift": {"mean", "scale", "first"},
        "smplx": {"v_template", "shapedirs", "posedirs", "J_regressor", "f"},
    }[role]
    if role == "body":
        wanted = names & wanted or wanted
    if wanted - names:
        raise UserError(
            f"'{path.name}' came for '{role}' and lacks {', '.join(sorted(wanted - names))}; get the official file."
        )
    return f"'{path.name}' fits '{role}' ({len(names)} arrays)."


def _check_safetensors(path: Path, role: str) -> str:
    """`check_file` for a network of ours: the names of its tensors say whose it is."""
    from safetensors import SafetensorError, safe_open

    wanted = {"hgm.layers": {"unet.conv_in.weight", "conv.weight"}}[role]
    try:
        with safe_open(path, "numpy") as file:
            names = set(file.keys())
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"'{path.name}' came for '{role}', but it cannot be read ({error}); get a complete copy."
        ) from error
    if wanted - names:
        raise UserError(
            f"'{path.name}' came for '{role}' and lacks {', '.join(sorted(wanted - names))}; give that network."
        )
    return f"'{path.name}' fits '{role}' ({len(names)} arrays)."


def guess_role(path: Path) -> str:
    """The role that a user's file is for, from its content; UserError when nothing fits."""
    for role in KNOWN:
        try:
            check_file(path, role)
        except UserError:
            continue
        return role
    raise UserError(f"'{path}' fits no known role ({', '.join(KNOWN)}); give the official file of one of them.")


@lru_cache(maxsize=256)
def _digest_of(path: str, size: int, modified: int) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()

"""Known weight and model files: what each is for, where it comes from, its licence, and whether it is here.

A role ('landmarks', 'body', ...) is what a step asks for; `--weights ROLE=PATH` overrides the file that answers it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.file_digest import file_digest
from pipelines.step import MissingNeed, UserError

# By role: whether a file that can only be judged by what is in it is one for that role. Who knows such networks hands
# these in; this module knows none of them.
Judges = Mapping[str, Callable[[Path], bool]]

ASSETS = Path(__file__).resolve().parent.parent / "assets"


@dataclass(frozen=True)
class WeightFile:
    """One known file or folder of files.

    shipped: path below assets/, or '' when the user must bring it. gigabytes: roughly, of what must be brought. group:
    files that are only of use together (see `GROUPS`), '' for those that stand alone.
    """

    role: str
    title: str
    shipped: str
    suffixes: tuple[str, ...]
    licence: str
    source: str
    how_to_get: str
    replaceable: bool = True
    gigabytes: float = 0.0
    group: str = ""


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
            "picture_lift", "Lift of the body fit that sees the picture", "body/picture_lift.npz", (".npz",),
            "Apache-2.0 (trained by us on CC0 people)", "training/picture_lift.py",
            "It is part of the repository; get a complete copy of it.", replaceable=False,
        ),
        WeightFile(
            "hgm.layers", "HGM's compact layer network", "weights/hgm_layers.safetensors", (".safetensors",),
            "Apache-2.0 (trained by us on CC0 people)", "training/hgm/train_layers.py",
            "It is part of the repository; get a complete copy of it.",
        ),
        WeightFile(
            "hgm.back", "HGM's compact back refiner", "weights/hgm_back.safetensors", (".safetensors",),
            "Apache-2.0 (trained by us on CC0 people)", "training/hgm/train_back.py",
            "It is part of the repository; get a complete copy of it, or set hgm.back.refiner=none.",
        ),
        WeightFile(
            "hgm.one_view", "HGM's released one-view network", "", (".safetensors", ".pt", ".pth", ".bin", ".ckpt"),
            "not stated (ask the authors)", "the authors' public HGM repository (ICLR 2025)",
            "Download the one-view file from the folder that the README of HGM's public repository links to, and name it "
            "with --weights hgm.one_view=FILE, or for every run and the page: 'python app.py weights keep hgm.one_view=FILE'.",
        ),
        WeightFile(
            "hgm.two_view", "HGM's released two-view network", "", (".safetensors", ".pt", ".pth", ".bin", ".ckpt"),
            "not stated (ask the authors)", "the authors' public HGM repository (ICLR 2025)",
            "Download the two-view file from the folder that the README of HGM's public repository links to, and name it "
            "with --weights hgm.two_view=FILE, or for every run and the page: 'python app.py weights keep hgm.two_view=FILE'.",
        ),
        WeightFile(
            "hgm.diffusion", "Stable Diffusion 1.5 (a folder)", "", (), "CreativeML OpenRAIL-M",
            "stable-diffusion-v1-5/stable-diffusion-v1-5",
            "Download the folder of stable-diffusion-v1-5 (diffusers layout) and name it with "
            "--weights hgm.diffusion=FOLDER, or set hgm.back.refiner=none.",
        ),
        WeightFile(
            "hgm.controlnet", "ControlNet tile for the back view (a folder)", "", (), "CreativeML OpenRAIL-M",
            "lllyasviel/control_v11f1e_sd15_tile, or one fine-tuned on coarse back views",
            "Download the folder of control_v11f1e_sd15_tile (diffusers layout) and name it with "
            "--weights hgm.controlnet=FOLDER, or set hgm.back.refiner=none.",
        ),
        WeightFile(
            "synchuman.stage1", "SyncHuman's first stage (folder OneStage)", "", (), "none stated by its authors",
            "xishushu/SyncHuman on the Hub", "python app.py weights fetch synchuman", gigabytes=5.0, group="synchuman",
        ),
        WeightFile(
            "synchuman.stage2", "SyncHuman's second stage (folder SecondStage)", "", (), "none stated by its authors",
            "xishushu/SyncHuman on the Hub", "python app.py weights fetch synchuman", gigabytes=3.1, group="synchuman",
        ),
        WeightFile(
            "synchuman.tokens", "DINOv2 ViT-L/14 with registers (a folder)", "", (), "Apache-2.0",
            "facebook/dinov2-with-registers-large on the Hub", "python app.py weights fetch synchuman", gigabytes=1.2,
            group="synchuman",
        ),
        WeightFile(
            "synchuman.prompts", "fixed prompt features, normal_embeds.pt and clr_embeds.pt (a folder)", "", (), "MIT",
            "code repository of PSHuman, mvdiffusion/data/fixed_prompt_embeds_7view",
            "python app.py weights fetch synchuman, or copy normal_embeds.pt and clr_embeds.pt from "
            "mvdiffusion/data/fixed_prompt_embeds_7view of PSHuman's code",
            gigabytes=0.003, group="synchuman",
        ),
        WeightFile(
            "smplx", "SMPL-X body model (optional)", "", (".npz",), "SMPL-X licence (non-commercial; register)",
            "smpl-x.is.tue.mpg.de",
            "Register at smpl-x.is.tue.mpg.de, download SMPLX_NEUTRAL.npz and name it with --weights smplx=FILE; only "
            "HGM's released networks need it.",
        ),
    )
}  # fmt: skip


# Roles that are folders in diffusers' layout, and what must lie in them.
FOLDERS = {
    "hgm.diffusion": ("unet", "vae", "scheduler", "text_encoder", "tokenizer"),
    "hgm.controlnet": ("config.json",),
    "synchuman.stage1": ("SyncHuman_2D3DCrossSpaceDiffusion", "vae", "image_encoder", "sparse_structure_decoder"),
    "synchuman.stage2": ("pipeline.json",),
    "synchuman.tokens": ("model.safetensors",),
    "synchuman.prompts": ("normal_embeds.pt", "clr_embeds.pt"),
}

# Where in such a folder networks of diffusers lie, and what their files are called: the published tile ControlNet comes
# as a .bin alone, of which tensors are read and nothing else.
DIFFUSERS = {"hgm.diffusion": ("unet", "vae"), "hgm.controlnet": (".",)}
DIFFUSERS_FILES = tuple(f"diffusion_pytorch_model.{e}" for e in ("safetensors", "bin", "fp16.safetensors", "fp16.bin"))

# Files that are only of use together: whose they are, how to get them all, and what works without them.
GROUPS = {
    "synchuman": ("SyncHuman's released networks are", "Fetch them with 'python app.py weights fetch synchuman' (add "
                  "'--from FOLDER' for a folder that you have)", "without them '--system views' makes a person of pictures "
                  "made elsewhere and '--system projection' one of a photo"),
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
        if known.shipped and path.exists():
            return path
        if noted := fetched(role):
            return noted
        if known.group:
            raise MissingNeed(self.lacking(known.group))
        raise MissingNeed(f"{known.title} is not on this machine. {known.how_to_get}")

    def has(self, role: str) -> bool:
        """Whether something answers the role; a wrong path of the user's is a UserError."""
        known = find_role(role)
        shipped = bool(known.shipped) and (ASSETS / known.shipped).exists()
        return role in self.chosen or shipped or fetched(role) is not None

    def lacking(self, group: str) -> str:
        """What of a group is missing, with size and licence, how to get it, and what works without it."""
        whose, how, instead = GROUPS[group]
        missing = [w for w in KNOWN.values() if w.group == group and not self.has(w.role)]
        listed = "; ".join(f"{w.role} ({_size(w.gigabytes)}, licence: {w.licence})" for w in missing)
        return f"{whose} not on this machine: {listed}. {how}; {instead}."

    def fingerprint(self, role: str) -> str:
        """Hex digest of the bytes behind a role (part of the cache key)."""
        path = self.path(role)
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        digest = hashlib.sha256()
        for file in files:
            digest.update(file.name.encode() + file_digest(file, weights_root() / "digests.json").encode())
        return digest.hexdigest()[:16]

    def licence(self, role: str) -> str:
        """The licence of a role's known file, or a note that the user chose another file."""
        return f"chosen by the user: {Path(self.chosen[role]).name}" if role in self.chosen else KNOWN[role].licence


def _size(gigabytes: float) -> str:
    return f"{gigabytes:.1f} GB" if gigabytes >= 0.1 else f"{max(1000 * gigabytes, 1):.0f} MB"


def weights_root() -> Path:
    """Where fetched files are kept: `weights` below HUMANSCOPE_HOME, else below the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("HUMANSCOPE_HOME") or Path(cache) / "humanscope") / "weights"


def fetched(role: str) -> Path | None:
    """The file or folder that was fetched, or named once, for a role; None when there is none or it is gone."""
    try:
        places = json.loads((weights_root() / "places.json").read_text())
        path = weights_root() / places[role]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return path if path.exists() else None


def note_fetched(places: dict[str, Path]) -> None:
    """Remember where the files of these roles lie."""
    root = weights_root()
    root.mkdir(parents=True, exist_ok=True)
    index, known = root / "places.json", {}
    if index.is_file():
        known = json.loads(index.read_text())
    text = json.dumps({**known, **{role: str(path) for role, path in places.items()}}, indent=1, sort_keys=True)
    part = index.with_name(f".{index.name}.{os.getpid()}")
    part.write_text(text + "\n")
    os.replace(part, index)


def find_role(role: str) -> WeightFile:
    """The known file of a role; UserError with the roles there are."""
    if role not in KNOWN:
        raise UserError(f"There is no weight role '{role}'; there is {', '.join(KNOWN)}.")
    return KNOWN[role]


def parse_choices(pairs: list[str], used: set[str], judges: Judges | None = None) -> dict[str, str]:
    """['role=path', ...] from the command line -> {role: path}; everything checked. used: roles of the run's steps.

    judges: see `check_file`.
    """
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
        place = Weights(chosen).path(role)
        if judges:
            check_file(place, role, judges)
    return chosen


def check_file(path: Path, role: str, judges: Judges | None = None) -> str:
    """Whether a file can serve a role, as one sentence; UserError when it cannot. Nothing is unpickled.

    judges: look into files whose names of tensors are not read here; without them such a file's ending decides.
    """
    known = find_role(role)
    if role == "landmarks":
        missing = [n for n in ("pose_detection", "pose_landmark_heavy") if not list(path.glob(f"{n}*.safetensors"))]
        if not path.is_dir() or missing:
            raise UserError(
                f"'{path}' came for '{role}'; it needs a folder with {', '.join(missing) or 'the networks'}."
            )
        return f"'{path.name}' holds the landmark networks."
    if role in FOLDERS:
        return _check_folder(path, role)
    if path.suffix not in known.suffixes:
        raise UserError(f"'{path.name}' came for '{role}'; it needs a {' or '.join(known.suffixes)} file.")
    if path.suffix == ".safetensors":
        return _check_safetensors(path, role)
    if role in ("hgm.one_view", "hgm.two_view"):
        # Read tensor by tensor, and checked key by key, when the step loads it.
        if judges is not None and role in judges and not judges[role](path):
            raise UserError(
                f"'{path.name}' came for '{role}', but it holds no tensors of that network; give the file that its "
                "authors publish."
            )
        return f"'{path.name}' can be read for '{role}'."
    import zipfile

    if not zipfile.is_zipfile(path):
        raise UserError(f"'{path.name}' came for '{role}', but it is not a readable NPZ file; get a complete copy.")
    names = {Path(n).stem for n in zipfile.ZipFile(path).namelist()}
    wanted = {
        "body": {"template", "faces"},
        "lift": {"mean", "scale", "first"},
        "picture_lift": {"mean", "scale", "first", "look", "beside"},
        "smplx": {"v_template", "shapedirs", "posedirs", "J_regressor", "f"},
    }[role]
    if role == "body":
        wanted = names & wanted or wanted
    if wanted - names:
        raise UserError(
            f"'{path.name}' came for '{role}' and lacks {', '.join(sorted(wanted - names))}; get the official file."
        )
    return f"'{path.name}' fits '{role}' ({len(names)} arrays)."


SAYS = {"hgm.layers": 20, "hgm.back": 24}  # channels of the last layer


def _check_safetensors(path: Path, role: str) -> str:
    """`check_file` for a network of ours: the names of its tensors say whose it is."""
    from safetensors import SafetensorError, safe_open

    whole = {"unet.conv_in.weight", "conv.weight", "c.weight", "net.conv_in.weight", "res.conv_in.weight"}
    ours = {"unet.conv_in.weight", "conv.weight"}
    wanted = {"hgm.layers": ours, "hgm.back": ours, "hgm.one_view": whole, "hgm.two_view": whole}[role]
    try:
        with safe_open(path, "numpy") as file:
            names = set(file.keys())
            says = file.get_slice("conv.weight").get_shape()[0] if "conv.weight" in names else 0
            # Wrappers of training code put a word before every name.
            names |= {re.sub(r"^((module|_orig_mod|model)\.)+", "", name) for name in names}
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"'{path.name}' came for '{role}', but it cannot be read ({error}); get a complete copy."
        ) from error
    if wanted - names:
        raise UserError(
            f"'{path.name}' came for '{role}' and lacks {', '.join(sorted(wanted - names))}; give that network."
        )
    # Two networks of ours have tensors of the same names, and say different numbers of things.
    if says != SAYS.get(role, says):
        raise UserError(f"'{path.name}' came for '{role}' and is another of our networks; give that one.")
    return f"'{path.name}' fits '{role}' ({len(names)} arrays)."


def _check_folder(path: Path, role: str) -> str:
    """`check_file` for a folder."""
    absent = [name for name in FOLDERS[role] if not (path / name).exists()]
    if not path.is_dir() or absent:
        raise UserError(
            f"'{path.name}' came for '{role}'; it needs a folder with {', '.join(absent or FOLDERS[role])}."
        )
    for part in DIFFUSERS.get(role, ()):
        if not any((path / part / name).is_file() for name in DIFFUSERS_FILES):
            raise UserError(
                f"'{path.name}' came for '{role}'; it needs {' or '.join(DIFFUSERS_FILES)}"
                + ("." if part == "." else f" in its folder '{part}'.")
            )
    if role == "synchuman.tokens" and "embeddings.register_tokens" not in _keys(path / "model.safetensors", role):
        raise UserError(f"'{path.name}' came for '{role}', but its model is another one; give DINOv2 with registers.")
    return f"'{path.name}' fits '{role}'."


def _keys(path: Path, role: str) -> set[str]:
    """The names of the tensors in a .safetensors file; UserError when it cannot be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            return set(file.keys())
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"'{path.name}' came for '{role}', but it cannot be read ({error}); get a complete copy."
        ) from error


def is_ours(path: Path) -> bool:
    """Whether a file holds one of HGM's compact networks, whose tensors have names that published ones have too."""
    for role in SAYS:
        try:
            check_file(path, role)
        except UserError:
            continue
        return True
    return False


def guess_role(path: Path, judges: Judges | None = None) -> str:
    """The role that a user's file is for, from its content; UserError when nothing fits. judges: see `check_file`; a file
    that needs one fits nothing without it."""
    for role in KNOWN:
        try:
            check_file(path, role, {"hgm.one_view": _unknown, "hgm.two_view": _unknown, **(judges or {})})
        except UserError:
            continue
        return role
    raise UserError(f"'{path}' fits no known role ({', '.join(KNOWN)}); give the official file of one of them.")


def _unknown(path: Path) -> bool:
    """No ending tells what a torch file holds."""
    return False

"""SyncHuman's weight files: fetching, finding, checking, and steps that run from released folders. No network."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.torch import load_file, save_file  # noqa: E402

from app import main  # noqa: E402
from pipelines import fetch, fetch_code  # noqa: E402
from pipelines.fetch import RemoteFile  # noqa: E402
from pipelines.step import Context, MissingNeed, UserError  # noqa: E402
from pipelines.synchuman import checkpoints, lending  # noqa: E402
from pipelines.synchuman.conditioning import PROMPT_ROWS  # noqa: E402
from pipelines.synchuman.configuration import TINY  # noqa: E402
from pipelines.synchuman.networks import stand_in  # noqa: E402
from pipelines.synchuman.records import Framed, JointSample  # noqa: E402
from pipelines.synchuman.stand_in import normals_of  # noqa: E402
from pipelines.systems import find_system  # noqa: E402
from pipelines.weights import Weights, fetched  # noqa: E402

# The folders that the published pipeline.json names.
SECOND = {
    "slat_flow_model": "ckpts/slat_flow",
    "slat_decoder_gs": "ckpts/decoder_GS",
    "slat_decoder_mesh": "ckpts/decoder_Mesh",
}
ROLES = ("synchuman.stage1", "synchuman.stage2", "synchuman.tokens", "synchuman.prompts")


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders in the released layout that hold the stand-in's networks."""
    root = tmp_path_factory.mktemp("ckpts")
    for name, folder in checkpoints.STAGE_1.items():
        save(name, root / "OneStage" / folder)
    (root / "OneStage" / "text_encoder").mkdir()
    (root / "OneStage" / "text_encoder" / "model.safetensors").write_bytes(b"not needed")
    for name, folder in SECOND.items():
        save(name, root / "SecondStage" / folder)
    sampler = {"name": "FlowEulerGuidanceIntervalSampler", "args": {"sigma_min": 1e-5}, "params": {"rescale_t": 3.0}}
    norm = {"mean": list(TINY.sampling.mean), "std": list(TINY.sampling.std)}
    data = {"args": {"models": SECOND, "slat_sampler": sampler, "slat_normalization": norm}}
    (root / "SecondStage" / "pipeline.json").write_text(json.dumps(data))
    save("dinov2", root / "dino")
    prompts = root / "prompts"
    prompts.mkdir()
    for name, values in tables().items():
        torch.save(values, prompts / name)
    return root


def save(name: str, folder: Path) -> None:
    folder.mkdir(parents=True)
    save_file({k: v.contiguous() for k, v in stand_in(name).state_dict().items()}, folder / "model.safetensors")


def tables() -> dict[str, Any]:
    """Prompt tables whose used rows are the stand-in's prompts."""
    rows = torch.from_numpy(normals_of("tiny.prompts", (10, 7, TINY.joint.text))).half()
    out = {}
    for name, part in (("normal_embeds.pt", rows[:5]), ("clr_embeds.pt", rows[5:])):
        out[name] = torch.zeros(7, 7, TINY.joint.text, dtype=torch.float16)
        out[name][list(PROMPT_ROWS)] = part
    return out


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The released preset in the stand-in's sizes, and a home of its own."""
    monkeypatch.setenv("HUMANSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(checkpoints, "RELEASED", replace(TINY, name="released"))
    hashes = {name: hashlib.sha256(t.numpy().tobytes()).hexdigest() for name, t in tables().items()}
    monkeypatch.setattr(checkpoints, "PROMPTS", hashes)
    monkeypatch.setattr(lending, "_kept", {})
    torch.set_num_threads(1)


class Hub:
    """Stands for the Hub: two repositories made of the released folders."""

    def __init__(self, root: Path) -> None:
        self.files = {p.relative_to(root).as_posix(): p for p in sorted(root.rglob("*")) if p.is_file()}
        self.asked: list[str] = []
        self.broken = ""

    def names(self, repo: str) -> dict[str, Path]:
        tokens = "dinov2" in repo
        return {n.removeprefix("dino/"): p for n, p in self.files.items() if n.startswith("dino/") == tokens}

    def remote_files(self, repo: str) -> list[RemoteFile]:
        return [
            RemoteFile(n, p.stat().st_size, hashlib.sha256(p.read_bytes()).hexdigest())
            for n, p in self.names(repo).items()
        ]

    def download(self, repo: str, name: str, folder: Path, offline: bool) -> Path:
        self.asked.append(name)
        if offline:
            return self.names(repo)[name]
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        data = self.names(repo)[name].read_bytes()
        (folder / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]) if name == self.broken else data)
        return folder / name


@pytest.fixture
def hub(released: Path, small: None, monkeypatch: pytest.MonkeyPatch) -> Hub:
    made = Hub(released)
    monkeypatch.setattr(fetch, "remote_files", made.remote_files)
    monkeypatch.setattr(fetch, "cached_files", made.remote_files)
    monkeypatch.setattr(fetch, "download", made.download)
    monkeypatch.setattr(fetch_code, "opened", nobody)
    return made


def nobody(address: str) -> bytes:
    raise OSError("no route to it")


def test_fetching_brings_what_is_needed_once(
    hub: Hub, released: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(MissingNeed, match=r"synchuman\.tokens.*1\.2 GB.*Apache-2\.0.*weights fetch synchuman"):
        Weights().path("synchuman.stage1")
    assert main(["weights", "fetch", "synchuman", "--json"]) == 0
    said = capsys.readouterr()
    assert set(json.loads(said.out)["fetched"]) == set(ROLES) and "none stated by its authors" in said.err
    assert not any("text_encoder" in name for name in hub.asked)
    for role in ROLES:
        assert Weights().path(role) == fetched(role) and str(fetched(role)).startswith(str(tmp_path / "home"))
    assert (Weights().path("synchuman.stage2") / "pipeline.json").is_file()
    before = len(hub.asked)
    assert main(["weights", "fetch", "synchuman"]) == 0
    assert len(hub.asked) == before, "what is whole is not fetched again"
    # A file that was cut off is fetched again, the others are not.
    path = Weights().path("synchuman.stage1") / "vae" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    assert main(["weights", "fetch", "synchuman"]) == 0 and hub.asked[before:] == ["OneStage/vae/model.safetensors"]
    shutil.rmtree(tmp_path / "home" / "weights" / "synchuman")
    assert fetched("synchuman.stage1") is None, "a place that is gone is no place"


def test_a_damaged_file_is_refused_and_removed(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub.broken = "SecondStage/ckpts/decoder_GS/model.safetensors"
    assert main(["weights", "fetch", "synchuman"]) == 2
    assert "came damaged" in capsys.readouterr().err
    assert not list((tmp_path / "home").rglob("SecondStage/ckpts/decoder_GS/model.safetensors"))
    assert fetched("synchuman.stage1") and not fetched("synchuman.stage2")
    hub.broken = ""
    assert main(["weights", "fetch", "synchuman"]) == 0 and fetched("synchuman.stage2")


def test_the_disk_is_looked_at_first(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 1000))
    with pytest.raises(UserError, match=r"GB are still to be fetched.*HUMANSCOPE_HOME"):
        fetch.fetch("synchuman", lambda line: None)
    assert not hub.asked


def test_without_the_hub_the_sentence_says_what_else_there_is(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(repo: str) -> list[RemoteFile]:
        raise ConnectionError("no route")

    monkeypatch.setattr(fetch, "remote_files", unreachable)
    assert main(["weights", "fetch", "synchuman"]) == 2
    assert "--offline" in (said := capsys.readouterr().err) and "no route" in said
    places = fetch.fetch("synchuman", lambda line: None, offline=True)
    assert set(places) == set(ROLES)
    assert main(["weights", "fetch", "nothing"]) == 2


def test_a_name_that_the_hub_does_not_know_is_said_with_what_to_do(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A repository that was renamed, a file that was moved; nobody reached is another sentence."""
    from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError, RepositoryNotFoundError

    class Answer:
        headers: dict[str, str] = {}  # noqa: RUF012
        request = None
        status_code = 404

    def renamed(repo: str) -> list[RemoteFile]:
        raise RepositoryNotFoundError("404 Client Error", response=Answer())  # type: ignore[arg-type]

    def moved(repo: str, name: str, folder: Path, offline: bool) -> Path:
        raise RemoteEntryNotFoundError("404 Client Error", response=Answer())  # type: ignore[arg-type]

    def unreached(repo: str, name: str, folder: Path, offline: bool) -> Path:
        raise LocalEntryNotFoundError("no connection")

    first = next(iter(hub.files))
    for name, given, part in (("download", moved, first), ("remote_files", renamed, "xishushu/SyncHuman")):
        monkeypatch.setattr(fetch, name, given)
        assert main(["weights", "fetch", "synchuman"]) == 2
        said = capsys.readouterr().err
        assert part in said and "renamed, moved or closed" in said and "--from FOLDER" in said and "SOURCES" in said
    monkeypatch.setattr(fetch, "remote_files", hub.remote_files)
    monkeypatch.setattr(fetch, "download", unreached)
    assert main(["weights", "fetch", "synchuman"]) == 2
    assert "try again" in (said := capsys.readouterr().err) and "renamed" not in said


def test_what_only_the_code_repository_has_comes_from_there(
    hub: Hub, released: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = {p.name: p.read_bytes() for p in released.rglob("*_embeds.pt")}
    hub.files = {name: path for name, path in hub.files.items() if path.name not in prompts}
    asked: list[str] = []

    def answer(address: str) -> bytes:
        asked.append(address)
        if closed:
            raise OSError("no route to it")
        return prompts[address.rsplit("/", 1)[1]]

    monkeypatch.setattr(fetch_code, "opened", answer)
    closed = True
    assert main(["weights", "fetch", "synchuman"]) == 2
    said = capsys.readouterr().err
    assert "no route to it" in said and "--from FOLDER" in said and fetched("synchuman.stage1")
    assert not fetched("synchuman.prompts")
    closed = False
    asked.clear()
    assert main(["weights", "fetch", "synchuman"]) == 0
    assert len(asked) == 2 and all(a.startswith("https://") and len(a.split("/")[5]) == 40 for a in asked)
    place = Weights().path("synchuman.prompts")
    assert {p.name: p.read_bytes() for p in place.iterdir()} == prompts
    assert main(["weights", "fetch", "synchuman"]) == 0 and len(asked) == 2, "what is there is not fetched again"
    assert fetch.fetch("synchuman", lambda line: None, offline=True)["synchuman.prompts"] == place


def test_the_sentences_name_the_repositories_that_are_asked() -> None:
    from pipelines.weights import FOLDERS, KNOWN

    for role in ROLES[:3]:
        assert KNOWN[role].source == f"{fetch.SOURCES['synchuman'][role].repo} on the Hub"
    assert set(FOLDERS["synchuman.stage1"]) == set(checkpoints.STAGE_1.values())
    assert set(FOLDERS["synchuman.prompts"]) == set(checkpoints.PROMPTS)


def test_prompts_that_the_hub_lacks_are_named_and_the_rest_is_kept(hub: Hub, released: Path) -> None:
    hub.files = {n: p for n, p in hub.files.items() if not n.endswith(".pt")}
    said: list[str] = []
    with pytest.raises(UserError, match=r"synchuman\.prompts.*PSHuman.*--from FOLDER"):
        fetch.fetch("synchuman", said.append)
    assert "synchuman.prompts: not on the Hub" in said[0], "said before gigabytes are waited for"
    assert all(fetched(role) for role in ROLES[:3]) and not fetched(ROLES[3])
    assert set(fetch.take("synchuman", released / "prompts", lambda line: None)) == {ROLES[3]}
    assert all(fetched(role) for role in ROLES)
    assert set(fetch.fetch("synchuman", lambda line: None)) == set(ROLES), "what was named by hand is not missed"


def test_what_was_fetched_is_found_without_a_network(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--offline` looks where an earlier fetch has put the files; the Hub's own cache holds nothing of them."""
    fetch.fetch("synchuman", lambda line: None)

    def empty(repo: str) -> list[RemoteFile]:
        raise FileNotFoundError("no snapshot")

    monkeypatch.setattr(fetch, "cached_files", empty)
    before = len(hub.asked)
    assert set(fetch.fetch("synchuman", lambda line: None, offline=True)) == set(ROLES) and len(hub.asked) == before
    shutil.rmtree(fetched("synchuman.stage2") or "")
    with pytest.raises(UserError, match=r"Without a network.*xishushu/SyncHuman.*--from FOLDER"):
        fetch.fetch("synchuman", lambda line: None, offline=True)


def test_a_folder_is_noted_and_not_copied(
    released: Path, small: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "fetch", "synchuman", "--from", str(released)]) == 0
    assert Weights().path("synchuman.stage1") == released / "OneStage"
    assert Weights().path("synchuman.tokens") == released / "dino", "not one of the other folders with a model"
    assert [p.name for p in (tmp_path / "home" / "weights").iterdir()] == ["places.json"]
    assert main(["weights", "fetch", "synchuman", "--from", str(tmp_path)]) == 2
    assert "holds none of" in capsys.readouterr().err


def test_a_check_says_how_every_network_is_covered(
    released: Path, small: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "check", str(released), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    count = len(stand_in("joint_network").state_dict())
    assert len(report) == 9 and all(part["whole"] for part in report.values())
    assert report["joint_network"]["text"].startswith(f"{count} of {count} keys")
    damaged = tmp_path / "ckpts"
    shutil.copytree(released, damaged)
    path = damaged / "SecondStage" / SECOND["slat_flow_model"] / "model.safetensors"
    values = load_file(path)
    values.pop("out_layer.bias")
    values["input_layer.bias"] = torch.zeros(3)
    save_file(values, path)
    torch.save(torch.zeros(7, 7, 64), damaged / "prompts" / "clr_embeds.pt")
    shutil.rmtree(damaged / "OneStage" / "vae")
    (damaged / "OneStage" / "vae").mkdir()
    assert main(["weights", "check", str(damaged), "--json"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert {n for n, part in report.items() if not part["whole"]} == {"slat_flow_model", "vae", "prompts"}
    assert "out_layer.bias" in report["slat_flow_model"]["text"]
    assert "1 reshaped: input_layer.bias" in report["slat_flow_model"]["text"]
    assert "no .safetensors" in report["vae"]["text"] and "other prompt features" in report["prompts"]["text"]


def frame() -> Framed:
    """Noise in the place of a person."""
    generator, side = np.random.default_rng(3), 8 * TINY.joint.side
    canvas = generator.integers(0, 256, (side, side, 4), np.uint8)
    canvas[..., 3] = 255
    tokens = generator.integers(0, 256, (84, 84, 3), np.uint8)
    return Framed(canvas, canvas[::-1].copy(), tokens, np.array([0.0, 0, 100]), {"preset": "tiny"})


def test_released_folders_run_as_the_same_networks_do(released: Path, small: None) -> None:
    """The released preset reads its folders, and draws with them what the stand-in draws with the same numbers."""
    places = fetch.find("synchuman", released)
    given, made = frame(), {}
    for system in ("synchuman", "synchuman-tiny"):
        step = find_system(system).step("synchuman.joint")
        ctx = Context("synchuman.joint", seed=2, weights=places.__getitem__)
        made[system] = step.run({"synchuman_frame": given}, step.make_params({"steps": 1}), ctx)
        assert any("stand-in" in w for w in ctx.warnings) == (system == "synchuman-tiny")
    a, b = made["synchuman"], made["synchuman-tiny"]
    assert isinstance(a, JointSample) and isinstance(b, JointSample)
    assert "stand_in" not in a.facts and a.facts["preset"] == "released"
    # The prompts went through float16; everything else is the same.
    assert np.abs(a.latents - b.latents).max() < 0.02 * np.abs(b.latents).max()
    assert np.abs(a.grid - b.grid).max() < 0.02 * np.abs(b.grid).max()
    pictures = find_system("synchuman").step("synchuman.views")
    ctx = Context("synchuman.views", weights=places.__getitem__)
    shown = pictures.run({"synchuman_frame": given, "synchuman_joint": a}, pictures.make_params({}), ctx)
    assert shown.colours.shape == (5, 192, 192, 3) and shown.facts["preset"] == "released"  # type: ignore[attr-defined]


def test_another_folder_is_another_key(released: Path, small: None, tmp_path: Path) -> None:
    other = tmp_path / "OneStage"
    shutil.copytree(released / "OneStage", other)
    same, copied = (Weights({"synchuman.stage1": str(p)}) for p in (released / "OneStage", other))
    assert same.fingerprint("synchuman.stage1") == copied.fingerprint("synchuman.stage1")
    path = other / "vae" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    assert same.fingerprint("synchuman.stage1") != copied.fingerprint("synchuman.stage1")
    with pytest.raises(UserError, match=r"needs a folder with pipeline\.json"):
        Weights({"synchuman.stage2": str(other)}).path("synchuman.stage2")

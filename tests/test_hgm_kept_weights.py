"""HGM's files named once for every run and the page; the diffusion folders as they are published."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import main
from pipelines.step import UserError
from pipelines.weights import DIFFUSERS_FILES, Weights, check_file, guess_role


def control_folder(folder: Path, name: str) -> Path:
    """A ControlNet's folder with one file of that name."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / name).write_bytes(b"x")
    return folder


@pytest.mark.parametrize("name", DIFFUSERS_FILES)
def test_a_controlnet_is_taken_in_every_form_it_is_published_in(tmp_path: Path, name: str) -> None:
    folder = control_folder(tmp_path / "cn", name)
    assert "fits 'hgm.controlnet'" in check_file(folder, "hgm.controlnet") and guess_role(folder) == "hgm.controlnet"
    (folder / name).rename(folder / "model.onnx")
    with pytest.raises(UserError, match=r"needs diffusion_pytorch_model\.safetensors or"):
        check_file(folder, "hgm.controlnet")


def test_a_diffusion_folder_needs_its_networks_files(tmp_path: Path) -> None:
    for name in ("unet", "vae", "scheduler", "text_encoder", "tokenizer"):
        (tmp_path / name).mkdir()
    (tmp_path / "unet" / DIFFUSERS_FILES[0]).write_bytes(b"x")
    with pytest.raises(UserError, match="in its folder 'vae'"):
        check_file(tmp_path, "hgm.diffusion")
    (tmp_path / "vae" / DIFFUSERS_FILES[1]).write_bytes(b"x")
    assert "fits 'hgm.diffusion'" in check_file(tmp_path, "hgm.diffusion")


def test_a_kept_file_answers_every_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HUMANSCOPE_HOME", str(tmp_path / "home"))
    folder = control_folder(tmp_path / "cn", DIFFUSERS_FILES[0])
    assert not Weights().has("hgm.controlnet")
    assert main(["weights", "keep", f"hgm.controlnet={folder}"]) == 0
    assert "every run takes" in capsys.readouterr().out and Weights().path("hgm.controlnet") == folder.resolve()
    assert main(["weights", "keep"]) != 0
    assert main(["weights", "keep", "hgm.controlnet=/nowhere/at/all"]) != 0
    assert "needs ROLE=PATH" in (said := capsys.readouterr().err) and "there is no such file" in said
    assert Weights().path("hgm.controlnet") == folder.resolve()


@pytest.mark.parametrize("role", ["hgm.layers", "hgm.back"])
def test_our_own_networks_are_told_apart(role: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = Weights().path(role)
    assert main(["weights", "check", str(path)]) == 0
    assert f"fits '{role}'" in capsys.readouterr().out
    (other,) = {"hgm.layers", "hgm.back"} - {role}
    with pytest.raises(UserError, match=f"came for '{other}' and is another of our networks"):
        check_file(path, other)

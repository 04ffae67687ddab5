"""HGM weight files: every variant is recognised, reported key by key, and loaded whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pipelines.hgm.configuration import RELEASED, TINY, UNetShape
from pipelines.hgm.coverage import COMPLETE, REFUSED, WARNINGS, Coverage
from pipelines.hgm.network import HgmNetwork
from pipelines.hgm.released_weights import examine, load_released, looks_like_hgm
from pipelines.hgm.rewrite_weights import parse_names, rewrite
from pipelines.hgm.stand_in import stand_in_tensor
from pipelines.hgm.weight_file import open_weights, strip_prefixes
from pipelines.step import UserError
from pipelines.weights import check_file

LINE = UNetShape((32, 32), (False, True), (32, 32), (True, False))
BASE = replace(
    TINY,
    unet=UNetShape((32, 32), (False, True), (32,), (True,), unused_head=32),
    body_net=LINE,
    mix_net=LINE,
    encoder=(32, 32, 32),
    encoder_blocks=(1, 1, 1),
    tokens=10_475,
)
State = dict[str, Tensor]
Check = Callable[..., Coverage]


@pytest.fixture(scope="module")
def whole() -> State:
    """Every tensor of a small network with the released structure."""
    with torch.device("meta"):
        shapes = {k: tuple(v.shape) for k, v in HgmNetwork(BASE).state_dict().items()}
    state = {k: torch.from_numpy(stand_in_tensor(k, s)) for k, s in shapes.items()}
    return {k: torch.tensor(900) if k.endswith("num_batches_tracked") else v for k, v in state.items()}


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Saves a state and examines it."""

    def examined(state: State, **options) -> Coverage:
        return examine(saved(state, tmp_path), base=BASE, **options)

    return examined


def saved(state: State, folder: Path) -> Path:
    path = folder / "weights.safetensors"
    save_file({k: v.contiguous() for k, v in state.items()}, path)
    return path


def test_a_whole_file_is_complete_and_loads(whole: State, tmp_path: Path) -> None:
    network, report = load_released(saved(whole, tmp_path), views=1, base=BASE)
    assert report.verdict == COMPLETE and report.missing == report.unexpected == report.wrong_shape == []
    assert report.variant["tokens"] == "10475 (SMPL-X)" and report.variant["views"] == 1
    assert sum(m.found for m in report.modules) == len(whole)
    assert all(m.parameters_found == m.parameters > 0 for m in report.modules)
    for key, value in network.state_dict().items():
        assert torch.equal(value, whole[key]), key
    assert not network.training
    assert json.loads(json.dumps(report.to_json()))["verdict"] == COMPLETE


def test_the_one_and_the_two_view_file_look_alike(whole: State, check: Check) -> None:
    unsaid, one, two = check(whole), check(whole, views=1), check(whole, views=2)
    assert "say which one this is" in unsaid.text() and unsaid.verdict == COMPLETE
    assert one.to_json() == {**two.to_json(), "variant": {**two.variant, "views": 1}}
    with pytest.raises(UserError, match="1 or 2 views"):
        check(whole, views=4)


@pytest.mark.parametrize(
    ("tokens", "verdict", "said"),
    [
        (6_890, COMPLETE, "6890 (SMPL)"),
        (41_330, WARNINGS, "made in the same order"),
        (10_000, REFUSED, "The file has 10000 tokens"),
    ],
)
def test_bodies_are_told_by_their_tokens(whole: State, check: Check, tokens: int, verdict: str, said: str) -> None:
    report = check({**whole, "c.weight": torch.randn(tokens, 32)}, views=1)
    assert report.verdict == verdict and said in report.text()


def test_prefixes_come_off_and_foreign_groups_are_left_alone(whole: State, tmp_path: Path) -> None:
    wrapped = {f"module._orig_mod.{k}": v for k, v in whole.items()}
    wrapped |= {"module.m_smplx.v_template": torch.ones(3, 3), "module.lpips_loss.lin0.weight": torch.ones(2)}
    network, report = load_released(saved(wrapped, tmp_path), views=2, base=BASE)
    assert report.verdict == COMPLETE and report.stripped == ("_orig_mod.", "module.")
    assert report.ignored == {"m_smplx.": 1, "lpips_loss.": 1} and "body model" in report.text()
    assert torch.equal(network.c.weight, whole["c.weight"])
    assert strip_prefixes("module.model.module.net.x") == ("net.x", ["module.", "model.", "module."])


@pytest.mark.parametrize("wrapper", ["state_dict", "ema", None])
def test_torch_files_are_read_as_tensors_alone(whole: State, tmp_path: Path, wrapper: str | None) -> None:
    path = tmp_path / "weights.pth"
    # Beside the weights a training keeps numbers and tensors of its own.
    torch.save({wrapper: whole, "step": 3, "best": torch.tensor(0.1)} if wrapper else whole, path)
    network, report = load_released(path, views=1, base=BASE)
    assert report.container == "torch" and report.verdict == COMPLETE
    assert torch.equal(network.c.weight, whole["c.weight"])


def test_code_in_a_torch_file_never_runs(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    path = tmp_path / "weights.pt"
    torch.save({"unet.conv_in.weight": Trap()}, path)
    with pytest.raises(UserError, match="could not be read as tensors alone"):
        examine(path)
    assert not (tmp_path / "ran").exists() and not looks_like_hgm(path)


def test_shards_are_read_through_their_index(whole: State, tmp_path: Path) -> None:
    keys = sorted(whole)
    halves = {"a.safetensors": keys[::2], "b.safetensors": keys[1::2]}
    for name, part in halves.items():
        save_file({k: whole[k] for k in part}, tmp_path / name)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {k: n for n, part in halves.items() for k in part}}))
    report = examine(index, views=1, base=BASE)
    assert report.verdict == COMPLETE and report.container == "sharded safetensors"
    assert report.size == sum((tmp_path / n).stat().st_size for n in halves)
    (tmp_path / "b.safetensors").unlink()
    with pytest.raises(UserError, match="get all the shards"):
        examine(index)
    index.write_text(json.dumps({"weight_map": {"x": "../a.safetensors"}}))
    with pytest.raises(UserError, match="not beside it"):
        examine(index)


def test_missing_and_wrong_keys_refuse_the_file(whole: State, tmp_path: Path) -> None:
    state = dict(whole)
    del state["res.conv_in.weight"]
    state["conv.bias"] = torch.zeros(13)
    state["unet.extra.weight"] = torch.randn(2)
    path = saved(state, tmp_path)
    report = examine(path, views=1, base=BASE)
    assert report.verdict == REFUSED and report.missing == ["res.conv_in.weight"]
    assert report.wrong_shape == ["conv.bias: [13], needs [14]"] and report.unexpected == ["unet.extra.weight"]
    by_name = {m.name: m for m in report.modules}
    assert (by_name["res"].missing, by_name["conv"].wrong_shape, by_name["unet"].unexpected) == (1, 1, 1)
    assert by_name["res"].parameters - by_name["res"].parameters_found == whole["res.conv_in.weight"].numel()
    with pytest.raises(UserError, match=r"missing res\.conv_in\.weight"):
        load_released(path, views=1, base=BASE)


def test_what_nothing_calls_may_be_absent(whole: State, tmp_path: Path) -> None:
    unused = ("unet.norm_out_2.", "unet.conv_out_2.", "xyzc_attn.layer_norm.")
    state = {k: v for k, v in whole.items() if not k.startswith(unused)}
    assert len(whole) - len(state) == 6
    network, report = load_released(saved(state, tmp_path), views=1, base=BASE)
    assert report.verdict == COMPLETE and len(report.unused_missing) == 6
    assert torch.equal(network.res.conv_in.weight, whole["res.conv_in.weight"])  # type: ignore[union-attr]


def test_missing_norm_buffers_are_a_warning(whole: State, check: Check) -> None:
    report = check({k: v for k, v in whole.items() if not k.endswith("running_var")}, views=1)
    assert report.verdict == WARNINGS and "outputs will differ" in report.text()


def test_only_the_image_branch_is_the_parent_project(whole: State, check: Check) -> None:
    report = check({k: v for k, v in whole.items() if k.startswith(("unet.", "conv."))})
    assert report.verdict == REFUSED and "parent project" in report.text()


def test_a_renamed_module_is_proposed_and_taken_when_told(whole: State, check: Check) -> None:
    state = {("smpl_net." + k.removeprefix("net.") if k.startswith("net.") else k): v for k, v in whole.items()}
    report = check(state, views=1)
    assert report.verdict == REFUSED and report.mapping == {"smpl_net.": "net."}
    assert "rewrite_weights FILE NEW.safetensors --rename smpl_net=net" in report.text()
    assert check(state, views=1, rename=report.mapping).verdict == COMPLETE


def test_what_the_report_asks_for_can_be_written_anew(whole: State, tmp_path: Path) -> None:
    state = {("smpl_net." + k.removeprefix("net.") if k.startswith("net.") else k): v for k, v in whole.items()}
    state = {f"module.{k}": v.permute(1, 2, 3, 4, 0) if v.ndim == 5 else v for k, v in state.items()}
    path, out = saved(state, tmp_path), tmp_path / "new.safetensors"
    names = parse_names(["smpl_net=net"])
    with pytest.raises(UserError, match="still be refused"):
        rewrite(path, out, names, None, BASE)
    with pytest.raises(UserError, match=r"needs to end in \.safetensors"):
        rewrite(path, tmp_path / "new.pt", names, "in_out", BASE)
    with pytest.raises(UserError, match="needs GROUP=MODULE"):
        parse_names(["smpl_net"])
    assert [p.name for p in tmp_path.iterdir()] == [path.name], "nothing half written"
    rewrite(path, out, names, "in_out", BASE)
    network, report = load_released(out, views=1, base=BASE)
    assert report.verdict == COMPLETE and report.stripped == ()
    assert all(torch.equal(value, whole[key]) for key, value in network.state_dict().items())
    assert "fits 'hgm.one_view'" in check_file(out, "hgm.one_view"), "and a run takes it"


@pytest.mark.parametrize(("told", "order"), [("in_out", (1, 2, 3, 4, 0)), ("out_in", (1, 2, 3, 0, 4))])
def test_old_sparse_layouts_are_turned_when_told(whole: State, tmp_path: Path, told, order) -> None:
    old = {k: v.permute(order) if v.ndim == 5 else v for k, v in whole.items()}
    path = saved(old, tmp_path)
    report = examine(path, views=1, base=BASE)
    assert report.verdict == REFUSED and "--sparse in_out" in report.text()
    network, report = load_released(path, views=1, sparse_layout=told, base=BASE)
    assert report.verdict == COMPLETE and "converted" in report.text()
    for key, value in network.state_dict().items():
        assert torch.equal(value, whole[key]), key


def test_values_are_looked_at(whole: State, check: Check) -> None:
    key = "unet.conv_in.weight"
    broken = whole[key].clone()
    broken[0, 0, 0, 0] = torch.nan
    assert "hold NaN" in check({**whole, key: broken}, views=1).text()
    flat = check({**whole, key: torch.ones_like(broken)}, views=1)
    assert flat.verdict == WARNINGS and "as if never trained" in flat.text()
    name = "xyzc_net.net.0.1.num_batches_tracked"
    assert "have seen no training" in check({**whole, name: torch.tensor(0)}, views=1).text()
    halves = {k: v.half() if v.is_floating_point() else v for k, v in whole.items()}
    report = check(halves, views=1)
    assert report.verdict == WARNINGS and "float16 are converted" in report.text()


def test_half_precision_files_load_in_single(whole: State, tmp_path: Path) -> None:
    path = saved({k: v.bfloat16() if v.is_floating_point() else v for k, v in whole.items()}, tmp_path)
    network, _ = load_released(path, views=1, base=BASE)
    assert network.c.weight.dtype == torch.float32
    assert torch.equal(network.c.weight, whole["c.weight"].bfloat16().float())


def test_other_concatenations_are_reported_not_guessed(whole: State, check: Check) -> None:
    report = check({**whole, "net.conv_in.weight": torch.randn(32, 38, 3)}, views=1)
    assert report.verdict == REFUSED and "takes 38 channels, not 35" in report.text()


def test_other_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK")
    (tmp_path / "b.safetensors").write_bytes(b"no header at all")
    with pytest.raises(UserError, match="needs a file ending in"):
        open_weights(tmp_path / "a.npz")
    with pytest.raises(UserError, match="not a readable safetensors file"):
        open_weights(tmp_path / "b.safetensors")
    assert not looks_like_hgm(tmp_path / "a.npz")


def test_the_released_table_is_what_is_expected_of_a_released_file(tmp_path: Path) -> None:
    """Against the full-size configuration a small file is refused, with all 1,241 keys counted."""
    save_file({"unet.conv_in.weight": torch.randn(64, 9, 3, 3)}, tmp_path / "x.safetensors")
    report = examine(tmp_path / "x.safetensors", values=False)
    assert sum(m.expected for m in report.modules) == 1241 and report.verdict == REFUSED
    assert sum(m.parameters for m in report.modules) == 641_540_586
    assert report.text().count("missing: ") == 21 and RELEASED.mix_channels == 259

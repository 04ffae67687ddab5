"""Scorecards, alignment, oracle, search and the command on toy people with planted errors."""

from __future__ import annotations

import argparse
import dataclasses
import json
from multiprocessing import active_children
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipelines.commands import dispatch
from pipelines.evaluate import report
from pipelines.evaluate.align import align_bodies
from pipelines.evaluate.oracle import ESTIMATED, TRUE_BODY, true_cutout, true_layers
from pipelines.evaluate.protocols import IMAGE_METRICS, PROTOCOLS, TABLE
from pipelines.evaluate.published import published_table
from pipelines.evaluate.scorecard import Scorecard, blank, score
from pipelines.evaluate.search import Case, control, search
from pipelines.evaluate.truth import azimuths, head_mask, last_surface, true_colours
from pipelines.evaluate_command import add_evaluate
from pipelines.evaluate_people import all_scores
from pipelines.evaluate_run import parse_people, run_once, run_variants
from pipelines.evaluate_session import Session
from pipelines.step import Cancelled, UserError
from pipelines.store import Store
from pipelines.systems import SYSTEMS
from tests import toy_people

SMALL = {"views": 6, "size": 96}


@pytest.fixture(autouse=True)
def toy_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SYSTEMS, "toy", "tests.toy_people")


@pytest.fixture(scope="module")
def person() -> Any:
    return toy_people.subject(9001, **SMALL)


def test_perfect_system_has_no_error(store: Store, person: Any) -> None:
    card = score(person, run_once(store, person.upload, "toy"))
    n = card.numbers
    assert n["mpjpe_mm"] < 1e-3 and n["pa_mpjpe_mm"] < 1e-3 and n["lean_error_deg"] < 1e-3
    assert n["chamfer_cm"] < 1e-3 and n["depth_first_cm"] < 1e-3 and n["depth_last_cm"] < 1e-3 and n["normals"] > 0.9999
    assert n["iou"] > 0.75 and n["holes_pct"] < 2.0 and n["front_iou"] > 0.8 and n["matte_iou"] == 1.0
    assert n["psnr"] > blank(person).numbers["psnr"] + 6 and n["head_back_de"] < 25
    assert n["floor_cm"] < 1e-4 and n["sampling_cm"] < 0.05
    assert set(n) <= set(PROTOCOLS) and set(card.by_azimuth) == {0, 60, 120, 180, 240, 300}


def test_lens_distance_and_size_are_taken_out_and_nothing_else(store: Store, person: Any) -> None:
    """A longer lens from further away, or a smaller person who is nearer: the same photo, the same scores."""
    exact = score(person, run_once(store, person.upload, "toy")).numbers
    for knobs, own_size in (({"zoom": 1.3}, 1.0), ({"size": 0.8}, 0.8)):
        made = run_once(store, person.upload, "toy", settings={"body.fit": knobs})
        n = score(person, made).numbers
        assert n["chamfer_cm"] < 0.01 and n["mpjpe_scaled_mm"] < 0.1
        assert n["psnr"] == pytest.approx(exact["psnr"], abs=0.15) and n["iou"] == pytest.approx(
            exact["iou"], abs=0.005
        )
        assert (n["chamfer_metric_cm"] > 1.0) == (own_size != 1.0)
        assert (n["mpjpe_mm"] > 20.0) == (own_size != 1.0) and n["pa_mpjpe_mm"] < 0.01
    # A body turned by 20 degrees is an error and stays one.
    made = run_once(store, person.upload, "toy")
    body = made.body
    turn = np.array([[np.cos(0.35), 0, np.sin(0.35)], [0, 1, 0], [-np.sin(0.35), 0, np.cos(0.35)]])
    centre = body["root_translation"]
    joints = (body["body22_cam"] - centre) @ turn.T + centre
    turned = dataclasses.replace(body, arrays={**body.arrays, "body22_cam": joints.astype(np.float32)})
    wrong = dataclasses.replace(made, records={**made.records, "body.fit": turned})
    assert score(person, wrong, surface=False).numbers["mpjpe_mm"] > 20


def test_alignment_puts_pelvis_on_pelvis(person: Any) -> None:
    body = person.body
    moved = dataclasses.replace(body, arrays={**body.arrays, "root_translation": body["root_translation"] * 1.7})
    fit = align_bodies(moved, body, scaled=True)
    pelvis = moved.camera.to_world(moved["root_translation"][None].astype(np.float64))
    truth = body.camera.to_world(body["root_translation"][None].astype(np.float64))
    assert np.abs(fit.points(pelvis) - truth).max() < 1e-6 and fit.scale == pytest.approx(1 / 1.7)
    assert align_bodies(moved, body, scaled=False).scale == 1.0
    assert np.allclose(fit.rotation @ fit.rotation.T, np.eye(3), atol=1e-9) and np.linalg.det(fit.rotation) > 0


def test_truth_knows_directions_heads_and_colours(person: Any) -> None:
    assert azimuths(person) == pytest.approx([0, 60, 120, 180, 240, 300], abs=1e-6)
    back = person.views[3]
    head = head_mask(person, back)
    rows = np.flatnonzero(head.any(1))
    tall = np.flatnonzero((back.first > 0).any(1))
    assert 0 <= rows[0] - tall[0] <= 1 and 0.06 < len(rows) / len(tall) < 0.22
    points, normals, _, _ = last_surface(person, person.photo.camera)
    colours, found = true_colours(person, points, normals)
    vertices, known = person.surface.vertices, toy_people.facts(person.seed)
    painted = toy_people.painted_person(known["pose"], known["azimuth"], 144, 192)["colours"]
    nearest = np.argmin(((points[found][:50, None] - vertices[None]) ** 2).sum(-1), 1)
    assert found.mean() > 0.6 and np.abs(colours[found][:50] - painted[nearest]).mean() < 0.08


def test_failed_run_counts_as_blank_white(store: Store, person: Any) -> None:
    made = run_once(store, person.upload, "toy", settings={"body.fit": {"fails": "walking"}})
    card = score(person, made)
    empty = blank(person)
    assert "gives up" in card.error
    assert {k: v for k, v in card.numbers.items() if k in IMAGE_METRICS} == {
        k: v for k, v in empty.numbers.items() if k in IMAGE_METRICS
    }
    good = Scorecard(1, {"psnr": 30.0, "chamfer_cm": 1.0})
    table = report.summarise([good, card])
    assert table["psnr"]["n"] == 2 and table["chamfer_cm"]["n"] == 1


def test_planted_errors_show_where_they_are(store: Store, person: Any) -> None:
    exact = score(person, run_once(store, person.upload, "toy"), surface=False).numbers
    bald = run_once(store, person.upload, "toy", settings={"splats": {"bald": True}})
    n = score(person, bald, surface=False).numbers
    assert n["head_back_de"] > exact["head_back_de"] + 15 and n["missed_pct"] > exact["missed_pct"] + 5
    assert n["mpjpe_mm"] == exact["mpjpe_mm"] and n["holes_pct"] < 2.0


def test_true_body_takes_the_place_of_the_estimated(store: Store, person: Any) -> None:
    settings = {"body.fit": {"size": 0.8}}
    made = run_variants(store, person, "toy", [ESTIMATED, TRUE_BODY], settings=settings)
    cards = {name: score(person, m) for name, m in made.items()}
    assert cards[ESTIMATED].numbers["mpjpe_mm"] > 20 and cards[TRUE_BODY].numbers["mpjpe_mm"] < 1e-3
    gap = report.gap({name: [card] for name, card in cards.items()}, ["mpjpe_mm", "psnr"])
    assert gap["mpjpe_mm"]["body"]["mean"] == pytest.approx(cards[ESTIMATED].numbers["mpjpe_mm"], abs=1e-3)


def test_oracle_of_the_representation_beats_the_system_it_judges() -> None:
    """Two layers from the truth, drawn by the projection's own splats, against the projection with the true body."""
    from pipelines.projection.body_maps import body_maps
    from pipelines.projection.layers import layers
    from pipelines.projection.splats import splats
    from pipelines.step import Context
    from tests.painted_person import no_keypoints

    subject = toy_people.subject(9003, **SMALL)
    ctx, keypoints, matte = Context(), no_keypoints(), true_cutout(subject)
    maps = body_maps.run({"body_fit": subject.body, "matte": matte}, body_maps.make_params({"resolution": 192}), ctx)
    inputs: dict[str, Any] = {"matte": matte, "body_fit": subject.body, "body_maps": maps, "keypoints": keypoints}
    made = layers.run(inputs, layers.make_params({}), ctx)
    params = splats.make_params({"count": 20000, "refine": 1})
    numbers = {}
    for name, used in (
        ("system", made), ("surface", true_layers(subject, maps, made, colours=False)),
        ("oracle", true_layers(subject, maps, made, colours=True)),
    ):  # fmt: skip
        drawn = splats.run({**inputs, "layers": used}, params, ctx)
        result = toy_people_result(subject.body, drawn, used)
        numbers[name] = score(subject, result, surface=False).numbers
    assert numbers["oracle"]["psnr_inside"] > numbers["surface"]["psnr_inside"]
    assert numbers["oracle"]["psnr_inside"] > numbers["system"]["psnr_inside"] + 0.3
    assert numbers["oracle"]["psnr_back"] > numbers["system"]["psnr_back"]
    assert numbers["oracle"]["back_layer_de"] < 3.0 < numbers["system"]["back_layer_de"]
    assert numbers["oracle"]["iou"] > 0.8


def toy_people_result(body: Any, splats: Any, layers: Any) -> Any:
    from pipelines.evaluate.made import Made

    return Made({"body.fit": body, "layers": layers, "splats": splats})


def cases(count: int, seed: int) -> list[Case]:
    rng = np.random.default_rng(seed)
    poses, tops = ("stand", "walk", "sit", "kick", "dance"), ("shirt", "coat", "dress", "robe")
    return [
        Case(9000 + i, {
            "pose": str(rng.choice(poses)), "top": str(rng.choice(tops)), "azimuth": float(rng.uniform(0, 360)),
            "lens": float(rng.uniform(25, 65)), "loose": bool(rng.random() < 0.4),
        }) for i in range(count)
    ]  # fmt: skip


def test_search_finds_a_planted_weakness_and_nothing_where_nothing_is() -> None:
    found = 0
    for seed in range(4):
        pool = cases(400, seed)
        noise = np.random.default_rng(seed + 50).normal(size=400)

        def weak(s: int, pool: list[Case] = pool) -> bool:
            a = pool[s - 9000].attributes
            return a["pose"] == "kick" and 100.0 < a["azimuth"] < 230.0  # type: ignore[operator]

        result = search(pool, lambda s, n=noise, w=weak: float(n[s - 9000] + 4 * w(s)), 100, seed)
        share = np.mean([weak(c.seed) for c in pool])
        met = sum(weak(s) for s, _ in result.tried)
        assert met > 1.7 * share * 100, (met, share)
        named = [r for r in result.regions if r.conditions.get("pose") == "kick"]
        found += bool(named) and sum(weak(s) for s, _ in result.worst(10)) >= 7
        assert search(pool, lambda s: 1.0, 40, seed).regions == ()
    assert found >= 3
    # Pure noise: a region comes up in at most one of four (the test allows 2 in 100 each).
    false = [
        bool(search(p, lambda s: float(np.random.default_rng(s).normal()), 60, 0).regions)
        for p in map(cases, [200] * 4, range(4))
    ]
    assert sum(false) <= 1


def test_search_with_its_own_control() -> None:
    results = [control(cases(400, seed), 100, seed) for seed in range(4)]
    assert sum(r["found"] for r in results) >= 3
    assert all(r["met"] > 1.3 * r["uniform"] for r in results if r["found"])


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command")
    add_evaluate(commands, lambda: toy_people)
    return parser.parse_args(["evaluate", *words])


def test_command_writes_report_sheets_and_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--system", "toy", "--people", "9000:9003", "--body", "both", "--views", "4", "--size", "64", "--json",
             "--set", "body.fit.size=0.9", "--out", str(tmp_path / "out"), "--runs", str(tmp_path / "store"))  # fmt: skip
    assert dispatch(arguments(*words)) == 0
    told = capsys.readouterr()
    data = json.loads(told.out)
    assert json.loads((tmp_path / "out" / "evaluate.json").read_text()) == data
    assert (tmp_path / "out" / "toy_estimated.png").stat().st_size > 3000
    assert "3 of 3" in told.err and any("LPIPS" in note for note in data["notes"])
    metrics = data["systems"]["toy"]["variants"][ESTIMATED]["metrics"]
    assert metrics["psnr"]["n"] == 3 and metrics["psnr"]["low"] <= metrics["psnr"]["mean"] <= metrics["psnr"]["high"]
    assert set(metrics) <= set(data["protocols"]) and data["machine"]["cores"] >= 1
    assert data["systems"]["toy"]["gap"]["psnr"]["body"]["n"] == 3
    table = report.markdown_table([data])
    assert "`toy`, true body" in table and "blank white" in table and PROTOCOLS["psnr"].id in table
    earlier = {**data, "machine": {**data["machine"], "commit": "0123456789", "load": 7.5}}
    assert "| 0123456 |" in report.markdown_table([data, earlier])
    assert "load 7.5 (0123456)" in report.markdown_table([data, earlier]), "seconds say how busy their machine was"
    assert "0123456" not in report.markdown_table([earlier, data]), "the later report's row stands"
    readme = f"# Title\n\n{report.BEGIN}\nold\n{report.END}\nrest\n"
    written = report.write_between_markers(readme, table)
    assert "old" not in written and written.endswith("rest\n") and table in written
    assert report.write_between_markers(written, table) == written
    with pytest.raises(ValueError, match="markers"):
        report.write_between_markers("no markers", table)


def test_processes_side_by_side_say_what_one_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.toy_people_elsewhere import source

    told = []
    for jobs in ("1", "2"):
        given = arguments("--system", "toy", "--people", "9000:9003", "--views", "4", "--size", "64", "--json", "--jobs", jobs,
                          "--out", str(tmp_path / jobs), "--runs", str(tmp_path / f"store{jobs}"))  # fmt: skip
        given.source = source
        assert dispatch(given) == 0
        out, progress = capsys.readouterr()
        told.append((json.loads(out), [text.split()[3] for text in progress.splitlines()]))
        assert (tmp_path / jobs / "toy_estimated.png").read_bytes() == (
            tmp_path / "1" / "toy_estimated.png"
        ).read_bytes()
    (alone, seeds), (together, same_seeds) = told
    assert seeds == same_seeds == ["9000", "9001", "9002"]
    for data in (alone, together):
        data.pop("total_seconds")
        for variant in data["systems"]["toy"]["variants"].values():
            variant["metrics"].pop("seconds")
    assert alone["systems"] == together["systems"]


def test_processes_side_by_side_stop_when_asked(tmp_path: Path) -> None:
    from tests.toy_people_elsewhere import source

    given = arguments("--system", "toy", "--people", "9000:9040", "--views", "4", "--size", "64", "--jobs", "2",
                      "--runs", str(tmp_path / "store"))  # fmt: skip
    given.source = source
    session = Session.prepare(given)
    seen = 0
    with pytest.raises(Cancelled):
        for _ in all_scores(session, 0):
            seen += 1
            session.stop()
    assert seen == 1 and not [p for p in active_children() if "Spawn" in p.name]


def test_command_searches_and_shows_the_worst(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--system", "toy", "--people", "9000:9018", "--search", "13", "--views", "2", "--size", "48",
             "--set", "splats.weak=arm_up", "--json", "--out", str(tmp_path / "out"),
             "--runs", str(tmp_path / "store"))  # fmt: skip
    assert dispatch(arguments(*words)) == 0
    data = json.loads(capsys.readouterr().out)
    weak = [w for w in data["worst"] if w["facts"]["pose"] == "arm_up"]
    assert [w["facts"]["pose"] for w in data["worst"][: len(weak)]] == ["arm_up"] * len(weak) and len(weak) >= 4
    assert data["regions"] and data["regions"][0]["where"].startswith("pose = arm_up")
    assert (tmp_path / "out" / "worst.png").exists() and "planted" in data["control"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "--people A:B"),
        (("--people", "9000"), "9000:9100"),
        (("--people", "9010:9010"), "9000:9100"),
        (("--people", "100:110"), "trained"),
        (("--people", "9990:10010"), "9999"),
        (("--people", "9000:9002", "--system", "nobody"), "no system 'nobody'"),
        (("--people", "9000:9002", "--system", "toy", "--oracle"), "--oracle"),
        (("--people", "9000:9002", "--system", "toy", "--search", "20"), "--search"),
        (("--people", "9000:9020", "--system", "toy", "--search", "20", "--metric", "beauty"), "beauty"),
        (("--people", "9000:9002", "--system", "toy", "--views", "1"), "--views"),
        (("--photos", "nowhere"), "no folder"),
    ],
)
def test_command_refuses_in_sentences(
    words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dispatch(arguments(*words, "--runs", "unused")) == 2
    assert sentence in capsys.readouterr().err


def test_command_says_when_people_are_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def absent() -> Any:
        raise ModuleNotFoundError("No module named 'training.people'")

    given = arguments("--people", "9000:9002", "--system", "toy", "--runs", str(tmp_path))
    for source, sentence in ((absent, "complete copy"), (lambda: SimpleNamespace(), "subject")):
        given.source = source
        assert dispatch(given) == 2
        assert sentence in capsys.readouterr().err


def test_photos_without_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.png").write_bytes(toy_people.subject(9001, **SMALL).upload.data)
    (folder / "b.png").write_bytes(b"no picture")
    words = (
        "--system",
        "toy",
        "--photos",
        str(folder),
        "--json",
        "--out",
        str(tmp_path / "out"),
        "--runs",
        str(tmp_path / "s"),
    )
    assert dispatch(arguments(*words)) == 0
    rows = json.loads(capsys.readouterr().out)["photos"]["systems"]["toy"]
    assert rows["a.png"]["iou"] > 0.8 and rows["b.png"]["error"]
    assert (tmp_path / "out" / "toy_photos.png").exists()


def test_a_cancelled_evaluation_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(seed: int, **options: Any) -> Any:
        raise KeyboardInterrupt

    given = arguments(
        "--people", "9000:9002", "--system", "toy", "--out", str(tmp_path / "out"), "--runs", str(tmp_path / "s")
    )
    given.source = lambda: SimpleNamespace(subject=interrupted)
    with pytest.raises(KeyboardInterrupt):
        dispatch(given)
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


def test_people_are_half_open_ranges_of_test_seeds() -> None:
    assert list(parse_people("9000:9003")) == [9000, 9001, 9002] and len(parse_people("9000:10000")) == 1000
    with pytest.raises(UserError):
        parse_people("8999:9001")


def test_published_numbers_come_with_their_protocol() -> None:
    rows = [{"method": m, "dataset": "D", "metric": k, "value": v, "protocol": p} for m, k, v, p in
            (("A", "PSNR", 20.1, "p1"), ("A", "SSIM", 0.9, "p1"), ("B", "PSNR", 21.0, "p1"),
             ("B", "PSNR", 9.9, "p2"))]  # fmt: skip
    document = {"protocols": {"p1": "How it was done."}, "results": rows, "released_evaluation": {"facts": ["Odd."]}}
    table = published_table(document, "p1")
    assert "| A | D | 20.1 | 0.9 |" in table and "| B | D | 21.0 | – |" in table and "9.9" not in table
    assert "How it was done." in table and "Odd." in table
    with pytest.raises(ValueError, match="p1, p2"):
        published_table(document, "p3")


def test_every_metric_has_a_protocol_of_its_own() -> None:
    ids = [p.id for p in PROTOCOLS.values()]
    assert len(set(ids)) == len(ids) and all("/" in i for i in ids)
    assert set(TABLE) <= set(PROTOCOLS) and all(p.sentence.endswith(".") for p in PROTOCOLS.values())

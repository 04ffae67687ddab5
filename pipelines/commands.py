"""The command line: run, render, export, inspect, weights, doctor. (`serve` is added by app.py.)"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.run import Executor, Run, branch_run, check_seed, create_run, hash_bytes, import_records
from pipelines.step import Cancelled, MissingNeed, UserError
from pipelines.store import Store
from pipelines.systems import SYSTEMS, find_system, offered, with_preset

if TYPE_CHECKING:
    from pipelines.weights import Judges

EXIT_BAD_INPUT, EXIT_MISSING, EXIT_FAULT, EXIT_CANCELLED = 2, 3, 1, 130


def default_root() -> Path:
    """Where runs and artefacts are kept: HUMANSCOPE_HOME, else the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("HUMANSCOPE_HOME") or Path(cache) / "humanscope")


def add_commands(commands: Any) -> None:
    """Declare the sub-commands on an argparse sub-parsers object."""
    run = commands.add_parser("run", help="photo -> splats, mesh, body", epilog=_knob_help(),
                              formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    run.add_argument("photo", nargs="?", type=Path, metavar="PHOTO", help="JPEG, PNG, WebP, BMP or TIFF of one person")
    run.add_argument("--system", default=None, choices=sorted(SYSTEMS), help="default: projection")
    run.add_argument("--preset", metavar="NAME", help="which networks the system runs on: compact, released, tiny")
    run.add_argument("--out", type=Path, metavar="DIR", help="where the files go")
    run.add_argument("--set", action="append", default=[], metavar="step.param=value", dest="settings")
    run.add_argument("--seed", type=int, default=None, metavar="N", help="0 or more; for steps that draw lots")
    run.add_argument("--until", metavar="STEP", help="stop after this step")
    run.add_argument(
        "--from", dest="base", metavar="RUN|FOLDER|ZIP",
        help="go on from this run: its photo, parameters and edits; or, with --system views, pictures made elsewhere",
    )  # fmt: skip
    run.add_argument("--replace", action="append", default=[], metavar="step=FILE", help="put a file in a step's place")
    run.add_argument("--weights", action="append", default=[], metavar="ROLE=PATH")
    run.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    run.set_defaults(handler=run_command)
    render = commands.add_parser("render", help="a picture of a finished run (RGBA, transparent ground)")
    render.add_argument("run", metavar="RUN")
    render.add_argument("--what", choices=("splats", "mesh", "body"), default="splats")
    render.add_argument("--view", choices=("photo",), help="the photo's own view, in the photo's proportions")
    render.add_argument(
        "--azimuth", type=float, default=0.0, help="degrees; 0 the photo's, 90 from the left of who faces the camera"
    )
    render.add_argument(
        "--elevation", type=float, default=None, help="degrees above the horizon; default: as the photo"
    )
    render.add_argument("--size", type=int, default=512, help="pixels of the longer side")
    render.add_argument("--out", type=Path, required=True, metavar="FILE.png")
    render.set_defaults(handler=render_command)
    export = commands.add_parser("export", help="a finished run as a file")
    export.add_argument("run", metavar="RUN")
    export.add_argument(
        "--format", required=True, metavar="NAME", help="ply splat spz glb obj npz viser html mp4 webp preview zip"
    )
    export.add_argument("--out", type=Path, required=True, metavar="FILE")
    export.set_defaults(handler=export_command)
    inspect = commands.add_parser("inspect", help="steps, states, seconds, memory, keys, warnings of a run")
    inspect.add_argument("run", metavar="RUN")
    inspect.set_defaults(handler=inspect_command)
    weights = commands.add_parser("weights", help="known weight files: list, check PATH, fetch, keep ROLE=PATH")
    weights.add_argument("action", choices=("list", "check", "fetch", "keep"))
    weights.add_argument("path", nargs="?", type=Path, metavar="PATH|SYSTEM|ROLE=PATH")
    weights.add_argument(
        "--from", dest="folder", type=Path, metavar="FOLDER", help="fetch: from a folder that you have"
    )
    weights.add_argument("--offline", action="store_true", help="fetch: only from the Hub's cache on this machine")
    weights.add_argument(
        "--draw", type=Path, metavar="PHOTO",
        help="check: a network of HGM's also draws this photo's person again (some minutes on a CPU)",
    )  # fmt: skip
    weights.set_defaults(handler=weights_command)
    doctor = commands.add_parser("doctor", help="what this machine has and what is missing")
    doctor.set_defaults(handler=doctor_command)
    for parser in (run, render, export, inspect, weights, doctor):
        parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
        parser.add_argument(
            "--runs", type=Path, default=None, metavar="DIR", help="the store (default: HUMANSCOPE_HOME)"
        )


def _knob_help() -> str:
    lines = ["parameters for --set (default, range, meaning):"]
    said: set[tuple[str, type]] = set()
    for system in offered():
        lines.append(f"{system}:")
        for step in find_system(system).steps:
            # A step that methods share is told once, where it comes first.
            if (step.name, step.params) in said:
                continue
            said.add((step.name, step.params))
            for knob in step.knobs:
                wanted = "|".join(knob.choices) if knob.choices else knob.wanted()
                lines.append(f"  {step.name}.{knob.name} = {knob.default}  [{wanted}]  {knob.help}")
    return "\n".join(lines).replace("%", "%%")


def dispatch(arguments: argparse.Namespace) -> int:
    """Run a command; errors become one sentence and an exit code."""
    try:
        return int(arguments.handler(arguments) or 0)
    except MissingNeed as error:
        return _refuse(arguments, error, EXIT_MISSING)
    except UserError as error:
        return _refuse(arguments, error, EXIT_BAD_INPUT)
    except Cancelled as error:
        return _refuse(arguments, error, EXIT_CANCELLED)
    except BrokenPipeError:
        return EXIT_FAULT
    except Exception as error:
        if os.environ.get("HUMANSCOPE_TRACEBACK"):
            raise
        fault = f"An unexpected fault ({type(error).__name__}: {error}). Set HUMANSCOPE_TRACEBACK=1 to see where."
        return _refuse(arguments, UserError(fault), EXIT_FAULT)


def _refuse(arguments: argparse.Namespace, error: Exception, code: int) -> int:
    if getattr(arguments, "json", False):
        print(json.dumps({"error": str(error), "exit": code}))
    print(f"humanscope: {error}", file=sys.stderr)
    return code


def _say(arguments: argparse.Namespace, data: Any, text: str) -> None:
    print(json.dumps(data, indent=1) if arguments.json else text)


def _store(arguments: argparse.Namespace) -> Store:
    return Store(arguments.runs or default_root())


def run_command(arguments: argparse.Namespace) -> int:
    """`run`: see the module; the output folder appears when everything went well."""
    from pipelines.output import OutFolder, deliver
    from pipelines.terminal import ProgressLine

    run, upload, store = _prepare(arguments)
    out = OutFolder(arguments.out) if arguments.out else None
    stop = {"asked": False}
    old = signal.signal(signal.SIGINT, lambda *_: stop.update(asked=True))
    try:
        steps = run.recipe.steps
        show = ProgressLine(len(steps)) if not arguments.json else (lambda event: None)
        executor = Executor(run, store, upload, show, lambda: stop["asked"])
        _apply_replacements(arguments, run, executor, store)
        executor.execute(arguments.until)
        files = deliver(run, store, out) if out else []
        if out:
            out.finish()
    except BaseException:
        if out:
            out.abandon()
            shutil.rmtree(run.folder, ignore_errors=True)
        raise
    finally:
        signal.signal(signal.SIGINT, old)
    store.evict()
    where = str(arguments.out) if arguments.out else run.id
    text = f"Done. {'Files in' if out else 'The run is'} {where}" + (f": {', '.join(files)}" if files else "")
    _say(arguments, {**run.to_json(), "out": str(arguments.out) if out else None, "files": files}, text)
    if out:
        shutil.rmtree(run.folder, ignore_errors=True)
    return 0


def _prepare(arguments: argparse.Namespace) -> tuple[Run, Any, Store]:
    """Check everything that can be checked before work, then make the run."""
    from pipelines.devices import choose_device
    from pipelines.output import find_run
    from pipelines.photo import read_upload
    from pipelines.records import Upload
    from pipelines.weights import parse_choices

    archive = _archive(arguments)
    if arguments.photo is None and arguments.base is None:
        raise UserError("No photo came; give one (python app.py run PHOTO) or go on from a run (--from RUN).")
    if arguments.seed is not None:
        check_seed(arguments.seed)
    root = arguments.runs or default_root()
    base = find_run(arguments.base, root) if arguments.base and archive is None else None
    system = arguments.system or (base.system if base else "projection")
    if arguments.preset:
        system = with_preset(system, arguments.preset)
    recipe = find_system(system)
    settings = recipe.parse_settings(arguments.settings)
    if arguments.until:
        recipe.step(arguments.until)
    for pair in arguments.replace:
        _split_replacement(pair, recipe)
    used = {role for step in recipe.steps for role in step.every_role}
    options: dict[str, Any] = {
        "device": choose_device(arguments.device),
        "weights": parse_choices(arguments.weights, used, _judges()),
    }
    chosen = options["weights"] or (base.weights if base else {})
    before = base.settings if base else {}
    merged = {s.name: {**before.get(s.name, {}), **settings.get(s.name, {})} for s in recipe.steps}
    _check_weights(recipe, arguments, merged, chosen, set(base.replaced) if base else set())
    upload: Upload | None = read_upload(arguments.photo) if arguments.photo else archive
    if upload is not None and archive is None:
        _check_photo(upload, recipe, settings)
    store = Store(root)
    folder = store.root / "runs" / os.urandom(16).hex()
    if base is None:
        assert upload is not None
        return create_run(folder, upload, system, settings=settings, seed=arguments.seed or 0, **options), upload, store
    if arguments.seed is not None:
        options["seed"] = arguments.seed
    if not arguments.weights:
        options.pop("weights")
    with store.hold() as hold:
        edited = import_records(base, store, hold)
        for name in base.replaced:
            store.add(base.record(name, store), hold)
        run = branch_run(folder, base, system=system, settings=settings, replaced=edited, **options)
        store.pin(run.id, list(run.replaced.values()))
    for name in edited:
        print(f"steps/{name} is not what that run had made; it is taken as edited by hand.", file=sys.stderr)
    if upload is not None:
        run.photo_name, run.upload_sha256 = Path(upload.name).name, hash_bytes(upload.data)
        run.save()
    return run, upload, store


def _check_weights(
    recipe: Any, arguments: argparse.Namespace, settings: dict[str, Any], chosen: dict[str, str], replaced: set[str]
) -> None:
    """MissingNeed before any work, when a step that will run lacks its weights."""
    from pipelines.weights import Weights

    replaced = replaced | {pair.partition("=")[0] for pair in arguments.replace}
    for step in recipe.steps:
        roles = step.roles(step.make_params(settings[step.name]))
        for role in roles if step.name not in replaced else ():
            Weights(chosen).path(role)
        if step.name == arguments.until:
            return


def _archive(arguments: argparse.Namespace) -> Any:
    """The upload of a system that starts from a folder or ZIP, if that is what --from names; None for a run or a photo.
    UserError for a photo given to such a system, and for a folder or ZIP given to one that starts from a photo."""
    root = arguments.runs or default_root()
    given = Path(arguments.base) if arguments.base else None
    is_run = given is not None and any((p / "run.json").is_file() for p in (given, root / "runs" / arguments.base))
    system = arguments.system
    pack = find_system(system).pack if system else None
    if pack is not None and arguments.photo is not None:
        raise UserError(f"'{system}' starts from pictures made elsewhere, not from a photo; give their folder or ZIP with "
                        "--from.")  # fmt: skip
    if pack is not None and given is None:
        raise UserError(f"No pictures came; '{system}' needs --from with a folder or ZIP of them, or a run.")
    if given is None or is_run:
        return None
    if pack is not None:
        return pack(given)
    if given.is_file() or (given.is_dir() and (system is not None or any(given.glob("*.png")))):
        takes = [name for name in SYSTEMS if find_system(name).pack is not None]
        raise UserError(f"--from came with '{given}', which is no run; pictures made elsewhere need --system "
                        f"{' or '.join(takes)}.")  # fmt: skip
    return None


def _check_photo(upload: Any, recipe: Any, settings: dict[str, dict[str, Any]]) -> None:
    """Decode once before anything is made, so that a bad photo leaves no folder behind."""
    from pipelines.photo import decode

    step = recipe.steps[0]
    params = step.make_params(settings.get(step.name, {}))
    decode(upload.data, getattr(params, "longest_side", 1280))


def _split_replacement(pair: str, recipe: Any) -> tuple[Any, Path]:
    name, equals, path = pair.partition("=")
    if not equals or not path:
        raise UserError(f"--replace came with '{pair}'; it needs step=FILE.")
    if not Path(path).exists():
        raise UserError(f"--replace {name} came with '{path}', and there is no such file; check the path.")
    return recipe.step(name), Path(path)


def _apply_replacements(arguments: argparse.Namespace, run: Run, executor: Executor, store: Store) -> None:
    """Files from --replace become records; a mask needs the photo, so the photo step comes first."""
    from pipelines.records import Cutout, Photo
    from pipelines.replace import read_replacement

    for pair in arguments.replace:
        step, path = _split_replacement(pair, run.recipe)
        photo = None
        if step.output is Cutout:
            executor.execute("photo")
            record = run.record("photo", store)
            assert isinstance(record, Photo)
            photo = record
        with store.hold() as hold:
            content = store.add(read_replacement(step, path, photo), hold)
        store.pin(run.id, [*run.replaced.values(), content])
        run.replaced[step.name] = content
        run.save()


def render_command(arguments: argparse.Namespace) -> int:
    """`render`: one RGBA picture."""
    from pipelines.export.picture import longer_side, render_view, side_camera
    from pipelines.output import find_run, open_bundle
    from pipelines.records import write_image
    from pipelines.store import writing

    if not abs(arguments.azimuth) <= 3600:
        raise UserError(f"--azimuth came as {arguments.azimuth:g}; it needs degrees, for example 90.")
    if arguments.view == "photo" and arguments.azimuth:
        raise UserError("--view photo and --azimuth came together; give one of them.")
    if arguments.out.suffix.lower() != ".png":
        raise UserError(f"--out came as '{arguments.out}'; pictures are written as .png.")
    if not 16 <= arguments.size <= 8192:
        raise UserError(f"--size came as {arguments.size}; it needs 16 to 8192 pixels.")
    if arguments.elevation is not None and not -89 <= arguments.elevation <= 89:
        raise UserError(f"--elevation came as {arguments.elevation:g}; it needs -89 to 89 degrees.")
    store = _store(arguments)
    bundle = open_bundle(find_run(arguments.run, store.root), store)
    from pipelines.export.bundle import need

    body = need(bundle, "body")
    if arguments.view == "photo":
        camera = longer_side(body.camera, arguments.size)
    else:
        camera = side_camera(body, arguments.azimuth, arguments.elevation, arguments.size)
    picture = render_view(bundle, arguments.what, camera, arguments.size)
    out = Path(os.path.abspath(arguments.out))
    with writing(f"'{arguments.out}'"):
        part = out.with_name(f".{out.stem}.part.png")
        try:
            write_image(part, picture)
            os.replace(part, out)
        finally:
            part.unlink(missing_ok=True)
    size = f"{camera.width} x {camera.height}"
    _say(arguments, {"out": str(arguments.out), "camera": camera.to_json()}, f"Wrote {arguments.out} ({size} px).")
    return 0


def export_command(arguments: argparse.Namespace) -> int:
    """`export`: one file in one format."""
    from pipelines.export.table import export
    from pipelines.output import find_run, open_bundle

    store = _store(arguments)
    bundle = open_bundle(find_run(arguments.run, store.root), store)
    sentence = export(bundle, arguments.format, arguments.out)
    _say(arguments, {"out": str(arguments.out), "format": arguments.format, "message": sentence}, sentence)
    return 0


def inspect_command(arguments: argparse.Namespace) -> int:
    """`inspect`: the run's record as a table."""
    from pipelines.output import find_run

    run = find_run(arguments.run, arguments.runs or default_root())
    lines = [f"run {run.id}  {run.system} ({run.preset})  seed {run.seed}  {run.device}  {run.state}  {run.photo_name}"]
    lines.append(f"{'step':<12} {'state':<10} {'seconds':>8} {'peak MB':>8}  key")
    for s in run.steps:
        seconds = "" if s.seconds is None else f"{s.seconds:.2f}"
        memory = "" if s.peak_rss_mb is None else f"{s.peak_rss_mb:.0f}"
        lines.append(f"{s.name:<12} {s.state:<10} {seconds:>8} {memory:>8}  {(s.key or '')[:16]}")
    lines += [f"! {w['step']}: {w['text']}" for w in run.warnings]
    if run.message:
        lines.append(f"✕ {run.message}")
    _say(arguments, run.to_json(), "\n".join(lines))
    return 0


def weights_command(arguments: argparse.Namespace) -> int:
    """`weights list | check PATH | fetch | keep ROLE=PATH`."""
    from pipelines.weights import KNOWN, Weights, check_file, guess_role, is_ours, note_fetched, parse_choices

    if arguments.draw is not None and arguments.action != "check":
        raise UserError(f"--draw came with 'weights {arguments.action}'; it goes with 'weights check FILE'.")
    if arguments.action == "keep":
        if arguments.path is None:
            raise UserError(
                "weights keep needs ROLE=PATH, for example hgm.one_view=FILE; it is then known to every run."
            )
        kept = parse_choices([str(arguments.path)], set(KNOWN), _judges())
        note_fetched({role: Path(path).expanduser().resolve() for role, path in kept.items()})
        _say(arguments, {"kept": kept}, "\n".join(f"{role}: every run takes {path}." for role, path in kept.items()))
        return 0
    if arguments.action == "check":
        if arguments.path is None:
            raise UserError("weights check needs a PATH: the file or folder to look at.")
        if not arguments.path.exists():
            raise UserError(f"There is no file '{arguments.path}'; check the path.")
        if arguments.draw is not None and not arguments.draw.is_file():
            raise UserError(f"--draw came with '{arguments.draw}', and there is no such photo; check the path.")
        if arguments.path.is_file() and not is_ours(arguments.path) and _judges()["hgm.one_view"](arguments.path):
            return _check_hgm(arguments)
        if arguments.draw is not None:
            raise UserError(
                f"--draw came with '{arguments.path.name}', which is no network of HGM's; only these draw a photo again."
            )
        if arguments.path.is_dir() and (places := _synchuman_places(arguments.path)):
            return _check_synchuman(arguments, places)
        role = guess_role(arguments.path, _judges())
        sentence = check_file(arguments.path, role, _judges())
        _say(arguments, {"path": str(arguments.path), "role": role, "message": sentence}, sentence)
        return 0
    if arguments.action == "fetch" and arguments.path is not None:
        return _fetch(arguments)
    rows = []
    for role, known in KNOWN.items():
        try:
            here = str(Weights().fingerprint(role))
        except MissingNeed:
            here = ""
        rows.append({"role": role, "title": known.title, "here": bool(here), "fingerprint": here,
                     "licence": known.licence, "source": known.source, "how_to_get": known.how_to_get})  # fmt: skip
    if arguments.action == "fetch":
        missing = [r for r in rows if not r["here"]]
        cannot = {r: "" if KNOWN[r].how_to_get.startswith("python ") else "cannot be fetched for you. " for r in KNOWN}
        text = "\n".join(f"{r['role']}: {cannot[str(r['role'])]}{r['how_to_get']}" for r in missing)
        text = f"Everything that 'projection' and 'views' need is shipped; nothing was fetched.\n{text}".strip()
        _say(arguments, {"fetched": [], "missing": missing}, text)
        return 0
    text = "\n".join(
        f"{r['role']:<12} {'here   ' + str(r['fingerprint']) if r['here'] else 'missing':<24} {r['licence']:<44} {r['title']}"
        + ("" if r["here"] else f"\n{'':<12} {r['how_to_get']}")
        for r in rows
    )
    _say(arguments, rows, text)
    return 0


def _judges() -> Judges:
    """Who looks into files of which weights itself knows the ending alone."""

    def of_hgm(path: Path) -> bool:
        # Heavy packages are imported for such files alone.
        from pipelines.hgm.released_weights import looks_like_hgm

        return looks_like_hgm(path)

    return {"hgm.one_view": of_hgm, "hgm.two_view": of_hgm}


def _check_hgm(arguments: argparse.Namespace) -> int:
    """`weights check FILE [--draw PHOTO]` of HGM's: the report on its keys and values, then what it draws."""
    from pipelines.hgm.released_weights import examine
    from pipelines.terminal import ProgressLine

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    report = examine(arguments.path)
    refused = report.verdict == "refused"
    if arguments.draw is None or refused:
        _say(arguments, report.to_json(), report.text())
        if refused and arguments.draw is not None:
            say("A file that is refused is not run; nothing was drawn.")
        return EXIT_BAD_INPUT if refused else 0
    # Read before the minutes of work: what is already known is told at once.
    if not arguments.json:
        print(report.text(), flush=True)
    from pipelines.weights_drawn import CROP_STEPS, draw_again

    names = [step.name for step in find_system("projection").steps]
    listen = (lambda event: None) if arguments.json else ProgressLine(names.index(CROP_STEPS) + 1)
    seen = draw_again(arguments.path, arguments.draw, _store(arguments), say, listen)
    sentences = [s for s in (seen.sentence(), seen.views_sentence()) if s]
    others = "\n".join(f"  footprint {name}: {psnr:.2f} dB" for name, psnr in seen.psnr.items())
    _say(arguments, {**report.to_json(), "drawn": {**seen.to_json(), "sentences": sentences}},
         "\n".join([*sentences[:1], others, *sentences[1:]]))  # fmt: skip
    return 0 if seen.finite else EXIT_BAD_INPUT


def _fetch(arguments: argparse.Namespace) -> int:
    """`weights fetch SYSTEM`: from the Hub, or from a folder."""
    from pipelines.fetch import fetch, take

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    system = str(arguments.path)
    places = take(system, arguments.folder, say) if arguments.folder else fetch(system, say, arguments.offline)
    found = {role: str(path) for role, path in places.items()}
    _say(arguments, {"fetched": found}, f"{system}: {len(found)} parts are ready.")
    return 0


def _synchuman_places(folder: Path) -> dict[str, Path]:
    from pipelines.fetch import find

    return find("synchuman", folder)


def _check_synchuman(arguments: argparse.Namespace, places: dict[str, Path]) -> int:
    """`weights check FOLDER` of SyncHuman's: how every network's keys meet its files."""
    from pipelines.synchuman.checkpoints import examine_folders

    report = examine_folders(places)
    lines = [f"{name:<26} {'whole' if whole else 'NOT WHOLE':<10} {text}" for name, (whole, text) in report.items()]
    data = {name: {"whole": whole, "text": text} for name, (whole, text) in report.items()}
    _say(arguments, data, "\n".join(lines))
    return 0 if all(whole for whole, _ in report.values()) else EXIT_BAD_INPUT


def doctor_command(arguments: argparse.Namespace) -> int:
    """`doctor`: exit code 0 when `projection` can run here."""
    from pipelines.doctor import examine

    findings = examine(arguments.runs or default_root())
    marks = {"ok": "✓", "optional": "○", "missing": "✕"}
    text = "\n".join(f"{marks[f['state']]} {f['name']:<18} {f['text']}" for f in findings)
    _say(arguments, findings, text)
    return EXIT_MISSING if any(f["state"] == "missing" for f in findings) else 0

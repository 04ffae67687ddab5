"""Step synchuman.clean: fewer faces, hidden walls cut off, small holes closed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipelines.step import Context, Step, knob, same_knob, step
from pipelines.synchuman.records import CleanedSurface, RawSurface


@dataclass(frozen=True)
class CleanParams:
    """Knobs of synchuman.clean."""

    reduction: float = knob(0.7, "Share of the faces that go.", low=0.0, high=0.99)
    views: int = knob(
        1000, "From how many sides faces are looked for; fewer are quicker and hide more.", low=20, high=2000
    )
    size: int = knob(1024, "Side of each of these views.", low=64, high=2048, unit="px")


@dataclass(frozen=True)
class TinyCleanParams(CleanParams):
    """The stand-in's: few faces, few and small views."""

    reduction: float = same_knob(CleanParams, "reduction", 0.93)
    views: int = same_knob(CleanParams, "views", 40)
    size: int = same_knob(CleanParams, "size", 128)


def clean_step(preset: str) -> Step:
    """The step; the stand-in preset looks at less."""

    @step("synchuman.clean", version=1, title="Clean surface")
    def clean(synchuman_surface: RawSurface, params: CleanParams, ctx: Context) -> CleanedSurface:
        """The surface decimated, rid of walls that nobody can see from outside, its small holes closed."""
        # Heavy packages are imported by the work alone, not by the declaration.
        import numpy as np

        from pipelines.synchuman import clean_surface

        ctx.progress(0.0, "fewer faces")
        made = clean_surface.clean(
            synchuman_surface.vertices, synchuman_surface.faces, reduction=params.reduction, views=params.views,
            size=params.size, progress=lambda share: ctx.progress(0.1 + 0.7 * share, "which faces are seen"),
        )  # fmt: skip
        facts = {
            **{k: v for k, v in synchuman_surface.facts.items() if k in ("preset", "stand_in")},
            "faces": len(made.faces), "removed": len(made.decision.removed), "open_loops": made.open_loops,
            "cut_length": round(float(made.decision.cut_length), 6), "outer_quantile": made.settings.outer_quantile,
            "inner_most": made.settings.inner_most,
        }  # fmt: skip
        return CleanedSurface(
            made.vertices, made.faces.astype(np.int32), made.light_vertices, made.light_faces.astype(np.int32),
            made.visibility.astype(np.float32), np.asarray(made.decision.removed, np.int32), facts,
        )  # fmt: skip

    return replace(clean, params=TinyCleanParams) if preset == "tiny" else clean

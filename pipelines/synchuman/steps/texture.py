"""Step synchuman.texture: the cleaned surface with colours from the views and the splats."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipelines.records import Body, Mesh, Splats
from pipelines.step import Context, Step, knob, same_knob, step
from pipelines.synchuman.records import CleanedSurface, Framed, TenPictures

WAYS = ("projection", "optimised")


@dataclass(frozen=True)
class TextureParams:
    """Knobs of synchuman.texture."""

    texture: int = knob(1024, "Side of the texture.", low=128, high=4096, unit="px")
    renders: int = knob(32, "From how many sides the splats colour what no view sees; the released program takes 95.",
                        low=0, high=95)  # fmt: skip
    render_size: int = knob(768, "Side of these pictures of the splats.", low=64, high=1024, unit="px")
    sharpness: float = knob(4.0, "How strongly the view that looks straight at a place outweighs the others.", low=0.0,
                            high=16.0)  # fmt: skip
    way: str = knob("projection", "Projection takes seconds; optimised is the released program's way, minutes on a CPU.",
                    choices=WAYS)  # fmt: skip
    steps: int = knob(1000, "Optimised: how many steps, one picture each.", low=20, high=5000)
    bake_renders: int = knob(95, "Optimised: how many pictures of the splats beside the five views.", low=0, high=400)
    bake_size: int = knob(1024, "Optimised: side of these pictures.", low=64, high=2048, unit="px")


@dataclass(frozen=True)
class TinyTextureParams(TextureParams):
    """The stand-in's: small."""

    texture: int = same_knob(TextureParams, "texture", 256)
    renders: int = same_knob(TextureParams, "renders", 6)
    render_size: int = same_knob(TextureParams, "render_size", 128)
    steps: int = same_knob(TextureParams, "steps", 100)
    bake_renders: int = same_knob(TextureParams, "bake_renders", 20)
    bake_size: int = same_knob(TextureParams, "bake_size", 128)


def texture_step(preset: str) -> Step:
    """The step; the stand-in preset makes a smaller texture."""

    @step("synchuman.texture", version=2, title="Mesh", kind="mixed", backends=("cpu", "cuda"), seeded=True)
    def texture(synchuman_frame: Framed, synchuman_views: TenPictures, synchuman_clean: CleanedSurface,
                synchuman_splats: Splats, body_fit: Body, params: TextureParams, ctx: Context) -> Mesh:  # fmt: skip
        """The surface unwrapped; the photo's colours first, then the other views', then those of the splats."""
        # Heavy packages are imported by the work alone, not by the declaration.
        from pipelines.synchuman.display import place
        from pipelines.synchuman.texture import textured

        placement = place(synchuman_frame, body_fit)
        return textured(synchuman_frame, synchuman_views, synchuman_clean, synchuman_splats, placement, params, ctx)

    return replace(texture, params=TinyTextureParams) if preset == "tiny" else texture

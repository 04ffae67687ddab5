"""Gradio's theme with our colours and the system's own fonts: nothing is fetched from another host."""

from __future__ import annotations

import gradio as gr
from gradio.themes.utils import colors

SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

TEAL = colors.Color(
    c50="#eef7f6", c100="#d5ebe8", c200="#abd7d2", c300="#7bbdb6", c400="#489e96", c500="#1f7f77", c600="#146a63",
    c700="#11554f", c800="#0f433f", c900="#0c3431", c950="#072220", name="humanscope",
)  # fmt: skip
STONE = colors.Color(
    c50="#faf9f7", c100="#f3f1ed", c200="#e5e2dc", c300="#d0ccc4", c400="#a09c95", c500="#6f6c67", c600="#55534f",
    c700="#3d3c3a", c800="#26272a", c900="#1b1c1f", c950="#131417", name="humanscope-stone",
)  # fmt: skip


def theme() -> gr.themes.Base:
    """The theme of the page; the finer looks are in assets/style/humanscope.css."""
    return gr.themes.Base(
        primary_hue=TEAL, secondary_hue=TEAL, neutral_hue=STONE, font=list(SANS), font_mono=list(MONO),
        radius_size=gr.themes.sizes.radius_md, text_size=gr.themes.sizes.text_sm,
    ).set(
        body_background_fill="#f6f4f0", body_background_fill_dark="#131417",
        block_background_fill="transparent", block_background_fill_dark="transparent",
        block_border_width="0px", block_border_width_dark="0px", block_shadow="none",
        button_primary_background_fill="*primary_600", button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600", button_primary_background_fill_hover_dark="*primary_500",
        button_primary_text_color="#ffffff", button_primary_text_color_dark="#ffffff",
        checkbox_background_color_selected="*primary_600", checkbox_background_color_selected_dark="*primary_500",
    )  # fmt: skip

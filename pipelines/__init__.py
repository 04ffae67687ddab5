"""Humanscope: one photo of a person becomes splats, a textured mesh and a posed body, step by step."""

__version__ = "0.1.0"

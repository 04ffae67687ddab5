"""HGM (Generalizable Human Gaussians from Single-View Image, ICLR 2025): one implementation, two presets."""

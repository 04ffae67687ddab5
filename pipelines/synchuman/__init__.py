"""SyncHuman: one photo to five views of colour and normals with a voxel grid, then to splats and a surface."""

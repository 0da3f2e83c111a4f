"""Meshes and planes to images: shading, shadows, textures."""

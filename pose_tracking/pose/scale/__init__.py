"""Objects that are larger or smaller than their meshes: their scale beside their pose."""

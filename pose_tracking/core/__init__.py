"""What every package builds on: camera, frame, geometry, images, options, errors, files."""

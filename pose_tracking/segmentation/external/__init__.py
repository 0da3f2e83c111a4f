"""Detectors that others have trained: torchvision's published networks, and graphs in ONNX or OpenVINO's formats."""

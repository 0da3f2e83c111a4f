"""What runs the networks: PyTorch, which is the reference, or a compiler of inference graphs, which is faster."""

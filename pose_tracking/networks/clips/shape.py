"""Shape of a clip, as published (Hara, Kataoka and Satoh, CVPR 2018), and the time it spans."""

FRAMES, SIDE = 16, 112  # pictures, and their side (px)
STEP = 0.1  # seconds between two of them
SPAN = STEP * (FRAMES - 1)

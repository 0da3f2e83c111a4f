"""Where things can stand: stable poses, footprints, free places, and the loop that every layout is made by."""

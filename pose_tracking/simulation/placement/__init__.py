"""Where things can stand: stable poses, footprints, free places."""

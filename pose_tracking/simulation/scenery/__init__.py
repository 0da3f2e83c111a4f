"""What a scene is made of beside the objects: backgrounds, rooms, clutter, distractors."""

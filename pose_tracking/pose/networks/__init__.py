"""The networks of the pose stage, as published and light, with their losses."""

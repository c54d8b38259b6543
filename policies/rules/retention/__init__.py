"""Retention: the arithmetic of locks, lifecycles, the rotation and the window of point-in-time recovery."""

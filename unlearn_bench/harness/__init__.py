"""Asking a checkpoint and scoring what it said: tasks, backends, observations, `run` and `score`."""

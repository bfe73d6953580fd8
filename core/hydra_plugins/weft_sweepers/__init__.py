"""Sweepers that Hydra finds by this folder's place."""

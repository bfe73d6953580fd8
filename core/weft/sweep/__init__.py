"""Sweeps: one configuration after another, and what they come to."""

"""Tuning: a search for good options that can be trusted, stopped, resumed and watched."""

"""Serving classifiers over HTTP: an application that other programs can mount."""

from __future__ import annotations

from imgclf.serving.server_application import application

__all__ = ["application"]

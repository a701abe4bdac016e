"""Figures and cards as pictures: for notebooks, pages and files."""

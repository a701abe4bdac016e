"""Pictures and cards that objects show in a notebook: HTML and SVG, without a plotting library."""

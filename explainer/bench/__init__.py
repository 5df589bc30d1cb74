"""How fast the product is, and how far from the limit: `python -m explainer.bench --help`."""

"""One file a venue; `catalogue.py` finds them by name."""

"""`python -m marketfeed`: the same as the command `marketfeed`."""

from .cli import main

if __name__ == "__main__":
    main()

"""`python -m sweeps`: the command line over the catalogue."""

from sweeps.catalog import CATALOG
from sweeps.script import serve


def run() -> None:
    """The console script."""
    serve(dict(CATALOG))


if __name__ == "__main__":
    run()

"""`python -m search`: the same as `tundish`, for clusters where the package is only unpacked and not installed."""

from search.cli import main

if __name__ == "__main__":
    main()

"""Settings of single families on a benchmark's command line, as `families` and `contact_sheets` take them."""

import argparse
from typing import Any

import yaml


def add_option(parser: argparse.ArgumentParser) -> None:
    """Adds `--set FAMILY.NAME=VALUE ...`."""
    parser.add_argument("--set", nargs="*", default=[], metavar="FAMILY.NAME=VALUE", help="settings of single families")


def settings_of(family: str, given: list[str]) -> dict[str, Any]:
    """Picks those of one family."""
    places = [text.partition("=") for text in given]
    return {place.partition(".")[2]: yaml.safe_load(value) for place, _, value in places if place.partition(".")[0] == family}

"""Generator families: one file each, found by name. Listing them imports no torch."""

GENERATORS: dict[str, str] = {
    "dcgan": "trainables.generators.dcgan:Dcgan",
}
"""Family name -> the `GeneratorModel` subclass that builds, trains and samples it."""

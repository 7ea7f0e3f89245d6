"""The two-stage system of the VAEGAN paper: a router of surfaces, and a detector for each."""

"""What is measured of a trial beyond the scores of its task: by groups, on disturbed images, in speed, and of what is particular to a family."""

"""How families are trained: the loop and its stage, losses, what is done to images on the way, and the check of settings before it."""

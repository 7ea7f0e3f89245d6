"""Zero-shot inspectors: they tell the classes that they were shown, and those that they were only told of, or raise "unseen".

The unit of a trial is in `unit`; the routers that it makes are the first stage of `trainables.two_stage.system`.
"""

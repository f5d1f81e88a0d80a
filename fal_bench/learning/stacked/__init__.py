"""The stacked engine: many small trainings at once, their parameters stacked over lanes.

A lane is one local training. Lanes occupy the slots of a block; every step draws one batch per
slot and moves all slots together. A lane that is done is copied out, and the next one takes its
slot, so that ragged sizes cost nothing and a finished lane cannot move.

A lane has the same bits in any company, on one CPU thread: its batches are padded to a size that
follows from the lane and the recipe alone, and all sizes are even (``kernels/even.py``).
"""

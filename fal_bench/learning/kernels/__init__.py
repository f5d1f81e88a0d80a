"""Training steps that are written by hand: forward pass, backward pass and update.

Most move the stacked weights of all slots of a block by one batch each: those of perceptrons and of
plain convolutional networks; ``autograd`` does what they do not. ``first_block`` is for networks
that are trained one by one, ``blocks`` for a GPU.
"""

"""Training steps of many small networks at once: forward pass, backward pass and update.

A step moves the stacked weights of all slots of a block by one batch each. Those of perceptrons and
of plain convolutional networks are written by hand; ``autograd`` does what they do not.
"""

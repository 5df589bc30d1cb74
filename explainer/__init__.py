"""Fully convolutional networks, explained on real photos."""

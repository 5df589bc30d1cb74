"""From the settings of a lesson page to its picture, its formula and its code: pure functions."""

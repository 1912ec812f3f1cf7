"""Choose a preset for a folder of images: numbers in, a preset and its reasons out.

plan     the preset, from the survey of a folder and the user's wishes
network  the size of the images and of the network
speed    measure how fast this machine trains a preset
reasons  one line for each choice, for the user
"""

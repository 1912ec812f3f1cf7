"""Publish measured models: release, card, figures, comparison.

release          trained weights -> a version: quantise, measure, draw, write the card, publish
imported         measure an imported version, and publish it with the numbers
completion       publish a version again with the measured parts that it lacks
destination      checks before a training that its version can be published
options          the options of a release
provenance       the libraries and the commit that a version is made with
model_card       card.md; `card_summary` and `directions_card` write parts of it
figures          the figures of a version; `drawing` has what they share
comparison       a table and figures of several versions; `score_figures` draws their scores
"""

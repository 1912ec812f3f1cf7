"""Find the one digit on a drawing or a photograph, with integers alone.

finding      the digit's ink, without paper, lines, specks and other digits
lines        rules, frames and boxes
background   ink and paper
components   connected components of masks
"""

"""Render letters and digits from open fonts, as a folder of images that training reads.

fonts.py       find font files and read their metadata
licences.py    recognise open licences
rendering.py   draw the characters of a font
selection.py   leave out symbols, small capitals and near duplicates; split by family
data_set.py    write the images, their attributes and the licences
"""

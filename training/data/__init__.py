"""Training data: MNIST, Fashion-MNIST and folders of images, and their augmentation.

    images          a data set in memory: the images of a split, and both splits
    loading         load the data set that a preset names
    idx             MNIST and Fashion-MNIST
    image_folder    a folder of images; `folder_files` finds its files, splits and classes
    attributes      attributes.csv: numbers about each image
    class_names     classes.csv: names of classes whose folders have other names
    folder_survey   the size and kind of a folder's images, before they are read
    augmentation    random affine maps
    digit_measures  thickness, slant and size of handwritten digits

Data sets that are drawn by a program:
    glyphs          letters and digits from open fonts
    avatars         cartoon faces
    rendered        write such a data set into a folder
"""
